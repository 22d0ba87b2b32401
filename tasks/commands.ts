/**
 * The external commands of the build, as data: each function returns a plan and
 * starts nothing. `gulp plan` prints them, `run.ts` executes them.
 */
import { join } from 'node:path';
import { childEnvironment } from './environment.ts';
import { RUNTIME } from './identity.ts';
import type { Layout } from './layout.ts';
import type { Command } from './run.ts';
import type { Toolchain } from './toolchain.ts';

const MINUTE = 60_000;

interface Where {
  readonly ambient: NodeJS.ProcessEnv;
  readonly tools: Toolchain;
}

function uv({ ambient, tools }: Where, task: string, args: readonly string[], cwd: string): Command {
  return {
    task,
    command: tools.uv.path,
    args,
    cwd,
    env: childEnvironment(ambient, { UV_PYTHON: tools.python.path, UV_PYTHON_DOWNLOADS: 'never' }),
    timeout: 10 * MINUTE,
  };
}

/** Build a wheel, or an sdist and a wheel, of the tree at `source` into `out`, which is there. */
export function uvBuild(
  where: Where,
  task: string,
  kinds: readonly ('wheel' | 'sdist')[],
  source: string,
  out: string,
  constraints: string,
): Command {
  const flags = kinds.map((kind) => `--${kind}`);
  // a .gitignore in the output folder would make `npm pack` drop the wheel without a word
  const safety = ['--no-create-gitignore', '--no-sources', '--build-constraint', constraints, '--require-hashes'];
  const plan = uv(where, task, ['build', ...flags, '--out-dir', out, ...safety, source], source);
  // hatchling writes archives as temporary files: what it has half written when it is ended goes with `out`
  return { ...plan, env: { ...plan.env, TMPDIR: out, TEMP: out, TMP: out } };
}

/** Print the hash-pinned closure of a group or package from the lock. */
export function uvExport(where: Where, task: string, selection: readonly string[], cwd: string): Command {
  const plain = ['--frozen', '--no-emit-workspace', '--no-header', '--no-annotate', '--format', 'requirements.txt'];
  return { ...uv(where, task, ['export', ...plain, ...selection, '--quiet'], cwd), capture: true };
}

/** Scan the imports of the staged `modules`; prints what it found as JSON (`Scan` of `imports.ts`). */
export function importScan(
  ambient: NodeJS.ProcessEnv,
  { venvPython, importScan: program, root, staging }: Pick<Layout, 'venvPython' | 'importScan' | 'root' | 'staging'>,
  modules: readonly string[],
): Command {
  return {
    task: 'imports',
    command: venvPython,
    args: ['-I', program],
    cwd: root,
    env: childEnvironment(ambient),
    timeout: 5 * MINUTE,
    capture: true,
    input: JSON.stringify({ root: staging, modules, entryPoint: RUNTIME.entryPoint }),
  };
}

/** Run the bundler of an npm package; it writes the built tree into `out`. */
export function bundle({ ambient, tools }: Where, task: string, folder: string, out: string): Command {
  return {
    task,
    command: tools.node.path,
    args: [join(folder, 'build.ts'), '--out', out],
    cwd: folder,
    env: childEnvironment(ambient),
    timeout: 5 * MINUTE,
  };
}

/** Pack the composed package at `source` into `out`; prints what it packed as JSON. */
export function npmPack({ ambient, tools }: Where, task: string, source: string, out: string, work: string): Command {
  return {
    task,
    command: tools.node.path,
    args: [tools.npmCli, 'pack', '--json', '--ignore-scripts', '--pack-destination', out, '--loglevel', 'warn'],
    cwd: source,
    env: childEnvironment(ambient, npmEnvironment(work)),
    timeout: 5 * MINUTE,
    capture: true,
  };
}

/** No setting of the user's may change what npm packs; its cache and logs stay in `scratch`. */
function npmEnvironment(scratch: string): Record<string, string> {
  return {
    npm_config_userconfig: join(scratch, '.npmrc'), // two names: npm refuses one file for both
    npm_config_globalconfig: join(scratch, 'global.npmrc'),
    npm_config_cache: join(scratch, '.npm-cache'),
    npm_config_update_notifier: 'false',
  };
}
