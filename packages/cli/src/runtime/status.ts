/**
 * What is installed, judged by reading files only: no child process, no write, no network.
 *
 * `missing` (nothing committed), `ready`, `mismatched` (whole, but not what this CLI needs), `broken` (damaged).
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { CliError, errnoOf } from '../errors.ts';
import { verifyAssets } from './assets.ts';
import { type BuildInfo, loadBuildInfo } from './build-info.ts';
import { envDirOf, type InstalledManifest, readInstalled } from './installed.ts';
import { installedModel, modelDirOf } from './model.ts';
import { pythonOf, type RuntimePaths } from './paths.ts';
import { machine } from './platform.ts';
import { ownership } from './root.ts';
import type { Feature } from './types.ts';

export type Reason =
  | 'partial'
  | 'version-changed'
  | 'wheel-changed'
  | 'lock-changed'
  | 'arch-changed'
  | 'feature-missing'
  | 'manifest-corrupt'
  | 'python-missing'
  | 'python-unrunnable'
  | 'not-owned'
  | 'asset-invalid';

export interface Verdict {
  readonly kind: 'missing' | 'ready' | 'mismatched' | 'broken';
  readonly reason?: Reason;
  /** One sentence for people. */
  readonly detail: string;
  /** Present whenever a manifest could be read, ready or not. */
  readonly manifest?: InstalledManifest;
}

/** Judges the runtime against the build; the assets in the package are looked at only by `judgeAll`. */
export async function judge(
  paths: RuntimePaths,
  build: BuildInfo,
  features: readonly Feature[] = ['core'],
  pinnedModel?: string,
): Promise<Verdict> {
  const owner = await ownership(paths);
  if (owner === 'foreign' || owner === 'newer' || owner === 'not-a-directory') {
    return {
      kind: 'broken',
      reason: 'not-owned',
      detail: `${paths.root} is not a runtime root of this ktx; set KTX_RUNTIME_ROOT`,
    };
  }
  const installed = await readInstalled(paths);
  if (installed.state === 'absent') return await missing(paths);
  if (installed.state === 'corrupt') {
    return { kind: 'broken', reason: 'manifest-corrupt', detail: `${paths.manifest} is damaged: ${installed.why}` };
  }
  const { manifest } = installed;
  const verdict =
    (await interpreterFault(paths, manifest)) ??
    mismatch(paths, manifest, build, features) ??
    (await modelFault(paths, manifest, features, pinnedModel));
  return { ...(verdict ?? { kind: 'ready', detail: `the runtime ${manifest.cliVersion} is ready` }), manifest };
}

/** Also judges the bundled assets, as `runtime status`, `install` and `doctor` do. */
export async function judgeAll(paths: RuntimePaths, features: readonly Feature[] = ['core']): Promise<Verdict> {
  let build: BuildInfo;
  let pinned: string | undefined;
  try {
    build = await loadBuildInfo(paths);
    const { model } = (await verifyAssets(paths, lockFeature(features), build)).manifest;
    pinned = model === undefined ? undefined : installedModel(model).folder;
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    const installed = await readInstalled(paths);
    const owner = await ownership(paths);
    if (owner !== 'foreign' && installed.state === 'absent')
      return { ...(await missing(paths)), detail: `the runtime is not installed, and ${error.message}` };
    return {
      kind: 'broken',
      reason: 'asset-invalid',
      detail: error.message,
      ...(installed.state === 'present' ? { manifest: installed.manifest } : {}),
    };
  }
  return await judge(paths, build, features, pinned);
}

/** The one lock that covers a set of features. */
export function lockFeature(features: readonly Feature[]): Feature {
  return features.includes('local-embeddings') ? 'local-embeddings' : 'core';
}

async function missing(paths: RuntimePaths): Promise<Verdict> {
  const leftovers = [...(await names(paths.envs)), ...(await names(paths.work))];
  return leftovers.length > 0
    ? { kind: 'missing', reason: 'partial', detail: 'an installation was interrupted; the next one cleans it up' }
    : { kind: 'missing', detail: 'the runtime is not installed' };
}

async function interpreterFault(paths: RuntimePaths, manifest: InstalledManifest): Promise<Verdict | undefined> {
  const env = envDirOf(paths, manifest.generation);
  const python = pythonOf(env);
  const gone = (what: string): Verdict => ({ kind: 'broken', reason: 'python-missing', detail: `${what} is gone` });
  let mode: number;
  try {
    const found = await stat(python);
    if (!found.isFile()) return gone(python);
    mode = found.mode;
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return gone(python);
    return { kind: 'broken', reason: 'python-unrunnable', detail: `${python} cannot be read (${code})` };
  }
  const configuration = join(env, 'pyvenv.cfg');
  const text = await readFile(configuration, 'utf8').catch(() => undefined);
  if (text === undefined) return gone(configuration);
  const home = /^home\s*=\s*(.+?)\s*$/m.exec(text)?.[1];
  if (home === undefined || !isAbsolute(home) || (await stat(home).catch(() => undefined)) === undefined) {
    return gone(`the interpreter in ${home ?? 'an unnamed folder'}`);
  }
  if (process.platform !== 'win32' && (mode & 0o111) === 0) {
    return { kind: 'broken', reason: 'python-unrunnable', detail: `${python} is not executable` };
  }
  return undefined;
}

function mismatch(
  paths: RuntimePaths,
  manifest: InstalledManifest,
  build: BuildInfo,
  features: readonly Feature[],
): Verdict | undefined {
  const differs = (reason: Reason, detail: string): Verdict => ({ kind: 'mismatched', reason, detail });
  const { platform, arch, libc } = machine();
  if (manifest.cliVersion !== paths.cliVersion) {
    return differs('version-changed', `it was installed by ktx ${manifest.cliVersion}, this is ${paths.cliVersion}`);
  }
  if (manifest.platform !== platform || manifest.arch !== arch || (manifest.libc ?? null) !== libc) {
    const was = [manifest.platform, manifest.arch, manifest.libc].filter(Boolean).join(' ');
    return differs(
      'arch-changed',
      `it was installed for ${was}, this is ${[platform, arch, libc].filter(Boolean).join(' ')}`,
    );
  }
  if (manifest.asset.wheel.sha256 !== build.wheelSha256) {
    return differs('wheel-changed', 'it was installed from another wheel than the one in this package');
  }
  if (manifest.lockSha256 !== build.locks[lockFeature(manifest.features)]) {
    return differs('lock-changed', 'it was installed from another lock than the one in this package');
  }
  const absent = features.filter((feature) => !manifest.features.includes(feature));
  return absent.length === 0 ? undefined : differs('feature-missing', `it lacks ${absent.join(', ')}`);
}

/** Who asked for embeddings needs the model they were installed with: its folder appears whole or not at all. */
async function modelFault(
  paths: RuntimePaths,
  { model }: InstalledManifest,
  features: readonly Feature[],
  pinned: string | undefined,
): Promise<Verdict | undefined> {
  if (!features.includes('local-embeddings')) return undefined;
  const lacks = (detail: string): Verdict => ({ kind: 'mismatched', reason: 'feature-missing', detail });
  if (pinned !== undefined && model?.folder !== pinned) return lacks('it lacks the embedding model of this package');
  if (model === undefined) return undefined;
  const folder = modelDirOf(paths, model);
  const there = (await stat(folder).catch(() => undefined))?.isDirectory() === true;
  return there ? undefined : lacks(`its embedding model is gone: ${folder}`);
}

async function names(path: string): Promise<string[]> {
  return await readdir(path).catch(() => []);
}
