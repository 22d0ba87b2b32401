/** Look at a path without following it. */
import { lstatSync, type Stats } from 'node:fs';

/** `undefined` when nothing is there, also when what should be a folder above it is none. */
export function look(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw error;
  }
}
