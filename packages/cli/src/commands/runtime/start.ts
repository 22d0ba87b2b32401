/** `ktx runtime start`: installs where needed, then starts the daemon or reuses it. */
import type { Handler } from '../../command.ts';
import { currentManifest } from '../../runtime/daemon-find.ts';
import { startDaemon } from '../../runtime/daemon-start.ts';
import { featureSet, install } from '../../runtime/install.ts';
import { runtimePaths } from '../../runtime/paths.ts';
import type { Feature } from '../../runtime/types.ts';
import { labelled } from './labelled.ts';

export interface StartOptions {
  readonly feature: Feature;
  readonly force?: boolean;
  readonly idleTimeout: number;
}

export const runtimeStart: Handler<StartOptions> = async (context, _, { feature, force = false, idleTimeout }) => {
  const paths = runtimePaths(context);
  const features = featureSet([feature]);
  const { kind, record, home } = await startDaemon({
    context,
    paths,
    features,
    force,
    idleTimeoutSeconds: idleTimeout,
    current: async () => await currentManifest(paths, features),
    ensure: async () =>
      (await currentManifest(paths, features)) ?? (await install({ context, paths, feature })).manifest,
  });
  const result = {
    url: `http://${record.host}:${record.port}`,
    pid: record.pid,
    version: record.version,
    features: record.features,
    state: home.state,
    stdout: record.stdoutLog,
    stderr: record.stderrLog,
  };
  return {
    text: `daemon ${kind}\n${labelled({ ...result, features: result.features.join(', ') })}`,
    document: { kind, ...result },
  };
};
