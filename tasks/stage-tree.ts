/**
 * Stage source trees and generated files into one new folder, and say exactly what is in it.
 *
 * Either `out` holds everything that the returned ledger lists and nothing else, or it does not exist. The ledger is
 * made from the very bytes written. Nothing depends on modes, times, umask or the order of directory entries.
 */
import { once } from 'node:events';
import type { Stats } from 'node:fs';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { diskFault } from './disk.ts';
import { folded } from './entry-rules.ts';
import { BuildError } from './errors.ts';
import { type Ledger, LedgerBuilder, safePath } from './ledger.ts';
import { look } from './look.ts';
import { type GeneratedFile, generated as generatedFiles } from './streams/generated.ts';
import { mirror } from './streams/mirror.ts';
import { Problems } from './streams/problems.ts';
import { pythonTree } from './streams/python-tree.ts';
import { descends, regularFiles } from './streams/regular-files.ts';

export type { GeneratedFile };

/** One import package of the checkout. */
export interface SourceTree {
  /** The package's folder, absolute. */
  readonly root: string;
  /** Name of the folder it becomes in the staged tree. */
  readonly module: string;
  /** The tree as messages name it: relative to the repository, POSIX. */
  readonly origin: string;
  /** Glob patterns of declared data files, relative to `root`. */
  readonly data: readonly string[];
}

export interface StageOptions {
  readonly trees: readonly SourceTree[];
  readonly generated: readonly GeneratedFile[];
  /**
   * Absolute path of a folder that does not exist yet; its parents are made. Null: judge and hash all, write
   * nothing.
   */
  readonly out: string | null;
}

export interface Staged {
  readonly ledger: Ledger;
  /** Entries that stay outside, by kind; a folder of caches counts as one. */
  readonly leftOut: Record<string, number>;
  readonly files: number;
  readonly bytes: number;
}

/**
 * Raises `RefusedEntry` for what may not enter the wheel, `TreeChanged` for a tree that was written to meanwhile,
 * `MissingTree` and `EmptyTree`, `SameTree` for two trees of one name, `UnsafePath`, and file system codes for what
 * cannot be written.
 */
export async function stageTrees({ trees, generated, out }: StageOptions): Promise<Staged> {
  assertDistinct(trees, generated);
  if (out !== null) await makeFolder(out);
  try {
    const ledger = new LedgerBuilder();
    const leftOut: Record<string, number> = {};
    for (const tree of trees) await stageTree(tree, out, ledger, leftOut);
    const problems = new Problems('the generated files');
    await run(mirror({ out, folder: '', ledger, problems }), problems, generatedFiles(generated));
    return { ledger: ledger.build(), leftOut: sorted(leftOut), files: ledger.size, bytes: ledger.bytes };
  } catch (error) {
    if (out !== null) await rm(out, { recursive: true, force: true });
    throw error;
  }
}

async function stageTree(
  tree: SourceTree,
  out: string | null,
  ledger: LedgerBuilder,
  leftOut: Record<string, number>,
): Promise<void> {
  const root = resolve(tree.root);
  assertFolder(root, tree.origin);
  const problems = new Problems(tree.origin);
  const before = ledger.size;
  const sink = mirror({ out, folder: tree.module, ledger, problems });
  const entries = pythonTree({ root, descend: descends, problems });
  await run(sink, problems, entries, regularFiles({ data: tree.data, problems, leftOut }));
  assertPackage(root, tree.origin, ledger.size - before);
}

/** Run one pipeline to its end, and on failure until its last write has ended too. */
export async function run(sink: Writable, problems: Problems, ...streams: (Readable | Transform)[]): Promise<void> {
  try {
    await pipeline([...streams, sink]);
  } catch (error) {
    if (!sink.closed) await once(sink, 'close');
    throw error;
  }
  if (problems.any) throw problems.error();
}

/** Raises `SameTree` when two of these would meet at one path. */
export function assertDistinct(trees: readonly SourceTree[], generated: readonly GeneratedFile[]): void {
  const names = new Map<string, SourceTree>();
  for (const tree of trees) {
    const twin = names.get(folded(tree.module));
    if (twin) {
      const problem = `${twin.origin} and ${tree.origin} both supply ${tree.module}/__init__.py.`;
      throw new BuildError('SameTree', problem, 'Rename one of the two packages.');
    }
    names.set(folded(tree.module), tree);
  }
  const paths = new Set<string>();
  for (const { path } of generated) {
    const key = folded(safePath(path));
    const owner = names.get(key.split('/')[0] as string);
    if (owner || paths.has(key)) {
      const problem = `The generated file ${path} collides with ${owner?.origin ?? 'another generated file'}.`;
      throw new BuildError(
        'SameTree',
        problem,
        'Generated files lie beside the packages, each under a name of its own.',
      );
    }
    paths.add(key);
  }
}

async function makeFolder(out: string): Promise<void> {
  await mkdir(dirname(out), { recursive: true });
  try {
    await mkdir(out);
    await chmod(out, 0o755);
  } catch (cause) {
    const { code = 'ENOENT', message } = cause as NodeJS.ErrnoException;
    const problem = `Cannot make the staging folder ${out}: ${message}.`;
    throw diskFault(cause, out) ?? new BuildError(code, problem, 'Remove it.', { cause });
  }
}

/** The folder's lstat. Raises `MissingTree`. */
export function assertFolder(root: string, origin: string): Stats {
  const found: Stats | undefined = look(root);
  const hint = 'Restore the package, or correct the list of packages.';
  if (!found) throw new BuildError('MissingTree', `${origin} does not exist.`, hint);
  if (found.isSymbolicLink())
    throw new BuildError('RefusedEntry', `${origin} is a symbolic link.`, 'Replace it with the folder it points to.');
  if (!found.isDirectory()) throw new BuildError('MissingTree', `${origin} is not a folder.`, hint);
  return found;
}

/** `files`: how many the tree supplied. Raises `EmptyTree`. */
export function assertPackage(root: string, origin: string, files: number): void {
  const hint = 'Restore the package: its folder holds an __init__.py and the modules beside it.';
  if (files === 0) throw new BuildError('EmptyTree', `${origin} holds no Python file.`, hint);
  if (!look(join(root, '__init__.py'))?.isFile()) {
    throw new BuildError('RefusedEntry', `${origin}/__init__.py is missing.`, hint);
  }
}

function sorted(counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}
