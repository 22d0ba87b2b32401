/**
 * What is built: every package of the repository, npm and Python, as data, and
 * the one version they share.
 *
 * `packages/cli/package.json` is the only source of the version; every other
 * place that states one must agree, or the build stops and names both places.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { BuildError } from './errors.ts';
import type { Layout } from './layout.ts';

export interface NpmPackage {
  readonly ecosystem: 'npm';
  readonly name: string;
  /** Folder below `packages/`. */
  readonly folder: string;
  readonly root: string;
}

export interface PythonPackage {
  readonly ecosystem: 'python';
  readonly name: string;
  /** Import package, and the folder below `root` that holds it. */
  readonly module: string;
  readonly root: string;
  readonly tree: string;
}

export const NPM_PACKAGES: readonly NpmPackage[] = [
  { ecosystem: 'npm', name: '@kaelio/ktx', folder: 'cli', root: 'packages/cli' },
  { ecosystem: 'npm', name: '@ktx/context', folder: 'context', root: 'packages/context' },
];

export const PYTHON_PACKAGES: readonly PythonPackage[] = [
  {
    ecosystem: 'python',
    name: 'ktx-sl',
    module: 'semantic_layer',
    root: 'python/ktx-sl',
    tree: 'python/ktx-sl/semantic_layer',
  },
  {
    ecosystem: 'python',
    name: 'ktx-daemon',
    module: 'ktx_daemon',
    root: 'python/ktx-daemon',
    tree: 'python/ktx-daemon/src/ktx_daemon',
  },
];

/** The distribution that users get: both import packages in one wheel. */
export const RUNTIME = Object.freeze({
  distribution: 'kaelio-ktx',
  normalized: 'kaelio_ktx',
  root: 'dist/runtime-wheel-src',
  script: 'ktx-daemon',
  entryPoint: 'ktx_daemon.__main__:main',
});

/** The npm package that carries the wheel. */
export const CARRIER = NPM_PACKAGES[0] as NpmPackage;

/** Smallest uv that understands the locks; also what the workspace requires. */
export const UV_MINIMUM = '0.11.28';

const SEMVER = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-(alpha|beta|rc)\.(0|[1-9]\d*))?$/;
const PEP440_PHASE: Record<string, string> = { alpha: 'a', beta: 'b', rc: 'rc' };

/**
 * The PEP 440 form of a semantic version: `0.1.0-rc.2` is `0.1.0rc2`.
 *
 * `field` names where the version stands, for the message. Raises BuildError
 * `version` for build metadata and for other kinds of pre-release.
 */
export function pep440(version: string, field: string): string {
  const match = SEMVER.exec(version);
  if (!match) {
    throw new BuildError(
      'version',
      `${field} is ${JSON.stringify(version)}, which has no PEP 440 form here`,
      'Use X.Y.Z, X.Y.Z-alpha.N, X.Y.Z-beta.N or X.Y.Z-rc.N, without build metadata.',
    );
  }
  const [, major, minor, patch, phase, n] = match;
  return `${major}.${minor}.${patch}${phase ? `${PEP440_PHASE[phase]}${n}` : ''}`;
}

export interface Identity {
  /** Semantic version, for npm. */
  readonly version: string;
  /** The same version, for Python. */
  readonly pythonVersion: string;
  readonly wheelFile: string;
}

/** Read the version and hold every other statement of it against the source. */
export async function readIdentity(at: Layout): Promise<Identity> {
  const source = `${CARRIER.root}/package.json`;
  const version = await npmVersion(at, source);
  const pythonVersion = pep440(version, `version in ${source}`);
  for (const { root } of NPM_PACKAGES.slice(1)) {
    agree(await npmVersion(at, `${root}/package.json`), version, `${root}/package.json`, source);
  }
  for (const { root } of PYTHON_PACKAGES) {
    const file = `${root}/pyproject.toml`;
    agree(pythonProjectVersion(await text(at, file), file), pythonVersion, file, source);
  }
  return { version, pythonVersion, wheelFile: `${RUNTIME.normalized}-${pythonVersion}-py3-none-any.whl` };
}

function agree(found: string, wanted: string, file: string, source: string): void {
  if (found !== wanted) {
    throw new BuildError(
      'version',
      `version ${found} in ${file} disagrees with ${source}, which makes it ${wanted}`,
      `Change ${file}; ${source} is the one source of the version.`,
    );
  }
}

async function npmVersion(at: Layout, file: string): Promise<string> {
  const content: unknown = JSON.parse(await text(at, file));
  const version = (content as { version?: unknown }).version;
  if (typeof version !== 'string') {
    throw new BuildError('version', `${file} states no version`, 'Give it a "version" of the form X.Y.Z.');
  }
  return version;
}

function pythonProjectVersion(content: string, file: string): string {
  const project = parseToml(content).project as { version?: unknown } | undefined;
  if (typeof project?.version !== 'string') {
    throw new BuildError('version', `${file} states no project.version`, 'Give it a static [project] version.');
  }
  return project.version;
}

async function text(at: Layout, file: string): Promise<string> {
  try {
    return await readFile(join(at.root, file), 'utf8');
  } catch (cause) {
    throw new BuildError('missing-source', `${file} cannot be read`, 'Restore it from the repository.', { cause });
  }
}
