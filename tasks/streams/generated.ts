/** Vinyl files from text, so that what is generated takes the same way into the tree as what is copied. */
import { join, resolve, sep } from 'node:path';
import { Readable } from 'node:stream';
import File from 'vinyl';
import { safePath } from '../ledger.ts';

/** A file that is written by no one: `path` is POSIX and relative to the staged tree, `text` is written as UTF-8. */
export interface GeneratedFile {
  readonly path: string;
  readonly text: string;
}

/** Raises `UnsafePath`. */
export function generated(files: readonly GeneratedFile[]): Readable {
  const base = resolve(sep, 'staged'); // any name: only what follows it counts
  return Readable.from(
    files.map(
      ({ path, text }) => new File({ cwd: base, base, path: join(base, safePath(path)), contents: Buffer.from(text) }),
    ),
  );
}
