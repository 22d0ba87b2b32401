/**
 * `npm pack` of each npm package, from a composed copy with normal modes, and
 * the tarball opened again: its members are exactly what was composed, or the
 * build stops. npm leaves files out without a word when an ignore file says so.
 */
import { chmod, copyFile, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readTarball } from './archives.ts';
import { npmPack } from './commands.ts';
import type { Context } from './context.ts';
import { hashFile, hashFiles, hashPath, sha256 } from './digest.ts';
import { BuildError } from './errors.ts';
import { CARRIER, NPM_PACKAGES, type NpmPackage } from './identity.ts';
import { perform, type Step } from './step.ts';
import { prettyJson } from './strict-json.ts';

export function packStep({ at }: Pick<Context, 'at'>, source: NpmPackage): Step<null> {
  const carrier = source.folder === CARRIER.folder;
  return {
    name: `pack-${source.folder}`,
    doing: `packing ${source.name}`,
    output: at.built.tarball(source.folder),
    async prepare(context, scratch) {
      const tools = await context.toolchain();
      const { version } = await context.identity();
      const folder = at.package(source.folder);
      const built = at.built.npm(source.folder);
      return {
        inputs: {
          'package.json': await hashFile(join(folder, 'package.json')),
          'README.md': await hashFile(join(folder, 'README.md')),
          LICENSE: await hashFile(at.licence),
          bundle: (await hashPath(built)) ?? 'missing',
          ...(carrier
            ? {
                assets: (await hashPath(at.cli.pythonAssets)) ?? 'missing',
                dist: (await hashPath(at.cli.dist)) ?? 'missing',
              }
            : {}),
          'own code': await context.ownCode(),
          npm: tools.npmVersion,
          node: tools.node.version,
        },
        run: async () => {
          const composed = join(scratch as string, 'package');
          const out = join(scratch as string, 'tarball');
          await mkdir(out);
          await cp(built, composed, { recursive: true });
          if (carrier) {
            await cp(at.cli.pythonAssets, join(composed, 'assets', 'python'), { recursive: true });
            await cp(at.cli.dist, join(composed, 'dist'), { recursive: true });
          }
          await copyFile(at.licence, join(composed, 'LICENSE'));
          await copyFile(join(folder, 'README.md'), join(composed, 'README.md'));
          const text = await readFile(join(folder, 'package.json'), 'utf8');
          await writeFile(join(composed, 'package.json'), publishedPackageJson(text));
          await normalModes(composed);
          const where = { ambient: context.ambient, tools };
          const work = join(scratch as string, 'npm');
          await mkdir(work);
          const printed = await context.run(npmPack(where, source.name, composed, out, work));
          const file = tarballFile(source, version);
          await checkPacked(printed, file, join(out, file), await hashFiles(composed));
          return { output: out, result: null };
        },
      };
    },
  };
}

export async function pack(context: Context): Promise<void> {
  await Promise.all(NPM_PACKAGES.map((source) => perform(context, packStep(context, source))));
}

/** `@kaelio/ktx` 0.1.0 is packed as `kaelio-ktx-0.1.0.tgz`. */
export function tarballFile({ name }: NpmPackage, version: string): string {
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
}

/** What users need of package.json: no scripts, nothing that only the workspace uses. */
export function publishedPackageJson(text: string): string {
  const { devDependencies: _dev, scripts: _scripts, ...published } = JSON.parse(text) as Record<string, unknown>;
  return prettyJson(published);
}

/** npm keeps exec bits and private modes; neither may depend on the umask of a checkout. */
async function normalModes(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
  }
}

async function checkPacked(
  printed: string,
  file: string,
  path: string,
  composed: Readonly<Record<string, string>>,
): Promise<void> {
  const report = JSON.parse(printed) as unknown; // an array up to npm 11, an object by name from 12
  const [packed] = Array.isArray(report) ? report : Object.values(report as object);
  const name = (packed as { filename?: string } | undefined)?.filename;
  if (name !== file)
    throw new BuildError('pack', `npm pack made ${name} instead of ${file}`, 'Check name and version.');
  const members = await readTarball(path);
  const found = new Map([...members].map(([member, content]) => [member.replace(/^package\//, ''), sha256(content)]));
  const problems = [
    ...Object.keys(composed)
      .filter((one) => !found.has(one))
      .map((one) => `${one} is missing`),
    ...[...found.keys()].filter((one) => !(one in composed)).map((one) => `${one} was not composed`),
    ...[...found]
      .filter(([one, digest]) => one in composed && composed[one] !== digest)
      .map(([one]) => `${one} differs`),
  ];
  if (problems.length > 0) {
    throw new BuildError(
      'pack',
      `${file} is not what was composed: ${problems.join(', ')}`,
      'Look for an ignore file or a "files" list that drops it.',
    );
  }
}
