/**
 * The lazy door: a ready runtime is used at once; a missing or damaged one is installed under the user's policy.
 *
 * `--yes` installs. `--no-input`, CI, no terminal or `KTX_SKIP_RUNTIME_INSTALL` fail at once with the command to run.
 * Else the user is asked once, with the sizes and the directory, before anything is written.
 */
import { type CommandContext, switchedOn } from '../command.ts';
import { CliError, Interrupted } from '../errors.ts';
import { loadBuildInfo } from './build-info.ts';
import type { EnsureOptions } from './index.ts';
import { install, retryCommand } from './install.ts';
import type { InstalledManifest } from './installed.ts';
import { envDirOf } from './installed.ts';
import { modelDirOf } from './model.ts';
import { pythonOf, type RuntimePaths, runtimePaths } from './paths.ts';
import { demandOurs, ownership } from './root.ts';
import { judge, type Verdict } from './status.ts';
import type { Feature, Launch } from './types.ts';
import { pythonEnvironment } from './uv-environment.ts';

export async function ensure(options: EnsureOptions): Promise<Launch> {
  const paths = runtimePaths(options.context);
  return launchOf(paths, await ensureManifest(options, paths), options.context);
}

export async function ready({ context, feature = 'core' }: EnsureOptions): Promise<Launch | undefined> {
  const paths = runtimePaths(context);
  const { kind, manifest } = await judge(paths, await loadBuildInfo(paths), ['core', feature]);
  return kind === 'ready' && manifest !== undefined ? launchOf(paths, manifest, context) : undefined;
}

export async function ensureManifest(options: EnsureOptions, paths: RuntimePaths): Promise<InstalledManifest> {
  const { context, feature = 'core', repair = false } = options;
  const verdict = await judge(paths, await loadBuildInfo(paths), ['core', feature]);
  if (verdict.kind === 'ready' && verdict.manifest !== undefined && !repair) return verdict.manifest;
  // Installing would not help: the root itself is the problem.
  if (verdict.reason === 'not-owned') demandOurs(await ownership(paths), paths);
  const policy = policyOf(context);
  if (policy === 'never') throw required(context, paths, feature, verdict, repair);
  const consent =
    policy === 'ask' ? async (features: readonly Feature[]) => await ask(context, paths, verdict, features) : undefined;
  const request = { context, paths, feature, repair, ...(consent === undefined ? {} : { consent }) };
  return (await install(request)).manifest;
}

export function launchOf(paths: RuntimePaths, manifest: InstalledManifest, context: CommandContext): Launch {
  return {
    python: pythonOf(envDirOf(paths, manifest.generation)),
    args: ['-I', '-B', '-X', 'utf8', '-m', 'ktx_daemon'],
    env: { ...pythonEnvironment(context.env), ...modelEnvironment(paths, manifest, context) },
    cwd: paths.versionDir,
  };
}

/** The model that was installed, or the one that the user names; no request to a hub either way. */
function modelEnvironment(
  paths: RuntimePaths,
  { model }: InstalledManifest,
  { env }: CommandContext,
): Record<string, string> {
  if (model === undefined) return {};
  return { KTX_EMBEDDINGS_MODEL_DIR: env.KTX_EMBEDDINGS_MODEL_DIR || modelDirOf(paths, model), HF_HUB_OFFLINE: '1' };
}

type Policy = 'install' | 'never' | 'ask';

function policyOf({ env, globals, terminal }: CommandContext): Policy {
  if (switchedOn(env.KTX_SKIP_RUNTIME_INSTALL)) return 'never';
  if (globals.yes) return 'install';
  return globals.input && terminal.interactive ? 'ask' : 'never';
}

/** One line: scripts show it as it is. */
function required(
  context: CommandContext,
  paths: RuntimePaths,
  feature: Feature,
  verdict: Verdict,
  repair: boolean,
): CliError {
  const command = retryCommand({ context, feature });
  const state = repair
    ? 'the runtime does not start'
    : verdict.kind === 'missing'
      ? 'the runtime is not installed'
      : `the runtime is not ready (${verdict.reason}: ${verdict.detail})`;
  const message = `${state}; run: ${command} (installs into ${paths.root}, which can be cached)`;
  return new CliError('runtime_required', message, {
    details: {
      command,
      root: paths.root,
      feature,
      ...(verdict.reason === undefined ? {} : { reason: verdict.reason }),
    },
  });
}

async function ask(
  context: CommandContext,
  paths: RuntimePaths,
  verdict: Verdict,
  features: readonly Feature[],
): Promise<void> {
  const { confirm, isCancel } = await import('@clack/prompts');
  const embeddings = features.includes('local-embeddings');
  const sizes = embeddings ? 'about 2 GB to download, 3 GB on disk' : 'about 80 MB to download, 250 MB on disk';
  const what = embeddings ? 'the runtime with local embeddings' : 'the runtime';
  const verb = verdict.kind === 'missing' ? 'Install' : 'Repair';
  const answer = await confirm({
    message: `${verb} ${what} now? (${sizes}, in ${paths.root})`,
    initialValue: true,
    input: process.stdin,
    output: process.stderr,
    signal: context.signal,
  });
  if (isCancel(answer)) throw new Interrupted('SIGINT');
  if (!answer) {
    const hint = `Nothing was written. Install it later with: ${retryCommand({ context, feature: embeddings ? 'local-embeddings' : 'core' })}`;
    throw new CliError('declined', 'this needs the runtime, and you declined to install it', { hint });
  }
}
