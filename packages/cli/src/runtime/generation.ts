/**
 * Builds one generation: a virtual environment in its final place, from verified copies of wheel and lock.
 *
 * Nothing installs by name: every file is pinned by hash, so whatever index the user has configured, the bytes are
 * those that were tested. The environment is never touched again once it is committed.
 */
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { CommandContext } from '../command.ts';
import { CliError } from '../errors.ts';
import type { Step } from '../progress.ts';
import type { VerifiedAssets } from './assets.ts';
import { type Ended, runChild } from './child.ts';
import { stepFailure } from './failures.ts';
import { sha256OfFile } from './files.ts';
import type { InstallLog } from './log.ts';
import { type ModelPin, modelTitle, placeModel } from './model.ts';
import { pythonOf, type RuntimePaths } from './paths.ts';
import { machine } from './platform.ts';
import { pythonRequest } from './python.ts';
import { freeBytes, neededBytes, size } from './space.ts';
import { claimWork } from './sweep.ts';
import type { Feature } from './types.ts';
import type { Uv } from './uv.ts';
import { offlineFlag, pythonEnvironment, uvEnvironment } from './uv-environment.ts';

export interface Generation {
  readonly id: string;
  readonly context: CommandContext;
  readonly paths: RuntimePaths;
  readonly assets: VerifiedAssets;
  readonly features: readonly Feature[];
  readonly uv: Uv;
  readonly log: InstallLog;
  readonly mask: (text: string) => string;
  readonly retry: string;
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
}

export interface Built {
  readonly pythonVersion: string;
}

export async function buildGeneration(generation: Generation): Promise<Built> {
  const phases = new Phases(generation);
  const work = await phases.run('Preparing the interpreter', async (step) => {
    const prepared = await prepareWork(generation);
    await makeEnvironment(generation, prepared, step);
    return prepared;
  });
  await phases.run(packagesTitle(generation.features), async (step) => await installPackages(generation, work, step));
  const model = modelOf(generation);
  if (model !== undefined)
    await phases.run(modelTitle(model), async (step) => await fetchModel(generation, model, work, step));
  return await phases.run('Verifying', async (step) => await verify(generation, step));
}

/** The model to be in place before the commit. */
export function modelOf({ assets, features }: Pick<Generation, 'assets' | 'features'>): ModelPin | undefined {
  return features.includes('local-embeddings') ? assets.manifest.model : undefined;
}

function packagesTitle(features: readonly Feature[]): string {
  return features.includes('local-embeddings') ? 'Installing packages (core, local embeddings)' : 'Installing packages';
}

/** Private copies, hashed after copying: what was verified is what is installed. */
async function prepareWork({ paths, id, assets, log }: Generation): Promise<string> {
  const work = join(paths.work, id);
  await claimWork(paths, id);
  const wheel = join(work, assets.manifest.wheel.file);
  const lock = join(work, 'requirements.lock.txt');
  for (const [from, to, expected] of [
    [assets.wheel, wheel, assets.manifest.wheel.sha256],
    [assets.lock, lock, assets.lockFile.sha256],
  ] as const) {
    await copyFile(from, to);
    if ((await sha256OfFile(to)) !== expected) {
      throw new CliError('asset_invalid', `${from} changed while it was copied`, {
        hint: 'Install the package again: npm install @kaelio/ktx --force',
      });
    }
  }
  await writeFile(
    join(work, 'wheel.txt'),
    `kaelio-ktx @ ${fileUrl(wheel)} --hash=sha256:${assets.manifest.wheel.sha256}\n`,
  );
  // Ends uv's search for project settings in the folders above; user and system settings (mirrors) still count.
  await writeFile(join(work, 'pyproject.toml'), '[tool.uv]\nmanaged = false\n');
  log.line(`wheel ${assets.manifest.wheel.file} sha256 ${assets.manifest.wheel.sha256}`);
  return work;
}

async function makeEnvironment(generation: Generation, work: string, step: Step): Promise<void> {
  const { context, assets, paths, id } = generation;
  const request = await pythonRequest({
    env: context.env,
    cwd: context.cwd,
    requires: assets.manifest.requiresPython,
    childEnv: pythonEnvironment(context.env),
    signal: context.signal,
    uv: async (args, env) => await runUv(generation, work, step, args, env),
  });
  const args = ['venv', '--no-project', '--python', request, join(paths.envs, id)];
  await demandDone(generation, 'prepare the interpreter', await runUv(generation, work, step, args));
}

async function installPackages(generation: Generation, work: string, step: Step): Promise<void> {
  const { paths, id, assets } = generation;
  const python = pythonOf(join(paths.envs, id));
  const indexes = (assets.lockFile.indexes ?? []).flatMap((index) => ['--index', index]);
  const strategy = indexes.length > 0 ? ['--index-strategy', 'unsafe-best-match'] : [];
  const sync = [
    ...['pip', 'sync', '--python', python, '--require-hashes', '--only-binary', ':all:', '--strict'],
    ...['--link-mode', 'copy', '--compile-bytecode', ...indexes, ...strategy],
    ...[join(work, 'requirements.lock.txt'), join(work, 'wheel.txt')],
  ];
  await demandDone(generation, 'install the packages', await runUv(generation, work, step, sync));
  await demandDone(
    generation,
    'check the packages',
    await runUv(generation, work, step, ['pip', 'check', '--python', python]),
  );
}

async function fetchModel(generation: Generation, pin: ModelPin, work: string, step: Step): Promise<void> {
  const { paths, id, context, retry, log } = generation;
  const python = pythonOf(join(paths.envs, id));
  const module = ['-I', '-B', '-X', 'utf8', '-m', 'ktx_daemon.embedding_model'];
  const env = pythonEnvironment(context.env);
  const found = await placeModel({
    ...{ paths, pin, work, env: context.env, retry, log: log.path, step },
    run: async (args, onLine) => await runLogged(generation, work, step, python, [...module, ...args], env, onLine),
  });
  log.line(`model ${pin.name} ${pin.revision}: ${found}`);
}

const IMPORTS: Readonly<Record<Feature, readonly string[]>> = {
  core: [
    'semantic_layer',
    'ktx_daemon',
    'ktx_daemon.app',
    'sqlglot',
    'pydantic',
    'orjson',
    'fastapi',
    'uvicorn',
    'psycopg',
    'pandas',
    'numpy',
    'lkml',
    'requests',
  ],
  'local-embeddings': ['sentence_transformers', 'torch'],
};

/** The installed code itself says that it is the version it should be, on the machine it should be on. */
async function verify(generation: Generation, step: Step): Promise<Built> {
  const { paths, id, assets, features } = generation;
  const python = pythonOf(join(paths.envs, id));
  const flags = ['-I', '-B', '-X', 'utf8'];
  const version = await runLogged(generation, paths.versionDir, step, python, [
    ...flags,
    '-m',
    'ktx_daemon',
    '--version',
  ]);
  await demandDone(generation, 'start the runtime', version);
  if (version.stdout.trim() !== `ktx-daemon ${assets.manifest.version}`) {
    throw damaged(
      generation,
      `the installed runtime says "${version.stdout.trim().slice(0, 80)}" where "ktx-daemon ${assets.manifest.version}" belongs`,
    );
  }
  const modules = features.flatMap((feature) => IMPORTS[feature]);
  const probe = await runLogged(generation, paths.versionDir, step, python, [...flags, '-c', IMPORT_PROBE, ...modules]);
  await demandDone(generation, 'load the runtime', probe);
  const answer = JSON.parse(probe.stdout.trim().split('\n').at(-1) ?? '') as { python: string; platform: string };
  demandSameMachine(generation, answer.platform);
  return { pythonVersion: answer.python };
}

const IMPORT_PROBE = `
import importlib, json, platform, sys, sysconfig
for name in sys.argv[1:]:
    importlib.import_module(name)
at = sysconfig.get_platform()
if at.endswith("universal2"):
    at = "macosx-" + platform.machine()
print(json.dumps({"python": ".".join(map(str, sys.version_info[:3])), "platform": at}))
`.trim();

function demandSameMachine(generation: Generation, tag: string): void {
  const { platform, arch } = machine();
  const system = /^linux/.test(tag) ? 'linux' : /^macosx/.test(tag) ? 'darwin' : /^win/.test(tag) ? 'win32' : tag;
  const processor = /(?:x86_64|amd64)$/.test(tag) ? 'x64' : /(?:arm64|aarch64)$/.test(tag) ? 'arm64' : tag;
  if (system === platform && processor === arch) return;
  throw new CliError('arch_mismatch', `the interpreter is built for ${tag}, and Node for ${platform} ${arch}`, {
    hint: `Set KTX_PYTHON to a Python for ${platform} ${arch}. Then run: ${generation.retry}`,
  });
}

function damaged(generation: Generation, problem: string): CliError {
  return new CliError('install_failed', problem, {
    hint: `Run again: ${generation.retry}\nThe whole output is in ${generation.log.path}`,
  });
}

async function runUv(
  generation: Generation,
  work: string,
  step: Step,
  args: readonly string[],
  extra: Record<string, string> = {},
): Promise<Ended> {
  const { context, paths, uv } = generation;
  const env = { ...uvEnvironment(context.env, paths), ...extra };
  return await runLogged(generation, work, step, uv.path, [...args, ...offlineFlag(context.env)], env);
}

async function runLogged(
  generation: Generation,
  cwd: string,
  step: Step,
  command: string,
  args: readonly string[],
  env: Record<string, string> = pythonEnvironment(generation.context.env),
  onLine?: (line: string) => void,
): Promise<Ended> {
  const { log, context, deadline } = generation;
  const started = performance.now();
  log.line(`$ ${[command, ...args].map(quoted).join(' ')}`);
  const quiet = silence(step);
  try {
    const ended = await runChild(
      { command, args, cwd, env },
      {
        timeoutMs: Math.max(1, deadline - performance.now()),
        signal: context.signal,
        onLine: (line) => {
          quiet.heard();
          log.line(`  ${line}`);
          onLine?.(line);
        },
      },
    );
    const how = ended.spawnError ?? (ended.code === null ? `signal ${ended.signal}` : `exit code ${ended.code}`);
    log.line(`${how} after ${((performance.now() - started) / 1000).toFixed(1)} s`);
    return ended;
  } catch (error) {
    log.line(`interrupted after ${((performance.now() - started) / 1000).toFixed(1)} s`);
    throw error;
  } finally {
    quiet.stop();
  }
}

async function demandDone(generation: Generation, doing: string, ended: Ended): Promise<void> {
  if (ended.code === 0 && !ended.timedOut) return;
  throw await stepFailure({
    doing,
    ended,
    log: generation.log.path,
    retry: generation.retry,
    mask: generation.mask,
    requiresPython: generation.assets.manifest.requiresPython,
    space: async () => {
      const free = await freeBytes(generation.paths.root);
      return `${size(neededBytes(generation.features))} needed in ${generation.paths.root}, ${free === null ? 'unknown' : size(free)} free`;
    },
  });
}

/** Says after every 30 silent seconds that the work goes on. */
function silence(step: Step): { heard: () => void; stop: () => void } {
  const started = performance.now();
  const say = (): void => step.say(`still working, ${Math.round((performance.now() - started) / 1000)} s`);
  let timer = setInterval(say, 30_000);
  return {
    heard: () => {
      clearInterval(timer);
      timer = setInterval(say, 30_000);
    },
    stop: () => clearInterval(timer),
  };
}

class Phases {
  private readonly generation: Generation;

  constructor(generation: Generation) {
    this.generation = generation;
  }

  async run<T>(title: string, work: (step: Step) => Promise<T>): Promise<T> {
    const step = await this.generation.context.terminal.step(title);
    this.generation.log.line(`== ${title}`);
    try {
      const result = await work(step);
      step.done();
      return result;
    } catch (error) {
      step.failed();
      throw error;
    }
  }
}

/** A URL that requirement files take literally: uv expands `${NAME}` in them and splits at blanks. */
function fileUrl(path: string): string {
  return pathToFileURL(path).href.replace(
    /[$'();,!*[\]{}]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function quoted(argument: string): string {
  return /^[\w@%+=:,./\\-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}
