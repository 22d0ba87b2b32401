/**
 * What this copy of the CLI was built with. `dist/build-info.js` is written after the bundle and outside it, so that
 * it can name the digests of the assets; in a checkout they are read from disk, and may be missing.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { errnoOf } from '../errors.ts';
import { packageRoot, runsFromSources } from '../package-root.ts';
import { cliVersion } from '../version.ts';
import { readAssetManifest } from './assets.ts';
import { sha256 } from './files.ts';
import type { RuntimePaths } from './paths.ts';
import type { Feature } from './types.ts';

export interface RuntimeInstaller {
  readonly uvStrategy: string;
  readonly bootstrapUv: boolean;
  readonly missingUvBehavior: string;
}

export interface BuildInfo {
  readonly version: string;
  readonly manifestSha256: string;
  readonly wheelSha256: string;
  readonly locks: Readonly<Partial<Record<Feature, string>>>;
  readonly runtimeInstaller: RuntimeInstaller;
}

/** Throws `asset_invalid` only in a checkout whose assets were never built or are damaged. */
export async function loadBuildInfo(paths: RuntimePaths): Promise<BuildInfo> {
  if (!runsFromSources) {
    const file = join(packageRoot, 'dist', 'build-info.js');
    try {
      return ((await import(pathToFileURL(file).href)) as { buildInfo: BuildInfo }).buildInfo;
    } catch (error) {
      if (errnoOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
    }
  }
  return await fromDisk(paths);
}

async function fromDisk(paths: RuntimePaths): Promise<BuildInfo> {
  const { manifest, text } = await readAssetManifest(paths);
  const locks = Object.fromEntries(Object.entries(manifest.locks).map(([feature, lock]) => [feature, lock.sha256]));
  return {
    version: cliVersion(),
    manifestSha256: sha256(text),
    wheelSha256: manifest.wheel.sha256,
    locks,
    runtimeInstaller: await policyOfCheckout(),
  };
}

async function policyOfCheckout(): Promise<RuntimeInstaller> {
  const policy = JSON.parse(await readFile(join(packageRoot, '..', '..', 'release-policy.json'), 'utf8')) as {
    runtimeInstaller: RuntimeInstaller;
  };
  return policy.runtimeInstaller;
}
