// @ts-check
// Starting another program, and ending it: each gets its own process group (so that a signal ends its
// children too), a time limit, and a bounded tail of its output, shown only when it fails.

import { spawn } from 'node:child_process';

const TAIL = 64 * 1024;
const GRACE_MS = 5_000;
const ownGroup = process.platform !== 'win32';

/** An expected failure: one sentence for what is wrong, one for what to do. */
export class SetupError extends Error {
  /**
   * @param {string} code
   * @param {string} problem
   * @param {string} hint
   */
  constructor(code, problem, hint) {
    super(problem);
    this.name = 'SetupError';
    this.code = code;
    this.hint = hint;
  }
}

/** Set-up was told to stop; carried up so that every `finally` runs before the process ends. */
export class Interrupted extends Error {
  /** @param {NodeJS.Signals} signal */
  constructor(signal) {
    super(`stopped by ${signal}`);
    this.name = 'Interrupted';
    this.signal = signal;
  }
}

/**
 * @typedef {object} Ended
 * @property {number | null} code
 * @property {NodeJS.Signals | null} signal
 * @property {boolean} timedOut
 * @property {string} stdout the last 64 KiB
 * @property {string} output stdout and stderr as they came, the last 64 KiB
 */

/** @type {((signal: NodeJS.Signals) => void) | undefined} */
let interruptChild;
/** @type {NodeJS.Signals | undefined} */
let interruptedBy;

/** Take SIGINT, SIGTERM and SIGHUP from now on; the running child is told and `run` throws `Interrupted`. */
export function catchSignals() {
  /** @param {NodeJS.Signals} signal */
  const caught = (signal) => {
    interruptedBy = signal;
    interruptChild?.(signal);
  };
  for (const signal of signals) process.on(signal, caught);
  return () => {
    for (const signal of signals) process.off(signal, caught);
  };
}

/** @type {readonly NodeJS.Signals[]} */
export const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Throws when a signal came while no child was running. */
export function checkInterrupted() {
  if (interruptedBy) throw new Interrupted(interruptedBy);
}

/**
 * @param {number} pid leader of the group
 * @param {NodeJS.Signals} signal
 */
export function killGroup(pid, signal) {
  try {
    process.kill(ownGroup ? -pid : pid, signal);
  } catch {
    // already gone
  }
}

/**
 * Run to the end. A program that cannot be started counts as ended with code 127.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd: string, env: NodeJS.ProcessEnv, timeoutMs: number, started?: (pid: number) => void, signal?: AbortSignal }} options
 *   an aborted `signal` ends it at once, and its reason is thrown
 * @returns {Promise<Ended>}
 */
export async function run(command, args, { cwd, env, timeoutMs, started, signal: stop }) {
  checkInterrupted();
  stop?.throwIfAborted();
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: ownGroup });
  const tail = { stdout: '', output: '' };
  /** @param {'stdout' | 'stderr'} from @param {string} text */
  const keep = (from, text) => {
    tail.output = (tail.output + text).slice(-TAIL);
    if (from === 'stdout') tail.stdout = (tail.stdout + text).slice(-TAIL);
  };
  child.stdout.setEncoding('utf8').on('data', (text) => keep('stdout', text));
  child.stderr.setEncoding('utf8').on('data', (text) => keep('stderr', text));

  let timedOut = false;
  /** @type {NodeJS.Timeout | undefined} */
  let lastResort;
  /** @param {NodeJS.Signals} signal */
  const end = (signal) => {
    if (child.pid === undefined) return;
    const { pid } = child;
    killGroup(pid, signal);
    lastResort ??= setTimeout(() => killGroup(pid, 'SIGKILL'), GRACE_MS);
  };
  const limit = setTimeout(() => {
    timedOut = true;
    end('SIGTERM');
  }, timeoutMs);
  interruptChild = end;
  const stopped = () => child.pid !== undefined && killGroup(child.pid, 'SIGKILL');
  stop?.addEventListener('abort', stopped);
  try {
    if (child.pid !== undefined) started?.(child.pid);
    const { code, signal } = await ended(child, keep);
    return { code, signal, timedOut, ...tail };
  } finally {
    interruptChild = undefined;
    stop?.removeEventListener('abort', stopped);
    clearTimeout(limit);
    clearTimeout(lastResort);
    if (child.pid !== undefined && (timedOut || interruptedBy)) killGroup(child.pid, 'SIGKILL');
    checkInterrupted();
    stop?.throwIfAborted();
  }
}

/**
 * Wait for the exit, then a moment for the pipes: a grandchild that keeps them open must not hold us.
 * @param {import('node:child_process').ChildProcess} child
 * @param {(from: 'stdout' | 'stderr', text: string) => void} keep
 * @returns {Promise<{ code: number | null, signal: NodeJS.Signals | null }>}
 */
function ended(child, keep) {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      keep('stderr', `${error.message}\n`);
      resolve({ code: 127, signal: null });
    });
    child.once('close', (code, signal) => resolve({ code, signal }));
    child.once('exit', (code, signal) => {
      setTimeout(() => {
        child.stdout?.destroy();
        child.stderr?.destroy();
        resolve({ code, signal });
      }, 1_000).unref();
    });
  });
}

/** @param {Ended} result */
export function howItEnded({ code, signal, timedOut }) {
  if (timedOut) return 'ran out of time';
  return signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
}

/**
 * The last lines of an output, indented, for a message.
 * @param {string} output
 * @param {number} [count]
 */
export function lastLines(output, count = 12) {
  const lines = output
    .split(/\r?\n/)
    .map((line) => line.trimEnd())
    .filter(Boolean);
  return lines
    .slice(-count)
    .map((line) => `    ${line}`)
    .join('\n');
}

const NETWORK =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|network is unreachable|name resolution|name or service not known|failed to establish a new connection|connection refused|connection timed out|dns error|error sending request|proxy ?error|cannot connect to proxy/i;

/**
 * Whether the output of npm, pip or uv says that no server was reached.
 * @param {string} output
 */
export const saysNoNetwork = (output) => NETWORK.test(output);

/**
 * @param {string} tool
 * @param {string} wanted
 * @param {string} output
 */
export function noNetwork(tool, wanted, output) {
  return new SetupError(
    'no-network',
    `no network: ${tool} reached no package index while fetching ${wanted}\n${lastLines(output, 6)}`,
    `Check the connection and ${tool}'s own index, proxy and certificate settings; then run the command again.`,
  );
}
