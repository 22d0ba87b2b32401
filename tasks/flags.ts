/**
 * What may stand after a task's name. gulp ignores a flag that it does not know;
 * here a misspelt one is refused before anything runs.
 */
import { parseArgs } from 'node:util';
import type { Flags } from './context.ts';
import { BuildError } from './errors.ts';

/** Flag, and what `gulp --tasks` says of it. */
export const FLAGS = {
  '--force': 'run every step, whatever its inputs',
  '--explain': 'say for each step whether it ran, and which input decided',
  '--timings': 'write dist/timings.svg, a picture of the steps of this run',
  '--json': 'print for machines',
  '--keep': 'keep the folder of a failed clean room',
  '--wheel': 'also rebuild wheel and assets on each change',
  '--release <dir>': 'the release folder to verify',
  '--no-clean-room': 'only check files, install nothing',
  '--yes': 'really publish',
} as const;

/** Options of gulp-cli 3 itself. */
const GULP = `help version preload require gulpfile cwd verify tasks tasks-simple tasks-json tasks-depth compact-tasks
  sort-tasks color no-color silent continue series log-level completion`.split(/\s+/);

/** Parse the arguments of the process, without node and script. */
export function readFlags(argv: readonly string[]): Flags {
  const own = Object.keys(FLAGS).map((flag) => flag.split(' ')[0]?.slice(2) as string);
  for (const argument of argv) {
    const name = /^--([^=]+)/.exec(argument)?.[1];
    if (name && !own.includes(name) && !GULP.includes(name)) {
      const near = nearest(name, [...own, ...GULP]);
      throw new BuildError(
        'flag',
        `there is no flag --${name}`,
        near ? `Did you mean --${near}?` : 'Run `gulp --tasks` to see the tasks and their flags.',
      );
    }
  }
  const { values } = parseArgs({
    args: [...argv],
    strict: false,
    options: { release: { type: 'string' } },
    allowNegative: true,
  });
  const on = (name: string) => values[name] === true;
  return {
    force: on('force'),
    explain: on('explain'),
    json: on('json'),
    keep: on('keep'),
    wheel: on('wheel'),
    timings: on('timings'),
    yes: on('yes'),
    cleanRoom: values['clean-room'] !== false,
    release: typeof values.release === 'string' ? values.release : undefined,
  };
}

/** For the top of the gulpfile, where gulp would print a stack: one clean message, exit code 1. */
export function flagsOrExit(argv: readonly string[]): Flags {
  try {
    return readFlags(argv);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

/** The closest of `known` within two edits; undefined when none is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const ranked = known.map((one) => ({ one, edits: edits(word, one) })).sort((a, b) => a.edits - b.edits);
  return ranked[0] && ranked[0].edits <= 2 ? ranked[0].one : undefined;
}

/** Levenshtein distance. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + same));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The part of FLAGS that a task knows, for `gulp --tasks`. */
export function describeFlags(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, FLAGS[name as keyof typeof FLAGS]]));
}
