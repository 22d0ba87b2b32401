/** The checks of `ktx runtime doctor`; each reports and none throws, and none takes longer than five seconds. */
import type { CommandContext } from '../command.ts';
import { isFailure, messageOf } from '../errors.ts';
import { readAssetManifest, verifyAssets } from './assets.ts';
import { type BuildInfo, loadBuildInfo } from './build-info.ts';
import { runChild } from './child.ts';
import { examine } from './daemon-identity.ts';
import { launchOf } from './ensure.ts';
import { retryCommand } from './install.ts';
import { checkFiles } from './installed-files.ts';
import { modelFaults } from './model.ts';
import { checkNetwork } from './network.ts';
import type { RuntimePaths } from './paths.ts';
import { judge, judgeAll, type Verdict } from './status.ts';
import { findUv } from './uv.ts';

export interface Check {
  readonly status: 'pass' | 'warn' | 'fail' | 'skip';
  readonly id: string;
  readonly label: string;
  readonly detail: string;
  readonly fix?: string;
}

export interface DoctorRequest {
  readonly context: CommandContext;
  readonly paths: RuntimePaths;
  readonly network: boolean;
  readonly deep: boolean;
}

export const CHECK_MS = 5_000;

export async function runtimeChecks(request: DoctorRequest): Promise<Check[]> {
  const { context, paths, network } = request;
  const verdict = await judgeInstalled(paths);
  const checks = [
    nodeCheck(),
    await guarded('uv', 'uv', async () => await uvCheck(request)),
    await guarded('asset', 'Bundled Python wheel', async () => await assetCheck(paths)),
    await guarded('runtime', 'Managed Python runtime', async () => await runtimeCheck(request, verdict)),
    await guarded('files', 'Installed files', async () => await filesCheck(request, verdict)),
    await guarded('daemon', 'Daemon', async () => await daemonCheck(context, paths, verdict)),
  ];
  if (network) checks.push(await guarded('network', 'Package index', async () => await networkCheck(request, verdict)));
  return checks;
}

export function nodeCheck(): Check {
  const { node } = process.versions;
  const [major = 0, minor = 0] = node.split('.').map(Number);
  const fits = major > 22 || (major === 22 && minor >= 18);
  return fits
    ? { status: 'pass', id: 'node', label: 'Node.js', detail: `${node} (${process.platform} ${process.arch})` }
    : {
        status: 'fail',
        id: 'node',
        label: 'Node.js',
        detail: `${node} is too old`,
        fix: 'Install Node.js 22.18 or newer.',
      };
}

/** The installed runtime against the build, without the assets: they have their own check. */
async function judgeInstalled(paths: RuntimePaths): Promise<Verdict> {
  try {
    return await judge(paths, await loadBuildInfo(paths));
  } catch {
    return await judgeAll(paths);
  }
}

async function guarded(id: string, label: string, check: () => Promise<Omit<Check, 'id' | 'label'>>): Promise<Check> {
  try {
    return { id, label, ...(await check()) };
  } catch (error) {
    const fix = isFailure(error) ? error.hint : undefined;
    return { status: 'fail', id, label, detail: messageOf(error), ...(fix === undefined ? {} : { fix }) };
  }
}

type Found = Omit<Check, 'id' | 'label'>;

async function uvCheck({ context, paths }: DoctorRequest): Promise<Found> {
  const { env, cwd, signal } = context;
  const build = await loadBuildInfo(paths).catch(() => undefined);
  const minimum = await readAssetManifest(paths).then(
    ({ manifest }) => manifest.uv.minimum,
    () => '0.11.28',
  );
  const installer = build?.runtimeInstaller ?? {
    uvStrategy: 'path-prerequisite',
    bootstrapUv: false,
    missingUvBehavior: 'focused-error',
  };
  const uv = await findUv({
    env,
    cwd,
    paths,
    minimum,
    installer,
    retry: `${context.invocation} runtime doctor`,
    signal,
  });
  return { status: 'pass', detail: `${uv.version} at ${uv.path} (${minimum} or newer needed)` };
}

async function assetCheck(paths: RuntimePaths): Promise<Found> {
  const build: BuildInfo = await loadBuildInfo(paths);
  const { manifest } = await verifyAssets(paths, 'core', build);
  if (manifest.locks['local-embeddings'] !== undefined) await verifyAssets(paths, 'local-embeddings', build);
  return { status: 'pass', detail: `${manifest.wheel.file}, ${manifest.wheel.bytes} bytes, matches the build` };
}

async function runtimeCheck({ context, paths }: DoctorRequest, verdict: Verdict): Promise<Found> {
  const fix = `${retryCommand({ context, feature: 'core' })}`;
  if (verdict.kind === 'missing') return { status: 'warn', detail: `${verdict.detail} (${paths.root})`, fix };
  if (verdict.reason === 'not-owned') {
    return { status: 'fail', detail: verdict.detail, fix: 'Set KTX_RUNTIME_ROOT to an empty directory.' };
  }
  if (verdict.kind !== 'ready' || verdict.manifest === undefined) {
    return { status: 'fail', detail: `${verdict.kind} (${verdict.reason}): ${verdict.detail}`, fix };
  }
  const { python, args, env, cwd } = launchOf(paths, verdict.manifest, context);
  const ended = await runChild(
    { command: python, args: [...args, '--version'], cwd, env },
    { timeoutMs: CHECK_MS, signal: context.signal },
  );
  if (ended.code === 0) {
    const { manifest } = verdict;
    return {
      status: 'pass',
      detail: `${manifest.cliVersion} with ${manifest.features.join(', ')}, Python ${manifest.pythonVersion}, in ${paths.versionDir}`,
    };
  }
  const how = ended.timedOut ? 'it did not answer in time' : (ended.spawnError ?? `exit code ${ended.code}`);
  const last = ended.tail.at(-1);
  return {
    status: 'fail',
    detail: `python-unrunnable: ${python}: ${how}${last === undefined ? '' : `: ${last}`}`,
    fix: `${fix} --force`,
  };
}

async function filesCheck({ context, paths, deep }: DoctorRequest, verdict: Verdict): Promise<Found> {
  if (verdict.manifest === undefined || verdict.kind !== 'ready') return { status: 'skip', detail: 'no ready runtime' };
  const { checked, faults: changed } = await checkFiles(paths, verdict.manifest, deep);
  const pin = verdict.manifest.model === undefined ? undefined : (await readAssetManifest(paths)).manifest.model;
  const faults = [...changed, ...(pin === undefined ? [] : await modelFaults(paths, pin, deep))];
  if (faults.length === 0) return { status: 'pass', detail: `${checked} files match${deep ? ' (all packages)' : ''}` };
  const more = faults.length > 3 ? `, and ${faults.length - 3} more` : '';
  const fix = `${retryCommand({ context, feature: verdict.manifest.features.includes('local-embeddings') ? 'local-embeddings' : 'core' })} --force`;
  return { status: 'fail', detail: `${faults.slice(0, 3).join('; ')}${more}`, fix };
}

async function daemonCheck(context: CommandContext, paths: RuntimePaths, verdict: Verdict): Promise<Found> {
  const { standing, detail, record } = await examine(
    paths,
    context.env,
    verdict.kind === 'ready' ? verdict.manifest?.generation : undefined,
  );
  const said = detail === undefined ? standing : `${standing}: ${detail}`;
  if (standing === 'stopped') return { status: 'pass', detail: 'stopped (it is started when needed)' };
  if (standing === 'running' || standing === 'busy')
    return { status: 'pass', detail: `${said} on port ${record?.port}, process ${record?.pid}` };
  const fix =
    standing === 'outdated' || standing === 'unresponsive'
      ? `${context.invocation} runtime start`
      : `${context.invocation} runtime stop`;
  return { status: 'warn', detail: said, fix };
}

async function networkCheck({ context, paths }: DoctorRequest, verdict: Verdict): Promise<Found> {
  if (verdict.kind !== 'ready' || verdict.manifest === undefined) {
    return { status: 'skip', detail: 'it is tried with the installed interpreter, and none is ready' };
  }
  const { manifest } = await readAssetManifest(paths);
  const build = await loadBuildInfo(paths);
  const { env, cwd, signal } = context;
  const uv = await findUv({
    env,
    cwd,
    paths,
    minimum: manifest.uv.minimum,
    installer: build.runtimeInstaller,
    retry: '',
    signal,
  });
  return await checkNetwork(context, paths, verdict.manifest, uv.path);
}
