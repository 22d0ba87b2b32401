/**
 * Put what was built beside into its place.
 *
 * It is first brought to a name next to that place, which is one rename, or a
 * copy where the two lie on different file systems. From there a file, or a
 * folder with nothing in its place, is one more rename. A folder that replaces
 * another is exchanged with it in one system call where the platform has one
 * (Linux renameat2, macOS renamex_np, both reached through the Python that the
 * build has anyway; Node has neither), so a reader and a crash see the old set
 * or the new set. Elsewhere it is two renames, and `heal` undoes the first one
 * after a crash between them.
 */
import { lstatSync } from 'node:fs';
import { access, cp, mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { diskFault } from './disk.ts';

/** What comes, and what goes, next to the place that it is for. */
const NEXT = '.next';
const ASIDE = '.replaced';

/** Exchange two paths at once; false where that is not possible. */
export type Exchange = (a: string, b: string) => Promise<boolean>;

/** For `python -c`, with the two paths as arguments. */
export const EXCHANGE_PROGRAM = `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
a, b = (os.fsencode(p) for p in sys.argv[1:3])
if sys.platform == "darwin":
    code = libc.renamex_np(a, b, ctypes.c_uint(2))
else:
    code = libc.renameat2(ctypes.c_int(-100), a, ctypes.c_int(-100), b, ctypes.c_uint(2))
sys.exit(0 if code == 0 else 1)
`;

/** Move `from` to `to`, replacing what is there. After a failure `to` is as before. */
export async function replace(from: string, to: string, exchange: Exchange): Promise<void> {
  const next = `${to}${NEXT}`;
  await mkdir(dirname(to), { recursive: true });
  try {
    await bring(from, next);
    if (!isFolder(to)) {
      if (isFolder(next)) await rm(to, { force: true });
      await rename(next, to);
    } else if (!(await exchange(next, to))) {
      await replaceByTwo(next, to);
    }
  } catch (error) {
    throw diskFault(Object.assign(error as Error, { path: to, dest: undefined }), to) ?? error;
  } finally {
    await remove(next).catch(() => {}); // the old set, or what could not be placed; `heal` removes it otherwise
  }
}

/** After a crash between two renames the old folder stands aside: put it back. What had only been brought goes. */
export async function heal(to: string): Promise<void> {
  await remove(`${to}${NEXT}`);
  try {
    await access(`${to}${ASIDE}`);
  } catch {
    return;
  }
  if (isFolder(to)) await remove(`${to}${ASIDE}`);
  else await rename(`${to}${ASIDE}`, to);
}

async function bring(from: string, next: string): Promise<void> {
  await remove(next);
  try {
    await rename(from, next);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    await cp(from, next, { recursive: true });
  }
}

async function replaceByTwo(next: string, to: string): Promise<void> {
  const aside = `${to}${ASIDE}`;
  await remove(aside);
  await rename(to, aside);
  try {
    await rename(next, to);
  } catch (error) {
    await rename(aside, to);
    throw error;
  }
  await remove(aside);
}

function remove(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true, maxRetries: 5 });
}

function isFolder(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
