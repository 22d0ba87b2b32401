/** A disk that can be filled and closed: a tmpfs, where this user may mount one. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { open, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why no file system can be mounted here; empty when one can. */
export function mountRefusal(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ktx-mount-'));
  try {
    mount('-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder);
    unmount(folder);
    return '';
  } catch (error) {
    return (error as Error).message.trim().split('\n').at(-1) as string;
  } finally {
    rmdirSync(folder);
  }
}

export function mount(...args: string[]): void {
  execFileSync('mount', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

export function unmount(folder: string): void {
  execFileSync('umount', ['-l', folder], { stdio: 'ignore' });
}

/** Fill the disk that holds `folder` but for some KiB, while `work` runs. */
export async function whileFull<T>(folder: string, left: number, work: () => Promise<T>): Promise<T> {
  const ballast = join(folder, 'ballast');
  const { bavail, bsize } = await statfs(folder);
  const file = await open(ballast, 'w');
  try {
    const block = Buffer.alloc(bsize);
    for (let blocks = bavail - Math.ceil((left * 1024) / bsize); blocks > 0; blocks -= 1) await file.write(block);
    return await work();
  } finally {
    await file.close();
    await rm(ballast);
  }
}
