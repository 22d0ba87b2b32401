/** Small file operations whose order matters: nothing is ever seen half written. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf } from '../errors.ts';

/** Eight lower-case hex digits. */
export function newId(): string {
  return randomBytes(4).toString('hex');
}

/** Temp file beside the target, fsync, rename, fsync of the directory. */
export async function writeAtomically(path: string, content: string, mode = 0o644): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${newId()}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(content);
      await synced(file);
    } finally {
      await file.close();
    }
    await retried(() => rename(temporary, path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** A full or failing disk counts; file systems, and Yarn's Plug'n'Play, that know no fsync leave it to the system. */
async function synced(file: FileHandle): Promise<void> {
  try {
    await file.sync();
  } catch (error) {
    if (['EIO', 'ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '')) throw error;
  }
}

export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Lower-case hex. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

export function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * Moves a directory aside first, so that it is gone from its place at once, then deletes it.
 *
 * A leftover in the trash (a file still open on Windows, a child still writing) is retried by the next call.
 */
export async function discard(path: string, trash: string): Promise<void> {
  let doomed = path;
  if (dirname(path) !== trash) {
    try {
      await mkdir(trash, { recursive: true, mode: 0o700 });
      doomed = join(trash, `${basename(path)}-${newId()}`);
      await retried(() => rename(path, doomed));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      doomed = path;
    }
  }
  await rm(doomed, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** Windows holds a renamed or deleted file for a moment after a scanner looked at it. */
async function retried<T>(action: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      if (attempt >= 10 || !['EPERM', 'EACCES', 'EBUSY'].includes(errnoOf(error) ?? '') || process.platform !== 'win32')
        throw error;
      await new Promise((resolve) => setTimeout(resolve, 20 * (attempt + 1)));
    }
  }
}

async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return; // directories cannot be opened there
  const directory = await open(path, 'r').catch(() => undefined);
  try {
    await directory?.sync();
  } catch {
    // Some network file systems refuse it; the rename itself is done.
  } finally {
    await directory?.close();
  }
}
