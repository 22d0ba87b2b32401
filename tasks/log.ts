/**
 * What a person sees of a run: one line a step, and the children's output under
 * the prefix of their task. All of it goes through here, so tests can listen.
 */
import { once } from 'node:events';
import { styleText } from 'node:util';

export interface Log {
  /** A line of the build itself. */
  say(text: string): void;
  warn(text: string): void;
  /** Lines that a child process printed; resolves when there is room for more. */
  child(task: string, lines: readonly string[]): Promise<void>;
}

/** The log of a terminal. stdout is kept for results (`plan`, `graph`, `--json`). */
export function terminalLog(stream: NodeJS.WriteStream = process.stderr): Log {
  const colour = (style: Parameters<typeof styleText>[0], text: string) =>
    styleText(style, text, { stream, validateStream: true });
  const print = (text: string) => {
    stream.write(`${text}\n`);
  };
  return {
    say: (text) => print(text),
    warn: (text) => print(colour('yellow', text)),
    async child(task, lines) {
      const prefix = colour('dim', `${task} |`);
      if (lines.length > 0) print(lines.map((line) => `${prefix} ${line}`).join('\n'));
      if (stream.writableNeedDrain) await once(stream, 'drain');
    },
  };
}

/** A log that keeps its lines, for tests and for machine-readable output. */
export function recordingLog(): Log & { readonly lines: string[] } {
  const lines: string[] = [];
  return {
    lines,
    say: (text) => void lines.push(text),
    warn: (text) => void lines.push(text),
    child: async (task, printed) => void lines.push(...printed.map((line) => `${task} | ${line}`)),
  };
}

/** Milliseconds for people: `840 ms`, `3.2 s`. */
export function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
