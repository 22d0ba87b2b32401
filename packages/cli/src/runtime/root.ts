/**
 * Whose directory the root is.
 *
 * The marker is made in an empty root and demanded ever after: nothing is installed into, swept or pruned from a
 * directory that ktx did not start. A root of ktx 0.1 has no marker, and holds nothing but versions: it is adopted.
 */
import { constants } from 'node:fs';
import { access, lstat, mkdir, open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CliError, errnoOf } from '../errors.ts';
import { isKtxManifest } from './installed.ts';
import type { RuntimePaths } from './paths.ts';
import { isSemver } from './platform.ts';

export type Ownership =
  | 'absent'
  | 'empty'
  | 'owned'
  | 'adoptable'
  | 'foreign'
  | 'newer'
  | 'not-a-directory'
  | 'unreadable';

/** Reads only. */
export async function ownership(paths: RuntimePaths): Promise<Ownership> {
  let names: string[];
  try {
    names = await readdir(paths.root);
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT') return (await isDanglingLink(paths.root)) ? 'not-a-directory' : 'absent';
    return code === 'ENOTDIR' ? 'not-a-directory' : 'unreadable';
  }
  // Another process may have marked the root after its names were listed.
  if (names.includes('.ktx-runtime-root') || (await isThere(paths.marker))) return await markerState(paths.marker);
  if (names.length === 0) return 'empty';
  return (await onlyVersions(paths.root, names)) ? 'adoptable' : 'foreign';
}

/** Makes the root ours, or throws; afterwards it exists, is writable and carries the marker. */
export async function claimRoot(paths: RuntimePaths): Promise<void> {
  const found = await ownership(paths);
  demandOurs(found, paths);
  try {
    if (found === 'absent') await mkdir(paths.root, { recursive: true });
    if (found !== 'owned') {
      const marker = await open(paths.marker, 'wx', 0o644);
      await marker.writeFile('{"schemaVersion":1}\n');
      await marker.close();
    }
  } catch (error) {
    // Another process made the marker between the look and the leap.
    if (errnoOf(error) !== 'EEXIST') throw unwritable(paths, error);
  }
  await demandWritable(paths);
}

export function demandOurs(found: Ownership, paths: RuntimePaths): void {
  const hint = 'Set KTX_RUNTIME_ROOT to an empty directory, or to one that only ktx uses.';
  if (found === 'foreign') {
    const message = `the runtime root ${paths.root} holds files that are not ktx's (not-owned)`;
    throw new CliError('not_owned', message, { hint, details: { root: paths.root } });
  }
  if (found === 'newer')
    throw new CliError('not_owned', `the runtime root ${paths.root} belongs to a newer ktx`, { hint });
  if (found === 'not-a-directory') {
    throw new CliError('root_unusable', `the runtime root ${paths.root} is not a directory`, { hint });
  }
  if (found === 'unreadable') throw unwritable(paths, undefined);
}

async function demandWritable(paths: RuntimePaths): Promise<void> {
  try {
    await access(paths.root, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw unwritable(paths, error);
  }
}

/** One message for every way in which a root cannot be written. */
export function unwritable(paths: RuntimePaths, cause: unknown): CliError {
  const why = {
    EROFS: 'read-only file system',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    ENOTDIR: 'a part of the path is not a directory',
    EEXIST: 'a file lies where a directory belongs',
    ENOSPC: 'no space left',
  }[errnoOf(cause) ?? ''];
  return new CliError(
    'root_not_writable',
    `cannot write to the runtime root ${paths.root}${why === undefined ? '' : `: ${why}`}`,
    {
      hint:
        errnoOf(cause) === 'ENOSPC'
          ? 'Free some space there, or set KTX_RUNTIME_ROOT to a directory on another disk.'
          : 'Make it writable, or set KTX_RUNTIME_ROOT to a directory that is.',
      details: { root: paths.root },
      cause,
    },
  );
}

/** An existing marker counts even when its content was never written: a crash must not lose the root. */
async function markerState(marker: string): Promise<Ownership> {
  try {
    if (!(await lstat(marker)).isFile()) return 'foreign';
    const text = await readFile(marker, 'utf8');
    const version = text.trim() === '' ? 1 : (JSON.parse(text) as { schemaVersion?: unknown } | null)?.schemaVersion;
    if (version === 1) return 'owned';
    return typeof version === 'number' ? 'newer' : 'foreign';
  } catch (error) {
    return error instanceof SyntaxError ? 'foreign' : 'unreadable';
  }
}

async function onlyVersions(root: string, names: readonly string[]): Promise<boolean> {
  for (const name of names) {
    if (name === '.DS_Store') continue;
    if (!isSemver(name)) return false;
    const folder = await lstat(join(root, name)).catch(() => undefined);
    if (folder?.isDirectory() !== true || !(await isKtxManifest(join(root, name, 'manifest.json')))) return false;
  }
  return true;
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

/** A directory that another process has made just now is none. */
async function isDanglingLink(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  return found?.isSymbolicLink() === true && (await stat(path).catch(() => undefined)) === undefined;
}
