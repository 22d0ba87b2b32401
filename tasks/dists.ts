/**
 * Wheel and sdist of each source package, beside the runtime wheel: CI artifacts
 * for those who want one of the two alone. Each is built from a staged copy, so
 * modes and ignore rules of the checkout do not count.
 */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { uvBuild } from './commands.ts';
import type { Context } from './context.ts';
import { hashFile } from './digest.ts';
import { BuildError } from './errors.ts';
import { PYTHON_PACKAGES, type PythonPackage } from './identity.ts';
import { treeDigest } from './ledger.ts';
import { BUILD_CONSTRAINTS } from './locks.ts';
import { readSourceProjects } from './pyproject.ts';
import { stageTrees } from './stage-tree.ts';
import { perform, type Step } from './step.ts';

export function distsStep({ at }: Pick<Context, 'at'>, source: PythonPackage): Step<null> {
  return {
    name: `dists-${source.name}`,
    doing: `building wheel and sdist of ${source.name}`,
    output: at.built.dists(source.name),
    async prepare(context, scratch) {
      const tools = await context.toolchain();
      const { pythonVersion } = await context.identity();
      const constraints = join(at.built.locks, BUILD_CONSTRAINTS);
      const sources = await sourceTree(context, source);
      const { ledger } = await stageTrees({ ...sources, out: null });
      return {
        inputs: {
          [source.root]: treeDigest(ledger),
          'build constraints': await hashFile(constraints),
          'own code': await context.ownCode(),
          uv: tools.uv.version,
          python: tools.python.version,
        },
        run: async () => {
          const tree = join(scratch as string, 'source');
          const staged = await stageTrees({ ...sources, out: tree });
          if (treeDigest(staged.ledger) !== treeDigest(ledger)) {
            throw new BuildError('changed', `${source.root} changed while it was built`, 'Run it again.');
          }
          const out = join(scratch as string, 'dists');
          await mkdir(out);
          const where = { ambient: context.ambient, tools };
          await context.run(uvBuild(where, source.name, ['sdist', 'wheel'], tree, out, constraints));
          const found = (await readdir(out)).sort().join(', ');
          const expected = distFiles(source, pythonVersion).join(', ');
          if (found !== expected) {
            throw new BuildError(
              'dists',
              `uv build made ${found || 'nothing'} instead of ${expected}`,
              'Check the uv on PATH.',
            );
          }
          return { output: out, result: null };
        },
      };
    },
  };
}

export async function dists(context: Context): Promise<void> {
  await Promise.all(PYTHON_PACKAGES.map((source) => perform(context, distsStep(context, source))));
}

/** File names of both distributions, sorted. */
export function distFiles({ name }: PythonPackage, version: string): [string, string] {
  const normalized = name.replaceAll('-', '_');
  return [`${normalized}-${version}-py3-none-any.whl`, `${normalized}-${version}.tar.gz`];
}

async function sourceTree({ at }: Pick<Context, 'at'>, { root, tree, name }: PythonPackage) {
  const projects = await readSourceProjects(at);
  const project = projects[PYTHON_PACKAGES.findIndex((one) => one.name === name)];
  const beside = async (path: string) => ({ path, text: await readFile(join(at.root, root, path), 'utf8') });
  return {
    trees: [
      {
        root: join(at.root, tree),
        module: tree.slice(root.length + 1),
        origin: tree,
        data: project?.packageData ?? [],
      },
    ],
    generated: [
      await beside('pyproject.toml'),
      await beside('README.md'),
      { path: 'LICENSE', text: await readFile(at.licence, 'utf8') },
    ],
  };
}
