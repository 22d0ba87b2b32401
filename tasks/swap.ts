/**
 * Put what was built beside into its place.
 *
 * A file, or a folder with nothing in its place, is one rename. A folder that
 * replaces another is exchanged with it in one system call where the platform
 * has one (Linux renameat2, macOS renamex_np, both reached through the Python
 * that the build has anyway; Node has neither), so a reader and a crash see the
 * old set or the new set. Elsewhere it is two renames, and `heal` undoes the
 * first one after a crash between them.
 */
import { lstatSync } from 'node:fs';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

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

/** Move `from` to `to`, replacing what is there. */
export async function replace(from: string, to: string, exchange: Exchange): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  if (!isFolder(to)) {
    if (isFolder(from)) await rm(to, { force: true });
    await rename(from, to);
  } else if (await exchange(from, to)) {
    await rm(from, { recursive: true, force: true });
  } else {
    await rm(`${to}${ASIDE}`, { recursive: true, force: true });
    await rename(to, `${to}${ASIDE}`);
    await rename(from, to);
    await rm(`${to}${ASIDE}`, { recursive: true, force: true });
  }
}

/** After a crash between two renames the old folder stands aside: put it back. */
export async function heal(to: string): Promise<void> {
  try {
    await access(`${to}${ASIDE}`);
  } catch {
    return;
  }
  if (isFolder(to)) await rm(`${to}${ASIDE}`, { recursive: true, force: true });
  else await rename(`${to}${ASIDE}`, to);
}

function isFolder(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
