/**
 * What a disk refuses, told to a person: it is full, read-only, not theirs to
 * write, or something there is in use.
 *
 * The errors of the file system name a call, and the most frequent one, a write
 * to a full disk, names no path; children say it in words of their own.
 */
import { statfs } from 'node:fs/promises';
import { BuildError } from './errors.ts';

const FREE = 'Free some room there, then run it again; what was in place before is untouched.';
const OPEN = 'Make it writable, then run it again; what was in place before is untouched.';

const FAULTS: Readonly<Record<string, readonly [says: (where: string, call: string) => string, hint: string]>> = {
  ENOSPC: [(where) => `the disk is full: ${where} cannot be written`, FREE],
  EDQUOT: [(where) => `the disk quota is used up: ${where} cannot be written`, FREE],
  EROFS: [(where) => `${where} cannot be written: its file system is read-only`, OPEN],
  EACCES: [(where, call) => `permission is missing for ${where} (${call})`, OPEN],
  EPERM: [(where, call) => `permission is missing for ${where} (${call})`, OPEN],
  EBUSY: [
    (where) => `${where} cannot be replaced: something uses it, or it is a mount point`,
    'Close what uses it, or mount the folder above it; then run it again.',
  ],
};

/** The refusal behind a file system's error; undefined for any other. `place` is named when the error names nothing. */
export function diskFault(error: unknown, place: string): BuildError | undefined {
  if (!(error instanceof Error) || error instanceof BuildError) return undefined;
  const { code = '', syscall = '', path, dest } = error as NodeJS.ErrnoException & { dest?: string };
  const fault = FAULTS[code];
  if (!fault) return undefined;
  const [says, hint] = fault;
  const where = (code === 'EBUSY' ? path : (dest ?? path)) ?? place;
  return new BuildError(code, says(where, syscall), hint, { cause: error });
}

const FULL =
  /\bENOSPC\b|no space left on device|\bos error 28\b|\bEDQUOT\b|disk quota exceeded|not enough space on the disk|database or disk is full/i;

/** Whether a line that a program printed says that a disk is full. */
export function saysDiskFull(line: string): boolean {
  return FULL.test(line);
}

/** Of the file systems that hold `paths`, the one with the least room; undefined when none of them is there. */
export async function fullestDisk(paths: readonly string[]): Promise<{ path: string; free: number } | undefined> {
  const asked = paths.map(async (path) => {
    const { bavail, bsize } = await statfs(path);
    return { path, free: bavail * bsize };
  });
  const found = (await Promise.allSettled(asked)).flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  return found.sort((a, b) => a.free - b.free)[0];
}
