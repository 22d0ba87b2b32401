/**
 * A staged tree that follows its sources while others read it.
 *
 * Each update copies what changed into a folder beside, judges it there, and only then moves it in: files by rename,
 * new and removed folders whole. So a reader never meets a missing or half written file, and an update that is
 * refused changes nothing. The tree is the one that `stageTrees` would make: the entries come through the same
 * streams.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, type Stats } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { Readable } from 'node:stream';
import File from 'vinyl';
import { classify, folded } from './entry-rules.ts';
import { type Entry, hashTree, type Ledger, LedgerBuilder } from './ledger.ts';
import { look } from './look.ts';
import { assertDistinct, assertFolder, assertPackage, type GeneratedFile, run, type SourceTree } from './stage-tree.ts';
import { changedFiles, isUnchanged, type Signature, signature } from './streams/changed-files.ts';
import { generated as generatedFiles } from './streams/generated.ts';
import { mirror } from './streams/mirror.ts';
import { Problems } from './streams/problems.ts';
import { pythonTree, relativePath } from './streams/python-tree.ts';
import { descends, regularFiles } from './streams/regular-files.ts';

export interface Sources {
  readonly trees: readonly SourceTree[];
  readonly generated: readonly GeneratedFile[];
}

/** Paths in the staged tree, sorted. */
export interface Difference {
  readonly added: readonly string[];
  readonly edited: readonly string[];
  readonly removed: readonly string[];
}

export interface LiveTree {
  /** What is in the tree now. */
  readonly ledger: Ledger;
  /** Make the tree that of `sources`. Raises what `stageTrees` raises, and then the tree is as before. */
  update(sources: Sources): Promise<Difference>;
  /**
   * The same when nothing changed but single files at `paths` (absolute), in folders that were there before: nothing else
   * is looked at. Returns `undefined`, having done nothing, when one of them takes more than that to judge.
   */
  updateFiles(sources: Pick<Sources, 'trees'>, paths: Iterable<string>): Promise<Difference | undefined>;
  /** Remove the folder beside. The tree stays. */
  close(): Promise<void>;
}

export interface LiveTreeOptions {
  /** The tree, absolute. It is taken over if it exists. */
  readonly out: string;
  /** Folder for what is being prepared, on the same file system; removed and made as needed. */
  readonly beside: string;
  /** Called for every folder of the sources before it is read. */
  readonly onFolder?: (path: string, ino: number) => void;
  /**
   * Judges copies that are about to be moved in: by path in the staged tree, and where the copy lies. Raises to
   * refuse.
   */
  readonly inspect?: (files: readonly { path: string; copy: string }[]) => Promise<void>;
}

/** `source` is absent for generated files, and for what was found when the tree was taken over. */
interface Known extends Entry {
  readonly source?: Signature;
}

export async function liveTree({ out, beside, onFolder, inspect }: LiveTreeOptions): Promise<LiveTree> {
  let known: Map<string, Known> = await takeOver(out);
  let texts = new Map<string, string>();
  let passes = 0;
  let copies = '';
  let trash = '';
  let discarded = 0;
  let cleaning: Promise<unknown> = rm(beside, { recursive: true, force: true });
  await cleaning;

  async function update({ trees, generated }: Sources): Promise<Difference> {
    if (!existsSync(out)) {
      known = new Map();
      texts = new Map();
    }
    assertDistinct(trees, generated);
    await prepare();
    const copied = new Copied();
    const present = new Set<string>();
    for (const tree of trees) await streamTree(tree, copied, present);
    const written = generated.filter(({ path, text }) => texts.get(path) !== text);
    const problems = new Problems('the generated files');
    const sink = mirror({ out: copies, folder: '', ledger: copied.ledger, problems });
    await run(sink, problems, generatedFiles(written));
    for (const { path } of generated) present.add(path);
    const difference = await commit(copied.entries(), present);
    texts = new Map(generated.map(({ path, text }) => [path, text]));
    return difference;
  }

  async function updateFiles(
    { trees }: Pick<Sources, 'trees'>,
    paths: Iterable<string>,
  ): Promise<Difference | undefined> {
    if (!existsSync(out)) return undefined;
    const files = new Map<SourceTree, File[]>();
    const removed = new Set<string>();
    const copied = new Copied();
    for (const path of new Set(paths)) {
      const tree = trees.find(({ root }) => path.startsWith(`${resolve(root)}${sep}`));
      if (!tree) return undefined;
      const stat = look(path);
      const root = resolve(tree.root);
      const file = new File({ cwd: root, base: root, path, ...(stat ? { stat } : {}) });
      const staged = `${tree.module}/${relativePath(file)}`;
      const before = known.get(staged);
      if (!stat) {
        if (before?.source && staged !== `${tree.module}/__init__.py`) removed.add(staged);
        else if (isInTree(staged)) return undefined;
        continue; // gone, or came and went as the temporary file of an editor does
      }
      if (!stat.isFile() || (before ? !before.source : !isPlainAddition(file, staged, tree))) return undefined;
      if (isUnchanged(before?.source, stat)) continue;
      copied.sources.set(staged, signature(stat));
      files.set(tree, [...(files.get(tree) ?? []), file]);
    }
    await prepare();
    for (const [tree, own] of files) {
      const problems = new Problems(tree.origin);
      const sink = mirror({ out: copies, folder: tree.module, ledger: copied.ledger, problems });
      await run(sink, problems, Readable.from(own));
    }
    const entries = copied.entries();
    if (removed.size === 0) return commit(entries, known);
    return commit(entries, new Set([...known.keys(), ...entries.keys()].filter((path) => !removed.has(path))));
  }

  /** Whether a new file can be judged by itself: it belongs in, its folder is one of the tree, no name there is its twin. */
  function isPlainAddition(file: File, staged: string, tree: SourceTree): boolean {
    if (classify(relativePath(file), 'file', tree.data).verdict !== 'keep') return false;
    const folder = staged.slice(0, staged.lastIndexOf('/') + 1);
    const isSibling = (path: string) => path.startsWith(folder) && !path.includes('/', folder.length);
    if (![...known.keys()].some(isSibling)) return false;
    const key = folded(basename(file.path));
    return readdirSync(dirname(file.path)).filter((name) => folded(name) === key).length === 1;
  }

  function isInTree(path: string): boolean {
    if (known.has(path)) return true;
    for (const file of known.keys()) if (file.startsWith(`${path}/`)) return true;
    return false;
  }

  /** New folders for each pass: nobody waits for those of the last one to be removed. */
  async function prepare(): Promise<void> {
    const last = join(beside, String(passes++));
    cleaning = Promise.all([cleaning, rm(last, { recursive: true, force: true }).catch(() => {})]);
    copies = join(beside, String(passes), 'new');
    trash = join(beside, String(passes), 'old');
    await mkdir(copies, { recursive: true });
  }

  async function streamTree(tree: SourceTree, copied: Copied, present: Set<string>): Promise<void> {
    const root = resolve(tree.root);
    onFolder?.(root, assertFolder(root, tree.origin).ino);
    const problems = new Problems(tree.origin);
    const before = present.size;
    const descend = (folder: File): boolean => {
      if (!descends(folder)) return false;
      onFolder?.(folder.path, (folder.stat as Stats).ino);
      return true;
    };
    const seen = (path: string, stat: Stats, isChanged: boolean): void => {
      present.add(path);
      if (isChanged) copied.sources.set(path, signature(stat));
    };
    await run(
      mirror({ out: copies, folder: tree.module, ledger: copied.ledger, problems }),
      problems,
      pythonTree({ root, descend, problems }),
      regularFiles({ data: tree.data, problems, leftOut: {} }),
      changedFiles({ folder: tree.module, known: (path) => known.get(path)?.source, seen }),
    );
    assertPackage(root, tree.origin, present.size - before);
  }

  /** `present`: the paths that the tree is to have, `known` itself when they are the same as before. */
  async function commit(
    entries: ReadonlyMap<string, Known>,
    present: ReadonlySet<string> | ReadonlyMap<string, Known>,
  ): Promise<Difference> {
    const added: string[] = [];
    const edited: string[] = [];
    for (const [path, { sha256 }] of entries) {
      const before = known.get(path);
      if (before === undefined) added.push(path);
      else if (before.sha256 !== sha256) edited.push(path);
    }
    const removed = present === known ? [] : [...known.keys()].filter((path) => !present.has(path)).sort();
    const news = [...added, ...edited];
    await inspect?.(news.map((path) => ({ path, copy: join(copies, path) })));
    try {
      moveIn(news);
      if (removed.length > 0) moveOut(removed, present);
    } catch (error) {
      known = await takeOver(out); // some were moved: look what is there
      texts = new Map();
      throw error;
    }
    if (present !== known) {
      const before = known;
      known = new Map();
      for (const path of present.keys()) known.set(path, (entries.get(path) ?? before.get(path)) as Known);
    } else {
      for (const [path, entry] of entries) known.set(path, entry);
    }
    return { added, edited, removed };
  }

  function moveIn(paths: readonly string[]): void {
    for (const path of paths) {
      if (!existsSync(join(copies, path))) continue; // came with its folder
      const missing = topmostMissing(path);
      if (missing !== undefined) {
        renameSync(join(copies, missing), join(out, missing));
      } else {
        if (isFolder(join(out, path))) discard(join(out, path));
        renameSync(join(copies, path), join(out, path));
      }
    }
  }

  /** The highest folder above `path` that the tree does not have; the empty path is the tree itself. */
  function topmostMissing(path: string): string | undefined {
    const segments = path.split('/');
    for (let length = 0; length < segments.length; length++) {
      const folder = segments.slice(0, length).join('/');
      if (isFolder(join(out, folder))) continue;
      if (existsSync(join(out, folder))) discard(join(out, folder));
      return folder;
    }
    return undefined;
  }

  function moveOut(paths: readonly string[], present: Pick<ReadonlySet<string>, 'has' | 'keys'>): void {
    const living = new Set<string>();
    for (const path of present.keys()) {
      for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) living.add(path.slice(0, at));
    }
    for (const path of paths) {
      let gone = path;
      for (let at = path.lastIndexOf('/'); at > 0 && !living.has(gone.slice(0, at)); at = gone.lastIndexOf('/')) {
        gone = gone.slice(0, at);
      }
      // one of the two may have become the other: a folder in the place of a file, or a file in that of a folder
      if (!living.has(gone) && !present.has(gone) && existsSync(join(out, gone))) discard(join(out, gone));
    }
  }

  function discard(path: string): void {
    mkdirSync(trash, { recursive: true });
    renameSync(path, join(trash, String(discarded++)));
  }

  return {
    get ledger() {
      return known;
    },
    update,
    updateFiles,
    async close() {
      await cleaning;
      await rm(beside, { recursive: true, force: true });
    },
  };
}

/** What was copied to be moved in: the ledger of the copies, and the state that each source had. */
class Copied {
  readonly ledger = new LedgerBuilder();
  readonly sources = new Map<string, Signature>();

  entries(): ReadonlyMap<string, Known> {
    const withSource = ([path, entry]: [string, Entry]): [string, Known] => {
      const source = this.sources.get(path);
      return [path, source ? { ...entry, source } : entry];
    };
    return new Map([...this.ledger.build()].map(withSource));
  }
}

/** What lies in a tree that an earlier run left; nothing when it is not there or not one that staging makes. */
async function takeOver(out: string): Promise<Map<string, Known>> {
  if (!existsSync(out)) return new Map();
  try {
    return new Map(await hashTree(out));
  } catch {
    await rm(out, { recursive: true, force: true });
    return new Map();
  }
}

function isFolder(path: string): boolean {
  return look(path)?.isDirectory() ?? false;
}
