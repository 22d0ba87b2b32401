/**
 * One build at a time in one checkout.
 *
 * The lock is a file created exclusively that names its owner. A second run
 * waits, saying for whom; the lock of a dead owner is taken over: it is renamed
 * away first, so of many takers one wins, and checked after, so a lock that was
 * renewed meanwhile is put back.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync, unlinkSync } from 'node:fs';
import { link, mkdir, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from './log.ts';
import { isAlive, type ProcessIdentity, processIdentity } from './process-identity.ts';

interface Owner extends ProcessIdentity {
  readonly token: string;
  readonly task: string;
}

export interface Lock {
  readonly token: string;
  /** Give it up; synchronous, so that it also works in the last moment of a process. */
  release(): void;
}

const POLL_MS = 100;

/** Take the lock at `file` for `task`, waiting for a living owner. */
export async function acquireLock(file: string, task: string, log: Log, signal: AbortSignal): Promise<Lock> {
  await mkdir(dirname(file), { recursive: true });
  const owner: Owner = { ...processIdentity(), token: randomUUID(), task };
  let told = '';
  for (;;) {
    signal.throwIfAborted();
    if (await create(file, owner)) {
      await sweep(file);
      return { token: owner.token, release: () => releaseOwn(file, owner.token) };
    }
    const other = parse(await readFile(file, 'utf8').catch(() => ''));
    if (other && isAlive(other)) {
      if (told !== other.token) log.say(`waiting for ${other.task} (process ${other.pid}) to finish in this checkout`);
      told = other.token;
      await sleep(POLL_MS, undefined, { signal });
    } else {
      await takeAway(file, other);
    }
  }
}

/** Written whole beside, then linked into place: nobody reads half an owner. */
async function create(file: string, owner: Owner): Promise<boolean> {
  const own = `${file}.${owner.token}`;
  try {
    await writeFile(own, JSON.stringify(owner));
    await link(own, file);
    return true;
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || (code === 'ENOENT' && syscall === 'link')) return false; // the latter: swept, half written
    throw error;
  } finally {
    await rm(own, { force: true }).catch(() => {}); // the reason not to have written it is not to be hidden
  }
}

/** What takers that were killed have left beside the lock. */
async function sweep(file: string): Promise<void> {
  const beside = (await readdir(dirname(file))).filter((name) => name.startsWith(`${basename(file)}.`));
  for (const path of beside.map((name) => join(dirname(file), name))) {
    const owner = parse(await readFile(path, 'utf8').catch(() => ''));
    if (!owner || !isAlive(owner)) await rm(path, { force: true });
  }
}

async function takeAway(file: string, dead: Owner | undefined): Promise<void> {
  const aside = `${file}.${randomUUID()}`;
  try {
    await rename(file, aside);
  } catch {
    return; // another one took it away, or the owner gave it up
  }
  const taken = parse(await readFile(aside, 'utf8').catch(() => ''));
  if (taken && taken.token !== dead?.token && isAlive(taken)) await link(aside, file).catch(() => {});
  await unlink(aside).catch(() => {});
}

function releaseOwn(file: string, token: string): void {
  try {
    if (parse(readFileSync(file, 'utf8'))?.token === token) unlinkSync(file);
  } catch {
    rmSync(`${file}.${token}`, { force: true });
  }
}

function parse(text: string): Owner | undefined {
  try {
    const owner = JSON.parse(text) as Owner;
    return typeof owner.pid === 'number' && typeof owner.token === 'string' ? owner : undefined;
  } catch {
    return undefined;
  }
}
