/**
 * Which commit is built, when it was made, and whether the sources differ from it.
 *
 * The revision is `GITHUB_SHA`, else git's HEAD, else null. HEAD is read from
 * the files of `.git`, and what a commit holds is kept by its id under
 * `dist/.state`, so a run that changes nothing asks git nothing. A commit never
 * changes; the working tree is compared by content, as git blobs.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { BuildError } from './errors.ts';
import { PYTHON_PACKAGES } from './identity.ts';
import type { Layout } from './layout.ts';

export interface Revision {
  /** Commit id, or null outside a repository. */
  readonly id: string | null;
  /** Commit time, seconds since 1970. */
  readonly time: number;
  /** Whether a tracked file differs, or an untracked one lies among the sources. */
  readonly dirty: boolean;
}

/** What git says of one commit: its time and the blob id and mode of each path. */
interface Commit {
  readonly time: number;
  readonly blobs: Readonly<Record<string, string>>;
}

/** Runs git with these arguments in the checkout and returns its stdout. */
export type Git = (args: readonly string[]) => Promise<string>;

const COMMIT_ID = /^[0-9a-f]{40}([0-9a-f]{24})?$/;

/** Time of a build outside a repository: the epoch that the archives carry too. */
const NO_COMMIT_TIME = 1580601600;

export async function readRevision(at: Layout, ambient: NodeJS.ProcessEnv, git: Git): Promise<Revision> {
  const head = await headCommit(at.root);
  const id = ambient.GITHUB_SHA || head;
  expectRevision(id, ambient.KTX_EXPECTED_SOURCE_REVISION);
  const epoch = ambientEpoch(ambient);
  if (!id || !head) return { id, time: epoch ?? NO_COMMIT_TIME, dirty: false };
  const commit = await cachedCommit(at, head, git);
  return { id, time: epoch ?? commit.time, dirty: id !== head || (await isDirty(at.root, commit.blobs)) };
}

function expectRevision(id: string | null, expected: string | undefined): void {
  if (expected && id !== expected) {
    throw new BuildError(
      'revision',
      `the source revision is ${id ?? 'unknown'}, but KTX_EXPECTED_SOURCE_REVISION is ${expected}`,
      'Check out the expected commit, or unset the variable.',
    );
  }
}

function ambientEpoch({ SOURCE_DATE_EPOCH }: NodeJS.ProcessEnv): number | undefined {
  return SOURCE_DATE_EPOCH && /^\d{1,11}$/.test(SOURCE_DATE_EPOCH) ? Number(SOURCE_DATE_EPOCH) : undefined;
}

/** The commit of HEAD by git's own files; null without a repository or a commit. */
export async function headCommit(root: string): Promise<string | null> {
  const gitDir = await gitFolder(root);
  if (!gitDir) return null;
  const common = resolve(gitDir, (await readOr(join(gitDir, 'commondir'), '.')).trim());
  let ref = (await readOr(join(gitDir, 'HEAD'), '')).trim();
  for (let depth = 0; depth < 5 && ref.startsWith('ref: '); depth += 1) {
    const name = ref.slice(5);
    ref =
      (await readOr(join(gitDir, name), '')).trim() ||
      (await readOr(join(common, name), '')).trim() ||
      packedRef(await readOr(join(common, 'packed-refs'), ''), name);
  }
  return COMMIT_ID.test(ref) ? ref : null;
}

/** `.git` is a folder, or in a linked worktree a file that names it. */
async function gitFolder(root: string): Promise<string | undefined> {
  const dotGit = join(root, '.git');
  if (await readOr(join(dotGit, 'HEAD'), '')) return dotGit;
  const link = /^gitdir: (.+)$/m.exec(await readOr(dotGit, ''))?.[1];
  return link ? resolve(root, link) : undefined;
}

function packedRef(packed: string, name: string): string {
  return (
    packed
      .split('\n')
      .find((line) => line.endsWith(` ${name}`))
      ?.split(' ')[0] ?? ''
  );
}

async function cachedCommit(at: Layout, id: string, git: Git): Promise<Commit> {
  const file = join(at.state, 'commits', `${id}.json`);
  const known = await readOr(file, '');
  if (known) return JSON.parse(known) as Commit;
  const time = Number(await git(['show', '-s', '--format=%ct', id]));
  const tree = await git(['ls-tree', '-r', '-z', '--format=%(objecttype) %(objectname) %(path)', id]);
  const blobs: Record<string, string> = {};
  for (const line of tree.split('\0')) {
    const [, type, blob, path] = /^(\w+) ([0-9a-f]+) (.+)$/s.exec(line) ?? [];
    if (type === 'blob' && blob && path) blobs[path] = blob;
  }
  const commit: Commit = { time, blobs };
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.${process.pid}`, JSON.stringify(commit));
  await rename(`${file}.${process.pid}`, file);
  return commit;
}

async function isDirty(root: string, blobs: Readonly<Record<string, string>>): Promise<boolean> {
  for (const [path, blob] of Object.entries(blobs)) {
    if (blobOf(join(root, path), blob.length) !== blob) return true;
  }
  return hasUntracked(root, blobs);
}

/** Blob id of the file as it lies there; undefined when it cannot be read. */
function blobOf(file: string, hexLength: number): string | undefined {
  try {
    return blobId(readFileSync(file), hexLength);
  } catch {
    return undefined;
  }
}

function blobId(content: Buffer, hexLength: number): string {
  const hash = createHash(hexLength === 64 ? 'sha256' : 'sha1');
  return hash.update(`blob ${content.length}\0`).update(content).digest('hex');
}

/** A new Python source enters the wheel without being in any commit. */
async function hasUntracked(root: string, blobs: Readonly<Record<string, string>>): Promise<boolean> {
  for (const { tree } of PYTHON_PACKAGES) {
    const entries = await readdir(join(root, tree), { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const path = relative(root, join(entry.parentPath, entry.name)).split(sep).join('/');
      if (entry.isFile() && /\.pyi?$/.test(entry.name) && !(path in blobs)) return true;
    }
  }
  return false;
}

async function readOr(file: string, otherwise: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => otherwise);
}
