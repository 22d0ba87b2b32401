// @ts-check
// The npm dependencies: `npm ci` when they are missing or differ from the lock, judged by content.
// Invariant: the stamp is written last, and only over a folder that npm finished.

import fs from 'node:fs';
import path from 'node:path';
import { howItEnded, lastLines, noNetwork, run, SetupError, saysNoNetwork } from './child.mjs';
import { digest, findExecutable, pathFolders, readJson, readText, same, subFolders, writeAtomic } from './files.mjs';

/** @typedef {import('./context.mjs').Context} Context */

const INSTALL_MS = 20 * 60_000;

/** @param {string} root */
const stampFile = (root) => path.join(root, 'node_modules', '.ktx-setup');

/** @param {string} root */
function packageFiles(root) {
  const workspaces = subFolders(path.join(root, 'packages')).map((folder) => path.join(folder, 'package.json'));
  return [path.join(root, 'package.json'), ...workspaces.filter((file) => fs.existsSync(file))];
}

/** @param {string} root */
function stamp(root) {
  const files = [path.join(root, 'package-lock.json'), ...packageFiles(root)];
  return digest([process.platform, process.arch, ...files.map((file) => readText(file) ?? '')]);
}

/** @param {any} manifest */
const declared = (manifest) =>
  ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'].map((key) =>
    Object.entries(manifest?.[key] ?? {}).sort(),
  );

/** @param {string} root */
function directDependenciesLieThere(root) {
  return packageFiles(root).every((file) => {
    const { dependencies, devDependencies } = readJson(file) ?? {};
    return Object.keys({ ...dependencies, ...devDependencies }).every((name) =>
      [path.dirname(file), root].some((folder) =>
        fs.existsSync(path.join(folder, 'node_modules', name, 'package.json')),
      ),
    );
  });
}

/**
 * Whether npm itself already installed what the lock says: its own record, which it writes last, holds the
 * same versions by the same hashes, and no package asks for more than the lock knows.
 * @param {string} root
 */
function installedAsLocked(root) {
  const lock = readJson(path.join(root, 'package-lock.json'))?.packages;
  const installed = readJson(path.join(root, 'node_modules', '.package-lock.json'))?.packages;
  if (!lock || !installed) return false;
  for (const file of packageFiles(root)) {
    const folder = path.relative(root, path.dirname(file)).split(path.sep).join('/');
    if (!same(declared(readJson(file)), declared(lock[folder]))) return false;
  }
  for (const [where, entry] of Object.entries(lock)) {
    if (!where.includes('node_modules/') || entry.link || entry.optional || entry.devOptional || entry.peer) continue;
    if (!same(entry.integrity, installed[where]?.integrity)) return false;
  }
  return Object.entries(installed).every(
    ([where, entry]) => !where.includes('node_modules/') || entry.link || same(entry.integrity, lock[where]?.integrity),
  );
}

/** @param {string} root */
export function dependenciesReady(root) {
  return readText(stampFile(root)) === stamp(root) && directDependenciesLieThere(root);
}

/**
 * The npm that belongs to the user: the one that started us, else the first on PATH, else the one beside Node.
 * @param {NodeJS.ProcessEnv} env
 * @returns {{ cli: string, version: string } | undefined}
 */
export function findNpm(env) {
  const beside = path.dirname(process.execPath);
  const onPath = findExecutable('npm', pathFolders(env));
  const candidates = [
    env.npm_execpath,
    onPath && realPath(onPath),
    onPath && path.join(path.dirname(onPath), 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    path.join(beside, 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    path.join(beside, '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
  ];
  for (const cli of candidates) {
    if (!cli || path.basename(cli) !== 'npm-cli.js') continue;
    const version = readJson(path.join(path.dirname(cli), '..', 'package.json'))?.version;
    if (typeof version === 'string') return { cli, version };
  }
  return undefined;
}

/** @param {string} file */
function realPath(file) {
  try {
    return fs.realpathSync(file);
  } catch {
    return undefined;
  }
}

/**
 * @param {Context} context
 * @param {{ cli: string, version: string }} npm
 */
export async function installDependencies({ root, env, say, started }, npm) {
  if (!fs.existsSync(path.join(root, 'package-lock.json'))) {
    throw new SetupError('no-lock', 'package-lock.json is missing', 'Restore it: git checkout -- package-lock.json');
  }
  if (!(installedAsLocked(root) && directDependenciesLieThere(root))) {
    say(`npm dependencies: npm ci (npm ${npm.version})`);
    fs.rmSync(stampFile(root), { force: true });
    const args = [npm.cli, 'ci', '--no-audit', '--no-fund'];
    const ended = await run(process.execPath, args, { cwd: root, env, timeoutMs: INSTALL_MS, started });
    if (ended.code !== 0) {
      if (saysNoNetwork(ended.output)) throw noNetwork('npm', 'the npm dependencies', ended.output);
      throw new SetupError(
        'npm-failed',
        `npm ci ${howItEnded(ended)}; its last lines:\n${lastLines(ended.output, 30)}`,
        'Mend what npm names above, then run the command again; its whole log lies in npm\'s cache folder, "_logs".',
      );
    }
  }
  writeAtomic(stampFile(root), stamp(root));
}
