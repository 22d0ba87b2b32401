/**
 * Copy and hash one file in a single read, or find that it is not the file that was listed.
 *
 * The bytes that are hashed are the bytes that are written: both come from one buffer. Of a small file only the
 * creation of the copy is asynchronous: that is what waits for a journal, and several at once wait together. For
 * every other call a round trip through the thread pool costs several times the call itself.
 */
import { createHash, hash } from 'node:crypto';
import fs from 'node:fs';
import { mistakenContent } from '../entry-rules.ts';

const { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } = fs.constants;
const O_NOFOLLOW = fs.constants.O_NOFOLLOW ?? 0; // absent on Windows
const O_NONBLOCK = fs.constants.O_NONBLOCK ?? 0; // else a file replaced by a named pipe would hang the run
const READ = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
const WRITE = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;

/** Room that one copy works in. A file that does not fit goes through it in pieces. */
export const BUFFER_BYTES = 128 * 1024;

/** Why a source cannot be copied. `changed`: it is not what was listed, and a new run may find it well. */
export class SourceProblem extends Error {
  readonly changed: boolean;
  readonly hint: string;
  constructor(reason: string, changed: boolean, hint: string, options?: ErrorOptions) {
    super(reason, options);
    this.changed = changed;
    this.hint = hint;
  }
}

const changed = (reason: string) => new SourceProblem(reason, true, '');

export type Copied = (error: Error | null, bytes: number, sha256: Buffer) => void;

const NONE: Buffer = Buffer.alloc(0);

/**
 * `listed` is the lstat of the moment the file was found. The copy is made new, mode 0644; `target` null makes none.
 *
 * Calls back with a `SourceProblem` when the source is to blame, else with the file system's own error.
 */
export function copyFile(source: string, target: string | null, listed: fs.Stats, buffer: Buffer, done: Copied): void {
  let from: number;
  try {
    from = openSource(source);
  } catch (error) {
    done(error as Error, 0, NONE);
    return;
  }
  if (listed.size >= buffer.length) {
    copyInPieces(from, target, listed, buffer)
      .finally(() => fs.closeSync(from))
      .then(
        (sha256) => done(null, listed.size, sha256),
        (problem: Error) => done(problem, 0, NONE),
      );
    return;
  }
  let content: Buffer;
  let sha256: Buffer;
  try {
    content = readWhole(from, listed, buffer);
    sha256 = hash('sha256', content, 'buffer');
  } catch (problem) {
    done(problem as Error, 0, NONE);
    return;
  } finally {
    fs.closeSync(from);
  }
  writeNew(target, content, (problem) => done(problem, content.length, sha256));
}

/** Asks for a byte more than was listed. That the file is as listed afterwards shows that it was so all along. */
function readWhole(from: number, listed: fs.Stats, buffer: Buffer): Buffer {
  let length = 0;
  try {
    let read: number;
    do {
      read = fs.readSync(from, buffer, length, listed.size + 1 - length, null);
      length += read;
    } while (read > 0 && length < listed.size);
  } catch (error) {
    assertListed(fs.fstatSync(from), listed);
    throw unreadable(error as NodeJS.ErrnoException);
  }
  assertListed(fs.fstatSync(from), listed);
  if (length !== listed.size) throw changed('changed while the tree was read');
  const content = buffer.subarray(0, length);
  judge(content);
  return content;
}

/** Write a new file in one piece, mode 0644 whatever the umask; nothing for a `target` of null. */
export function writeNew(target: string | null, content: Buffer, done: (error: Error | null) => void): void {
  if (target === null) {
    done(null);
    return;
  }
  fs.open(target, WRITE, 0o644, (error, to) => {
    if (error) return done(error);
    let problem: Error | null = null;
    try {
      writeAll(to, content);
      fs.fchmodSync(to, 0o644);
    } catch (writing) {
      problem = writing as Error;
    }
    try {
      fs.closeSync(to);
    } catch (closing) {
      problem ??= closing as Error;
    }
    done(problem);
  });
}

async function copyInPieces(from: number, target: string | null, listed: fs.Stats, buffer: Buffer): Promise<Buffer> {
  assertListed(fs.fstatSync(from), listed); // rather now than after gigabytes
  const sha256 = createHash('sha256');
  let to: number | undefined;
  let bytes = 0;
  try {
    for (let length = await readPiece(from, buffer); length > 0; length = await readPiece(from, buffer)) {
      const piece = buffer.subarray(0, length);
      if (bytes === 0) judge(piece);
      bytes += length;
      if (bytes > listed.size) throw changed('grew while it was read');
      sha256.update(piece);
      if (target === null) continue;
      to ??= await openNew(target);
      await writePiece(to, piece);
    }
    if (bytes < listed.size) throw changed('shrank while it was read');
    assertListed(fs.fstatSync(from), listed);
    if (to !== undefined) fs.fchmodSync(to, 0o644);
  } finally {
    if (to !== undefined) fs.closeSync(to);
  }
  return sha256.digest();
}

function openNew(target: string): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(target, WRITE, 0o644, (error, fd) => (error ? reject(error) : resolve(fd)));
  });
}

function readPiece(from: number, buffer: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(from, buffer, 0, buffer.length, null, (error, length) =>
      error ? reject(unreadable(error)) : resolve(length),
    );
  });
}

async function writePiece(to: number, piece: Buffer): Promise<void> {
  for (let at = 0; at < piece.length; ) {
    at += await new Promise<number>((resolve, reject) => {
      fs.write(to, piece, at, piece.length - at, null, (error, length) => (error ? reject(error) : resolve(length)));
    });
  }
}

function writeAll(to: number, content: Buffer): void {
  for (let at = 0; at < content.length; ) at += fs.writeSync(to, content, at, content.length - at);
}

function openSource(source: string): number {
  try {
    return fs.openSync(source, READ);
  } catch (error) {
    throw unopened(error as NodeJS.ErrnoException);
  }
}

function assertListed(now: fs.Stats, listed: fs.Stats): void {
  if (!now.isFile()) throw changed('is no longer a regular file');
  if (now.ino !== listed.ino || now.dev !== listed.dev) throw changed('was replaced while the tree was read');
  if (now.size !== listed.size || now.mtimeMs !== listed.mtimeMs || now.ctimeMs !== listed.ctimeMs) {
    throw changed('changed while the tree was read');
  }
}

function judge(content: Buffer): void {
  const found = mistakenContent(content);
  if (found?.verdict === 'refuse') throw new SourceProblem(found.reason, false, found.hint);
}

function unopened(error: NodeJS.ErrnoException): Error {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return changed('vanished while the tree was read');
  if (error.code === 'ELOOP' || error.code === 'ENXIO') return changed('is no longer a regular file');
  return unreadable(error);
}

function unreadable(error: NodeJS.ErrnoException): SourceProblem {
  const denied = error.code === 'EACCES' || error.code === 'EPERM';
  const reason = denied ? 'cannot be read: permission denied' : `cannot be read: ${error.message}`;
  return new SourceProblem(reason, false, denied ? 'Make it readable, or remove it.' : 'Check the disk it lies on.', {
    cause: error,
  });
}
