/**
 * `gulp check`: every check of both languages runs to its end, whatever failed
 * before it, and the last line of the run is `N passed, N failed`.
 */
import { join } from 'node:path';
import type { Context } from './context.ts';
import { childEnvironment } from './environment.ts';
import { BuildError } from './errors.ts';
import type { Log } from './log.ts';
import { type Command, run } from './run.ts';

export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  readonly failures: string[];
}

export function newTally(): Tally {
  return { passed: 0, failed: 0, skipped: 0, failures: [] };
}

/** `N passed, N failed`, and what was skipped when anything was. */
export function tallyLine({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** Run one check that passes or fails as a whole, and go on. */
export async function counted(
  context: Context,
  tally: Tally,
  name: string,
  check: (context: Context) => Promise<void>,
): Promise<void> {
  try {
    await check(context);
    tally.passed += 1;
  } catch (error) {
    context.signal.throwIfAborted();
    tally.failed += 1;
    tally.failures.push(name);
    context.log.warn(
      `${name} failed: ${error instanceof BuildError ? error.message : ((error as Error).stack ?? error)}`,
    );
  }
}

/** After all: fail when anything did, naming it; the tally is the last line of the process. */
export function settle(tally: Tally, atExit = (say: () => void) => void process.once('exit', say)): void {
  atExit(() => console.log(tallyLine(tally)));
  if (tally.failed > 0) {
    // a log of this length is read from its end
    throw new BuildError('check', ['failed:', ...tally.failures].join('\n  '), 'The lines above say what and where.');
  }
  if (tally.passed === 0) throw new BuildError('check', 'no check ran', 'This is a defect of the graph.');
}

const MINUTE = 60_000;
const PYTHON_SOURCES = ['python/ktx-sl/semantic_layer', 'python/ktx-daemon/src/ktx_daemon'];

export async function types(context: Context): Promise<void> {
  await context.run(await nodeTool(context, 'tsc', 'typescript/bin/tsc', []));
  await context.run(pythonTool(context, 'mypy', ['-m', 'mypy', ...PYTHON_SOURCES]));
}

export async function lint(context: Context): Promise<void> {
  await context.run(
    await nodeTool(context, 'biome', '@biomejs/biome/bin/biome', ['ci', '--colors=off', '--error-on-warnings', '.']),
  );
  await context.run(pythonTool(context, 'ruff', ['-m', 'ruff', 'check', 'python', 'tasks']));
  await context.run(pythonTool(context, 'ruff', ['-m', 'ruff', 'format', '--check', 'python', 'tasks']));
}

/** All tests of both languages; each test counts. */
export async function tests(context: Context, tally: Tally): Promise<void> {
  await suite(
    context,
    tally,
    pythonTool(context, 'pytest', ['-m', 'pytest', '-n', '2', '-ra', '--color=no']),
    readPytest,
  );
  await suite(
    context,
    tally,
    await nodeTool(context, 'ava', 'ava/entrypoints/cli.js', ['--concurrency', '2']),
    readAva,
  );
}

type Counts = Pick<Tally, 'passed' | 'failed' | 'skipped'>;

async function suite(
  context: Context,
  tally: Tally,
  plan: Command,
  read: (line: string, before: Counts) => Partial<Counts> | undefined,
): Promise<void> {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const names: string[] = [];
  const log: Log = {
    ...context.log,
    child(task, lines) {
      for (const line of lines.map((one) => one.replaceAll(ANSI, ''))) {
        Object.assign(counts, read(line, counts));
        const name = failedTest(line);
        if (name) names.push(name);
      }
      return context.log.child(task, lines);
    },
  };
  let ended: unknown;
  await run(plan, { log, signal: context.signal }).catch((error) => {
    context.signal.throwIfAborted();
    ended = error;
  });
  // a runner that ended badly without a failed test, or that ran none, failed as a whole
  if (counts.failed === 0 && (ended || counts.passed === 0)) counts.failed = 1;
  if (counts.failed > 0) tally.failures.push(...(names.length > 0 ? names : [plan.task]));
  tally.passed += counts.passed;
  tally.failed += counts.failed;
  tally.skipped += counts.skipped;
}

const ANSI = /\u001b\[[0-9;]*m/g;

/** The failed test that a line names: `FAILED path::name - why` of pytest, `✘ [fail]: title` of ava. */
export function failedTest(line: string): string | undefined {
  return /^\s*(?:FAILED|ERROR|✘ \[fail\]:) (\S.*)$/.exec(line)?.[1];
}

/** The closing line of pytest: `3 failed, 10 passed, 1 skipped, 2 errors in 4.10s`. */
export function readPytest(line: string): Partial<Counts> | undefined {
  if (!/^=*\s*(\d+ [a-z]+, )*\d+ [a-z]+ in [\d.]+s/.test(line)) return undefined;
  const of = (...words: string[]) =>
    words.reduce((sum, word) => sum + Number(new RegExp(`(\\d+) ${word}\\b`).exec(line)?.[1] ?? 0), 0);
  return {
    passed: of('passed', 'xfailed'),
    failed: of('failed', 'error', 'errors', 'xpassed'),
    skipped: of('skipped'),
  };
}

/**
 * The closing lines of ava, one a kind: `12 tests passed`, `1 test failed`, `2 tests skipped`. With a failed test it
 * does not say how many passed: so each that does counts as it comes.
 */
export function readAva(line: string, { passed }: Pick<Counts, 'passed'>): Partial<Counts> | undefined {
  if (/^\s*✔ \S/.test(line)) return { passed: passed + 1 };
  const match =
    /^\s*(\d+) (?:(tests?|known failures?|uncaught exceptions?|unhandled rejections?)) ?(passed|failed|skipped|todo)?$/.exec(
      line,
    );
  if (!match) return undefined;
  const [, count, , outcome] = match;
  if (outcome === 'passed') return { passed: Number(count) };
  if (outcome === 'skipped' || outcome === 'todo') return { skipped: Number(count) };
  return { failed: Number(count) };
}

async function nodeTool(context: Context, task: string, script: string, args: readonly string[]): Promise<Command> {
  const { node } = await context.toolchain();
  return tool(context, task, node.path, [join(context.at.root, 'node_modules', script), ...args]);
}

function pythonTool(context: Context, task: string, args: readonly string[]): Command {
  return tool(context, task, context.at.venvPython, args);
}

/** Tests see the caller's environment as it is: some of them are about it. */
function tool({ at, ambient }: Context, task: string, command: string, args: readonly string[]): Command {
  const all = Object.entries(ambient).filter((one): one is [string, string] => one[1] !== undefined);
  const { SOURCE_DATE_EPOCH: _archives, ...defaults } = childEnvironment(ambient); // the archives' time is no test's
  const env = { ...defaults, ...Object.fromEntries(all), NO_COLOR: '1', PYTHONDONTWRITEBYTECODE: '1' };
  return { task, command, args, cwd: at.root, env, timeout: 40 * MINUTE };
}
