/** `ktx runtime status`: reads files and asks a recorded daemon; starts nothing and writes nothing. */
import type { Handler } from '../../command.ts';
import { type BuildInfo, loadBuildInfo } from '../../runtime/build-info.ts';
import { type Examined, examine } from '../../runtime/daemon-identity.ts';
import { primaryHome } from '../../runtime/daemon-state.ts';
import { envDirOf, type InstalledManifest } from '../../runtime/installed.ts';
import { daemonScriptOf, pythonOf, type RuntimePaths, runtimePaths } from '../../runtime/paths.ts';
import { machine } from '../../runtime/platform.ts';
import { judgeAll } from '../../runtime/status.ts';
import { labelled } from './labelled.ts';

export const runtimeStatus: Handler = async (context) => {
  const paths = runtimePaths(context);
  const verdict = await judgeAll(paths);
  const daemon = await examine(paths, context.env, verdict.kind === 'ready' ? verdict.manifest?.generation : undefined);
  const build = await loadBuildInfo(paths).catch(() => undefined);
  const { kind, reason, detail, manifest } = verdict;
  const document = {
    kind,
    ...(reason === undefined ? {} : { reason }),
    detail,
    layout: layoutOf(paths, manifest),
    ...(manifest === undefined ? {} : { manifest }),
    daemon: daemonOf(daemon),
    cacheKey: cacheKey(paths, build),
  };
  const text = labelled({
    status: reason === undefined ? kind : `${kind} (${reason})`,
    detail,
    'runtime root': paths.root,
    'version dir': paths.versionDir,
    ...(manifest === undefined ? {} : manifestLines(manifest, paths)),
    'daemon state': daemon.standing,
  });
  return { text, document, exitCode: kind === 'ready' ? 0 : 1 };
};

function manifestLines(manifest: InstalledManifest, paths: RuntimePaths): Record<string, string> {
  return {
    version: manifest.cliVersion,
    features: manifest.features.join(', '),
    python: `${manifest.python.executable} (${manifest.pythonVersion})`,
    manifest: paths.manifest,
    'install log': manifest.installLog,
  };
}

/** The keys that ktx 0.1 printed. */
function layoutOf(paths: RuntimePaths, manifest: InstalledManifest | undefined): Record<string, string | null> {
  const home = primaryHome(paths);
  const env = manifest === undefined ? null : envDirOf(paths, manifest.generation);
  return {
    cliVersion: paths.cliVersion,
    runtimeRoot: paths.root,
    versionDir: paths.versionDir,
    venvDir: env,
    manifestPath: paths.manifest,
    installLogPath: paths.latestLog,
    assetDir: paths.assets,
    assetManifestPath: paths.assetManifest,
    pythonPath: env === null ? null : pythonOf(env),
    daemonPath: env === null ? null : daemonScriptOf(env),
    daemonStatePath: home.state,
    daemonStdoutPath: home.stdoutLog,
    daemonStderrPath: home.stderrLog,
  };
}

/** Never the token. */
function daemonOf({ standing, detail, record, home }: Examined): Record<string, unknown> {
  if (record === undefined) return { state: standing, ...(detail === undefined ? {} : { detail }) };
  return {
    state: standing,
    ...(detail === undefined ? {} : { detail }),
    url: `http://${record.host}:${record.port}`,
    pid: record.pid,
    version: record.version,
    features: record.features,
    startedAt: record.startedAt,
    generation: record.generation,
    statePath: home.state,
    stdoutLog: record.stdoutLog,
    stderrLog: record.stderrLog,
  };
}

/** Equal keys mean that a cached runtime root can be used as it is. */
function cacheKey(paths: RuntimePaths, build: BuildInfo | undefined): string {
  const { platform, arch, libc } = machine();
  const digests =
    build === undefined
      ? ['none']
      : [build.wheelSha256, build.locks.core, build.locks['local-embeddings']].map(
          (digest) => digest?.slice(0, 16) ?? 'none',
        );
  return [platform, arch, libc ?? 'none', paths.cliVersion, ...digests].join('-');
}
