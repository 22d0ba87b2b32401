/**
 * Digests of files and folders by content, never by times or modes.
 *
 * Small files are read synchronously: a run that finds nothing to do is mostly
 * this, and under gulp's domains each promise costs more than the read itself.
 */
import { createHash } from 'node:crypto';
import { createReadStream, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

const WHOLE_FILE_BYTES = 4 * 1024 * 1024;

export function sha256(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** sha256 (64 lower-case hex) of a file, in bounded memory. */
export async function hashFile(file: string): Promise<string> {
  const small = smallHash(file);
  if (small !== undefined) return small;
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

function smallHash(file: string): string | undefined {
  return lstatSync(file).size <= WHOLE_FILE_BYTES ? sha256(readFileSync(file)) : undefined;
}

/**
 * One digest over a file, or over everything below a folder: sorted relative
 * paths, kinds, and contents. Undefined when nothing is there.
 */
export async function hashPath(path: string): Promise<string | undefined> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return undefined;
  if (!stat.isDirectory()) return hashFile(path);
  const lines = await listing(path, '');
  return sha256(lines.join('\n'));
}

/** Digest of each file below a folder, by POSIX path relative to it; `skip` is asked for `folder/` and `file` alike. */
export async function hashFiles(
  folder: string,
  skip: (path: string) => boolean = () => false,
): Promise<Record<string, string>> {
  const lines = await listing(folder, '', skip);
  return Object.fromEntries(lines.map((line) => [line.slice(65), line.slice(0, 64)]));
}

async function listing(
  folder: string,
  prefix: string,
  skip: (path: string) => boolean = () => false,
): Promise<string[]> {
  const entries = readdirSync(folder, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  const lines: string[] = [];
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (skip(`${prefix}${entry.name}${entry.isDirectory() ? '/' : ''}`)) continue;
    if (entry.isDirectory()) lines.push(...(await listing(path, `${prefix}${entry.name}/`, skip)));
    else if (entry.isFile()) lines.push(`${smallHash(path) ?? (await hashFile(path))} ${prefix}${entry.name}`);
    else lines.push(`${'0'.repeat(64)} ${prefix}${entry.name}`); // a link or the like was never built here
  }
  return lines;
}
