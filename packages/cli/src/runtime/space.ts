/** Free space, and sizes as people read them. */
import { lstat, readdir, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CliError } from '../errors.ts';
import type { Feature } from './types.ts';

const GIB = 1024 ** 3;

/** Bytes an installation may need at its peak. */
export function neededBytes(features: readonly Feature[]): number {
  return features.includes('local-embeddings') ? 4 * GIB : 0.6 * GIB;
}

/** Bytes free for this user where `path` is or will be; null where the system does not say. */
export async function freeBytes(path: string): Promise<number | null> {
  const at = await nearestExisting(path);
  return await statfs(at).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => null,
  );
}

export async function demandSpace(root: string, features: readonly Feature[]): Promise<void> {
  const free = await freeBytes(root);
  const needed = neededBytes(features);
  if (free === null || free >= needed) return;
  throw new CliError('disk_full', `the runtime needs ${size(needed)} in ${root}, and ${size(free)} are free`, {
    hint: 'Free some space, or set KTX_RUNTIME_ROOT to a directory on another disk. KTX_SKIP_SPACE_CHECK=1 skips this estimate.',
    details: { needed, free, root },
  });
}

export async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    if ((await lstat(at).catch(() => undefined)) !== undefined || dirname(at) === at) return at;
  }
}

/** Bytes of all regular files below a directory; links are not followed. */
export async function treeBytes(path: string): Promise<number> {
  let total = 0;
  for (const entry of await readdir(path, { withFileTypes: true }).catch(() => [])) {
    const at = join(path, entry.name);
    if (entry.isDirectory()) total += await treeBytes(at);
    else if (entry.isFile())
      total += await lstat(at)
        .then(({ size: bytes }) => bytes)
        .catch(() => 0);
  }
  return total;
}

/** `312 MB`, in powers of 1000 as disks are sold. */
export function size(bytes: number): string {
  if (bytes < 1e6) return `${Math.ceil(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
