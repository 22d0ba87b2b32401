/**
 * The release folder `dist/artifacts`: every artifact of both ecosystems and one
 * checksummed manifest over them, composed beside and put into place as a whole.
 */
import { copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Context } from './context.ts';
import { hashFile, sha256 } from './digest.ts';
import { distFiles } from './dists.ts';
import { NPM_PACKAGES, PYTHON_PACKAGES, RUNTIME } from './identity.ts';
import { BUILD_CONSTRAINTS, LOCK_FILES } from './locks.ts';
import type { ArtifactEntry, ArtifactKind, ArtifactManifest, Ecosystem, PackageEntry } from './manifest.ts';
import { tarballFile } from './pack.ts';
import { readPolicy } from './policy.ts';
import { inputDigests, PROVENANCE_FILE, provenance } from './provenance.ts';
import { perform, type Step } from './step.ts';
import { canonicalJson, prettyJson } from './strict-json.ts';

interface Artifact {
  readonly source: string;
  readonly ecosystem: Ecosystem;
  readonly kind: ArtifactKind;
  readonly packageName: string;
  readonly packageVersion: string;
}

export function releaseStep({ at }: Pick<Context, 'at'>): Step<null> {
  return {
    name: 'manifest',
    doing: 'assembling the release folder',
    output: at.release,
    async prepare(context, scratch) {
      const artifacts = await listArtifacts(context);
      const { id, time, dirty } = await context.revision();
      const head = {
        schemaVersion: 2 as const,
        generatedAt: new Date(time * 1000).toISOString().replace('.000Z', 'Z'),
        sourceRevision: id,
        sourceDirty: dirty,
        packages: await listPackages(context),
      };
      const entries = await Promise.all(artifacts.map(entryOf));
      const files = entries.sort((a, b) => (a.path < b.path ? -1 : 1));
      const statement = provenance({
        manifest: { ...head, files },
        version: (await context.identity()).version,
        releaseMode: (await readPolicy(at)).releaseMode,
        inputs: await decidingInputs(context),
        tools: await toolVersions(context),
      });
      const attestation = { path: PROVENANCE_FILE, sha256: sha256(canonicalJson(JSON.parse(statement))) };
      const manifest: ArtifactManifest = { ...head, files, attestations: [attestation] };
      return {
        inputs: {
          ...Object.fromEntries(files.map(({ path, sha256: digest }) => [path, digest])),
          packages: JSON.stringify(head.packages),
          provenance: sha256(statement),
          'source revision': `${id} ${dirty ? 'dirty' : 'clean'} ${time}`,
          'own code': await context.ownCode(),
        },
        run: async () => {
          const out = join(scratch as string, 'artifacts');
          for (const one of artifacts) {
            await mkdir(join(out, one.ecosystem), { recursive: true });
            await copyFile(one.source, join(out, one.ecosystem, basename(one.source)));
          }
          await writeFile(join(out, PROVENANCE_FILE), statement);
          await writeFile(join(out, 'manifest.json'), prettyJson(manifest));
          return { output: out, result: null };
        },
      };
    },
  };
}

export async function release(context: Context): Promise<void> {
  await perform(context, releaseStep(context));
}

/** Digests of the files that pin what is built, by path; the shipped locks by the names they ship under. */
async function decidingInputs({ at }: Context): Promise<Record<string, string>> {
  const files = ['uv.lock', 'package-lock.json', 'release-policy.json', 'tasks/uv-requirements.txt'];
  const locks = [...Object.values(LOCK_FILES), BUILD_CONSTRAINTS];
  return inputDigests({
    ...Object.fromEntries(await Promise.all(files.map(async (file) => [file, await readFile(join(at.root, file))]))),
    ...Object.fromEntries(
      await Promise.all(locks.map(async (file) => [file, await readFile(join(at.built.locks, file))])),
    ),
  });
}

async function toolVersions({ toolchain }: Context): Promise<Record<string, string>> {
  const { node, npmVersion, uv, python } = await toolchain();
  return { node: node.version, npm: npmVersion, uv: uv.version, python: python.version };
}

async function listArtifacts({ at, identity }: Context): Promise<Artifact[]> {
  const { version, pythonVersion, wheelFile } = await identity();
  return [
    ...NPM_PACKAGES.map(
      (one): Artifact => ({
        source: join(at.built.tarball(one.folder), tarballFile(one, version)),
        ecosystem: 'npm',
        kind: 'tarball',
        packageName: one.name,
        packageVersion: version,
      }),
    ),
    ...PYTHON_PACKAGES.flatMap((one) =>
      distFiles(one, pythonVersion).map(
        (file): Artifact => ({
          source: join(at.built.dists(one.name), file),
          ecosystem: 'python',
          kind: file.endsWith('.whl') ? 'wheel' : 'sdist',
          packageName: one.name,
          packageVersion: pythonVersion,
        }),
      ),
    ),
    {
      source: join(at.built.wheel, wheelFile),
      ecosystem: 'python',
      kind: 'wheel',
      packageName: RUNTIME.distribution,
      packageVersion: pythonVersion,
    },
  ];
}

/** Every package of the repository, npm before Python, in the order of the package data. */
async function listPackages({ at, identity }: Context): Promise<PackageEntry[]> {
  const { version, pythonVersion } = await identity();
  const { releaseMode, npm } = await readPolicy(at);
  const published = (name: string) => npm.publish && npm.packages.includes(name);
  const entry = (ecosystem: Ecosystem, packageName: string, packageRoot: string): PackageEntry => ({
    ecosystem,
    packageName,
    packageRoot,
    packageVersion: ecosystem === 'npm' ? version : pythonVersion,
    private: !(ecosystem === 'npm' && published(packageName)),
    releaseMode,
  });
  return [
    ...NPM_PACKAGES.map(({ name, root }) => entry('npm', name, root)),
    ...PYTHON_PACKAGES.map(({ name, root }) => entry('python', name, root)),
    entry('python', RUNTIME.distribution, RUNTIME.root),
  ];
}

async function entryOf({ source, ecosystem, kind, packageName, packageVersion }: Artifact): Promise<ArtifactEntry> {
  return {
    path: `${ecosystem}/${basename(source)}`,
    ecosystem,
    artifactKind: kind,
    packageName,
    packageVersion,
    bytes: (await stat(source)).size,
    sha256: await hashFile(source),
  };
}
