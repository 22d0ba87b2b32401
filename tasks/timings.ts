/**
 * A picture of one run: each step as a bar over the time axis, kept ones pale.
 * Self-contained SVG, made of the outcomes that `step.ts` collects.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Context } from './context.ts';
import { diskFault } from './disk.ts';
import { duration } from './log.ts';
import type { Outcome } from './step.ts';

const LABEL = 150;
const CHART = 720;
const ROW = 24;

/** SVG text of the steps of a run; times in milliseconds of one clock. */
export function timeline(outcomes: readonly Outcome[]): string {
  const rows = [...outcomes].sort((a, b) => a.started - b.started);
  const start = Math.min(...rows.map(({ started }) => started));
  const span = Math.max(...rows.map(({ started, milliseconds }) => started + milliseconds)) - start || 1;
  const x = (ms: number) => (LABEL + (ms / span) * CHART).toFixed(1);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => ({ at: x(part * span), text: duration(part * span) }));
  const height = (rows.length + 2) * ROW;
  const bars = rows.map(({ step, ran, because, started, milliseconds }, i) => {
    const y = (i + 1) * ROW;
    const width = Math.max((milliseconds / span) * CHART, 1).toFixed(1);
    return [
      `<text x="${LABEL - 8}" y="${y + 16}" text-anchor="end">${escaped(step)}</text>`,
      `<rect x="${x(started - start)}" y="${y + 4}" width="${width}" height="${ROW - 8}" rx="3" class="${ran ? 'ran' : 'kept'}">`,
      `<title>${escaped(`${step}: ${ran ? 'ran' : 'kept'}, ${duration(milliseconds)}, ${because}`)}</title></rect>`,
    ].join('');
  });
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${LABEL + CHART + 80}" height="${height}" font-family="sans-serif" font-size="12">`,
    '<style>.ran{fill:#2f6fde}.kept{fill:#b9cdf3}line{stroke:#ddd}text{fill:#333}</style>',
    '<rect width="100%" height="100%" fill="#fff"/>',
    ...ticks.map(
      ({ at, text }) => `<line x1="${at}" y1="20" x2="${at}" y2="${height}"/><text x="${at}" y="15">${text}</text>`,
    ),
    ...bars,
    '</svg>',
  ].join('\n')}\n`;
}

/** Write the picture when the process ends, whatever its end. */
export function drawTimings({ at, flags, outcomes, log }: Context): void {
  if (!flags.timings) return;
  process.once('exit', () => {
    if (outcomes.length === 0) return;
    const next = `${at.timings}.next`;
    try {
      mkdirSync(dirname(next), { recursive: true });
      writeFileSync(next, timeline(outcomes));
      renameSync(next, at.timings);
      log.say(`wrote ${at.timings.slice(at.root.length + 1)}`);
    } catch (error) {
      rmSync(next, { force: true });
      log.warn((diskFault(error, at.timings) ?? (error as Error)).message);
    }
  });
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
