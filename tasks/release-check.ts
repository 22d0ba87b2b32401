/**
 * A release folder held against its manifest, by itself: it may have been copied
 * away from any repository. Each refusal names the file or entry.
 */
import { lstat, readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { archiveForm } from './archive-form.ts';
import { formProblems } from './archive-rules.ts';
import { type Members, readTarball, readZip } from './archives.ts';
import { hashFile, sha256 } from './digest.ts';
import { BuildError } from './errors.ts';
import { NPM_PACKAGES, PYTHON_PACKAGES, pep440, RUNTIME } from './identity.ts';
import { type ArtifactEntry, type ArtifactManifest, parseArtifactManifest } from './manifest.ts';
import { PROVENANCE_FILE, type Provenance, parseProvenance, provenanceProblems } from './provenance.ts';
import { canonicalJson, parseStrict } from './strict-json.ts';

export interface Release {
  readonly folder: string;
  readonly manifest: ArtifactManifest;
  readonly provenance: Provenance;
  /** Members of every artifact, by its path. */
  readonly contents: ReadonlyMap<string, Members>;
}

/** Open a release folder and refuse it unless all is as its manifest says. */
export async function openRelease(folder: string): Promise<Release> {
  const text = await readFile(join(folder, 'manifest.json'), 'utf8').catch((cause) => {
    throw new BuildError(
      'release',
      `${folder} holds no manifest.json`,
      'Name a release folder, or run `gulp artifacts`.',
      {
        cause,
      },
    );
  });
  const manifest = parseArtifactManifest(text);
  refuseUnless(packageProblems(manifest));
  const provenance = await openStatement(folder, manifest);
  refuseUnless(await folderProblems(folder, manifest));
  const contents = new Map<string, Members>();
  for (const entry of manifest.files) contents.set(entry.path, await openArtifact(folder, entry));
  return { folder, manifest, provenance, contents };
}

function refuseUnless(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new BuildError(
    'release',
    `the release folder is not what its manifest says:\n${problems.map((one) => `    ${one}`).join('\n')}`,
    'Build it again with `gulp artifacts`; do not ship it.',
  );
}

async function folderProblems(folder: string, { files, attestations }: ArtifactManifest): Promise<string[]> {
  const listed = new Map(files.map((entry) => [entry.path, entry]));
  const beside = new Set(['manifest.json', ...attestations.map(({ path }) => path)]);
  const folders = new Set([...listed.keys(), ...beside].flatMap(foldersAbove));
  const problems: string[] = [];
  const found = new Set<string>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const full = join(entry.parentPath, entry.name);
    const path = relative(folder, full).split(sep).join('/');
    const expected = beside.has(path) || listed.has(path);
    if (entry.isDirectory() && !expected) {
      if (!folders.has(path)) problems.push(`${path}/ is a folder that holds nothing of the release`);
      continue;
    }
    if (!entry.isFile()) problems.push(`${path} is no regular file`);
    else if (!expected) problems.push(`${path} is not in the manifest`);
    found.add(path);
  }
  for (const { path, bytes, sha256 } of files) {
    if (!found.has(path)) problems.push(`${path} is missing`);
    else if (!(await lstat(join(folder, path))).isFile())
      continue; // said above
    else if ((await lstat(join(folder, path))).size !== bytes)
      problems.push(`${path} has another size than ${bytes} bytes`);
    else if ((await hashFile(join(folder, path))) !== sha256)
      problems.push(`${path} has another sha256 than ${sha256}`);
  }
  return problems;
}

const foldersAbove = (path: string): string[] => {
  const above = dirname(path);
  return above === '.' ? [] : [above, ...foldersAbove(above)];
};

/** Exactly one statement, whole, and true of this manifest. */
async function openStatement(folder: string, manifest: ArtifactManifest): Promise<Provenance> {
  const [attestation, ...more] = manifest.attestations;
  if (attestation?.path !== PROVENANCE_FILE || more.length > 0)
    refuseUnless([`attestations of manifest.json do not name ${PROVENANCE_FILE} alone`]);
  const text = await readFile(join(folder, PROVENANCE_FILE), 'utf8').catch(() => undefined);
  if (text === undefined) refuseUnless([`${PROVENANCE_FILE} is missing`]);
  const statement = parseProvenance(text as string);
  const problems = provenanceProblems(statement, { manifest, inputs: {} });
  if (sha256(canonicalJson(statement)) !== attestation?.sha256)
    problems.push(`its content is not the one that attestations of manifest.json names`);
  refuseUnless(problems.map((problem) => `${PROVENANCE_FILE}: ${problem}`));
  return statement;
}

/** The packages are those of the package data, with one version, and each has its artifacts. */
function packageProblems({ packages, files }: ArtifactManifest): string[] {
  const known = [
    ...NPM_PACKAGES.map((one) => ({ ...one, kinds: ['tarball'] as const })),
    ...PYTHON_PACKAGES.map((one) => ({ ...one, kinds: ['sdist', 'wheel'] as const })),
    { ecosystem: 'python' as const, name: RUNTIME.distribution, root: RUNTIME.root, kinds: ['wheel'] as const },
  ];
  const problems: string[] = [];
  const carrier = packages.find(({ ecosystem }) => ecosystem === 'npm')?.packageVersion ?? '';
  const mode = packages[0]?.releaseMode;
  const order = known.map(({ name }) => name).filter((name) => packages.some((one) => one.packageName === name));
  for (const [i, one] of packages.entries()) {
    const { packageName, releaseMode } = one;
    if (!known.some(({ name }) => name === packageName))
      problems.push(`the package ${packageName} is not of this project`);
    else if (order[i] !== packageName) problems.push(`the package ${packageName} stands where ${order[i]} belongs`);
    if (releaseMode !== mode) problems.push(`${packageName} has the releaseMode ${releaseMode}, not ${mode}`);
    if (!one.private && (one.ecosystem === 'python' || releaseMode === 'ci-artifact-only'))
      problems.push(`${packageName} is not private, which it must be in releaseMode ${releaseMode}`);
  }
  for (const { ecosystem, name, root, kinds } of known) {
    const entry = packages.find(({ packageName }) => packageName === name);
    if (!entry) {
      problems.push(`the package ${name} is missing`);
      continue;
    }
    const version = ecosystem === 'npm' ? carrier : pep440(carrier, 'packageVersion of the npm packages');
    if (entry.ecosystem !== ecosystem) problems.push(`${name} has the ecosystem ${entry.ecosystem}`);
    if (entry.packageRoot !== root) problems.push(`${name} has the packageRoot ${entry.packageRoot}, not ${root}`);
    if (entry.packageVersion !== version)
      problems.push(`${name} has the version ${entry.packageVersion}, not ${version}`);
    const own = files.filter(({ packageName }) => packageName === name);
    for (const kind of kinds) {
      const path = expectedPath({ ecosystem, artifactKind: kind, packageName: name, packageVersion: version });
      if (!own.some(({ artifactKind }) => artifactKind === kind))
        problems.push(`${path}, the ${kind} of ${name}, is not listed`);
    }
    if (own.length > kinds.length) problems.push(`${name} has ${own.length} artifacts, not ${kinds.join(' and ')}`);
    for (const file of own) {
      if (file.ecosystem !== ecosystem) problems.push(`${file.path} has the ecosystem ${file.ecosystem}`);
      if (file.packageVersion !== version)
        problems.push(`${file.path} has the version ${file.packageVersion}, not ${version}`);
      if (file.path !== expectedPath(file)) problems.push(`${file.path} should be named ${expectedPath(file)}`);
    }
  }
  const names = new Set(known.map(({ name }) => name));
  for (const { path, packageName } of files)
    if (!names.has(packageName)) problems.push(`${path} belongs to no package`);
  return problems;
}

/** The one name that an artifact of this package, version and kind can have. */
export function expectedPath({
  ecosystem,
  artifactKind,
  packageName,
  packageVersion,
}: Pick<ArtifactEntry, 'ecosystem' | 'artifactKind' | 'packageName' | 'packageVersion'>): string {
  if (ecosystem === 'npm') return `npm/${packageName.replace('@', '').replace('/', '-')}-${packageVersion}.tgz`;
  const base = `python/${packageName.replaceAll('-', '_')}-${packageVersion}`;
  return artifactKind === 'wheel' ? `${base}-py3-none-any.whl` : `${base}.tar.gz`;
}

/** Open an artifact and compare its own metadata with its entry. */
async function openArtifact(folder: string, entry: ArtifactEntry): Promise<Members> {
  const { path, artifactKind, packageName, packageVersion } = entry;
  const file = join(folder, path);
  const members = artifactKind === 'wheel' ? await readZip(file) : await readTarball(file);
  refuseUnless(formProblems(entry, archiveForm(path, await readFile(file))));
  const { name, version } = ownIdentity(entry, members);
  refuseUnless([
    ...(name === packageName ? [] : [`${path} says inside that it is ${name ?? 'nothing'}, not ${packageName}`]),
    ...(version === packageVersion
      ? []
      : [`${path} says inside that its version is ${version}, not ${packageVersion}`]),
  ]);
  return members;
}

function ownIdentity({ artifactKind, packageName, packageVersion }: ArtifactEntry, members: Members) {
  if (artifactKind === 'tarball') {
    const text = members.get('package/package.json')?.toString('utf8') ?? '{}';
    const { name, version } = parseStrict(text, 'package.json') as { name?: string; version?: string };
    return { name, version };
  }
  const base = `${packageName.replaceAll('-', '_')}-${packageVersion}`;
  const file = artifactKind === 'wheel' ? `${base}.dist-info/METADATA` : `${base}/PKG-INFO`;
  const text = members.get(file)?.toString('utf8') ?? '';
  return { name: /^Name: (.+)$/m.exec(text)?.[1], version: /^Version: (.+)$/m.exec(text)?.[1] };
}
