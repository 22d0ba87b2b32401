// @ts-check
// One set-up at a time in one checkout; a second waits and says for whom. A lock whose owner died is
// taken over, without a moment in which two could hold it.
//
// A lock is a file holding its owner, made complete by link(2). Only who holds the second lock, named after
// the dead owner's nonce, may replace a dead lock; that nonce never comes back, so a late rival, once it
// gets the second lock, sees another owner and starts over.

import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkInterrupted, killGroup } from './child.mjs';
import { readJson, readText, writeAtomic } from './files.mjs';

/** @typedef {{ nonce: string, host: string, pid: number, born: string | null, doing: string, child: number | null, childBorn: string | null }} Owner */
const DAMAGED_MS = 5_000;

/** @typedef {{ running: (child: number) => void, release: () => void }} Held */

/**
 * When a process started, so that a reused pid is not taken for the owner; null where the system does not tell.
 * @param {number} pid
 */
function born(pid) {
  return statFields(pid)?.[19] ?? null;
}

/**
 * The fields of proc_pid_stat(5) from the third, the state, on.
 * @param {number} pid
 */
function statFields(pid) {
  const stat = readText(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/**
 * @param {number} pid
 * @param {string | null} bornThen
 */
function alive(pid, bornThen) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EPERM') return false;
  }
  if (statFields(pid)?.[0] === 'Z') return false;
  const bornNow = born(pid);
  return bornNow === null || bornThen === null || bornNow === bornThen;
}

/** @param {Owner} owner */
const isDead = (owner) => owner.host === os.hostname() && !alive(owner.pid, owner.born);

/**
 * @param {string} file
 * @param {{ doing: string, waiting: (owner: Owner) => void }} options
 * @returns {Promise<Held>}
 */
export async function acquire(file, { doing, waiting }) {
  /** @type {Owner} */
  const me = {
    nonce: randomBytes(12).toString('hex'),
    host: os.hostname(),
    pid: process.pid,
    born: born(process.pid),
    doing,
    child: null,
    childBorn: null,
  };
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const mine = `${file}.${me.nonce}`;
  fs.writeFileSync(mine, JSON.stringify(me));
  let told = false;
  try {
    for (;;) {
      checkInterrupted();
      if (linked(mine, file)) break;
      /** @type {Owner | undefined} */
      const owner = readJson(file);
      if (owner === undefined) {
        // Released between the two calls; or empty since the machine lost power, and then nobody's.
        if (isOlderThan(file, DAMAGED_MS)) fs.rmSync(file, { force: true });
        continue;
      }
      if (isDead(owner)) {
        if (await replaced(file, owner, me)) break;
        continue;
      }
      if (!told) waiting(owner);
      told = true;
      await sleep(100);
    }
  } finally {
    fs.rmSync(mine, { force: true });
  }
  return held(file, me);
}

/** @param {string} from @param {string} to */
function linked(from, to) {
  try {
    fs.linkSync(from, to);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false;
    throw error;
  }
}

/** @param {string} file @param {number} ms */
function isOlderThan(file, ms) {
  try {
    return Date.now() - fs.statSync(file).mtimeMs > ms;
  } catch {
    return false;
  }
}

/**
 * Remove what killed waiters left beside the lock; call it only while holding the lock.
 * @param {string} file
 */
export function sweep(file) {
  const folder = path.dirname(file);
  for (const name of fs.readdirSync(folder)) {
    if (!name.startsWith(`${path.basename(file)}.`)) continue;
    const left = path.join(folder, name);
    /** @type {Owner | undefined} */
    const owner = readJson(left);
    if (owner ? isDead(owner) : isOlderThan(left, DAMAGED_MS)) fs.rmSync(left, { force: true });
  }
}

/**
 * @param {string} file
 * @param {Owner} dead
 * @param {Owner} me
 */
async function replaced(file, dead, me) {
  const second = await acquire(`${file}.after-${dead.nonce}`, { doing: me.doing, waiting: () => {} });
  try {
    if (readJson(file)?.nonce !== dead.nonce) return false;
    await endOrphan(dead);
    writeAtomic(file, JSON.stringify(me));
    return true;
  } finally {
    second.release();
  }
}

/**
 * What the dead owner started may still be writing: end it before anything is touched.
 * @param {Owner} dead
 */
async function endOrphan({ child, childBorn }) {
  if (child === null || childBorn === null) return; // without a start time the pid may be a stranger's
  while (alive(child, childBorn)) {
    killGroup(child, 'SIGKILL');
    await sleep(50);
  }
}

/**
 * @param {string} file
 * @param {Owner} me
 * @returns {Held}
 */
function held(file, me) {
  const release = () => {
    if (readJson(file)?.nonce === me.nonce) fs.rmSync(file, { force: true });
  };
  process.once('exit', release);
  return {
    running: (child) => writeAtomic(file, JSON.stringify({ ...me, child, childBorn: born(child) })),
    release: () => {
      process.off('exit', release);
      release();
    },
  };
}
