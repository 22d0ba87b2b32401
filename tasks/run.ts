/**
 * The one place that starts child processes.
 *
 * A plan is a value (`commands.ts`); here it becomes a process group of its own,
 * whose output is streamed line by line under its task's prefix in bounded
 * memory, and whose end is either success or one message: the command, how it
 * ended, its last lines, what to do. An abort ends the whole group.
 */

import { access } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute } from 'node:path';
import type { ResultPromise } from 'execa';
import { fullestDisk, saysDiskFull } from './disk.ts';
import { BuildError } from './errors.ts';
import type { Log } from './log.ts';
import { endGroup } from './scratch.ts';

export interface Command {
  /** Prefix of its output and its name in messages. */
  readonly task: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Milliseconds after which the group is ended. */
  readonly timeout: number;
  /** Text for its standard input; closed and empty when absent. */
  readonly input?: string;
  /** What a person should do when it fails, when that is known beforehand. */
  readonly hint?: string;
  /** Exit codes other than 0 that are an answer, not a failure. */
  readonly accept?: readonly number[];
  /** Keep stdout for the caller (at most 64 MiB) rather than showing it. */
  readonly capture?: boolean;
}

export interface Runner {
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Told of each child's pid; returns what is called at its end. */
  readonly adopt?: (pid: number) => () => void;
}

const LAST_LINES = 20;
const LONGEST_LINE = 4096;
const KILL_AFTER_MS = 4000;
const CAPTURED_BYTES = 64 * 1024 * 1024;

const live = new Set<Pick<ResultPromise, 'pid'>>();

/** Run a plan to its end; returns its stdout when captured, else an empty string. */
export async function run(plan: Command, { log, signal, adopt }: Runner): Promise<string> {
  signal.throwIfAborted();
  await requireFolder(plan);
  const { execa } = await import('execa'); // a tenth of a run that has nothing to do, and starts nothing, would go into it
  const child = execa(plan.command, [...plan.args], {
    cwd: plan.cwd,
    env: plan.env,
    extendEnv: false,
    ...(plan.input === undefined ? { stdin: 'ignore' as const } : { input: plan.input }),
    buffer: false,
    reject: false,
    killDescendants: true,
    forceKillAfterDelay: KILL_AFTER_MS,
    timeout: plan.timeout,
    cancelSignal: signal,
  });
  live.add(child);
  let disown: (() => void) | undefined;
  const last: string[] = [];
  const captured = plan.capture ? collect(child.stdout, CAPTURED_BYTES) : undefined;
  const shown = [child.stderr, ...(plan.capture ? [] : [child.stdout])].map((stream) =>
    eachLine(stream, async (lines) => {
      last.push(...lines.slice(-LAST_LINES));
      last.splice(0, last.length - LAST_LINES);
      await log.child(plan.task, lines);
    }),
  );
  try {
    if (child.pid !== undefined) disown = adopt?.(child.pid);
    const [result] = await Promise.all([child, ...shown]);
    if (signal.aborted) throw signal.reason;
    const answered = result.exitCode !== undefined && plan.accept?.includes(result.exitCode);
    if (result.failed && !answered) throw await failure(plan, result, last);
    return captured ? await captured : '';
  } finally {
    live.delete(child);
    endGroup(child.pid); // what a leader leaves behind in its group would outlive it
    disown?.();
  }
}

/** End every child at once; for a second Ctrl-C and for the last moment of the process. */
export function killAll(): void {
  for (const child of live) endGroup(child.pid);
}

/** A command with its arguments as a person would type it. */
export function commandLine({ command, args }: Pick<Command, 'command' | 'args'>): string {
  return [command, ...args].map((part) => (/^[\w@%+=:,./~-]+$/.test(part) ? part : JSON.stringify(part))).join(' ');
}

/** execa reports a missing folder and a missing command alike, as ENOENT. */
async function requireFolder({ cwd, task }: Command): Promise<void> {
  try {
    await access(cwd);
  } catch (cause) {
    throw new BuildError('missing-folder', `${task} should run in ${cwd}, which is not there`, 'Run it again.', {
      cause,
    });
  }
}

interface Ending {
  readonly code?: string | undefined;
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly timedOut: boolean;
}

const NO_NETWORK =
  /dns error|failed to lookup address|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|network is unreachable|tcp connect error|error sending request|ENETUNREACH|Network connectivity is disabled/i;

async function failure(plan: Command, ending: Ending, last: readonly string[]): Promise<BuildError> {
  const what = commandLine(plan);
  if (ending.code === 'ENOENT') {
    return new BuildError('missing-command', `${plan.command} is not there`, `Run \`npm run artifacts\` to set it up.`);
  }
  const how = ending.timedOut
    ? `took longer than ${plan.timeout / 1000} s and was ended`
    : ending.signal
      ? `was ended by ${ending.signal}`
      : `failed with exit code ${ending.exitCode ?? ending.code}`;
  const tail = last.length > 0 ? `\n${last.map((line) => `    ${line}`).join('\n')}` : ' (it printed nothing)';
  const [code, hint] = await advice(plan, ending, last);
  return new BuildError(code, `${plan.task}: ${what}\n  ${how}. Its last lines:${tail}`, hint);
}

/** What kind of failure it was, and what to do about it. */
async function advice(plan: Command, { timedOut }: Ending, last: readonly string[]): Promise<[string, string]> {
  if (last.some(saysDiskFull)) {
    const { HOME = '', TMPDIR = tmpdir() } = plan.env;
    const full = await fullestDisk([plan.cwd, TMPDIR, HOME, ...plan.args].filter(isAbsolute));
    const where = full ? ` that holds ${full.path}: ${Math.floor(full.free / 1024)} KiB are left` : '';
    return ['disk-full', `The disk is full${where}. Free some room, then run the task again.`];
  }
  if (last.some((line) => NO_NETWORK.test(line))) {
    const settings = 'Check the network, or set UV_DEFAULT_INDEX and HTTPS_PROXY for yours.';
    return ['no-network', `The package index could not be reached. ${settings}`];
  }
  if (plan.hint) return ['child', plan.hint];
  if (timedOut) return ['child', 'Find what it waited for (the network, a disk, another program), then run it again.'];
  return ['child', 'Mend what these lines name, then run the task again.'];
}

/**
 * Hand over lines as they come, one chunk's at a time, and wait until they are
 * taken: a child that prints faster than the screen is slowed down, not stored.
 * A line without end is cut.
 */
async function eachLine(
  stream: NodeJS.ReadableStream | null,
  use: (lines: readonly string[]) => Promise<void>,
): Promise<void> {
  stream?.setEncoding('utf8');
  let rest = '';
  for await (const chunk of stream ?? []) {
    const lines = (rest + chunk).split(/\r\n|\n|\r/).map((line) => line.slice(0, LONGEST_LINE));
    rest = lines.pop() as string;
    await use(lines.filter((line) => line !== ''));
  }
  if (rest !== '') await use([rest]);
}

async function collect(stream: NodeJS.ReadableStream | null, most: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream ?? []) {
    size += chunk.length;
    if (size > most) throw new BuildError('child', `a child printed more than ${most} bytes`, 'This is a defect.');
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks).toString('utf8');
}
