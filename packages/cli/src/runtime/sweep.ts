/**
 * Deletes generations that nobody needs: neither committed, nor used by a live daemon, nor being built by a live
 * process. An unfinished generation tells its builder in `work/<id>/owner.json`.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Environment } from '../command.ts';
import { readDaemonState } from './daemon-state.ts';
import { discard, jsonText } from './files.ts';
import { isGeneration, readInstalled } from './installed.ts';
import type { RuntimePaths } from './paths.ts';
import { isRunning, lifeOf, ownIdentity, type ProcessIdentity } from './process-identity.ts';

/** Makes `work/<id>`, 0700; it appears with its owner in it, so that no sweep ever finds it ownerless. */
export async function claimWork(paths: RuntimePaths, id: string): Promise<void> {
  const fresh = join(paths.work, `${id}.${process.pid}.new`);
  await mkdir(fresh, { recursive: true, mode: 0o700 });
  await writeFile(join(fresh, 'owner.json'), jsonText(await ownIdentity()), { mode: 0o600 });
  await rename(fresh, join(paths.work, id));
}

/** Never throws: what cannot be deleted now is found again by the next sweep. */
export async function sweep(paths: RuntimePaths, env: Environment): Promise<void> {
  const installed = await readInstalled(paths);
  const keep = new Set(installed.state === 'present' ? [installed.manifest.generation] : []);
  const daemon = await liveDaemonGeneration(paths, env);
  if (daemon !== undefined) keep.add(daemon);
  for (const id of await generations(paths.work)) {
    if (await isBeingBuilt(paths, id)) keep.add(id);
    else await discard(join(paths.work, id), paths.trash).catch(() => {});
  }
  for (const id of await generations(paths.envs)) {
    if (!keep.has(id)) await discard(join(paths.envs, id), paths.trash).catch(() => {});
  }
  for (const name of await readdir(paths.work).catch(() => [])) {
    const pid = /^[0-9a-f]{8}\.(\d+)\.new$/.exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid)))
      await discard(join(paths.work, name), paths.trash).catch(() => {});
  }
  await sweepTemporary(paths);
  await sweepLogs(paths, installed.state === 'present' ? installed.manifest.installLog : undefined);
  for (const left of await readdir(paths.trash).catch(() => [])) {
    await discard(join(paths.trash, left), paths.trash).catch(() => {});
  }
}

/** The newest ten stay, and the one of the committed generation. */
async function sweepLogs(paths: RuntimePaths, committed: string | undefined): Promise<void> {
  const logs = (await readdir(paths.logs).catch(() => [])).filter((name) =>
    /^install-\d{8}T\d{6}Z-[0-9a-f]{8}\.log$/.test(name),
  );
  for (const name of logs.sort().slice(0, -10)) {
    const path = join(paths.logs, name);
    if (path !== committed) await rm(path, { force: true }).catch(() => {});
  }
}

/** Files that a killed process would have renamed or removed a moment later. */
async function sweepTemporary(paths: RuntimePaths): Promise<void> {
  for (const name of await readdir(paths.versionDir).catch(() => [])) {
    const pid = /^\.manifest\.json\.(\d+)\.[0-9a-f]{8}\.tmp$/.exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid))) await rm(join(paths.versionDir, name), { force: true });
  }
  for (const name of await readdir(paths.locks).catch(() => [])) {
    if (!/\.json\.[0-9a-f-]{36}\.(?:new|stale)$/.test(name)) continue;
    const path = join(paths.locks, name);
    // They live for milliseconds; a link from another process may still need a younger one.
    const age = await stat(path)
      .then(({ ctimeMs }) => Date.now() - ctimeMs)
      .catch(() => 0);
    if (age > 60_000) await rm(path, { force: true });
  }
}

/** The generation of a recorded daemon whose process still runs, proven or not: when in doubt its files stay. */
export async function liveDaemonGeneration(paths: RuntimePaths, env: Environment): Promise<string | undefined> {
  const state = await readDaemonState(paths, env);
  if (state.kind !== 'recorded' || state.record.pid === 0) return undefined;
  return (await lifeOf(state.record)) === 'alive' ? state.record.generation : undefined;
}

/** Whether a live process, other than this one, builds in `work/<id>`. */
export async function isBeingBuilt(paths: RuntimePaths, id: string): Promise<boolean> {
  try {
    const owner = JSON.parse(await readFile(join(paths.work, id, 'owner.json'), 'utf8')) as ProcessIdentity;
    const self = await ownIdentity();
    if (owner.host !== self.host) return true; // a shared root: only its own host can tell
    return owner.pid !== self.pid && (await lifeOf(owner)) === 'alive';
  } catch {
    return false;
  }
}

async function generations(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).filter(isGeneration);
}
