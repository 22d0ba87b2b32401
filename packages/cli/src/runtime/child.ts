/**
 * Runs one child in its own process group, without a shell, streaming what it prints.
 *
 * Memory is bounded however much it prints. A signal or a timeout reaches the whole group: TERM (or the signal that
 * ktx got), then KILL after five seconds.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { errnoOf } from '../errors.ts';

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface Ended {
  /** Null when it was ended by a signal or never started. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The errno of a child that could not be started. */
  readonly spawnError?: string;
  readonly timedOut: boolean;
  /** The last lines of both streams, oldest first. */
  readonly tail: readonly string[];
  /** The first 64 KiB of stdout. */
  readonly stdout: string;
}

export interface RunOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Each line of both streams as it comes; a line longer than 8 KiB comes in pieces. */
  readonly onLine?: (line: string) => void;
}

const TAIL_LINES = 20;
const STDOUT_BYTES = 64 * 1024;
const LINE_LENGTH = 8 * 1024;
const KILL_AFTER_MS = 5_000;

export async function runChild(command: Command, options: RunOptions): Promise<Ended> {
  options.signal?.throwIfAborted();
  const tail: string[] = [];
  let stdout = '';
  const onLine = (line: string): void => {
    tail.push(line);
    if (tail.length > TAIL_LINES) tail.shift();
    options.onLine?.(line);
  };
  const child = spawn(command.command, [...command.args], {
    cwd: command.cwd,
    env: { ...command.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
    windowsHide: true,
  });
  for (const stream of [child.stdout, child.stderr]) {
    const lines = lineSplitter(onLine);
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      if (stream === child.stdout && stdout.length < STDOUT_BYTES)
        stdout += text.slice(0, STDOUT_BYTES - stdout.length);
      lines.push(text);
    });
    stream.on('end', lines.end);
    stream.on('error', () => {});
  }
  const guard = ending(child, options);
  try {
    const { code, signal, spawnError } = await ended(child);
    options.signal?.throwIfAborted();
    return {
      code,
      signal,
      timedOut: guard.timedOut(),
      tail,
      stdout,
      ...(spawnError === undefined ? {} : { spawnError }),
    };
  } finally {
    guard.dispose();
  }
}

/** Ends a whole group: on Windows the tree below the child. */
export function killGroup(pid: number, signal: NodeJS.Signals): void {
  if (process.platform === 'win32') {
    execFile('taskkill', ['/pid', String(pid), '/T', '/F'], () => {});
    return;
  }
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended already.
  }
}

function ending(
  child: ChildProcess,
  { timeoutMs, signal }: RunOptions,
): { timedOut: () => boolean; dispose: () => void } {
  let timedOut = false;
  let killer: NodeJS.Timeout | undefined;
  const end = (first: NodeJS.Signals): void => {
    if (child.pid === undefined || killer !== undefined) return;
    const { pid } = child;
    killGroup(pid, first);
    killer = setTimeout(() => killGroup(pid, 'SIGKILL'), KILL_AFTER_MS);
  };
  const onAbort = (): void => end((signal?.reason as { signal?: NodeJS.Signals } | undefined)?.signal ?? 'SIGTERM');
  const timer = setTimeout(() => {
    timedOut = true;
    end('SIGTERM');
  }, timeoutMs);
  signal?.addEventListener('abort', onAbort, { once: true });
  const onExit = (): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      killGroup(child.pid, 'SIGKILL');
  };
  process.once('exit', onExit);
  return {
    timedOut: () => timedOut,
    dispose: () => {
      clearTimeout(timer);
      // Grandchildren of an ended leader may still hold the group.
      if (killer !== undefined && child.pid !== undefined) killGroup(child.pid, 'SIGKILL');
      clearTimeout(killer);
      signal?.removeEventListener('abort', onAbort);
      process.removeListener('exit', onExit);
    },
  };
}

/** Ends with the process; streams held open by a grandchild are given a moment, not forever. */
function ended(
  child: ChildProcess,
): Promise<{ code: number | null; signal: NodeJS.Signals | null; spawnError?: string }> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, spawnError: errnoOf(error) ?? 'unknown' }));
    child.once('close', (code, signal) => resolve({ code, signal }));
    child.once('exit', (code, signal) => {
      setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
        resolve({ code, signal });
      }, 2_000).unref();
    });
  });
}

function lineSplitter(onLine: (line: string) => void): { push: (text: string) => void; end: () => void } {
  let rest = '';
  return {
    push: (text) => {
      const parts = (rest + text).split(/\r\n|[\r\n]/);
      rest = parts.pop() ?? '';
      for (const part of parts) for (const piece of pieces(part)) onLine(piece);
      while (rest.length > LINE_LENGTH) {
        onLine(rest.slice(0, LINE_LENGTH));
        rest = rest.slice(LINE_LENGTH);
      }
    },
    end: () => {
      if (rest !== '') onLine(rest);
      rest = '';
    },
  };
}

function pieces(line: string): string[] {
  if (line.length <= LINE_LENGTH) return [line];
  const parts: string[] = [];
  for (let at = 0; at < line.length; at += LINE_LENGTH) parts.push(line.slice(at, at + LINE_LENGTH));
  return parts;
}
