/**
 * Which release folder the whole of verify last passed on, by the digest of its
 * manifest: whatever is in the folder is in the manifest, and whatever changes
 * the folder makes this record speak of another one.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Layout } from './layout.ts';

const file = (at: Layout) => join(at.state, 'verified');

/** Call only after every check passed, the clean room included. */
export async function recordVerified(at: Layout, manifestSha256: string): Promise<void> {
  const beside = `${file(at)}.${process.pid}.next`;
  await mkdir(dirname(beside), { recursive: true });
  await writeFile(beside, `${manifestSha256}\n`);
  await rename(beside, file(at));
}

/** sha256 of the manifest, or undefined when verify has not passed yet. */
export async function readVerified(at: Layout): Promise<string | undefined> {
  const text = await readFile(file(at), 'utf8').catch(() => '');
  return /^[0-9a-f]{64}\n$/.test(text) ? text.trim() : undefined;
}
