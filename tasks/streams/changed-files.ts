/** Of all files that belong in the tree, those that are not what they were when they were last copied. */
import type { Stats } from 'node:fs';
import { Transform } from 'node:stream';
import type File from 'vinyl';
import { relativePath } from './python-tree.ts';

/** What tells one state of a file from the next without reading it. */
export type Signature = Pick<Stats, 'dev' | 'ino' | 'size' | 'mtimeMs' | 'ctimeMs'>;

export function signature({ dev, ino, size, mtimeMs, ctimeMs }: Stats): Signature {
  return { dev, ino, size, mtimeMs, ctimeMs };
}

export function isUnchanged(known: Signature | undefined, now: Stats): boolean {
  return (
    known !== undefined &&
    known.ino === now.ino &&
    known.size === now.size &&
    known.mtimeMs === now.mtimeMs &&
    known.ctimeMs === now.ctimeMs &&
    known.dev === now.dev
  );
}

export interface Comparison {
  /** Folder of the staged tree that the files go to. */
  readonly folder: string;
  readonly known: (path: string) => Signature | undefined;
  /** Called for every file, changed or not, with its path in the staged tree. */
  readonly seen: (path: string, stat: Stats, changed: boolean) => void;
}

export function changedFiles({ folder, known, seen }: Comparison): Transform {
  return new Transform({
    objectMode: true,
    highWaterMark: 4,
    transform(file: File, _encoding, callback) {
      const path = `${folder}/${relativePath(file)}`;
      const stat = file.stat as Stats;
      const changed = !isUnchanged(known(path), stat);
      seen(path, stat, changed);
      if (changed) callback(null, file);
      else callback();
    },
  });
}
