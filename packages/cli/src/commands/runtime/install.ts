/** `ktx runtime install`: never asks; typing it is the consent. */
import type { Handler } from '../../command.ts';
import { install } from '../../runtime/install.ts';
import { runtimePaths } from '../../runtime/paths.ts';
import type { Feature } from '../../runtime/types.ts';
import { labelled } from './labelled.ts';

export interface InstallOptions {
  readonly feature: Feature;
  readonly force?: boolean;
  readonly exact?: boolean;
}

export const runtimeInstall: Handler<InstallOptions> = async (
  context,
  _,
  { feature, force = false, exact = false },
) => {
  const paths = runtimePaths(context);
  const { kind, manifest } = await install({ context, paths, feature, force, exact });
  const result = {
    kind,
    version: manifest.cliVersion,
    features: manifest.features,
    python: manifest.python.executable,
    daemon: manifest.python.daemonExecutable,
    manifest: paths.manifest,
    installLog: manifest.installLog,
    generation: manifest.generation,
  };
  const lines = labelled({
    version: result.version,
    features: result.features.join(', '),
    python: result.python,
    daemon: result.daemon,
    manifest: result.manifest,
    'install log': result.installLog,
  });
  return { text: `runtime ${kind}\n${lines}`, document: result };
};
