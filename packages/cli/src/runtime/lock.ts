/**
 * A lock between processes that survives the death of its owner.
 *
 * It only saves work: every generation has its own name and is committed by one rename, so a lock lost or missing
 * costs a second build and never a broken one. Whoever holds it checks its token again before the commit.
 *
 * The file is linked into place with its content, so that nobody ever reads half of it; where the file system has no
 * hard links it is created exclusively. It is beaten every five seconds through its open handle: a beat of an owner
 * whose file was taken over touches the old file, never the new one.
 */
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CliError, errnoOf } from '../errors.ts';
import { lifeOf, ownIdentity, type ProcessIdentity } from './process-identity.ts';

const BEAT_MS = 5_000;
const SILENT_MS = 60_000;

export interface Holder extends ProcessIdentity {
  readonly token: string;
  readonly createdAt: string;
}

export interface Lock {
  /** False when another process took it over: discard the work and wait again. */
  readonly held: () => Promise<boolean>;
  readonly release: () => Promise<void>;
}

export interface LockOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Called once, after two seconds of waiting. */
  readonly onWait?: (holder: Holder | undefined) => void;
}

/** Waits for the lock; throws `lock_timeout` naming file and holder. Goes without where locks cannot be made. */
export async function acquire(path: string, options: LockOptions): Promise<Lock> {
  const started = performance.now();
  const watch = new Silence();
  let told = false;
  for (;;) {
    options.signal?.throwIfAborted();
    const lock = await tryAcquire(path);
    if (lock !== undefined) return lock;
    const holder = await readHolder(path);
    if (holder !== 'absent' && (await isStale(path, holder, watch))) {
      await takeOver(path, holder);
      continue;
    }
    const waited = performance.now() - started;
    if (waited > options.timeoutMs) throw timedOut(path, holder, options.timeoutMs);
    if (!told && waited > 2_000) {
      told = true;
      options.onWait?.(typeof holder === 'object' ? holder : undefined);
    }
    await sleep(50 + Math.random() * 100, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

/** The lock if nobody has it now. */
export async function acquireNow(path: string): Promise<Lock | undefined> {
  const holder = await readHolder(path);
  if (holder !== 'absent') {
    if (!(await isStale(path, holder, new Silence()))) return undefined;
    await takeOver(path, holder);
  }
  return await tryAcquire(path);
}

/** Whether a live process holds it; reads only. */
export async function isHeld(path: string): Promise<boolean> {
  const holder = await readHolder(path);
  return holder !== 'absent' && !(await isStale(path, holder, new Silence()));
}

/** The lock, undefined when somebody has it, or a lock that locks nothing where the directory cannot hold one. */
async function tryAcquire(path: string): Promise<Lock | undefined> {
  const token = randomUUID();
  const holder: Holder = { ...(await ownIdentity()), token, createdAt: new Date().toISOString() };
  try {
    await mkdir(dirname(path), { recursive: true });
    if (!(await createExclusively(path, `${JSON.stringify(holder)}\n`))) return undefined;
  } catch (error) {
    if (['EROFS', 'EACCES', 'EPERM', 'ENOTSUP', 'ENOSYS', 'EINVAL'].includes(errnoOf(error) ?? '')) return unlocked;
    throw error;
  }
  return await beating(path, token);
}

async function createExclusively(path: string, content: string): Promise<boolean> {
  const temporary = `${path}.${randomUUID()}.new`;
  try {
    await writeFile(temporary, content, { flag: 'wx', mode: 0o644 });
    await link(temporary, path);
    return true;
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EOPNOTSUPP', 'EMLINK', 'EACCES'].includes(code ?? '')) throw error;
    return await writeFile(path, content, { flag: 'wx', mode: 0o644 }).then(
      () => true,
      (second) => {
        if (errnoOf(second) === 'EEXIST') return false;
        throw second;
      },
    );
  } finally {
    await rm(temporary, { force: true }).catch(() => {});
  }
}

async function beating(path: string, token: string): Promise<Lock> {
  const file = await open(path, 'r+').catch(() => undefined);
  const beat = setInterval(async () => {
    const now = new Date();
    try {
      await file?.utimes(now, now);
    } catch {
      // Only another host goes by the beat; Yarn's Plug'n'Play has no such method and throws.
    }
  }, BEAT_MS);
  beat.unref();
  const held = async (): Promise<boolean> => {
    const holder = await readHolder(path);
    return typeof holder === 'object' && holder.token === token;
  };
  let released = false;
  return {
    held,
    release: async () => {
      if (released) return;
      released = true;
      clearInterval(beat);
      await file?.close().catch(() => {});
      if (await held()) await rm(path, { force: true });
    },
  };
}

const unlocked: Lock = { held: async () => true, release: async () => {} };

/** Same host: the process decides. Another host: only a minute of silence on our own monotonic clock does. */
async function isStale(path: string, holder: Holder | 'unreadable', watch: Silence): Promise<boolean> {
  if (holder !== 'unreadable' && holder.host === hostname()) return (await lifeOf(holder)) !== 'alive';
  const mtime = await stat(path)
    .then(({ mtimeMs }) => mtimeMs)
    .catch(() => undefined);
  return mtime !== undefined && watch.since(mtime) > SILENT_MS;
}

/**
 * Renames the stale file away and looks at what was caught: a fresh owner's file goes back.
 *
 * Two waiters may both see the stale file, and the slower one may catch the faster one's new lock. Linking it back
 * restores it; if a third has locked meanwhile, the caught owner notices by its token and starts over.
 */
async function takeOver(path: string, stale: Holder | 'unreadable'): Promise<void> {
  const caught = `${path}.${randomUUID()}.stale`;
  try {
    await rename(path, caught);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  const found = await readHolder(caught);
  const same = typeof found === 'object' && typeof stale === 'object' ? found.token === stale.token : found === stale;
  if (!same) await link(caught, path).catch(() => {});
  await rm(caught, { force: true });
}

async function readHolder(path: string): Promise<Holder | 'unreadable' | 'absent'> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? 'absent' : 'unreadable';
  }
  try {
    const value = JSON.parse(text) as Partial<Holder> | null;
    const whole = typeof value?.token === 'string' && typeof value.pid === 'number' && typeof value.host === 'string';
    return whole
      ? { ...(value as Holder), procStart: value.procStart ?? null, bootId: value.bootId ?? null }
      : 'unreadable';
  } catch {
    return 'unreadable';
  }
}

function timedOut(path: string, holder: Holder | 'unreadable' | 'absent', timeoutMs: number): CliError {
  const who =
    typeof holder === 'object'
      ? `process ${holder.pid} on ${holder.host}, since ${holder.createdAt}`
      : 'another process';
  return new CliError('lock_timeout', `waited ${Math.round(timeoutMs / 1000)} s for ${path}, held by ${who}`, {
    hint: 'Let that process finish, or end it. If it is gone for sure, delete the file. KTX_RUNTIME_LOCK_TIMEOUT sets the seconds to wait.',
  });
}

/** How long a modification time has stood still, measured by this process. */
class Silence {
  private mtime: number | undefined;
  private seenAt = 0;

  since(mtime: number): number {
    const now = performance.now();
    if (mtime !== this.mtime) {
      this.mtime = mtime;
      this.seenAt = now;
    }
    return now - this.seenAt;
  }
}
