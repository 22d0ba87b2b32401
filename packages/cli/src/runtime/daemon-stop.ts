/**
 * Stopping the daemon: asked first, signalled if it does not go, killed if it will not. Nothing is signalled that was
 * not proven to be ours, and the record goes only when the process has.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandContext } from '../command.ts';
import { CliError } from '../errors.ts';
import { killGroup } from './child.ts';
import { type Examined, examine, sameProcess } from './daemon-identity.ts';
import { askDaemon } from './daemon-probe.ts';
import { type DaemonRecord, primaryHome, readDaemonState, removeRecord } from './daemon-state.ts';
import { acquire, isHeld } from './lock.ts';
import type { RuntimePaths } from './paths.ts';
import { isRunning, lifeOf } from './process-identity.ts';
import { seconds } from './seconds.ts';

export interface Stopped {
  readonly kind: 'stopped' | 'already-stopped' | 'stale-cleaned' | 'not-ours';
  readonly pid?: number;
  /** Path of the record. */
  readonly state: string;
  readonly detail?: string;
}

const POLITE_MS = 5_000;
const KILL_MS = 10_000;

/** Under the start lock: a daemon that is just being started is waited for, and then stopped. */
export async function stopDaemon(paths: RuntimePaths, context: CommandContext): Promise<Stopped> {
  const { env, signal } = context;
  const state = await readDaemonState(paths, env);
  const home = state.kind === 'none' ? primaryHome(paths) : state.home;
  if (state.kind === 'none' && !(await isHeld(home.lock))) return { kind: 'already-stopped', state: home.state };
  const lock = await acquire(home.lock, { timeoutMs: seconds(env, 'KTX_RUNTIME_LOCK_TIMEOUT', 600) * 1000, signal });
  try {
    return await stopExamined(await examine(paths, env, undefined));
  } finally {
    await lock.release();
  }
}

export async function stopExamined(examined: Examined): Promise<Stopped> {
  const { standing, home, record, proof, detail } = examined;
  const said = detail === undefined ? {} : { detail };
  if (standing === 'stopped') {
    if (record !== undefined) await removeRecord(home);
    return { kind: 'already-stopped', state: home.state };
  }
  if (record === undefined || standing === 'stale') {
    await removeRecord(home);
    return { kind: 'stale-cleaned', state: home.state, ...said };
  }
  if (proof === undefined) {
    await removeRecord(home);
    return { kind: 'not-ours', pid: record.pid, state: home.state, ...said };
  }
  await end(record, proof);
  if (await lives(record)) {
    throw new CliError('stop_failed', `the daemon, process ${record.pid}, is still running`, {
      hint: `Its record stays in ${home.state}. End the process yourself, then run: ktx runtime stop`,
      details: { pid: record.pid },
    });
  }
  await removeRecord(home);
  return { kind: 'stopped', pid: record.pid, state: home.state };
}

async function end(record: DaemonRecord, proof: 'nonce' | 'process'): Promise<void> {
  const { host, port, token, pid } = record;
  const reply = proof === 'nonce' ? await askDaemon({ host, port, path: '/shutdown', method: 'POST', token }) : 'mute';
  const asked = typeof reply === 'object' && reply.status >= 200 && reply.status < 300;
  if (!asked) await signalled(record, 'SIGTERM');
  if (await ended(record, POLITE_MS)) return;
  if (proof === 'process' && !(await sameProcess(record))) return;
  if (process.platform !== 'win32') killGroup(pid, 'SIGKILL');
  await signalled(record, 'SIGKILL');
  await ended(record, KILL_MS);
}

/** The number is checked against the process start once more, as close to the signal as can be. */
async function signalled(record: DaemonRecord, signal: NodeJS.Signals): Promise<void> {
  if (!(await lives(record))) return;
  try {
    if (process.platform === 'win32') killGroup(record.pid, signal);
    else process.kill(record.pid, signal);
  } catch {
    // Ended meanwhile, or not permitted: what counts is whether it still runs afterwards.
  }
}

async function ended(record: DaemonRecord, withinMs: number): Promise<boolean> {
  const started = performance.now();
  while (performance.now() - started < withinMs) {
    if (!(await lives(record))) return true;
    await sleep(50);
  }
  return !(await lives(record));
}

async function lives(record: DaemonRecord): Promise<boolean> {
  return isRunning(record.pid) && (await lifeOf(record)) === 'alive';
}
