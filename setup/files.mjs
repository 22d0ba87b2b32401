// @ts-check
// Small reads and writes that set-up needs before any dependency is there.
// Invariant: a file written here is complete or absent, never half, whenever the process dies.

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

/** @typedef {{ path: string, size: number, mtimeMs: number, ino: number }} Fingerprint */

/**
 * The text of a file, or undefined when there is none.
 * @param {string} file
 */
export function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * The parsed JSON of a file, or undefined when it is absent or damaged: both mean "make it again".
 * @param {string} file
 * @returns {any}
 */
export function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * @param {string} file
 * @param {string} text
 */
export function writeAtomic(file, text) {
  const beside = `${file}.${process.pid}.next`;
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(beside, text);
  fs.renameSync(beside, file);
}

/**
 * Lower-case hex sha256 over parts, each with its length before it, so that no two lists collide.
 * @param {readonly (string | Buffer)[]} parts
 */
export function digest(parts) {
  const hash = createHash('sha256');
  for (const part of parts) {
    const bytes = Buffer.from(part);
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest('hex');
}

/**
 * What tells, without starting it, that an executable is still the one that was tried.
 * @param {string} file
 * @returns {Fingerprint | null}
 */
export function fingerprint(file) {
  try {
    const { size, mtimeMs, ino } = fs.statSync(file);
    return { path: file, size, mtimeMs, ino };
  } catch {
    return null;
  }
}

/**
 * @param {unknown} a
 * @param {unknown} b
 */
export function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}

/**
 * @param {string} file
 */
export function isExecutable(file) {
  try {
    if (!fs.statSync(file).isFile()) return false;
    if (process.platform !== 'win32') fs.accessSync(file, fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} name */
const executableNames = (name) => (process.platform === 'win32' ? [`${name}.exe`, name] : [name]);

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {string[]} absolute folders of PATH, in order
 */
export function pathFolders(env) {
  const value = env.PATH ?? env.Path ?? '';
  return value.split(path.delimiter).filter((folder) => path.isAbsolute(folder));
}

/**
 * The first executable of that name in the folders.
 * @param {string} name
 * @param {readonly string[]} folders
 * @returns {string | undefined}
 */
export function findExecutable(name, folders) {
  for (const folder of folders) {
    for (const file of executableNames(name)) {
      const candidate = path.join(folder, file);
      if (isExecutable(candidate)) return candidate;
    }
  }
  return undefined;
}

/**
 * Sub-folders of a folder, sorted; none when it cannot be read.
 * @param {string} folder
 * @returns {string[]}
 */
export function subFolders(folder) {
  try {
    return fs
      .readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
      .map((entry) => path.join(folder, entry.name))
      .sort();
  } catch {
    return [];
  }
}
