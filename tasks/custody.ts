/**
 * The chain of custody inside a release: source -> RECORD -> asset manifest ->
 * tarball member. Each link is derived again from the bytes; the first broken
 * one is named. The last link, to the installed file, is the clean room's.
 */
import { createHash } from 'node:crypto';
import type { Members } from './archives.ts';
import { sha256 } from './digest.ts';
import { BuildError } from './errors.ts';
import { CARRIER, NPM_PACKAGES, PYTHON_PACKAGES, RUNTIME } from './identity.ts';
import type { Ledger } from './ledger.ts';
import { type AssetManifest, type FileEntry, parseAssetManifest } from './manifest.ts';
import { provenanceProblems } from './provenance.ts';
import { SBOM_PATH } from './pyproject.ts';
import type { Release } from './release-check.ts';
import { NOTICES, NPM_SBOM, npmSbomProblems } from './sbom-npm.ts';
import { wheelSbomProblems } from './sbom-wheel.ts';
import { parseStrict } from './strict-json.ts';
import { memberProblems, recordProblems } from './wheel-check.ts';

export interface Carried {
  readonly manifest: AssetManifest;
  /** Path of the tarball that users get, in the release folder. */
  readonly tarball: string;
}

/** Walk the chain; `ledger` is that of the checkout, when there is one. */
export function checkCustody(release: Release, ledger?: Ledger): Carried {
  const artifact = (name: string, kind: string) => {
    const entry = release.manifest.files.find((one) => one.packageName === name && one.artifactKind === kind);
    return { path: entry?.path ?? '', members: release.contents.get(entry?.path ?? '') ?? new Map() };
  };
  const runtime = artifact(RUNTIME.distribution, 'wheel');
  const { packageVersion } = release.manifest.packages.find((one) => one.packageName === RUNTIME.distribution) ?? {};
  const info = `${RUNTIME.normalized}-${packageVersion}.dist-info`;
  if (ledger) link(`source -> ${runtime.path}`, memberProblems(runtime.members, ledger, info));
  link(`${runtime.path} -> its RECORD`, recordProblems(runtime.members, info));
  for (const { name, module, tree, root } of PYTHON_PACKAGES) {
    const base = `${name.replaceAll('-', '_')}-${packageVersion}`;
    const { members: sdist, path: sdistPath } = artifact(name, 'sdist');
    const { members: wheel, path } = artifact(name, 'wheel');
    const sources = below(sdist, `${base}/${tree.slice(root.length + 1)}/`);
    const modules = below(wheel, `${module}/`);
    const inInfo = `${base}.dist-info`;
    link(`${path} -> its RECORD`, recordProblems(wheel, inInfo));
    link(`${sdistPath} -> ${path}`, [
      ...differences(sources, modules),
      ...sameMember(sdist, `${base}/PKG-INFO`, wheel, `${inInfo}/METADATA`),
      ...sameMember(sdist, `${base}/LICENSE`, wheel, `${inInfo}/licenses/LICENSE`),
    ]);
    link(`${path} -> ${runtime.path}`, [
      ...differences(modules, below(runtime.members, `${module}/`)),
      ...sameMember(wheel, `${inInfo}/licenses/LICENSE`, runtime.members, `${info}/licenses/LICENSE`),
    ]);
  }
  for (const { name } of NPM_PACKAGES) {
    const { members } = artifact(name, 'tarball');
    const inWheel = `${info}/licenses/LICENSE`;
    link(`runtime wheel -> licence of ${name}`, sameMember(runtime.members, inWheel, members, 'package/LICENSE'));
  }
  const carrier = artifact(CARRIER.name, 'tarball');
  const manifest = assetLinks(release, carrier.members, runtime.path);
  const locks = [manifest.locks.core, manifest.locks['local-embeddings']];
  const inputs = Object.fromEntries(locks.map((lock) => [lock.file, lock.sha256]));
  link('provenance -> shipped locks', provenanceProblems(release.provenance, { manifest: release.manifest, inputs }));
  return { manifest, tarball: carrier.path };
}

/** runtime wheel -> asset manifest -> tarball member -> build info. */
function assetLinks(release: Release, tarball: Members, wheelPath: string): AssetManifest {
  const assets = below(tarball, 'package/assets/python/');
  const text = assets.get('manifest.json')?.toString('utf8');
  if (text === undefined) link('asset manifest', ['package/assets/python/manifest.json is missing from the tarball']);
  const manifest = parseAssetManifest(text as string, 'assets/python/manifest.json');
  const wheel = release.manifest.files.find(({ path }) => path === wheelPath);
  const entries: FileEntry[] = [manifest.wheel, manifest.locks.core, manifest.locks['local-embeddings']];
  const expected = new Set(['manifest.json', ...entries.map(({ file }) => file)]);
  link('runtime wheel -> asset manifest', [
    ...differs('distributionName', manifest.distributionName, RUNTIME.distribution),
    ...differs('normalizedName', manifest.normalizedName, RUNTIME.normalized),
    ...differs('version', manifest.version, wheel?.packageVersion),
    ...differs('wheel.file', manifest.wheel.file, wheelPath.split('/').pop()),
    ...differs('wheel.sha256', manifest.wheel.sha256, wheel?.sha256),
    ...differs('wheel.bytes', manifest.wheel.bytes, wheel?.bytes),
    ...differs('sourceRevision', manifest.sourceRevision, release.manifest.sourceRevision),
  ]);
  link('asset manifest -> tarball member', [
    ...entries.flatMap(({ file, sha256: digest, bytes }) => {
      const member = assets.get(file);
      if (!member) return [`${file} is missing from the tarball`];
      return [
        ...differs(`size of ${file}`, member.length, bytes),
        ...differs(`sha256 of ${file}`, sha256(member), digest),
      ];
    }),
    ...[...assets.keys()]
      .filter((name) => !expected.has(name))
      .map((name) => `assets/python/${name} is not in the asset manifest`),
  ]);
  const locks = {
    core: assets.get(manifest.locks.core.file)?.toString('utf8') ?? '',
    'local-embeddings': assets.get(manifest.locks['local-embeddings'].file)?.toString('utf8') ?? '',
  };
  const info = `${RUNTIME.normalized}-${manifest.version}.dist-info`;
  const bill = (members: Members | undefined, path: string) => members?.get(path)?.toString('utf8') ?? '';
  const carrier = release.manifest.packages.find(({ packageName }) => packageName === CARRIER.name);
  link(
    'locks -> bill of materials of the wheel',
    wheelSbomProblems(bill(release.contents.get(wheelPath), `${info}/${SBOM_PATH}`), manifest.version, locks),
  );
  link(
    'bundle -> bill of materials of the npm package',
    npmSbomProblems(
      bill(tarball, `package/${NPM_SBOM}`),
      carrier?.packageVersion ?? '',
      bill(tarball, `package/dist/${NOTICES}`),
      {
        version: manifest.version,
        sha256: manifest.wheel.sha256,
      },
    ),
  );
  link(
    'asset manifest -> build info',
    buildInfoProblems(tarball, manifest, text as string, carrier?.packageVersion ?? ''),
  );
  return manifest;
}

function buildInfoProblems(tarball: Members, manifest: AssetManifest, manifestText: string, version: string): string[] {
  const text = tarball.get('package/dist/build-info.js')?.toString('utf8') ?? '';
  const literal = /^export const buildInfo = Object\.freeze\((\{[\s\S]*\})\);\n$/.exec(text)?.[1];
  if (!literal) return ['dist/build-info.js is not what the graph writes'];
  const info = parseStrict(literal, 'dist/build-info.js') as Record<string, unknown> & {
    locks?: Record<string, unknown>;
  };
  return [
    ...differs('version', info.version, version),
    ...differs('manifestSha256', info.manifestSha256, sha256(manifestText)),
    ...differs('wheelSha256', info.wheelSha256, manifest.wheel.sha256),
    ...differs('locks.core', info.locks?.core, manifest.locks.core.sha256),
    ...differs('locks.local-embeddings', info.locks?.['local-embeddings'], manifest.locks['local-embeddings'].sha256),
  ];
}

/** One file that two artifacts hold. */
function sameMember(a: Members, pathInA: string, b: Members, pathInB: string): string[] {
  const [one, other] = [a.get(pathInA), b.get(pathInB)];
  return one && other?.equals(one) ? [] : [`${pathInB} is not ${pathInA}`];
}

function differs(what: string, found: unknown, expected: unknown): string[] {
  return found === expected ? [] : [`${what} is ${String(found)}, expected ${String(expected)}`];
}

function differences(a: Members, b: Members): string[] {
  const digest = (content: Buffer | undefined) => content && createHash('sha256').update(content).digest('hex');
  const paths = [...new Set([...a.keys(), ...b.keys()])].sort();
  if (a.size === 0) return ['it is empty'];
  return paths.filter((path) => digest(a.get(path)) !== digest(b.get(path))).map((path) => `${path} differs`);
}

function below(members: Members, prefix: string): Members {
  return new Map(
    [...members]
      .filter(([path]) => path.startsWith(prefix))
      .map(([path, content]) => [path.slice(prefix.length), content]),
  );
}

function link(name: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new BuildError(
    'custody',
    `the chain of custody breaks at ${name}:\n${problems.map((one) => `    ${one}`).join('\n')}`,
    'Do not ship this release. Build it again with `gulp artifacts --force`.',
  );
}
