/**
 * The scratch folder of a run: `dist/.work/<token>/`, which names its owner and
 * the children that the owner started.
 *
 * A run that died is known by its owner's identity; its children, which live in
 * groups of their own and survive it, are ended before its folder is removed, so
 * that nobody writes there any more.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive, type ProcessIdentity, processIdentity } from './process-identity.ts';

export interface Scratch {
  /** Absolute path for what `name` builds; not made yet. */
  readonly folder: (name: string) => string;
  /** Note a child; returns what forgets it. */
  readonly adopt: (pid: number) => () => void;
  /** Remove the run's folder; synchronous, for the last moment of a process. */
  readonly remove: () => void;
}

/** Claim the folder of this run and remove those of dead ones. */
export async function openScratch(work: string, token: string): Promise<Scratch> {
  const own = join(work, token);
  const children = join(own, '.children');
  try {
    await mkdir(children, { recursive: true });
    writeFileSync(join(own, '.owner'), JSON.stringify(processIdentity()));
  } catch (error) {
    await rm(own, { recursive: true, force: true }).catch(() => {}); // on a full disk not even this stays
    throw error;
  }
  for (const name of await readdir(work)) if (name !== token) await sweep(join(work, name));
  return {
    folder: (name) => join(own, name),
    adopt(pid) {
      const note = join(children, String(pid));
      mkdirSync(children, { recursive: true });
      writeFileSync(note, JSON.stringify(processIdentity(pid)));
      return () => rmSync(note, { force: true });
    },
    remove() {
      try {
        rmSync(own, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 }); // children may still be dying
      } catch {
        // one of them still holds it; the next run sweeps
      }
    },
  };
}

async function sweep(folder: string): Promise<void> {
  const owner = await identityIn(join(folder, '.owner'));
  if (owner && isAlive(owner)) return;
  for (const pid of await readdir(join(folder, '.children')).catch(() => [])) {
    const child = await identityIn(join(folder, '.children', pid));
    if (child && isAlive(child)) endGroup(child.pid);
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
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

async function identityIn(file: string): Promise<ProcessIdentity | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}
