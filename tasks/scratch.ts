/**
 * The scratch folder of a run: `dist/.work/<token>/`, which names its owner and
 * the children that the owner started.
 *
 * A run that died is known by its owner's identity; its children, which live in
 * groups of their own and survive it, are ended before its folder is removed, so
 * that nobody writes there any more. A child that was started but not yet noted
 * when its owner died is unknown: what it still writes goes at the end of the run.
 *
 * All of it is synchronous: it has to work in the last moment of a process, and
 * nobody may come between a folder and its owner's name.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, type ProcessIdentity, processIdentity } from './process-identity.ts';

export interface Scratch {
  /** Absolute path for what `name` builds; not made yet. */
  readonly folder: (name: string) => string;
  /** Note a child; returns what forgets it. */
  readonly adopt: (pid: number) => () => void;
  /** Remove the run's folder, and what dead runs left since. */
  readonly remove: () => void;
}

/** Claim the folder of this run and remove those of dead ones. */
export function openScratch(work: string, token: string): Scratch {
  const own = join(work, token);
  const children = join(own, '.children');
  try {
    mkdirSync(children, { recursive: true });
    writeFileSync(join(own, '.owner'), JSON.stringify(processIdentity()));
  } catch (error) {
    removed(own); // on a full disk not even this stays
    throw error;
  }
  const sweepOthers = () => {
    for (const name of namesIn(work)) if (name !== token) sweep(join(work, name));
  };
  sweepOthers();
  return {
    folder: (name) => join(own, name),
    adopt(pid) {
      const note = join(children, String(pid));
      mkdirSync(children, { recursive: true });
      writeFileSync(note, JSON.stringify(processIdentity(pid)));
      return () => rmSync(note, { force: true });
    },
    remove() {
      removed(own);
      sweepOthers();
    },
  };
}

function sweep(folder: string): void {
  const owner = identityIn(join(folder, '.owner'));
  if (owner && isAlive(owner)) return;
  for (const pid of namesIn(join(folder, '.children'))) {
    const child = identityIn(join(folder, '.children', pid));
    if (child && isAlive(child)) endGroup(child.pid);
  }
  removed(folder);
}

function removed(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 }); // children may still be dying
  } catch {
    // one of them still holds it; the next run sweeps
  }
}

/** End a process and all that it started: its group, where the system has groups. */
export function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
  } catch {
    // the group is already gone
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function identityIn(file: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}
