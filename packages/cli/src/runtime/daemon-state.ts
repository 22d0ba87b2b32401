/**
 * The record of the managed daemon: `daemon.json`, 0600, replaced by rename.
 *
 * It lies in the version directory; where the root cannot be written, in the user's state directory, and last in a
 * directory of our own under tmp. It is read wherever it is found, and believed only after `daemon-identity` says so.
 */
import { constants } from 'node:fs';
import { access, chmod, lstat, mkdir, readFile, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '../command.ts';
import { CliError, errnoOf } from '../errors.ts';
import { jsonText, sha256, writeAtomically } from './files.ts';
import { type RuntimePaths, stateHome } from './paths.ts';
import type { Feature } from './types.ts';

export interface DaemonRecord {
  readonly schemaVersion: 1;
  readonly pid: number;
  readonly host: string;
  readonly port: number;
  readonly version: string;
  readonly features: readonly Feature[];
  readonly startedAt: string;
  readonly stdoutLog: string;
  readonly stderrLog: string;
  readonly state: 'starting' | 'running';
  readonly token: string;
  readonly nonce: string;
  readonly procStart: string | null;
  readonly bootId: string | null;
  readonly hostName: string;
  readonly exe: string | null;
  readonly generation: string;
}

export interface DaemonHome {
  readonly dir: string;
  readonly state: string;
  readonly stdoutLog: string;
  readonly stderrLog: string;
  readonly readyFile: string;
  /** The start lock. */
  readonly lock: string;
}

export type DaemonState =
  | { readonly kind: 'none' }
  | { readonly kind: 'corrupt'; readonly home: DaemonHome; readonly why: string }
  | { readonly kind: 'recorded'; readonly home: DaemonHome; readonly record: DaemonRecord };

/** Looks in every place where this user may have recorded a daemon of this version. */
export async function readDaemonState(paths: RuntimePaths, env: Environment): Promise<DaemonState> {
  for (const home of homes(paths, env)) {
    let text: string;
    try {
      text = await readFile(home.state, 'utf8');
    } catch (error) {
      const code = errnoOf(error);
      if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(code ?? '')) continue;
      return { kind: 'corrupt', home, why: `it cannot be read (${code})` };
    }
    if (await isAnothers(home.state)) continue;
    return parsed(text, home);
  }
  return { kind: 'none' };
}

/** The first place that can be written, made with mode 0700. */
export async function writableHome(paths: RuntimePaths, env: Environment): Promise<DaemonHome> {
  let last: unknown;
  for (const home of homes(paths, env)) {
    try {
      await mkdir(home.dir, { recursive: true, mode: 0o700 });
      await access(home.dir, constants.W_OK | constants.X_OK);
      if (home.dir.startsWith(temporaryBase(paths))) await demandPrivate(temporaryBase(paths));
      return home;
    } catch (error) {
      last = error;
    }
  }
  throw new CliError('daemon_home', `no directory can keep the daemon's state; ${paths.versionDir} is not writable`, {
    hint: 'Set XDG_STATE_HOME or KTX_RUNTIME_ROOT to a writable directory.',
    cause: last,
  });
}

export async function writeRecord(home: DaemonHome, record: DaemonRecord): Promise<void> {
  await writeAtomically(home.state, jsonText(record), 0o600);
}

/** Removes the record and the ready file, wherever they are; a place that cannot exist holds none. */
export async function removeRecord(home: DaemonHome): Promise<void> {
  for (const path of [home.state, home.readyFile]) {
    await rm(path, { force: true }).catch((error) => {
      if (errnoOf(error) !== 'ENOTDIR') throw error;
    });
  }
}

/** Where a daemon's files would be if nothing is wrong with the root. */
export function primaryHome(paths: RuntimePaths): DaemonHome {
  return homeIn(paths.daemonDir, join(paths.locks, `daemon-${paths.cliVersion}.json`));
}

/** A record that another user planted, in tmp for one, must not send our questions to that user's server. */
async function isAnothers(path: string): Promise<boolean> {
  const own = process.getuid?.();
  if (own === undefined || own === 0) return false;
  return (await lstat(path)).uid !== own;
}

function homes(paths: RuntimePaths, env: Environment): DaemonHome[] {
  const elsewhere = [join(stateHome(env), sha256(paths.root).slice(0, 16)), temporaryBase(paths)];
  return [
    primaryHome(paths),
    ...elsewhere.map((base) => join(base, paths.cliVersion)).map((dir) => homeIn(dir, join(dir, 'daemon.lock.json'))),
  ];
}

function homeIn(dir: string, lock: string): DaemonHome {
  return {
    dir,
    lock,
    state: join(dir, 'daemon.json'),
    stdoutLog: join(dir, 'daemon.stdout.log'),
    stderrLog: join(dir, 'daemon.stderr.log'),
    readyFile: join(dir, 'ready.json'),
  };
}

function temporaryBase(paths: RuntimePaths): string {
  const { uid, username } = userInfo();
  return join(tmpdir(), `ktx-${uid >= 0 ? uid : username}-${sha256(paths.root).slice(0, 16)}`);
}

/** tmp is shared: a directory that another user prepared is not used. */
async function demandPrivate(base: string): Promise<void> {
  if (process.platform === 'win32') return;
  const found = await lstat(base);
  if (!found.isDirectory() || found.uid !== userInfo().uid) throw new Error(`${base} is not ours`);
  await chmod(base, 0o700);
}

function parsed(text: string, home: DaemonHome): DaemonState {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: 'corrupt', home, why: text.trim() === '' ? 'it is empty' : 'it is not JSON' };
  }
  const why = fault(value);
  if (why !== undefined) return { kind: 'corrupt', home, why };
  return { kind: 'recorded', home, record: value as DaemonRecord };
}

function fault(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is not an object';
  const at = value as Record<string, unknown>;
  if (at.schemaVersion !== 1) return `its schemaVersion is ${JSON.stringify(at.schemaVersion)}`;
  if (!Number.isSafeInteger(at.pid) || (at.pid as number) < 0) return 'its pid is no process number';
  if (!Number.isSafeInteger(at.port) || (at.port as number) < 0 || (at.port as number) > 65_535)
    return 'its port is no port';
  for (const key of ['host', 'version', 'token', 'nonce', 'generation', 'startedAt']) {
    if (typeof at[key] !== 'string') return `it lacks "${key}"`;
  }
  if (at.state !== 'starting' && at.state !== 'running') return 'its state is not known';
  if (!Array.isArray(at.features)) return 'it lacks "features"';
  for (const key of ['procStart', 'bootId', 'exe']) {
    if (at[key] !== null && typeof at[key] !== 'string') return `it lacks "${key}"`;
  }
  // The record is ours alone: only a loopback daemon is ever contacted with the token.
  return at.host === '127.0.0.1' ? undefined : 'its host is not 127.0.0.1';
}
