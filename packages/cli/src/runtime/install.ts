/**
 * Installing the runtime: built beside, verified, committed by one rename, and only then is the old one removed.
 *
 * At every moment the manifest names a whole generation or none at all. Whatever fails before the commit leaves the
 * previous runtime as it was, with the log of what happened.
 */
import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type CommandContext, switchedOn } from '../command.ts';
import { errnoOf } from '../errors.ts';
import { type VerifiedAssets, verifyAssets } from './assets.ts';
import { loadBuildInfo } from './build-info.ts';
import { discard, newId } from './files.ts';
import { buildGeneration, modelOf } from './generation.ts';
import { envDirOf, type InstalledManifest, readInstalled, writeInstalled } from './installed.ts';
import { acquire } from './lock.ts';
import { masker, openInstallLog } from './log.ts';
import { demandModelAtHand, installedModel } from './model.ts';
import { daemonScriptOf, pythonOf, type RuntimePaths } from './paths.ts';
import { demandSupported, machine } from './platform.ts';
import { claimRoot, demandOurs, ownership, unwritable } from './root.ts';
import { seconds } from './seconds.ts';
import { demandSpace, nearestExisting, size, treeBytes } from './space.ts';
import { judgeAll, lockFeature, type Verdict } from './status.ts';
import { sweep } from './sweep.ts';
import type { Feature } from './types.ts';
import { findUv, type Uv } from './uv.ts';

export interface InstallRequest {
  readonly context: CommandContext;
  readonly paths: RuntimePaths;
  readonly feature: Feature;
  /** Rebuild even a ready runtime. */
  readonly force?: boolean;
  /** Only the requested feature, dropping others. */
  readonly exact?: boolean;
  /** The interpreter did not start: do not believe what the files say. */
  readonly repair?: boolean;
  /** Asked after every check and before the first write; throws to decline. */
  readonly consent?: (features: readonly Feature[]) => Promise<void>;
}

export interface Installation {
  readonly kind: 'installed' | 'repaired' | 'reused';
  readonly manifest: InstalledManifest;
}

const running = new Map<string, Promise<Installation>>();

/** One installation at a time in this process; others are kept apart by the lock. */
export async function install(request: InstallRequest): Promise<Installation> {
  const key = request.paths.versionDir;
  const before = running.get(key);
  const work = (before ?? Promise.resolve()).catch(() => {}).then(() => installOnce(request));
  running.set(key, work);
  try {
    return await work;
  } finally {
    if (running.get(key) === work) running.delete(key);
  }
}

async function installOnce(request: InstallRequest): Promise<Installation> {
  const { context, paths } = request;
  const ready = await reusable(request);
  if (ready !== undefined && request.force !== true) return { kind: 'reused', manifest: ready };

  const features = await wantedFeatures(request);
  const { assets, uv } = await preflight(request, features);
  await request.consent?.(features);
  await claimRoot(paths);

  for (;;) {
    const lock = await acquire(paths.installLock, {
      timeoutMs: seconds(context.env, 'KTX_RUNTIME_LOCK_TIMEOUT', 600) * 1000,
      signal: context.signal,
      onWait: (holder) =>
        context.terminal.note(
          `waiting for ${holder === undefined ? 'another installation' : `process ${holder.pid} on ${holder.host}`}, which is installing the runtime`,
        ),
    }).catch((error) => {
      throw asRootError(paths, error);
    });
    try {
      // Whoever held the lock may have done the work; --force asks for a build of our own.
      const done = request.force === true ? undefined : await reusable(request);
      if (done !== undefined) return { kind: 'reused', manifest: done };
      const installation = await buildAndCommit(request, assets, uv, lock.held);
      if (installation !== undefined) return installation;
    } catch (error) {
      throw asRootError(paths, error);
    } finally {
      await lock.release();
    }
  }
}

/** The committed manifest, if it is ready and has what is asked. */
async function reusable({ paths, feature, exact, repair }: InstallRequest): Promise<InstalledManifest | undefined> {
  if (repair === true) return undefined;
  const verdict = await judgeAll(paths, ['core', feature]);
  if (verdict.kind !== 'ready' || verdict.manifest === undefined) return undefined;
  if (exact === true && verdict.manifest.features.length !== featureSet([feature]).length) return undefined;
  return verdict.manifest;
}

async function wantedFeatures({ paths, feature, exact }: InstallRequest): Promise<readonly Feature[]> {
  const installed = await readInstalled(paths);
  const before = installed.state === 'present' && exact !== true ? installed.manifest.features : [];
  return featureSet([feature, ...before]);
}

/** `core` first, always. */
export function featureSet(features: readonly Feature[]): readonly Feature[] {
  return features.includes('local-embeddings') ? ['core', 'local-embeddings'] : ['core'];
}

/** Everything that can be known to fail is found here, while nothing is on disk yet. */
async function preflight(
  request: InstallRequest,
  features: readonly Feature[],
): Promise<{ assets: VerifiedAssets; uv: Uv }> {
  const { context, paths } = request;
  const step = await context.terminal.step('Checking');
  try {
    const build = await loadBuildInfo(paths);
    const assets = await verifyAssets(paths, lockFeature(features), build);
    demandOurs(await ownership(paths), paths);
    await demandCreatable(paths);
    if (!switchedOn(context.env.KTX_SKIP_SPACE_CHECK)) await demandSpace(paths.root, features);
    demandSupported(features);
    const model = modelOf({ assets, features });
    if (model !== undefined) await demandModelAtHand(context, paths, model, retryCommand(request));
    const uv = await findUv({
      env: context.env,
      cwd: context.cwd,
      paths,
      minimum: assets.manifest.uv.minimum,
      installer: build.runtimeInstaller,
      retry: retryCommand(request),
      signal: context.signal,
    });
    step.done();
    return { assets, uv };
  } catch (error) {
    step.failed();
    throw error;
  }
}

async function demandCreatable(paths: RuntimePaths): Promise<void> {
  const at = await nearestExisting(paths.root);
  await access(at, constants.W_OK | constants.X_OK).catch((error) => {
    throw unwritable(paths, error);
  });
}

/** Undefined when the lock was lost meanwhile: another process is at it, and this work was for nothing. */
async function buildAndCommit(
  request: InstallRequest,
  assets: VerifiedAssets,
  uv: Uv,
  held: () => Promise<boolean>,
): Promise<Installation | undefined> {
  const { context, paths } = request;
  const started = performance.now();
  const before = await readInstalled(paths);
  const verdict = await judgeAll(paths, ['core', request.feature]);
  const features = await wantedFeatures(request);
  await sweep(paths, context.env);
  const id = newId();
  const mask = masker(context.env);
  for (const folder of [paths.versionDir, paths.envs, paths.work]) await mkdir(folder, { recursive: true });
  const log = openInstallLog(paths, id, mask);
  log.line(
    `ktx ${paths.cliVersion} installs ${features.join(', ')} with uv ${uv.version} at ${uv.path} into ${envDirOf(paths, id)}`,
  );
  let committed = false;
  try {
    const deadline = started + seconds(context.env, 'KTX_INSTALL_TIMEOUT', 1800) * 1000;
    const generation = { id, context, paths, assets, features, uv, log, mask, retry: retryCommand(request), deadline };
    const { pythonVersion } = await buildGeneration(generation);
    if (!(await held())) return undefined;
    const manifest = installedManifest({ paths, assets, features, id, log: log.path, uv, pythonVersion });
    context.signal.throwIfAborted();
    await writeInstalled(paths, manifest);
    committed = true;
    log.line('committed');
    await sayDone(context, paths, id, started);
    return { kind: kindOf(before.state, verdict), manifest };
  } catch (error) {
    log.line(`failed: ${error instanceof Error ? error.message : String(error)}`);
    throw error;
  } finally {
    log.close();
    await discard(join(paths.work, id), paths.trash).catch(() => {});
    if (!committed) await discard(envDirOf(paths, id), paths.trash).catch(() => {});
    await sweep(paths, context.env);
  }
}

function kindOf(before: 'absent' | 'corrupt' | 'present', verdict: Verdict): 'installed' | 'repaired' {
  if (before === 'absent' || verdict.kind === 'ready' || verdict.reason === 'feature-missing') return 'installed';
  return 'repaired';
}

interface Facts {
  readonly paths: RuntimePaths;
  readonly assets: VerifiedAssets;
  readonly features: readonly Feature[];
  readonly id: string;
  readonly log: string;
  readonly uv: Uv;
  readonly pythonVersion: string;
}

function installedManifest({ paths, assets, features, id, log, uv, pythonVersion }: Facts): InstalledManifest {
  const { schemaVersion, distributionName, normalizedName, version, wheel } = assets.manifest;
  const now = new Date().toISOString();
  const env = envDirOf(paths, id);
  const model = modelOf({ assets, features });
  return {
    schemaVersion: 1,
    cliVersion: paths.cliVersion,
    installedAt: now,
    asset: {
      schemaVersion,
      distributionName,
      normalizedName,
      version,
      wheel: { file: wheel.file, sha256: wheel.sha256, bytes: wheel.bytes },
    },
    features,
    python: { executable: pythonOf(env), daemonExecutable: daemonScriptOf(env) },
    installLog: log,
    generation: id,
    lockSha256: assets.lockFile.sha256,
    uvVersion: uv.version,
    pythonVersion,
    ...machine(),
    ...(model === undefined ? {} : { model: installedModel(model) }),
    verified: { at: now, importCheck: true },
  };
}

async function sayDone(context: CommandContext, paths: RuntimePaths, id: string, started: number): Promise<void> {
  if (!context.globals.progress) return;
  const took = ((performance.now() - started) / 1000).toFixed(0);
  context.terminal.note(`Runtime installed: ${size(await treeBytes(envDirOf(paths, id)))} in ${took} s`);
}

/** A write that the root refuses is told as such, whichever step met it. */
export function asRootError(paths: RuntimePaths, error: unknown): unknown {
  const { code, path } = (error ?? {}) as { code?: unknown; path?: unknown };
  const refused =
    typeof code === 'string' && ['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'ENOTDIR', 'EEXIST', 'EISDIR'].includes(code);
  // A write to an open file names no path, and here all of them lie in the root.
  const inRoot = typeof path === 'string' ? path.startsWith(paths.root) : errnoOf(error) === 'ENOSPC';
  return refused && inRoot ? unwritable(paths, error) : error;
}

export function retryCommand({
  context,
  feature,
  force,
}: Pick<InstallRequest, 'context' | 'feature' | 'force'>): string {
  const extra = feature === 'local-embeddings' ? ' --feature local-embeddings' : '';
  return `${context.invocation} runtime install --yes${extra}${force === true ? ' --force' : ''}`;
}
