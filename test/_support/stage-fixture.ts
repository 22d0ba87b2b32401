/** A package to stage, and where to stage it. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Staged, stageTrees } from '../../tasks/stage-tree.ts';
import type { GeneratedFile } from '../../tasks/streams/generated.ts';
import { type TreeEntry, temporaryTree } from './temporary-tree.ts';

export interface Fixture {
  /** The package's folder. */
  readonly root: string;
  /** Where it is staged; does not exist yet. */
  readonly out: string;
  stage(options?: { data?: readonly string[]; generated?: readonly GeneratedFile[] }): Promise<Staged>;
}

/** A folder `pkg` that holds an `__init__.py` and `entries`. */
export async function fixture(t: ExecutionContext<unknown>, entries: Record<string, TreeEntry> = {}): Promise<Fixture> {
  const inside = Object.entries({ '__init__.py': '', ...entries }).map(([path, entry]) => [`pkg/${path}`, entry]);
  const base = await temporaryTree(t, Object.fromEntries(inside));
  const root = join(base, 'pkg');
  const out = join(base, 'staged');
  const stage: Fixture['stage'] = ({ data = [], generated = [] } = {}) =>
    stageTrees({ trees: [{ root, module: 'pkg', origin: 'python/pkg', data }], generated, out });
  return { root, out, stage };
}
