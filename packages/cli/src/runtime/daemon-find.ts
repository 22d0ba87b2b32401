/** The managed daemon as the commands use it: found without side effects, or started under the lazy policy. */
import { loadBuildInfo } from './build-info.ts';
import { examine } from './daemon-identity.ts';
import { startDaemon } from './daemon-start.ts';
import type { DaemonRecord } from './daemon-state.ts';
import { ensureManifest } from './ensure.ts';
import type { EnsureOptions } from './index.ts';
import { featureSet } from './install.ts';
import type { InstalledManifest } from './installed.ts';
import { type RuntimePaths, runtimePaths } from './paths.ts';
import { judge } from './status.ts';
import type { Feature, ManagedDaemon } from './types.ts';

export async function findDaemon({ context, feature = 'core' }: EnsureOptions): Promise<ManagedDaemon | undefined> {
  const paths = runtimePaths(context);
  const manifest = await currentManifest(paths, featureSet([feature])).catch(() => undefined);
  const { standing, record } = await examine(paths, context.env, manifest?.generation);
  if (standing !== 'running' || record === undefined || !record.features.includes(feature)) return undefined;
  return managed(record);
}

export async function ensureDaemon(options: EnsureOptions): Promise<ManagedDaemon> {
  const paths = runtimePaths(options.context);
  const features = featureSet([options.feature ?? 'core']);
  const { record } = await startDaemon({
    context: options.context,
    paths,
    features,
    current: async () => await currentManifest(paths, features),
    ensure: async () => await ensureManifest(options, paths),
  });
  return managed(record);
}

/** The committed manifest if the runtime is ready with these features. */
export async function currentManifest(
  paths: RuntimePaths,
  features: readonly Feature[],
): Promise<InstalledManifest | undefined> {
  const verdict = await judge(paths, await loadBuildInfo(paths), features);
  return verdict.kind === 'ready' ? verdict.manifest : undefined;
}

function managed({ host, port, token, pid, features }: DaemonRecord): ManagedDaemon {
  return { baseUrl: `http://${host}:${port}`, token, pid, features };
}
