/**
 * `gulp smoke`: the published version, as a stranger gets it from the registry
 * that the policy names: fetched, held against the release when there is one,
 * installed, compared file by file, and tried in the clean room.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { type Members, readTarball } from './archives.ts';
import { cleanRoom } from './clean-room.ts';
import type { Context } from './context.ts';
import { hashFile, sha256 } from './digest.ts';
import { BuildError } from './errors.ts';
import { parseArtifactManifest, parseAssetManifest } from './manifest.ts';
import { POLICY_FILE, readPolicy } from './policy.ts';
import { quietly } from './publish.ts';
import { fetchPublished, npmCommand, openRegistry, type Registry } from './registry.ts';

export async function smoke(context: Context): Promise<void> {
  const { packageName, version, registry: url } = (await readPolicy(context.at)).publishedPackageSmoke;
  if (packageName === null || version === null || url === null) {
    throw new BuildError(
      'smoke',
      'no published package is named to try',
      `Fill in publishedPackageSmoke in ${POLICY_FILE}, once something is published.`,
    );
  }
  const scratch = await mkdtemp(join(tmpdir(), 'ktx-smoke-'));
  try {
    const registry = await openRegistry(context, url, join(scratch, 'npm'));
    const tarball = await fetchPublished(quietly(context), registry, packageName, version);
    const digest = await hashFile(tarball);
    await compareWithRelease(context, packageName, version, digest);
    const members = await readTarball(tarball);
    await installAndCompare(context, registry, scratch, packageName, version, members);
    const manifest = parseAssetManifest(members.get('package/assets/python/manifest.json')?.toString('utf8') ?? '');
    await cleanRoom(context, { tarball, sha256: digest, version, manifest });
    context.log.say(`${packageName} ${version} from ${url} installs and answers`);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Where the release folder holds this version, the registry must give the same bytes. */
async function compareWithRelease({ at, log }: Context, name: string, version: string, digest: string): Promise<void> {
  const text = await readFile(join(at.release, 'manifest.json'), 'utf8').catch(() => undefined);
  const entry =
    text === undefined ? undefined : parseArtifactManifest(text).files.find((one) => one.packageName === name);
  if (entry?.packageVersion !== version) {
    log.warn(`comparison with the release folder skipped: it does not hold ${name} ${version}`);
    return;
  }
  expectSame(
    `the tarball from the registry has the sha256 ${digest}, the release has ${entry.sha256}`,
    digest === entry.sha256,
  );
}

/** `npm install name@version` from the registry; every installed file is the tarball's. */
export async function installAndCompare(
  context: Pick<Context, 'run'>,
  registry: Registry,
  scratch: string,
  name: string,
  version: string,
  members: Members,
): Promise<void> {
  const project = join(scratch, 'project');
  await mkdir(project);
  await writeFile(join(project, 'package.json'), '{"private":true}\n');
  const scope = /^@[^/]+/.exec(name)?.[0];
  const from = ['--registry', registry.url, ...(scope ? [`--${scope}:registry=${registry.url}`] : [])];
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--omit=optional', '--omit=peer'];
  const command = npmCommand(registry, 'npm install', ['install', `${name}@${version}`, ...from, ...quiet]);
  await context.run({ ...command, cwd: project });
  const installed = join(project, 'node_modules', ...name.split('/'));
  const files = await filesBelow(installed);
  for (const [path, content] of members) {
    const file = path.replace(/^package\//, '');
    expectSame(`${file} is not installed`, files.delete(file));
    expectSame(
      `the installed ${file} is not that of the tarball`,
      sha256(await readFile(join(installed, file))) === sha256(content),
    );
  }
  expectSame(`${[...files].join(', ')} was installed beside what the tarball holds`, files.size === 0);
}

async function filesBelow(folder: string): Promise<Set<string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((one) => one.isFile()).map((one) => relative(folder, join(one.parentPath, one.name)));
  return new Set(paths.map((path) => path.split(sep).join('/')));
}

function expectSame(problem: string, holds: boolean): void {
  if (!holds) throw new BuildError('smoke', problem, 'Do not announce this version; find out who changed it.');
}
