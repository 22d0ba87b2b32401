/**
 * The clean room: what was packed, installed as a stranger would, far from the
 * checkout. Its own HOME, caches and temporary folder; nothing of the caller's
 * environment but the way to a package index. It judges exit codes, JSON and
 * files, never wording.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { checkManagedRuntime } from './clean-room-runtime.ts';
import type { Context } from './context.ts';
import { sha256 } from './digest.ts';
import { childEnvironment } from './environment.ts';
import { BuildError } from './errors.ts';
import { CARRIER } from './identity.ts';
import { expect, plan, type Room, type Subject } from './room.ts';
import { run } from './run.ts';

/** Install and try `subject` in a fresh folder, which is removed unless it failed and `--keep` is set. */
export async function cleanRoom(context: Context, subject: Subject): Promise<void> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'ktx-verify-')));
  let failed = true;
  try {
    const room: Room = { context, root, subject, env: await roomEnvironment(context, root) };
    await checkTarball(room);
    const installed = await installPackage(room);
    await checkCommandLine(room, installed);
    await checkAssets(room, installed);
    const venv = await installRuntime(room, installed);
    await checkImports(room, venv);
    await checkOneShot(room, venv);
    await checkServer(room, venv);
    await checkManagedRuntime(room, installed);
    failed = false;
  } finally {
    if (failed && context.flags.keep) context.log.say(`kept ${root}`);
    else await rm(root, { recursive: true, force: true });
  }
}

async function roomEnvironment({ ambient, toolchain }: Context, root: string): Promise<Record<string, string>> {
  const { node, python } = await toolchain();
  const folders = ['home', 'tmp', 'npm-cache', 'uv-cache', 'project'];
  for (const folder of folders) await mkdir(join(root, folder));
  const system = (ambient.PATH ?? '').split(':').filter((part) => /^\/(usr\/)?(local\/)?s?bin$/.test(part));
  const {
    HOME: _home,
    XDG_CONFIG_HOME: _xdg,
    XDG_CACHE_HOME: _cache,
    XDG_DATA_HOME: _data,
    ...kept
  } = childEnvironment(ambient);
  return {
    ...kept,
    HOME: join(root, 'home'),
    USERPROFILE: join(root, 'home'),
    TMPDIR: join(root, 'tmp'),
    PATH: [dirname(node.path), ...system].join(':'),
    UV_CACHE_DIR: join(root, 'uv-cache'),
    UV_PYTHON: python.path,
    UV_PYTHON_DOWNLOADS: 'never',
    npm_config_cache: join(root, 'npm-cache'),
    npm_config_userconfig: join(root, 'home', '.npmrc'),
    npm_config_globalconfig: join(root, 'home', 'global.npmrc'),
    npm_config_update_notifier: 'false',
  };
}

async function checkTarball({ subject }: Room): Promise<void> {
  const digest = sha256(await readFile(subject.tarball));
  expect(digest === subject.sha256, `the tarball has the sha256 ${digest}, the manifest says ${subject.sha256}`);
}

/** `npm install` of the tarball into an empty project; returns the installed package's folder. */
async function installPackage(room: Room): Promise<string> {
  const { npmCli, node } = await room.context.toolchain();
  await writeFile(join(room.root, 'project', 'package.json'), '{"private":true}\n');
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--omit=optional', '--offline'];
  await room.context.run(plan(room, 'npm install', node.path, [npmCli, 'install', ...quiet, room.subject.tarball]));
  return join(room.root, 'project', 'node_modules', ...CARRIER.name.split('/'));
}

async function checkCommandLine(room: Room, installed: string): Promise<void> {
  const { node } = await room.context.toolchain();
  const bin = join(installed, 'dist', 'bin.js');
  const printed = await room.context.run(plan(room, 'ktx', node.path, [bin, '--version'], { capture: true }));
  const expected = `${CARRIER.name} ${room.subject.version}`;
  expect(printed.trim() === expected, `ktx --version printed ${JSON.stringify(printed)}, not ${expected}`);
}

/** The last link of the chain: tarball member -> installed file. */
async function checkAssets({ subject: { manifest } }: Room, installed: string): Promise<void> {
  for (const { file, sha256: digest } of [manifest.wheel, manifest.locks.core, manifest.locks['local-embeddings']]) {
    const found = sha256(await readFile(join(installed, 'assets', 'python', file)));
    expect(found === digest, `the installed ${file} has the sha256 ${found}, the asset manifest says ${digest}`);
  }
}

/** A fresh environment from the core lock and the bundled wheel, by hash only; returns its folder. */
async function installRuntime(room: Room, installed: string): Promise<string> {
  const { uv, python } = await room.context.toolchain();
  const { wheel, locks } = room.subject.manifest;
  const venv = join(room.root, 'venv');
  const assets = join(installed, 'assets', 'python');
  const url = pathToFileURL(join(assets, wheel.file));
  const pin = join(room.root, 'wheel.txt');
  await writeFile(pin, `kaelio-ktx @ ${url} --hash=sha256:${wheel.sha256}\n`);
  await room.context.run(
    plan(room, 'uv venv', uv.path, ['venv', '--no-project', '--no-config', '--python', python.path, venv]),
  );
  const strict = ['--require-hashes', '--only-binary', ':all:', '--strict', '--no-config'];
  const files = [join(assets, locks.core.file), pin];
  await room.context.run(
    plan(room, 'uv pip sync', uv.path, ['pip', 'sync', '--python', pythonOf(venv), ...strict, ...files]),
  );
  return venv;
}

const IMPORTS = `
import importlib.metadata, importlib.util, json, semantic_layer, ktx_daemon
print(json.dumps({
  "files": [semantic_layer.__file__, ktx_daemon.__file__],
  "version": importlib.metadata.version("kaelio-ktx"),
  "heavy": [name for name in ("torch", "sentence_transformers") if importlib.util.find_spec(name)],
}))
`;

async function checkImports(room: Room, venv: string): Promise<void> {
  const printed = await room.context.run(
    plan(room, 'imports', pythonOf(venv), ['-I', '-c', IMPORTS], { capture: true }),
  );
  const { files, version, heavy } = JSON.parse(printed) as { files: string[]; version: string; heavy: string[] };
  for (const file of files) expect(file.startsWith(venv), `${file} was imported from outside the environment`);
  expect(
    version === room.subject.manifest.version,
    `the installed kaelio-ktx is ${version}, not ${room.subject.manifest.version}`,
  );
  expect(heavy.length === 0, `${heavy.join(' and ')} came without being asked for`);
}

/** One source, one measure by one dimension: the smallest question there is. */
const QUESTION = {
  sources: [
    {
      name: 'orders',
      table: 'orders',
      grain: ['id'],
      columns: [
        { name: 'id', type: 'number' },
        { name: 'status', type: 'string' },
        { name: 'total', type: 'number' },
      ],
      measures: [{ name: 'revenue', expr: 'sum(total)' }],
    },
  ],
  query: { measures: ['orders.revenue'], dimensions: ['orders.status'] },
  dialect: 'duckdb',
};

async function checkOneShot(room: Room, venv: string): Promise<void> {
  const input = JSON.stringify(QUESTION);
  const printed = await room.context.run(
    plan(room, 'ktx-daemon', scriptOf(venv), ['semantic-query'], { capture: true, input }),
  );
  const { sql, dialect } = JSON.parse(printed) as { sql?: string; dialect?: string };
  expect(dialect === 'duckdb', `ktx-daemon semantic-query answered for the dialect ${dialect}`);
  expect(/^\s*(select|with)\b/i.test(sql ?? '') && /sum/i.test(sql ?? ''), `ktx-daemon semantic-query answered ${sql}`);
}

/** The server says where it listens, is healthy, and ends when asked to. */
async function checkServer(room: Room, venv: string): Promise<void> {
  const ready = join(room.root, `${randomUUID()}.json`);
  const stop = new AbortController();
  const signal = AbortSignal.any([room.context.signal, stop.signal]);
  const args = ['serve-http', '--port', '0', '--ready-file', ready, '--log-level', 'warning'];
  const serving = run(plan(room, 'serve-http', scriptOf(venv), args), { log: room.context.log, signal });
  serving.catch(() => {});
  try {
    const { port } = await readyLine(ready, serving);
    const answer = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(5000) });
    const { status } = (await answer.json()) as { status?: string };
    expect(answer.ok && status === 'healthy', `GET /health answered ${answer.status} ${status}`);
  } finally {
    stop.abort();
    await serving.catch(() => {});
  }
}

async function readyLine(file: string, serving: Promise<unknown>): Promise<{ port: number }> {
  let ended = false;
  serving.then(
    () => {
      ended = true;
    },
    () => {
      ended = true;
    },
  );
  for (let waited = 0; waited < 30_000; waited += 50) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text) return JSON.parse(text) as { port: number };
    if (ended) await serving;
    await sleep(50);
  }
  throw new BuildError(
    'clean-room',
    'ktx-daemon serve-http was not ready within 30 s',
    'Run it by hand and look at what it prints.',
  );
}

function pythonOf(venv: string): string {
  return process.platform === 'win32' ? join(venv, 'Scripts', 'python.exe') : join(venv, 'bin', 'python');
}

function scriptOf(venv: string): string {
  return process.platform === 'win32' ? join(venv, 'Scripts', 'ktx-daemon.exe') : join(venv, 'bin', 'ktx-daemon');
}
