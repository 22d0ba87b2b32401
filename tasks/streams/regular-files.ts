/**
 * Of all entries of a tree, the regular files that may enter the wheel.
 *
 * Junk is counted by kind and dropped; mistakes go to `problems`. The rules are `entry-rules.ts`; here they meet a real
 * tree, in which a name is also judged by its neighbours and a file by how it begins.
 */
import { closeSync, constants, existsSync, openSync, readSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import type File from 'vinyl';
import { classify, type EntryType, folded, mistakenContent, type Verdict } from '../entry-rules.ts';
import type { Problems } from './problems.ts';
import { relativePath } from './python-tree.ts';

export interface Selection {
  /** Glob patterns of declared data files, relative to the tree. */
  readonly data: readonly string[];
  readonly problems: Problems;
  /** What was left out, by kind; added to. */
  readonly leftOut: Record<string, number>;
}

export function regularFiles({ data, problems, leftOut }: Selection): Transform {
  const twins = twinFinder();

  function isKept(file: File): boolean {
    const path = relativePath(file);
    const type = entryType(file.stat as Stats);
    const found = type === 'directory' ? classifyFolder(file) : classify(path, type, data);
    if (found.verdict === 'refuse') {
      problems.add(path, found.reason, found.hint);
      return false;
    }
    if (found.verdict === 'leave out') {
      leftOut[found.kind] = (leftOut[found.kind] ?? 0) + 1;
      if (found.prune || type === 'link') return false;
    }
    const twin = twins(path);
    if (twin !== undefined) {
      problems.add(
        path,
        `has the same name as ${twin} where case or Unicode form does not count`,
        'Rename one of them.',
      );
    }
    if (found.verdict === 'leave out') judgeLeftOut(file.path, path);
    return found.verdict === 'keep' && type === 'file';
  }

  /** A mistake is one also where nothing would be packed: an executable without a suffix, a key among the tests. */
  function judgeLeftOut(absolute: string, path: string): void {
    if (path.endsWith('.py') || path.endsWith('.pyc')) return;
    const found = mistakenContent(head(absolute));
    if (found?.verdict === 'refuse') problems.add(path, found.reason, found.hint);
  }

  return new Transform({
    objectMode: true,
    highWaterMark: 4, // what waits survives collections, and makes the heap grow with the tree
    transform(file: File, _encoding, callback) {
      if (isKept(file)) callback(null, file);
      else callback();
    },
  });
}

/** Whether anything in a folder is to be looked at. */
export function descends(folder: File): boolean {
  return classifyFolder(folder).verdict === 'keep';
}

function classifyFolder(folder: File): Verdict {
  // What marks a virtual environment is this file (PEP 405), as its name may be that of a package.
  if (existsSync(join(folder.path, 'pyvenv.cfg')))
    return { verdict: 'leave out', kind: 'virtual environment', prune: true };
  return classify(relativePath(folder), 'directory');
}

export function entryType(stat: Stats): EntryType {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'link';
  if (stat.isSocket()) return 'socket';
  if (stat.isFIFO()) return 'fifo';
  return 'device';
}

/**
 * For a path, the earlier one of the same folder that some file system cannot tell from it.
 *
 * Folders are compared as entries of their own folder, so names of one folder are all there is to remember.
 */
function twinFinder(): (path: string) => string | undefined {
  let folder: string | undefined;
  let names = new Map<string, string>();
  return (path) => {
    const here = parent(path);
    // Not `clear`: V8 links a cleared table to its successor, and one that grew old keeps all later ones alive.
    if (here !== folder) names = new Map();
    folder = here;
    const key = folded(path.slice(here === '' ? 0 : here.length + 1));
    const twin = names.get(key);
    if (twin === undefined) names.set(key, path);
    return twin;
  };
}

function parent(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0));
}

const HEAD = Buffer.allocUnsafeSlow(4096);

/** The first bytes of a file; none when it cannot be read, as it stays outside anyway. */
function head(path: string): Uint8Array {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
    return HEAD.subarray(0, readSync(fd, HEAD, 0, HEAD.length, 0));
  } catch {
    return HEAD.subarray(0, 0);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
