// @ts-check
// The Python that builds and tests: one that fits `requires-python` and really starts.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { lastLines, run, SetupError, saysNoNetwork } from './child.mjs';
import { findExecutable, fingerprint, isExecutable, pathFolders, readText, same, subFolders } from './files.mjs';
import { fitsPython } from './versions.mjs';

/** @typedef {import('./context.mjs').Context} Context */
/** @typedef {{ path: string, version: string }} Python */
/** @typedef {{ used: import('./files.mjs').Fingerprint | null, asked: string, needed: string }} SeenPython */

/** Generous: a busy machine must not make a good tool look broken. */
const PROBE_MS = 60_000;
const INSTALL_MS = 15 * 60_000;
/** Newest minor looked for by name; uv finds later ones. */
const MINORS = Array.from({ length: 20 }, (_, index) => index + 8);

/** The interpreter itself, not the virtual environment or shim that led to it. */
const PROBE = `
import sys, sysconfig, platform
base = getattr(sys, "_base_executable", None) or sys.executable
print("ktx-python", platform.python_implementation(), platform.python_version(), int(bool(sysconfig.get_config_var("Py_GIL_DISABLED"))))
print(base)
`;

/**
 * @param {string} root
 */
export function neededPython(root) {
  return /^requires-python\s*=\s*"([^"]*)"/m.exec(readText(path.join(root, 'pyproject.toml')) ?? '')?.[1] ?? '>=3';
}

/**
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @param {string} used
 * @returns {SeenPython}
 */
export const seenPython = (root, env, used) => ({
  used: fingerprint(used),
  asked: env.UV_PYTHON ?? '',
  needed: neededPython(root),
});

/**
 * Whether the recorded Python is still there, and nobody asked for another; starts nothing.
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @param {{ python?: Python, seen?: { python?: SeenPython } } | undefined} recorded
 */
export function pythonReady(root, env, recorded) {
  const python = recorded?.python;
  if (!python?.path) return false;
  const now = seenPython(root, env, python.path);
  if (now.used === null) return false;
  // The variable that set-up itself passes on names the recorded one: asking for it changes nothing.
  if (now.asked === python.path) now.asked = recorded?.seen?.python?.asked ?? '';
  return same(recorded?.seen?.python, now);
}

/**
 * @param {string} file
 * @param {{ root: string, env: NodeJS.ProcessEnv, started?: (pid: number) => void }} context
 * @returns {Promise<Python | { problem: string }>}
 */
export async function probePython(file, { root, env, started }) {
  const options = { cwd: root, env, timeoutMs: PROBE_MS, ...(started && { started }) };
  const ended = await run(file, ['-I', '-c', PROBE], options);
  const found = /^ktx-python (\S+) (\S+) ([01])\r?\n(.+?)\r?$/m.exec(ended.stdout);
  if (ended.code !== 0 || !found?.[2] || !found[4]) return { problem: 'does not start' };
  if (found[1] !== 'CPython') return { problem: `is ${found[1]}` };
  if (found[3] === '1') return { problem: `is a free-threaded ${found[2]}` };
  return { path: isExecutable(found[4]) ? found[4] : file, version: found[2] };
}

/**
 * @param {Context} context
 * @param {string} uv
 * @returns {Promise<Python>}
 */
export async function choosePython(context, uv) {
  const needed = neededPython(context.root);
  const asked = context.env.UV_PYTHON ?? '';
  /** @type {Map<string, string>} */
  const refused = new Map();
  for await (const [file, from] of candidates(context, uv, needed, asked)) {
    if (refused.has(file)) continue;
    const probed = await probePython(file, context);
    if ('version' in probed && fitsPython(probed.version, needed) && isAsked(probed.version, asked)) {
      context.say(`Python: ${probed.version} at ${probed.path} (${from})`);
      return probed;
    }
    refused.set(file, 'problem' in probed ? probed.problem : `is ${probed.version}`);
  }
  throw noPython(needed, asked, refused);
}

/**
 * `3.13` in UV_PYTHON asks for any 3.13; a path or a name was resolved before.
 * @param {string} version
 * @param {string} asked
 */
const isAsked = (version, asked) => !isVersion(asked) || `${version}.`.startsWith(`${asked}.`);

/** @param {string} asked */
const isVersion = (asked) => /^\d+(\.\d+)*$/.test(asked);

/**
 * Where to look, best first, each with the reason that is printed.
 * @param {Context} context
 * @param {string} uv
 * @param {string} needed
 * @param {string} asked
 * @returns {AsyncGenerator<[file: string, from: string]>}
 */
async function* candidates(context, uv, needed, asked) {
  const { env } = context;
  if (asked && path.isAbsolute(asked) && isExecutable(asked)) yield [asked, 'UV_PYTHON'];
  const found = await uvFinds(context, uv, asked || needed);
  if (found) yield [found, asked ? 'UV_PYTHON' : 'uv python find'];
  if (asked && !isVersion(asked)) return;
  const names = MINORS.map((minor) => `3.${minor}`)
    .filter(
      (version) =>
        fitsPython(`${version}.999`, needed) && isAsked(`${version}.0`, asked.split('.').slice(0, 2).join('.')),
    )
    .map((version) => `python${version}`);
  for (const name of [...names, 'python3', 'python']) {
    const file = findExecutable(name, pathFolders(env));
    if (file) yield [file, 'PATH'];
  }
  for (const [folder, from] of versionFolders(env)) {
    const file = findExecutable('python', [folder]) ?? findExecutable('python3', [folder]);
    const named = names.map((name) => findExecutable(name, [folder])).find(Boolean);
    if (named ?? (process.platform === 'win32' && file)) yield [/** @type {string} */ (named ?? file), from];
  }
  const installed = await uvInstalls(context, uv, asked || needed);
  if (installed) yield [installed, 'uv python install'];
}

/**
 * @param {Context} context
 * @param {string} uv
 * @param {string} request
 */
async function uvFinds({ root, env, started }, uv, request) {
  const args = ['python', 'find', '--system', '--no-project', '--no-python-downloads', request];
  const ended = await run(uv, args, { cwd: root, env, timeoutMs: PROBE_MS * 3, started });
  const file = ended.stdout.trim().split(/\r?\n/).at(-1) ?? '';
  return ended.code === 0 && isExecutable(file) ? file : undefined;
}

/**
 * @param {Context} context
 * @param {string} uv
 * @param {string} request
 */
async function uvInstalls(context, uv, request) {
  const { root, env, say, started } = context;
  if (/^(never|manual|0|false)$/i.test(env.UV_PYTHON_DOWNLOADS ?? '')) return undefined;
  say(`Python: none found that fits ${request}; uv python install`);
  const args = ['python', 'install', '--no-bin', request];
  const ended = await run(uv, args, { cwd: root, env, timeoutMs: INSTALL_MS, started });
  if (ended.code === 0) return uvFinds(context, uv, request);
  const reason = saysNoNetwork(ended.output) ? ' (no network)' : '';
  say(`Python: uv python install failed${reason}\n${lastLines(ended.output, 4)}`);
  return undefined;
}

/**
 * The folders in which version managers keep interpreters. Their shims are looked through as well: a shim on
 * PATH fails for a version that is not active, but tells where the versions lie.
 * @param {NodeJS.ProcessEnv} env
 * @returns {[folder: string, from: string][]}
 */
export function versionFolders(env) {
  const home = env.HOME || env.USERPROFILE || os.homedir();
  const share = env.XDG_DATA_HOME || path.join(home, '.local', 'share');
  const shims = pathFolders(env)
    .filter((folder) => path.basename(folder) === 'shims')
    .map((folder) => path.dirname(folder));
  /** @param {string | undefined} set @param {string[]} usual */
  const roots = (set, ...usual) => [...new Set([...(set ? [set] : []), ...usual, ...shims])];
  const condas = ['miniconda3', 'anaconda3', 'miniforge3', 'mambaforge', 'micromamba', '.conda'];
  const condaRoots = [
    ...[env.CONDA_PREFIX, env.CONDA_ROOT, env.MAMBA_ROOT_PREFIX].filter((folder) => folder !== undefined),
    ...condas.map((name) => path.join(home, name)),
    path.join('/opt', 'conda'),
  ];
  const condaEnvironments = (readText(path.join(home, '.conda', 'environments.txt')) ?? '')
    .split(/\r?\n/)
    .filter(Boolean);
  /** @type {[string, string][]} */
  const found = [
    ...roots(env.PYENV_ROOT, path.join(home, '.pyenv')).flatMap(inEach('pyenv', 'versions')),
    ...roots(env.MISE_DATA_DIR, path.join(share, 'mise')).flatMap(inEach('mise', 'installs', 'python')),
    ...roots(env.ASDF_DATA_DIR, path.join(home, '.asdf')).flatMap(inEach('asdf', 'installs', 'python')),
    ...condaRoots.flatMap((folder) => [as('conda')(folder), ...inEach('conda', 'envs')(folder)]),
    ...condaEnvironments.map(as('conda')),
  ];
  return found.flatMap(([folder, from]) => [[path.join(folder, 'bin'), from], ...windowsOnly(folder, from)]);
}

/** @param {string} from @returns {(folder: string) => [string, string]} */
const as = (from) => (folder) => [folder, from];

/** @param {string} from @param {string[]} below @returns {(root: string) => [string, string][]} */
const inEach =
  (from, ...below) =>
  (root) =>
    subFolders(path.join(root, ...below)).map(as(from));

/** @param {string} folder @param {string} from @returns {[string, string][]} */
const windowsOnly = (folder, from) => (process.platform === 'win32' ? [[folder, from]] : []);

/**
 * @param {string} needed
 * @param {string} asked
 * @param {Map<string, string>} refused
 */
function noPython(needed, asked, refused) {
  const seen = [...refused].map(([file, problem]) => `    ${file} ${problem}`);
  const wanted = asked ? `${asked} (UV_PYTHON) within ${needed}` : needed;
  return new SetupError(
    'no-python',
    [`no Python that fits ${wanted}`, ...(seen.length > 0 ? ['  looked at:', ...seen] : [])].join('\n'),
    asked
      ? 'Unset UV_PYTHON, or let it name such a Python.'
      : 'Install CPython 3.13 or newer and put it on PATH, or let UV_PYTHON name it.',
  );
}

/**
 * Ways to run pip, those of a Python's own first, then one from a fresh virtual environment.
 * @param {{ root: string, env: NodeJS.ProcessEnv, started: (pid: number) => void }} context
 * @returns {AsyncGenerator<{ command: string, args: string[] }>}
 */
export async function* pipCandidates({ root, env, started }) {
  const onPath = ['python3', 'python', ...MINORS.map((minor) => `python3.${minor}`)]
    .map((name) => findExecutable(name, pathFolders(env)))
    .filter((file) => file !== undefined);
  const managed = versionFolders(env)
    .map(([folder]) => findExecutable('python3', [folder]) ?? findExecutable('python', [folder]))
    .filter((file) => file !== undefined);
  /** @type {string[]} */
  const pythons = [];
  /** @param {string} command @param {string[]} args */
  const works = async (command, ...args) => {
    const ended = await run(command, [...args, '--version'], { cwd: root, env, timeoutMs: PROBE_MS, started });
    return ended.code === 0 && ended.stdout.startsWith('pip ');
  };
  for (const python of new Set([...onPath, ...managed])) {
    if (await works(python, '-m', 'pip')) yield { command: python, args: ['-m', 'pip'] };
    else pythons.push(python);
  }
  for (const name of ['pip3', 'pip']) {
    const file = findExecutable(name, pathFolders(env));
    if (file && (await works(file))) yield { command: file, args: [] };
  }
  const scratch = path.join(root, '.tools', `pip.next-${process.pid}`);
  for (const python of pythons) {
    try {
      await run(python, ['-m', 'venv', scratch], { cwd: root, env, timeoutMs: PROBE_MS * 6, started });
      const inside = findExecutable('python', [path.join(scratch, 'bin'), path.join(scratch, 'Scripts')]);
      if (inside && (await works(inside, '-m', 'pip'))) yield { command: inside, args: ['-m', 'pip'] };
    } finally {
      fs.rmSync(scratch, { recursive: true, force: true });
    }
  }
}
