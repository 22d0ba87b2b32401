/**
 * What flows into the staging tree: the two Python trees, and the files that
 * are generated beside them.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from './context.ts';
import { PYTHON_PACKAGES } from './identity.ts';
import { readLocksSbom } from './locks.ts';
import {
  pyprojectText,
  type RuntimeProject,
  readmeText,
  readSourceProjects,
  runtimeProject,
  SBOM_PATH,
} from './pyproject.ts';
import type { SourceTree } from './stage-tree.ts';
import type { GeneratedFile } from './streams/generated.ts';

export interface Sources {
  readonly project: RuntimeProject;
  readonly trees: readonly SourceTree[];
  readonly generated: readonly GeneratedFile[];
}

/** The locks must have been exported: the bill of materials among the generated files is made from them. */
export async function readSources({ at, identity }: Pick<Context, 'at' | 'identity'>): Promise<Sources> {
  const sources = await readSourceProjects(at);
  const project = runtimeProject(sources, await identity());
  return {
    project,
    trees: PYTHON_PACKAGES.map(({ tree, module }, i) => ({
      root: join(at.root, tree),
      module,
      origin: tree,
      data: sources[i]?.packageData ?? [],
    })),
    generated: [
      { path: 'pyproject.toml', text: pyprojectText(project) },
      { path: 'README.md', text: readmeText(project) },
      { path: 'LICENSE', text: await readFile(at.licence, 'utf8') },
      { path: SBOM_PATH, text: await readLocksSbom(at) },
    ],
  };
}
