/**
 * Keep the staged tree true while sources are edited.
 *
 * File system events are hints only: they say when to look and where first. After single files changed in known folders,
 * those files are read and nothing else; after anything else the trees are walked as `stage` walks them, which reads
 * what changed. Once it is quiet they are walked again, for no event system delivers every event. Whatever is wrong
 * is said once, and the tree stays as it was until the sources are right again.
 */
import { basename, dirname, relative, resolve, sep } from 'node:path';
import { diskFault } from './disk.ts';
import { classify } from './entry-rules.ts';
import { BuildError } from './errors.ts';
import { folderWatch } from './folder-watch.ts';
import { treeDigest } from './ledger.ts';
import { type Difference, liveTree, type Sources } from './live-tree.ts';
import { look } from './look.ts';
import type { SyntaxChecker } from './python-syntax.ts';

export interface WatchOptions {
  /** Read anew before every walk, so that an edited pyproject counts. What it raises is said like any other fault. */
  readonly sources: () => Promise<Sources>;
  /** Further files that `sources` reads, absolute. */
  readonly inputs: readonly string[];
  /** The staged tree, absolute. */
  readonly out: string;
  /** Folder for what is being prepared, absolute; on the file system of `out`, not inside it. */
  readonly beside: string;
  readonly log: { say(text: string): void; warn(text: string): void };
  /** Syntax errors keep a file out when given. */
  readonly syntax?: SyntaxChecker;
  /** Called after every change of the tree, the first staging included; the next pass waits for it. */
  readonly onStaged?: (pass: Pass) => Promise<void> | void;
  /** Ends the watching; the promise then resolves. */
  readonly signal: AbortSignal;
}

export interface Pass extends Difference {
  readonly files: number;
  readonly digest: string;
  readonly milliseconds: number;
}

/** No event for this long ends a burst; a large one gets longer, as a branch switch pauses for the disk. */
const QUIET_MS = 60;
const QUIET_IN_BURST_MS = 300;
const BURST = 20;
/** No burst is waited for longer than this. */
const BURST_MS = 10_000;
/** So many hints at once may have made the system drop others: look at everything. */
const MANY = 200;
/** After a pass look once more whether an event was lost, and while something is wrong look again and again. */
const SWEEP_MS = 2_000;
/** The same when the system gives no events at all. */
const POLL_MS = 500;
/** How soon to look again at a tree that changed while it was read, and how often before that is said. */
const AGAIN_MS = 100;
const PATIENCE = 20;
const FOREVER_MS = 2 ** 31 - 1;

const NOISE = new Set(['editor file', 'system file', 'bytecode', 'cache file']);

/** Stage once, then after every change, until `signal` is aborted. Raises what the first staging raises. */
export async function watch(options: WatchOptions): Promise<void> {
  const { log, signal, out, beside, syntax } = options;
  const hints = new Set<string>();
  let wake = (): void => {};
  let polling = false;
  let changing = 0; // passes in a row that met a tree in motion
  let isFirst = true; // syntax is judged from the second pass on, as `stage` does not judge it
  let unchecked = false;

  const folders = folderWatch(
    (path) => {
      if (isNoise(path)) return;
      hints.add(path);
      wake();
    },
    ({ message }) => {
      polling = true;
      log.warn(`the system gives no more watches (${message}): looking every ${POLL_MS} ms instead`);
    },
  );
  let sources = await options.sources();
  const live = await liveTree({ out, beside, onFolder: folders.add, inspect: (files) => inspect(files) });

  async function inspect(files: readonly { path: string; copy: string }[]): Promise<void> {
    if (!syntax || isFirst || unchecked) return;
    const python = files.filter(({ path }) => /\.pyi?$/.test(path));
    const faults = await syntax.check(python.map(({ copy }) => copy)).catch((error: Error) => {
      unchecked = true;
      log.warn(`syntax is not checked any more: ${error.message}`);
      return [];
    });
    if (faults.length === 0) return;
    const origin = new Map(python.map(({ path, copy }) => [copy, originOf(path)]));
    const lines = faults.slice(0, 10).map(({ path, line, message }) => `${origin.get(path)}:${line}: ${message}`);
    if (faults.length > 10) lines.push(`and ${faults.length - 10} more`);
    throw new BuildError('SyntaxError', `Python cannot read ${lines.join('\n  ')}`, 'Correct it and save.');
  }

  function originOf(path: string): string {
    const tree = sources.trees.find(({ module }) => path.startsWith(`${module}/`));
    return tree ? `${tree.origin}/${path.slice(tree.module.length + 1)}` : path;
  }

  function watchAround(): void {
    const names = new Map<string, Set<string>>();
    for (const path of [...options.inputs, ...sources.trees.map(({ root }) => root)].map((given) => resolve(given))) {
      names.set(dirname(path), (names.get(dirname(path)) ?? new Set()).add(basename(path)));
    }
    for (const [folder, entries] of names) {
      const found = look(folder);
      if (found) folders.add(folder, found.ino, entries);
    }
  }

  async function walk(): Promise<Difference> {
    sources = await options.sources();
    watchAround();
    const difference = await live.update(sources);
    folders.sweep(); // not after a failure, which may leave folders unvisited
    return difference;
  }

  /** `paths`: where alone to look; none to look at everything. */
  async function pass(paths: readonly string[]): Promise<Pass> {
    const start = performance.now();
    const known = paths.length > 0 && paths.length < MANY ? await live.updateFiles(sources, paths) : undefined;
    const difference = known ?? (await walk());
    return {
      ...difference,
      files: live.ledger.size,
      digest: treeDigest(live.ledger),
      milliseconds: performance.now() - start,
    };
  }

  /** Waits out a tree in motion; any other fault ends the watching before it began. */
  async function firstPass(): Promise<Pass> {
    for (let again = 1; ; again++) {
      try {
        return await pass([]);
      } catch (error) {
        const isMoving = error instanceof BuildError && error.code === 'TreeChanged';
        if (!isMoving || again === PATIENCE || signal.aborted) throw error;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }

  async function finish(done: Pass, what: string): Promise<void> {
    log.say(`${what} (${done.files} files, tree ${done.digest.slice(0, 12)}, ${Math.round(done.milliseconds)} ms)`);
    try {
      await options.onStaged?.(done);
    } catch (error) {
      log.warn(said(error));
    }
  }

  /** Resolves to what was hinted at once it is quiet, and to nothing when it is time to look anyway. */
  function quiet(patience: number): Promise<readonly string[]> {
    return new Promise((settle) => {
      const end = (): void => {
        clearTimeout(timer);
        wake = () => {};
        signal.removeEventListener('abort', end);
        const found = [...hints];
        hints.clear();
        settle(found);
      };
      let timer = setTimeout(end, hints.size > 0 ? QUIET_MS : patience);
      let first = hints.size > 0 ? performance.now() : Number.POSITIVE_INFINITY;
      wake = () => {
        first = Math.min(first, performance.now());
        if (performance.now() - first > BURST_MS) return; // the timer that runs is the last one
        clearTimeout(timer);
        timer = setTimeout(end, hints.size > BURST ? QUIET_IN_BURST_MS : QUIET_MS);
      };
      signal.addEventListener('abort', end, { once: true });
      if (signal.aborted) end();
    });
  }

  /** Look, tell, and return what is wrong, if anything is. */
  async function round(paths: readonly string[], fault: string): Promise<string> {
    try {
      const done = await pass(fault || changing > 0 ? [] : paths);
      const isNews = done.added.length + done.edited.length + done.removed.length > 0;
      if (isNews || fault !== '' || (paths.length > 0 && !polling)) await finish(done, `restaged: ${describe(done)}`);
      return '';
    } catch (error) {
      if (error instanceof BuildError && error.code === 'TreeChanged' && ++changing < PATIENCE) return fault;
      const text = said(error);
      if (text !== fault) log.warn(`${text}\n  The staged tree stays as it was.`);
      changing = 0;
      return text;
    }
  }

  try {
    await finish(await firstPass(), `staged into ${out}`);
    isFirst = false;
    let fault = '';
    let sweep = SWEEP_MS;
    while (!signal.aborted) {
      const before = changing;
      const paths = await quiet(before > 0 ? AGAIN_MS : polling ? POLL_MS : fault ? SWEEP_MS : sweep);
      if (signal.aborted) break;
      fault = await round(paths, fault);
      if (changing === before) changing = 0;
      sweep = paths.length > 0 ? SWEEP_MS : FOREVER_MS;
    }
  } finally {
    folders.close();
    syntax?.close();
    await live.close();
  }

  function said(error: unknown): string {
    const told = diskFault(error, out) ?? error;
    return told instanceof Error ? told.message : String(told);
  }

  /** What editors and interpreters write on the side and no walk would look at. */
  function isNoise(path: string): boolean {
    const tree = sources.trees.find(({ root }) => path.startsWith(`${resolve(root)}${sep}`));
    if (!tree) return false;
    const inside = relative(resolve(tree.root), path).replaceAll(sep, '/');
    const found = look(path);
    if (found?.isSymbolicLink()) return false;
    const asFile = classify(inside, 'file', tree.data);
    if (!found?.isDirectory() && asFile.verdict === 'leave out' && NOISE.has(asFile.kind)) return true;
    if (found?.isFile()) return false;
    const asFolder = classify(inside, 'directory');
    return asFolder.verdict === 'leave out' && asFolder.prune;
  }
}

function describe({ added, edited, removed }: Difference): string {
  const changes = [
    ['added', added],
    ['edited', edited],
    ['removed', removed],
  ] as const;
  const said = changes.filter(([, paths]) => paths.length > 0).map(([verb, paths]) => `${verb} ${listed(paths)}`);
  return said.length > 0 ? said.join('; ') : 'nothing changed';
}

function listed(paths: readonly string[]): string {
  return paths.length <= 3 ? paths.join(', ') : `${paths.slice(0, 2).join(', ')} and ${paths.length - 2} more`;
}
