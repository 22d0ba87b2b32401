/** A package that is watched, and what its watching says. */
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { hashTree, treeDigest } from '../../tasks/ledger.ts';
import type { Sources } from '../../tasks/live-tree.ts';
import { stageTrees } from '../../tasks/stage-tree.ts';
import { type Pass, type WatchOptions, watch } from '../../tasks/watch.ts';
import { fixture } from './stage-fixture.ts';
import type { TreeEntry } from './temporary-tree.ts';

export interface Watching {
  /** The package's folder. */
  readonly root: string;
  /** The staged tree. */
  readonly out: string;
  /** Every line so far. */
  readonly lines: string[];
  readonly passes: Pass[];
  readonly sources: () => Promise<Sources>;
  /** Resolves when `done` holds; fails the test after a minute. */
  until(done: () => boolean | Promise<boolean>): Promise<void>;
  /** Resolves when the staged tree is the one that `stage` makes now. */
  settled(): Promise<void>;
  /** Ends the watching and waits for its end. */
  stop(): Promise<void>;
}

export async function watching(
  t: ExecutionContext<unknown>,
  entries: Record<string, TreeEntry> = {},
  options: Partial<WatchOptions> = {},
): Promise<Watching> {
  const { root, out } = await fixture(t, entries);
  const controller = new AbortController();
  const lines: string[] = [];
  const passes: Pass[] = [];
  const sources =
    options.sources ??
    (async () => ({
      trees: [{ root, module: 'pkg', origin: 'python/pkg', data: ['data/**'] }],
      generated: [{ path: 'README.md', text: 'read me' }],
    }));
  let failure: unknown;
  const running = watch({
    inputs: [],
    out,
    beside: join(dirname(out), 'beside'),
    log: { say: (text) => lines.push(text), warn: (text) => lines.push(`warning: ${text}`) },
    signal: controller.signal,
    ...options,
    sources,
    onStaged: async (pass) => {
      passes.push(pass);
      await options.onStaged?.(pass);
    },
  }).catch((error: unknown) => {
    failure = error;
  });
  const until = async (done: () => boolean | Promise<boolean>) => {
    for (let waited = 0; !(await done()); waited += 20) {
      if (failure) throw failure;
      if (waited > 60_000) throw new Error(`nothing came of it:\n${lines.join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const stop = async () => {
    controller.abort();
    await running;
    if (failure) throw failure;
  };
  t.teardown(async () => {
    await stop().catch(() => {});
    await rm(join(dirname(out), 'beside'), { recursive: true, force: true });
  });
  await until(() => passes.length > 0);
  return {
    root,
    out,
    lines,
    passes,
    sources,
    until,
    stop,
    settled: () =>
      until(async () => {
        const { ledger } = await stageTrees({ ...(await sources()), out: null });
        return passes.at(-1)?.digest === treeDigest(ledger) && treeDigest(await hashTree(out)) === treeDigest(ledger);
      }),
  };
}
