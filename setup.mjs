// @ts-check
// node setup.mjs [gulp|node|uv …arguments]
//
// 1. npm dependencies as package-lock.json says      2. a Node that fits `engines.node`
// 3. a uv that fits `[tool.uv] required-version`      4. a Python that fits `requires-python`
// 5. `.venv` as uv.lock says                          6. the tool asked for, run with all of that
//
// Invariant: whatever moment it is killed at, the next run mends; with nothing to do it starts no child
// process but the tool. Runs on any Node >= 18, before any dependency is installed. Lines go to stderr,
// so that the tool's output can be piped.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { catchSignals, Interrupted, SetupError, signals } from './setup/child.mjs';
import { places } from './setup/context.mjs';
import { pathFolders, readJson, same, writeAtomic } from './setup/files.mjs';
import { withPipSettings } from './setup/index-settings.mjs';
import { acquire, sweep } from './setup/lock.mjs';
import { fittingNode, provideNode } from './setup/node.mjs';
import { dependenciesReady, findNpm, installDependencies } from './setup/npm.mjs';
import { choosePython, pythonReady, seenPython } from './setup/python.mjs';
import { provideUv, seenUv, uvReady } from './setup/uv.mjs';
import { environmentReady, fillEnvironment } from './setup/venv.mjs';

/**
 * @typedef {object} Toolchain what `.tools/toolchain.json` holds
 * @property {1} schemaVersion
 * @property {{ path: string, version: string }} node the Node that runs the graph
 * @property {string} npmCli npm's entry script, to be run by `node`
 * @property {string} npmVersion
 * @property {{ path: string, version: string }} uv
 * @property {{ path: string, version: string }} python a base interpreter, not a virtual environment's
 * @property {{ uv: import('./setup/uv.mjs').SeenUv, python: import('./setup/python.mjs').SeenPython }} seen
 *   what a later run compares instead of starting anything
 */

const OLDEST_NODE = 18;
const USAGE = 'Usage: node setup.mjs [gulp|node|uv …arguments]';

/**
 * The recorded toolchain when all of it still holds; reads only.
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @returns {Toolchain | undefined}
 */
export function readyToolchain(root, env) {
  /** @type {Toolchain | undefined} */
  const recorded = readJson(places(root).toolchain);
  const node = fittingNode(root);
  const npm = findNpm(env);
  if (recorded?.schemaVersion !== 1 || !node || !npm || !dependenciesReady(root)) return undefined;
  if (!uvReady(root, env, recorded) || !pythonReady(root, env, recorded)) return undefined;
  if (!environmentReady(root, recorded.python)) return undefined;
  const now = [node, npm.cli, npm.version];
  return same(now, [recorded.node, recorded.npmCli, recorded.npmVersion]) ? recorded : undefined;
}

/**
 * Make everything ready, doing only what is not.
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @param {(line: string) => void} say
 * @returns {Promise<Toolchain>}
 */
export async function setUp(root, env, say) {
  const ready = readyToolchain(root, env);
  if (ready) return ready;
  const at = places(root);
  const lock = await acquire(at.lock, {
    doing: 'set-up',
    waiting: (owner) => say(`waiting for the set-up of process ${owner.pid} in this checkout`),
  });
  try {
    sweep(at.lock);
    sweepTools(at.tools);
    return readyToolchain(root, env) ?? (await everyStep({ root, env, say, started: lock.running }));
  } finally {
    lock.release();
  }
}

/**
 * @param {import('./setup/context.mjs').Context} context
 * @returns {Promise<Toolchain>}
 */
async function everyStep(context) {
  const { root, env } = context;
  const at = places(root);
  /** @type {Toolchain | undefined} */
  const recorded = readJson(at.toolchain);
  const npm = findNpm(env);
  if (!npm)
    throw new SetupError(
      'no-npm',
      'no npm on PATH',
      'Install the npm that comes with Node, then run the command again.',
    );
  if (!dependenciesReady(root)) await installDependencies(context, npm);
  const node = fittingNode(root) ?? (await provideNode(context, npm));
  const uv = recorded && uvReady(root, env, recorded) ? recorded.uv : await provideUv(context);
  const keepsPython = recorded && pythonReady(root, env, recorded);
  const python = keepsPython ? recorded.python : await choosePython(context, uv.path);
  if (!environmentReady(root, python)) await fillEnvironment(context, uv.path, python);
  /** @type {Toolchain} */
  const toolchain = {
    schemaVersion: 1,
    node,
    npmCli: npm.cli,
    npmVersion: npm.version,
    uv,
    python,
    seen: {
      uv: seenUv(root, env, uv.path),
      python: keepsPython ? recorded.seen.python : seenPython(root, env, python.path),
    },
  };
  writeAtomic(at.toolchain, `${JSON.stringify(toolchain, null, 2)}\n`);
  return toolchain;
}

/**
 * Remove what killed runs left half made; only while holding the lock.
 * @param {string} tools
 */
function sweepTools(tools) {
  for (const name of fs.readdirSync(tools)) {
    if (/^(uv|pip)\.next-\d+$|^toolchain\.json\.\d+\.next$/.test(name)) {
      fs.rmSync(path.join(tools, name), { recursive: true, force: true });
    }
  }
}

/**
 * The environment that the tool and all its children get.
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @param {Toolchain} toolchain
 */
export function toolEnvironment(root, env, toolchain) {
  const at = places(root);
  const own = toolchain.uv.path.startsWith(at.uv + path.sep) ? [path.dirname(toolchain.uv.path)] : [];
  const folders = [at.bin, ...own];
  const rest = pathFolders(env).filter((folder) => !folders.includes(folder));
  const { Path: _, ...others } = withPipSettings(env);
  return {
    // compiled sources are kept by content: a tool that has nothing to do starts in half the time
    NODE_COMPILE_CACHE: path.join(root, 'node_modules', '.cache', 'node'),
    ...others,
    PATH: [...folders, ...rest].join(path.delimiter),
    UV_PYTHON: toolchain.python.path,
  };
}

/**
 * @param {string} root
 * @param {Toolchain} toolchain
 * @param {readonly string[]} command
 * @returns {[file: string, args: string[]]}
 */
export function toolCommand(root, toolchain, [tool, ...args]) {
  switch (tool) {
    case 'gulp':
      return [toolchain.node.path, [path.join(root, 'node_modules', 'gulp', 'bin', 'gulp.js'), ...args]];
    case 'node':
      return [toolchain.node.path, args];
    case 'uv':
      return [toolchain.uv.path, args];
    default:
      throw new SetupError('usage', `unknown tool ${JSON.stringify(tool)}`, USAGE);
  }
}

/**
 * Run the tool in the user's terminal; signals go on to it, and it ends as the tool ended.
 * @param {readonly [file: string, args: string[]]} command
 * @param {NodeJS.ProcessEnv} env
 */
function launch([file, args], env) {
  const child = spawn(file, args, { stdio: 'inherit', env });
  const atTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  for (const signal of signals) {
    process.on(signal, () => {
      // At a terminal Ctrl-C already reached the whole foreground group; twice would mean "at once".
      if (!(signal === 'SIGINT' && atTerminal)) child.kill(signal);
    });
  }
  child.once('error', (error) =>
    fail(new SetupError('no-start', `${file} does not start: ${error.message}`, 'Run: npm run setup')),
  );
  child.once('exit', (code, signal) => {
    if (signal) endBy(signal);
    else process.exitCode = code ?? 1;
  });
}

/** @param {NodeJS.Signals} signal */
function endBy(signal) {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}

/** @param {unknown} error */
function fail(error) {
  if (error instanceof Interrupted) return endBy(error.signal);
  const expected = error instanceof SetupError ? error : diskProblem(error);
  if (!expected) throw error;
  process.stderr.write(`setup: ${expected.message}\n  ${expected.hint}\n`);
  process.exitCode = 1;
}

/**
 * The disk's refusals are expected failures too.
 * @param {unknown} error
 */
function diskProblem(error) {
  const { code = '', path: file = 'the checkout' } = /** @type {NodeJS.ErrnoException} */ (error ?? {});
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new SetupError(
      'disk-full',
      `no space left while writing ${file}`,
      'Free some space, then run the command again.',
    );
  }
  if (['EACCES', 'EPERM', 'EROFS'].includes(code)) {
    return new SetupError(
      'not-writable',
      `${file} cannot be written (${code})`,
      'Work in a checkout that you may write to.',
    );
  }
  return undefined;
}

/** @param {readonly string[]} command */
async function main(command) {
  const root = path.dirname(fileURLToPath(import.meta.url));
  try {
    if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
      const problem = `Node ${process.versions.node} is too old even to set up`;
      throw new SetupError('old-node', problem, `Use Node ${OLDEST_NODE} or newer.`);
    }
    if (command.length > 0 && !['gulp', 'node', 'uv'].includes(String(command[0]))) {
      throw new SetupError('usage', `unknown tool ${JSON.stringify(command[0])}`, USAGE);
    }
    const letGo = catchSignals();
    const toolchain = await setUp(root, process.env, (line) => process.stderr.write(`setup: ${line}\n`));
    letGo();
    if (command.length > 0)
      launch(toolCommand(root, toolchain, command), toolEnvironment(root, process.env, toolchain));
    else
      process.stderr.write(
        `setup: ready (Node ${toolchain.node.version}, uv ${toolchain.uv.version}, Python ${toolchain.python.version})\n`,
      );
  } catch (error) {
    fail(error);
  }
}

const started = process.argv[1];
if (started && fs.realpathSync(started) === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
