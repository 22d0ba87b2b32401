/**
 * Removes the runtimes of other CLI versions.
 *
 * Only a real directory of a root that carries our marker, named like a version other than ours and holding what ktx
 * puts there, is ever touched. A link is not followed, and what a live daemon or a running installation uses stays.
 */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommandContext } from '../command.ts';
import { CliError, messageOf } from '../errors.ts';
import { examine } from './daemon-identity.ts';
import { stopDaemon } from './daemon-stop.ts';
import { discard } from './files.ts';
import { isGeneration, isKtxManifest } from './installed.ts';
import { acquireNow } from './lock.ts';
import { type RuntimePaths, runtimePaths } from './paths.ts';
import { isSemver } from './platform.ts';
import { demandOurs, ownership } from './root.ts';
import { treeBytes } from './space.ts';
import { liveDaemonGeneration } from './sweep.ts';

export interface PruneRequest {
  readonly context: CommandContext;
  readonly paths: RuntimePaths;
  readonly dryRun: boolean;
  /** Keep so many of the newest other versions. */
  readonly keep?: number;
  readonly olderThanDays?: number;
  readonly stopDaemons?: boolean;
}

export interface Pruned {
  readonly dryRun: boolean;
  readonly removed: readonly string[];
  readonly kept: readonly { readonly path: string; readonly reason: string }[];
  readonly bytes: number;
}

interface Candidate {
  readonly path: string;
  readonly version: string;
  /** Last installation, in ms since the epoch. */
  readonly usedAt: number;
}

const DAY_MS = 86_400_000;

export async function prune(request: PruneRequest): Promise<Pruned> {
  const { paths, dryRun } = request;
  const owner = await ownership(paths);
  if (owner === 'absent' || owner === 'empty') return { dryRun, removed: [], kept: [], bytes: 0 };
  demandOurs(owner, paths);
  if (owner !== 'owned') {
    throw new CliError('not_owned', `${paths.root} carries no marker of ktx (not-owned); nothing was removed`, {
      hint: 'Run once: ktx runtime install. It adopts the root of an earlier ktx.',
    });
  }
  const removed: string[] = [];
  const kept: { path: string; reason: string }[] = [];
  let bytes = 0;
  const candidates = (await otherVersions(paths)).sort((a, b) => b.usedAt - a.usedAt);
  for (const [rank, candidate] of candidates.entries()) {
    const reason = wanted(candidate, rank, request) ?? (await inUse(candidate, request));
    if (reason !== undefined) {
      kept.push({ path: candidate.path, reason });
      continue;
    }
    const size = await treeBytes(candidate.path);
    const failure = dryRun ? undefined : await remove(candidate, request);
    if (failure !== undefined) kept.push({ path: candidate.path, reason: failure });
    else {
      removed.push(candidate.path);
      bytes += size;
    }
  }
  return { dryRun, removed, kept, bytes };
}

async function otherVersions(paths: RuntimePaths): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const entry of await readdir(paths.root, { withFileTypes: true })) {
    if (!entry.isDirectory() || !isSemver(entry.name) || entry.name === paths.cliVersion) continue;
    const path = join(paths.root, entry.name);
    const manifest = join(path, 'manifest.json');
    const ours = (await isKtxManifest(manifest)) || (await holdsGenerations(path));
    if (!ours) continue;
    const usedAt = await lstat(manifest)
      .catch(() => lstat(path))
      .then(({ mtimeMs }) => mtimeMs);
    found.push({ path, version: entry.name, usedAt });
  }
  return found;
}

/** `env/` or `work/` with generations of ours: what an interrupted or damaged installation leaves. */
async function holdsGenerations(path: string): Promise<boolean> {
  for (const name of ['env', 'work']) {
    const folder = join(path, name);
    if ((await lstat(folder).catch(() => undefined))?.isDirectory() !== true) continue;
    if ((await readdir(folder)).every(isGeneration)) return true;
  }
  return false;
}

function wanted({ usedAt }: Candidate, rank: number, { keep = 0, olderThanDays }: PruneRequest): string | undefined {
  if (rank < keep) return `one of the newest ${keep}`;
  if (olderThanDays !== undefined && Date.now() - usedAt < olderThanDays * DAY_MS)
    return `newer than ${olderThanDays} days`;
  return undefined;
}

async function inUse(
  { version }: Candidate,
  { context, dryRun, stopDaemons }: PruneRequest,
): Promise<string | undefined> {
  const paths = runtimePaths(context, version);
  if ((await liveDaemonGeneration(paths, context.env)) === undefined) return undefined;
  const { standing, proof, record } = await examine(paths, context.env, undefined);
  if (standing === 'stopped' || standing === 'stale') return undefined;
  const living = `its daemon runs (process ${record?.pid})`;
  if (stopDaemons !== true || proof === undefined) return living;
  if (dryRun) return undefined;
  return await stopDaemon(paths, context).then(
    ({ kind }) => (kind === 'stopped' ? undefined : living),
    (error) => messageOf(error),
  );
}

/** Under the version's own lock, so that no installation starts in it meanwhile. */
async function remove({ version, path }: Candidate, { context }: PruneRequest): Promise<string | undefined> {
  const paths = runtimePaths(context, version);
  const lock = await acquireNow(paths.installLock);
  if (lock === undefined) return 'an installation is running in it';
  try {
    await discard(path, paths.trash);
    return undefined;
  } catch (error) {
    return `it could not be removed: ${messageOf(error)}`;
  } finally {
    await lock.release();
  }
}
