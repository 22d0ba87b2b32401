/**
 * The end of a pipeline: writes each vinyl file below `out` and enters it in the ledger.
 *
 * Several files are in flight, each in a buffer of its own, so memory does not grow with the tree. The folders are
 * 0755 and the files 0644 whatever the umask; bytes pass unchanged; nothing is ever linked, and nothing that exists
 * is written over.
 */

import { hash } from 'node:crypto';
import { chmodSync, mkdirSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type File from 'vinyl';
import { diskFault } from '../disk.ts';
import { BuildError } from '../errors.ts';
import type { LedgerBuilder } from '../ledger.ts';
import { BUFFER_BYTES, type Copied, copyFile, SourceProblem, writeNew } from './copy-file.ts';
import { type Problems, visible } from './problems.ts';
import { relativePath } from './python-tree.ts';

export interface MirrorOptions {
  /** Existing folder, absolute; null to hash and write nothing. */
  readonly out: string | null;
  /** Folder below `out` that relative paths of the files are joined to; empty for `out` itself. */
  readonly folder: string;
  readonly ledger: LedgerBuilder;
  readonly problems: Problems;
}

// Each is a new entry of mostly the same folder, on which creations wait for one another: more in flight is slower.
const IN_FLIGHT = 4;

/** Closes only when nothing is in flight any more, so that `out` can be removed after a failure. */
export function mirror({ out, folder, ledger, problems }: MirrorOptions): Writable {
  const buffers: Buffer[] = [];
  const ensureFolder = out === null ? () => {} : folderMaker(out);
  let inFlight = 0;
  let failure: Error | null = null;
  let resume: ((error?: Error | null) => void) | undefined;
  let whenIdle: (() => void) | undefined;

  function start(file: File): void {
    const source = relativePath(file);
    const path = folder === '' ? source : `${folder}/${source}`;
    const buffer = buffers.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
    const finished: Copied = (error, bytes, sha256) => {
      buffers.push(buffer);
      inFlight -= 1;
      if (!error) ledger.add(path, bytes, sha256);
      else if (error instanceof SourceProblem) report(source, error);
      else failure ??= unwritten(error, source);
      settle();
    };
    inFlight += 1;
    const target = out === null ? null : `${out}/${path}`;
    try {
      ensureFolder(path);
    } catch (error) {
      finished(error as Error, 0, buffer);
      return;
    }
    if (file.isBuffer()) {
      const { contents } = file;
      writeNew(target, contents, (error) => finished(error, contents.length, hash('sha256', contents, 'buffer')));
    } else {
      copyFile(file.path, target, file.stat as Stats, buffer, finished);
    }
  }

  function report(path: string, problem: SourceProblem): void {
    if (problem.changed) problems.addChanged(path, problem.message);
    else problems.add(path, problem.message, problem.hint);
  }

  function unwritten(error: NodeJS.ErrnoException, source: string): Error {
    if (error.code === 'EEXIST') {
      problems.add(source, 'is supplied twice', 'Rename or remove one of the two: the staged tree has room for one.');
      return problems.error(error);
    }
    if (error.code === 'ENAMETOOLONG') {
      problems.add(source, 'has a path too long for the staging folder', 'Shorten it.');
      return problems.error(error);
    }
    if (error.code === undefined) return error;
    const problem = `Cannot write ${visible(source)} to ${out}: ${error.message}.`;
    return (
      diskFault(error, `${out}/${visible(source)}`) ??
      new BuildError(error.code, problem, 'Free the disk or the folder, then run again.', { cause: error })
    );
  }

  function settle(): void {
    const next = resume;
    resume = undefined;
    next?.(failure);
    if (inFlight === 0) whenIdle?.();
  }

  function idle(then: () => void): void {
    if (inFlight === 0) then();
    else whenIdle = then;
  }

  return new Writable({
    objectMode: true,
    highWaterMark: 4,
    write(file: File, _encoding, callback) {
      if (problems.any) return callback(); // listen on for further problems, but copy no more
      start(file);
      if (inFlight < IN_FLIGHT) callback(failure);
      else resume = callback;
    },
    final: (callback) => idle(() => callback(failure)),
    destroy: (error, callback) => idle(() => callback(error)),
  });
}

/** Makes the folders that a path needs, each once. */
function folderMaker(out: string): (path: string) => void {
  const made = new Set(['']);
  let last = '';
  const make = (folder: string): void => {
    if (made.has(folder)) return;
    make(parent(folder));
    mkdirSync(join(out, folder));
    chmodSync(join(out, folder), 0o755);
    made.add(folder);
  };
  return (path) => {
    const folder = parent(path);
    if (folder !== last) make(folder);
    last = folder;
  };
}

function parent(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0));
}
