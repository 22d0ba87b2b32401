/**
 * The ledger: which files a tree holds, how long each is and what is in it.
 *
 * Paths are POSIX, relative to the tree, in code-unit order; hashes are sha256 in lower-case hex. Modes, times and the
 * order on disk do not matter, so two trees with equal ledgers are equal to everyone who reads them.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from './errors.ts';
import { isSorted, LedgerBuilder } from './ledger-rows.ts';

export { LedgerBuilder };

export interface Entry {
  /** Size in bytes. */
  readonly bytes: number;
  /** 64 lower-case hex digits. */
  readonly sha256: string;
}

export type Ledger = ReadonlyMap<string, Entry>;

const SCHEMA = 1;
const SHA256 = /^[0-9a-f]{64}$/;

/** sha256 over the canonical text of the ledger: equal for equal trees, and checkable with any sha256 tool. */
export function treeDigest(ledger: Ledger): string {
  const hash = createHash('sha256');
  for (const part of canonicalText(ledger)) hash.update(part);
  return hash.digest('hex');
}

/** Canonical JSON: one line a file, code-unit order, LF, final newline. Raises `UnsafePath`. */
export function serializeLedger(ledger: Ledger): string {
  return [...canonicalText(ledger)].join('');
}

function* canonicalText(ledger: Ledger): Generator<string> {
  const entries = isSorted(ledger) ? ledger : [...ledger].sort(([a], [b]) => (a < b ? -1 : 1));
  let text = `{\n  "schemaVersion": ${SCHEMA},\n  "files": [`;
  let separator = '\n';
  for (const [path, { bytes, sha256 }] of entries) {
    text += `${separator}    { "path": ${JSON.stringify(safePath(path))}, "bytes": ${bytes}, "sha256": "${sha256}" }`;
    separator = ',\n';
    if (text.length > 65_536) {
      yield text;
      text = '';
    }
  }
  yield `${text}${ledger.size === 0 ? '' : '\n  '}]\n}\n`;
}

/**
 * Read what `serializeLedger` wrote. `origin` names the file in messages.
 *
 * Raises `UnsafePath` for a path that could leave the tree, `BadLedger` for anything else that is wrong: not JSON,
 * another schema, a missing or unknown key, a bad size or hash, a path out of order or listed twice.
 */
export function parseLedger(text: string, origin = 'the ledger'): Ledger {
  const bad = (what: string, options?: ErrorOptions) =>
    new BuildError('BadLedger', `${origin} ${what}.`, 'Remove it and build again.', options);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw bad('is not JSON', { cause });
  }
  if (!hasKeys(json, ['schemaVersion', 'files'])) throw bad('is not a ledger');
  if (json.schemaVersion !== SCHEMA) throw bad(`has schema version ${String(json.schemaVersion)}, not ${SCHEMA}`);
  if (!Array.isArray(json.files)) throw bad('holds no list of files');
  const ledger = new LedgerBuilder();
  let previous = '';
  for (const file of json.files as unknown[]) {
    if (!hasKeys(file, ['path', 'bytes', 'sha256'])) throw bad('holds a file without exactly path, bytes and sha256');
    const { path, bytes, sha256 } = file;
    if (typeof path !== 'string') throw bad('holds a path that is not a string');
    safePath(path);
    if (path === previous) throw bad(`lists ${path} twice`);
    if (path < previous) throw bad(`lists ${path} out of order`);
    if (!Number.isSafeInteger(bytes) || (bytes as number) < 0) throw bad(`holds a bad size for ${path}`);
    if (typeof sha256 !== 'string' || !SHA256.test(sha256)) throw bad(`holds a bad sha256 for ${path}`);
    ledger.add(path, bytes as number, sha256);
    previous = path;
  }
  return ledger.build();
}

function hasKeys<K extends string>(value: unknown, keys: readonly K[]): value is Record<K, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.keys(value).length === keys.length && keys.every((key) => Object.hasOwn(value, key));
}

/** Why a path must not be joined to a folder, or `undefined` when it stays inside. */
export function unsafePathReason(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (path.includes('\0')) return 'holds a NUL character';
  if (path.includes('\\')) return 'holds a backslash';
  if (path.startsWith('/')) return 'is absolute';
  if (/^[A-Za-z]:/.test(path)) return 'names a drive';
  for (const segment of path.split('/')) {
    if (segment === '') return 'has an empty segment';
    if (segment === '..' || segment === '.') return `has a segment ${segment}`;
  }
  return undefined;
}

/** The path itself when it is relative, POSIX and stays inside its root; else raises `UnsafePath`. */
export function safePath(path: string): string {
  const reason = unsafePathReason(path);
  if (reason === undefined) return path;
  throw new BuildError(
    'UnsafePath',
    `The path ${JSON.stringify(path)} ${reason}.`,
    'Use a relative path with / that stays inside the tree.',
  );
}

/**
 * The ledger of a folder as it lies on disk. Empty folders do not count.
 *
 * Raises `NotRegular` for anything but regular files and folders, and file system errors as they come.
 */
export async function hashTree(folder: string): Promise<Ledger> {
  const ledger = new LedgerBuilder();
  const buffer = Buffer.allocUnsafeSlow(256 * 1024);
  const walk = async (inside: string): Promise<void> => {
    for (const found of readdirSync(join(folder, inside), { withFileTypes: true })) {
      const path = inside === '' ? found.name : `${inside}/${found.name}`;
      if (found.isDirectory()) await walk(path);
      else if (found.isFile()) addFile(path);
      else
        throw new BuildError(
          'NotRegular',
          `${join(folder, path)} is not a regular file.`,
          'Remove it and build again.',
        );
    }
  };
  const addFile = (path: string): void => {
    const fd = openSync(
      join(folder, path),
      constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0),
    );
    try {
      const hash = createHash('sha256');
      let bytes = 0;
      let length: number;
      do {
        length = readSync(fd, buffer, 0, buffer.length, null);
        hash.update(buffer.subarray(0, length));
        bytes += length;
      } while (length > 0);
      ledger.add(path, bytes, hash.digest());
    } finally {
      closeSync(fd);
    }
  };
  await walk('');
  return ledger.build();
}
