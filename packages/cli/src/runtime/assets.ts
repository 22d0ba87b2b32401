/**
 * The bundled wheel, its manifest and its locks.
 *
 * Every damage has its own message, naming the file and what is wrong with it: a package manager, a mirror or a virus
 * scanner did it, and the user must be able to tell which file to look at. Nothing is installed that does not match
 * the manifest, and no manifest is believed that the build did not name.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CliError, errnoOf } from '../errors.ts';
import type { BuildInfo } from './build-info.ts';
import { sha256 } from './files.ts';
import type { ModelPin } from './model.ts';
import type { RuntimePaths } from './paths.ts';
import { pep440 } from './platform.ts';
import type { Feature } from './types.ts';

export interface AssetFile {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface AssetManifest {
  readonly schemaVersion: 1;
  readonly distributionName: string;
  readonly normalizedName: string;
  readonly version: string;
  readonly wheel: AssetFile;
  readonly requiresPython: string;
  readonly locks: Readonly<Partial<Record<Feature, AssetFile & { readonly indexes?: readonly string[] }>>>;
  readonly uv: { readonly minimum: string };
  readonly sourceRevision?: string | null;
  /** Without it the embedding model comes from the hub when it is first used, unpinned. */
  readonly model?: ModelPin;
}

export interface VerifiedAssets {
  readonly manifest: AssetManifest;
  readonly wheel: string;
  readonly lock: string;
  readonly lockFile: AssetFile & { readonly indexes?: readonly string[] };
}

/** Parses the manifest; the digests of the files it names are not looked at. */
export async function readAssetManifest(paths: RuntimePaths): Promise<{ manifest: AssetManifest; text: string }> {
  const text = await readAsset(paths.assetManifest).then(String);
  return { manifest: parseAssetManifest(text, paths), text };
}

/** Reads and checks manifest, wheel and the lock of a feature against each other and against the build. */
export async function verifyAssets(paths: RuntimePaths, feature: Feature, build: BuildInfo): Promise<VerifiedAssets> {
  const { manifest, text } = await readAssetManifest(paths);
  const lockFile = manifest.locks[feature];
  if (lockFile === undefined) {
    throw invalid('asset_incomplete', paths.assetManifest, `names no lock for ${feature}`, paths);
  }
  await demandIntact(paths, manifest.wheel);
  await demandIntact(paths, lockFile);
  demandBuilt(paths.assetManifest, sha256(text), build.manifestSha256, paths);
  demandBuilt(join(paths.assets, manifest.wheel.file), manifest.wheel.sha256, build.wheelSha256, paths);
  demandBuilt(join(paths.assets, lockFile.file), lockFile.sha256, build.locks[feature], paths);
  return {
    manifest,
    lockFile,
    wheel: join(paths.assets, manifest.wheel.file),
    lock: join(paths.assets, lockFile.file),
  };
}

export function parseAssetManifest(text: string, paths: RuntimePaths): AssetManifest {
  const at = paths.assetManifest;
  const wrong = (what: string): CliError => invalid('asset_invalid', at, what, paths);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong(text.trim() === '' ? 'is empty' : 'is not JSON');
  }
  if (!isObject(value)) throw wrong('is not an object');
  if (value.schemaVersion !== 1) {
    throw wrong(
      value.schemaVersion === undefined
        ? 'lacks "schemaVersion"'
        : `has schemaVersion ${JSON.stringify(value.schemaVersion)}, this ktx reads 1`,
    );
  }
  const text_ = (holder: Record<string, unknown>, key: string, name: string): string => {
    const found = holder[key];
    if (typeof found === 'string' && found !== '') return found;
    throw wrong(found === undefined ? `lacks "${name}"` : `has a bad "${name}"`);
  };
  if (text_(value, 'distributionName', 'distributionName') !== 'kaelio-ktx')
    throw wrong('is of another distribution than kaelio-ktx');
  if (text_(value, 'normalizedName', 'normalizedName') !== 'kaelio_ktx')
    throw wrong('is of another distribution than kaelio_ktx');
  const version = text_(value, 'version', 'version');
  if (version !== pep440(paths.cliVersion))
    throw wrong(`has version ${version}, which is not that of ktx ${paths.cliVersion}`);
  const file = (entry: unknown, name: string): AssetFile => {
    if (!isObject(entry)) throw wrong(entry === undefined ? `lacks "${name}"` : `has a bad "${name}"`);
    const base = text_(entry, 'file', `${name}.file`);
    const fault = baseNameFault(base);
    if (fault !== undefined) throw wrong(`names ${name}.file ${JSON.stringify(base)}, ${fault}`);
    if (!/^[0-9a-f]{64}$/.test(text_(entry, 'sha256', `${name}.sha256`))) throw wrong(`has a bad "${name}.sha256"`);
    if (!Number.isSafeInteger(entry.bytes) || (entry.bytes as number) <= 0) {
      throw wrong(entry.bytes === undefined ? `lacks "${name}.bytes"` : `has a bad "${name}.bytes"`);
    }
    return entry as unknown as AssetFile;
  };
  file(value.wheel, 'wheel');
  text_(value, 'requiresPython', 'requiresPython');
  if (!isObject(value.uv)) throw wrong('lacks "uv"');
  text_(value.uv, 'minimum', 'uv.minimum');
  if (!isObject(value.locks)) throw wrong('lacks "locks"');
  for (const [feature, lock] of Object.entries(value.locks)) file(lock, `locks.${feature}`);
  if (value.model !== undefined) demandModel(value.model, wrong);
  return value as unknown as AssetManifest;
}

/** Its parts become parts of addresses and paths, so they are held to what those may be. */
function demandModel(model: unknown, wrong: (what: string) => CliError): void {
  if (!isObject(model)) throw wrong('has a bad "model"');
  const { name, revision, files } = model;
  if (typeof name !== 'string' || !/^[\w.-]+\/[\w.-]+$/.test(name)) throw wrong('has a bad "model.name"');
  if (typeof revision !== 'string' || !/^[0-9a-f]{40}$/.test(revision)) throw wrong('has a bad "model.revision"');
  if (!Array.isArray(files) || files.length === 0) throw wrong('has a bad "model.files"');
  for (const file of files) {
    const path = isObject(file) ? file.path : undefined;
    if (typeof path !== 'string' || !path.split('/').every((part) => /^\w[\w.-]*$/.test(part)))
      throw wrong(`names ${JSON.stringify(path)} in "model.files", which is no path within the model`);
    const { sha256: digest, bytes } = file as Record<string, unknown>;
    if (typeof digest !== 'string' || !/^[0-9a-f]{64}$/.test(digest))
      throw wrong(`has a bad sha256 of model file ${path}`);
    if (!Number.isSafeInteger(bytes) || (bytes as number) < 0) throw wrong(`has a bad size of model file ${path}`);
  }
}

function baseNameFault(name: string): string | undefined {
  if (name.includes('\0')) return 'which holds a NUL';
  if (name.includes('\\')) return 'which holds a backslash';
  if (name.startsWith('/') || /^[A-Za-z]:/.test(name)) return 'which is an absolute path';
  if (name === '.' || name === '..' || name.split('/').includes('..')) return 'which leaves the folder';
  return name.includes('/') ? 'which is a path and not a name' : undefined;
}

async function demandIntact(paths: RuntimePaths, { file, bytes, sha256: expected }: AssetFile): Promise<void> {
  const path = join(paths.assets, file);
  const content = await readAsset(path);
  if (content.length !== bytes) {
    throw invalid('asset_invalid', path, `has ${content.length} bytes where the manifest says ${bytes}`, paths);
  }
  const found = sha256(content);
  if (found !== expected) {
    throw invalid('asset_invalid', path, `has sha256 ${found} where the manifest says ${expected}`, paths);
  }
}

function demandBuilt(path: string, found: string, expected: string | undefined, paths: RuntimePaths): void {
  if (found !== expected) {
    throw invalid(
      'asset_invalid',
      path,
      `is not the file this ktx was built with (sha256 ${found}, built with ${expected ?? 'none'})`,
      paths,
    );
  }
}

async function readAsset(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const what = errnoOf(error) === 'ENOENT' ? 'is missing' : `cannot be read (${errnoOf(error)})`;
    throw new CliError('asset_invalid', `${path} ${what}`, { hint: reinstall, cause: error });
  }
}

const reinstall =
  'The installed package is damaged. Install it again: npm install @kaelio/ktx --force (in a checkout: npm run artifacts).';

function invalid(
  code: 'asset_invalid' | 'asset_incomplete',
  path: string,
  what: string,
  paths: RuntimePaths,
): CliError {
  return new CliError(code, `${path} ${what}`, { hint: reinstall, details: { file: path, assetDir: paths.assets } });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
