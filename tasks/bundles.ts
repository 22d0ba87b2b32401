/**
 * The npm packages' TypeScript, bundled: each package's own `build.ts` writes
 * the tree that is overlaid on it. Keyed by the sources of both packages, since
 * one bundles the other, and by the npm lock.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundle } from './commands.ts';
import type { Context } from './context.ts';
import { hashFiles, hashPath, sha256 } from './digest.ts';
import { BuildError } from './errors.ts';
import { NPM_PACKAGES, type NpmPackage } from './identity.ts';
import { perform, type Step } from './step.ts';

/** Folders of an npm package that the graph itself writes, or that no build reads. */
const NOT_SOURCES = /^((dist|assets\/python)(\.next|\.replaced)?|test|node_modules|assets\/demo\/data)\/$/;

export function bundleStep({ at }: Pick<Context, 'at'>, source: NpmPackage, sources = npmSources({ at })): Step<null> {
  return {
    name: `bundle-${source.folder}`,
    doing: `bundling ${source.name}`,
    output: at.built.npm(source.folder),
    async prepare(context, scratch) {
      const tools = await context.toolchain();
      return {
        inputs: {
          ...(await sources),
          'package-lock.json': sha256(await readFile(at.inRoot('package-lock.json'))),
          node: tools.node.version,
        },
        run: async () => {
          const out = join(scratch as string, 'tree');
          const where = { ambient: context.ambient, tools };
          await context.run(bundle(where, source.folder, at.package(source.folder), out));
          if (!(await hashPath(join(out, 'dist')))) {
            throw new BuildError('bundle', `${source.root}/build.ts wrote no dist folder`, 'Mend that build script.');
          }
          return { output: out, result: null };
        },
      };
    },
  };
}

export async function bundles(context: Context): Promise<void> {
  const sources = npmSources(context); // one bundles the other: both read the same
  await Promise.all(NPM_PACKAGES.map((source) => perform(context, bundleStep(context, source, sources))));
}

async function npmSources({ at }: Pick<Context, 'at'>): Promise<Record<string, string>> {
  const entries = await Promise.all(
    NPM_PACKAGES.map(async ({ root, folder }) => {
      const files = await hashFiles(at.package(folder), (path) => NOT_SOURCES.test(path));
      return Object.entries(files).map(([path, digest]) => [`${root}/${path}`, digest]);
    }),
  );
  return Object.fromEntries(entries.flat());
}
