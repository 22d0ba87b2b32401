/**
 * Whether a recorded daemon is ours, before it is used or signalled.
 *
 * Proof is its answer to `/info`: only our daemon knows the recorded nonce. A process that does not answer is ours
 * only if boot, pid, process start and executable all equal the record. The time of day is never looked at.
 */
import { readFile, stat } from 'node:fs/promises';
import type { Environment } from '../command.ts';
import { askDaemon } from './daemon-probe.ts';
import { type DaemonHome, type DaemonRecord, primaryHome, readDaemonState } from './daemon-state.ts';
import type { RuntimePaths } from './paths.ts';
import { executableOf, lifeOf } from './process-identity.ts';

export type Standing = 'running' | 'busy' | 'unresponsive' | 'outdated' | 'stale' | 'stopped' | 'not-ours';

export interface Examined {
  readonly standing: Standing;
  readonly home: DaemonHome;
  /** One sentence for people, where there is something to say. */
  readonly detail?: string;
  readonly record?: DaemonRecord;
  /** How it was proven to be ours; undefined when it was not. */
  readonly proof?: 'nonce' | 'process';
}

/** `generation` is the committed one: a daemon of another is outdated. */
export async function examine(
  paths: RuntimePaths,
  env: Environment,
  generation: string | undefined,
): Promise<Examined> {
  const state = await readDaemonState(paths, env);
  if (state.kind === 'none') return { standing: 'stopped', home: primaryHome(paths) };
  const { home } = state;
  if (state.kind === 'corrupt') return { standing: 'stale', home, detail: `${home.state} is damaged: ${state.why}` };
  const record = await completed(state.record, home);
  const gone = await whyGone(record);
  if (gone !== undefined) {
    const left = (await stat(home.readyFile).catch(() => undefined)) !== undefined;
    const standing = gone === 'ended' && !left && record.state === 'running' ? 'stopped' : 'stale';
    return {
      standing,
      home,
      record,
      detail: gone === 'ended' ? 'its process has ended' : 'its process number now belongs to another process or boot',
    };
  }
  return { home, record, ...(await answered(record, generation)) };
}

/** A start that was killed before it could note the outcome: the ready file knows, if its nonce is ours. */
async function completed(record: DaemonRecord, home: DaemonHome): Promise<DaemonRecord> {
  if (record.state === 'running') return record;
  const ready = await readReadyFile(home);
  if (ready === undefined || ready.nonce !== record.nonce) return record;
  return { ...record, port: ready.port, ...(ready.pid === record.pid ? {} : { pid: ready.pid, procStart: null }) };
}

export interface Ready {
  readonly pid: number;
  readonly port: number;
  readonly nonce: string;
}

export async function readReadyFile(home: DaemonHome): Promise<Ready | undefined> {
  try {
    const value = JSON.parse(await readFile(home.readyFile, 'utf8')) as Partial<Ready> | null;
    const { pid, port, nonce } = value ?? {};
    const whole = Number.isSafeInteger(pid) && Number.isSafeInteger(port) && typeof nonce === 'string';
    return whole ? { pid: pid as number, port: port as number, nonce: nonce as string } : undefined;
  } catch {
    return undefined;
  }
}

async function whyGone(record: DaemonRecord): Promise<'ended' | 'replaced' | undefined> {
  if (record.pid === 0) return 'ended';
  const life = await lifeOf(record);
  return life === 'alive' ? undefined : life === 'dead' ? 'ended' : 'replaced';
}

async function answered(
  record: DaemonRecord,
  generation: string | undefined,
): Promise<Omit<Examined, 'home' | 'record'>> {
  const { host, port, token } = record;
  const [info, health] = await Promise.all([
    askDaemon({ host, port, path: '/info', token }),
    askDaemon({ host, port, path: '/health' }),
  ]);
  if (typeof info === 'object') {
    const { nonce, pid } = (info.body ?? {}) as { nonce?: unknown; pid?: unknown };
    if (info.status === 200 && nonce === record.nonce && pid === record.pid) {
      const outdated = generation !== undefined && record.generation !== generation;
      return outdated
        ? {
            standing: 'outdated',
            proof: 'nonce',
            detail: 'the runtime was rebuilt since it started; the next start replaces it',
          }
        : { standing: 'running', proof: 'nonce' };
    }
    return { standing: 'not-ours', detail: `somebody else answers on port ${port}` };
  }
  if (!(await sameProcess(record)))
    return { standing: 'not-ours', detail: `process ${record.pid} cannot be proven to be the daemon` };
  const busy = typeof health === 'object' && health.status === 200;
  return busy
    ? { standing: 'busy', proof: 'process', detail: 'it is at work and answers slowly' }
    : { standing: 'unresponsive', proof: 'process', detail: `it does not answer on port ${port}` };
}

/** All four must be known and equal: an unknown start or executable proves nothing. */
export async function sameProcess(record: DaemonRecord): Promise<boolean> {
  if (record.procStart === null || record.bootId === null || record.exe === null) return false;
  if ((await lifeOf(record)) !== 'alive') return false;
  const exe = await executableOf(record.pid);
  return exe !== null && exe.replace(/ \(deleted\)$/, '') === record.exe;
}
