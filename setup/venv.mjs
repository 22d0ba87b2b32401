// @ts-check
// The workspace's `.venv`: what uv.lock says, each file by hash from the user's own index, then the two
// packages editable. `uv sync` is not used: the lock names no host, and uv sync wants addresses.
// Invariant: the stamp is taken away before the first change and written after the last one; an
// environment without one was left by a killed run and is made anew.

import fs from 'node:fs';
import path from 'node:path';
import { howItEnded, lastLines, noNetwork, run, SetupError, saysNoNetwork } from './child.mjs';
import { places } from './context.mjs';
import { digest, isExecutable, readText, subFolders, writeAtomic } from './files.mjs';
import { withPipSettings } from './index-settings.mjs';

/** @typedef {import('./context.mjs').Context} Context */
/** @typedef {import('./python.mjs').Python} Python */

const STEP_MS = 20 * 60_000;
/** Settings that would aim uv at another environment than the one named. */
const DROPPED = [
  'VIRTUAL_ENV',
  'CONDA_PREFIX',
  'UV_PROJECT_ENVIRONMENT',
  'UV_SYSTEM_PYTHON',
  'UV_PYTHON',
  'PYTHONHOME',
  'PYTHONPATH',
];

/** @param {string} root */
const members = (root) =>
  subFolders(path.join(root, 'python')).filter((folder) => fs.existsSync(path.join(folder, 'pyproject.toml')));

/** @param {string} root */
const stampFile = (root) => path.join(places(root).venv, '.ktx-setup');

/**
 * @param {string} root
 * @param {Python} python
 */
function stamp(root, python) {
  const files = [
    'uv.lock',
    'pyproject.toml',
    ...members(root).map((folder) => path.join(path.relative(root, folder), 'pyproject.toml')),
  ];
  const key = digest([python.path, python.version, ...files.map((file) => readText(path.join(root, file)) ?? '')]);
  return `${key}\n${root}\n`;
}

/** @param {string} root */
function environmentPython(root) {
  const { venv } = places(root);
  return process.platform === 'win32' ? path.join(venv, 'Scripts', 'python.exe') : path.join(venv, 'bin', 'python');
}

/**
 * @param {string} root
 * @param {Python} python
 */
export const environmentReady = (root, python) =>
  readText(stampFile(root)) === stamp(root, python) && isExecutable(environmentPython(root));

/**
 * @param {Context} context
 * @param {string} uv
 * @param {Python} python
 */
export async function fillEnvironment(context, uv, python) {
  const { root, say, started } = context;
  const at = places(root);
  const env = withPipSettings(context.env);
  for (const name of DROPPED) delete env[name];
  /** @param {string} doing @param {string[]} args */
  const step = async (doing, ...args) => {
    const ended = await run(uv, args, { cwd: root, env, timeoutMs: STEP_MS, started });
    if (ended.code === 0) return;
    if (saysNoNetwork(ended.output)) throw noNetwork('uv', 'the Python dependencies', ended.output);
    throw new SetupError(
      'environment-failed',
      `${doing} failed: uv ${args.slice(0, 3).join(' ')} ${howItEnded(ended)}; its last lines:\n${lastLines(ended.output, 20)}`,
      'Mend what uv names above, then run the command again.',
    );
  };

  const reusable = madeBy(root, python);
  fs.rmSync(stampFile(root), { force: true });
  say(`Python environment: ${reusable ? 'updating' : 'making'} .venv from uv.lock`);
  await step(
    'Reading uv.lock',
    ...['export', '--frozen', '--all-packages', '--all-groups', '--no-emit-workspace', '--quiet'],
    ...['--python', python.path, '--format', 'requirements.txt', '--output-file', at.workspaceRequirements],
  );
  if (!reusable)
    await step('Making .venv', 'venv', '--quiet', '--no-project', '--clear', '--python', python.path, at.venv);
  const into = ['--python', environmentPython(root), '--quiet'];
  await step(
    'Filling .venv',
    'pip',
    'sync',
    '--allow-empty-requirements',
    '--require-hashes',
    '--compile-bytecode', // costs seconds once; every Python that the tests start would pay otherwise
    ...into,
    at.workspaceRequirements,
  );
  const editable = members(root).flatMap((folder) => ['--editable', folder]);
  // hatchling came with the lock: no isolated build, which would fetch one without a hash.
  await step('Linking the packages', 'pip', 'install', '--no-deps', '--no-build-isolation', ...into, ...editable);
  writeAtomic(stampFile(root), stamp(root, python));
}

/**
 * Whether a finished run made the environment here, on this very Python: its scripts hold absolute paths.
 * @param {string} root
 * @param {Python} python
 */
function madeBy(root, python) {
  const home = /^home\s*=\s*(.*)$/m.exec(readText(path.join(places(root).venv, 'pyvenv.cfg')) ?? '')?.[1]?.trim();
  const madeHere = readText(stampFile(root))?.split('\n')[1] === root;
  return madeHere && home === path.dirname(python.path) && isExecutable(environmentPython(root));
}
