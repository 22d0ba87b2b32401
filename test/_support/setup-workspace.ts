/**
 * A small checkout for set-up to work on: the real setup files over a workspace
 * that needs no index (no third-party package, a build backend of its own), with
 * an empty HOME and a PATH that holds only what a test puts there.
 */
import { spawn } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { readToolchain } from '../../tasks/toolchain.ts';

export const repository = path.resolve(import.meta.dirname, '..', '..');

/** The real tools, as this repository's own set-up found them. */
export const realTools = () => readToolchain(repository, process.env);

const PYPROJECT = `[project]
name = "small"
version = "0"
requires-python = ">=3.13"

[tool.uv]
package = false
required-version = ">=0.11.28"

[tool.uv.workspace]
members = ["python/*"]
`;

const MEMBER = `[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "one"
version = "0.1.0"
requires-python = ">=3.13"
`;

const BACKEND = `import pathlib, zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    info = "one-0.1.0.dist-info/"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / "one-0.1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("one.pth", str(pathlib.Path(__file__).parent) + "\\n")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: one\\nVersion: 0.1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "one.pth,,\\n")
    return "one-0.1.0-py3-none-any.whl"
`;

const LOCK_HEAD = `version = 1
revision = 5
requires-python = ">=3.13"

[manifest]
members = ["one", "small"]

[[package]]
name = "one"
version = "0.1.0"
source = { editable = "python/one" }

[[package]]
name = "small"
version = "0"
source = { virtual = "." }
`;

/** A third-party package that no index here has. */
export const LOCK_WITH_A_PACKAGE = `${LOCK_HEAD}
[package.dev-dependencies]
dev = [{ name = "nowhere" }]

[[package]]
name = "nowhere"
version = "1.0"
source = { registry = "https://index.invalid/simple" }
wheels = [
    { filename = "nowhere-1.0-py3-none-any.whl", hash = "sha256:${'0'.repeat(64)}", size = 1 },
]
`;

/** Stands for gulp: tells how it was started, then does what its first argument says. */
const TOOL = `#!/usr/bin/env node
const [what = 'tell', detail] = process.argv.slice(2);
if (what === 'tell') console.log(JSON.stringify({ node: process.execPath, args: process.argv.slice(2), path: process.env.PATH, python: process.env.UV_PYTHON }));
if (what === 'exit') process.exitCode = Number(detail);
if (what === 'die') process.kill(process.pid, detail);
if (what === 'wait') {
  process.on(detail, () => { console.log('got ' + detail); process.exit(7); });
  setInterval(() => {}, 1000);
  console.log('waiting');
}
`;

export interface Workspace {
  readonly root: string;
  readonly home: string;
  /** The only folder on PATH. */
  readonly bin: string;
  readonly env: NodeJS.ProcessEnv;
  /** Put a file below the root. */
  readonly write: (file: string, text: string) => Promise<void>;
  /** Put a shell script on PATH. */
  readonly script: (name: string, body: string) => Promise<string>;
  /** Put a link to a real program on PATH. */
  readonly link: (name: string, target: string) => Promise<void>;
  readonly start: (args?: readonly string[], env?: NodeJS.ProcessEnv) => Started;
  /** Run set-up to its end, here or in another checkout. */
  readonly setUp: (args?: readonly string[], env?: NodeJS.ProcessEnv, checkout?: string) => Promise<Ended>;
  readonly toolchain: () => Promise<{
    uv: { path: string };
    python: { path: string; version: string };
    node: { path: string };
  }>;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface Started {
  readonly pid: number;
  readonly kill: (signal: NodeJS.Signals) => void;
  /** Resolves once stdout or stderr holds the text. */
  readonly says: (text: string) => Promise<void>;
  readonly ended: Promise<Ended>;
}

export async function setupWorkspace(t: ExecutionContext): Promise<Workspace> {
  const base = await mkdtemp(path.join(tmpdir(), 'ktx-setup-'));
  t.teardown(() => rm(base, { recursive: true, force: true, maxRetries: 5 }));
  const [root, home, bin] = ['checkout', 'home', 'bin'].map((name) => path.join(base, name)) as [
    string,
    string,
    string,
  ];
  const write = async (file: string, text: string) => {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true });
    await writeFile(path.join(root, file), text);
  };
  const script = async (name: string, body: string) => {
    const file = path.join(bin, name);
    await rm(file, { force: true });
    await writeFile(file, `#!/bin/sh\n${body}\n`);
    await chmod(file, 0o755);
    return file;
  };
  await Promise.all([home, bin].map((folder) => mkdir(folder, { recursive: true })));
  for (const file of ['setup.mjs', 'setup', 'tasks/uv-requirements.txt']) {
    await cp(path.join(repository, file), path.join(root, file), { recursive: true });
  }
  const { engines } = JSON.parse(await readFile(path.join(repository, 'package.json'), 'utf8'));
  const devDependencies = { gulp: 'file:vendor/gulp' };
  await write('package.json', JSON.stringify({ name: 'small', private: true, engines, devDependencies }));
  await write(
    'package-lock.json',
    JSON.stringify({
      name: 'small',
      lockfileVersion: 3,
      requires: true,
      packages: {
        '': { name: 'small', engines, devDependencies },
        'node_modules/gulp': { resolved: 'vendor/gulp', link: true },
        'vendor/gulp': { name: 'gulp', version: '1.0.0', dev: true },
      },
    }),
  );
  await write('vendor/gulp/package.json', JSON.stringify({ name: 'gulp', version: '1.0.0' }));
  await write('vendor/gulp/bin/gulp.js', TOOL);
  await write('pyproject.toml', PYPROJECT);
  await write('uv.lock', LOCK_HEAD);
  await write('python/one/pyproject.toml', MEMBER);
  await write('python/one/backend.py', BACKEND);
  await write('python/one/one/__init__.py', '');

  const tools = await realTools();
  const link = async (name: string, target: string) => {
    await rm(path.join(bin, name), { force: true });
    await symlink(target, path.join(bin, name));
  };
  await link('npm', tools.npmCli);
  const env = { HOME: home, PATH: bin, UV_PYTHON_DOWNLOADS: 'never', UV_CACHE_DIR: path.join(base, 'uv-cache') };
  const start = (args: readonly string[] = [], extra: NodeJS.ProcessEnv = {}, checkout = root) =>
    started(process.execPath, [path.join(checkout, 'setup.mjs'), ...args], checkout, { ...env, ...extra });
  return {
    root,
    home,
    bin,
    env,
    write,
    script,
    link,
    start,
    setUp: (args, extra, checkout) => start(args, extra, checkout).ended,
    toolchain: async () => JSON.parse(await readFile(path.join(root, '.tools', 'toolchain.json'), 'utf8')),
  };
}

function started(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Started {
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const text = { out: '', err: '' };
  const waiters = new Set<() => void>();
  const keep = (to: 'out' | 'err') => (chunk: string) => {
    text[to] += chunk;
    for (const check of waiters) check();
  };
  child.stdout.setEncoding('utf8').on('data', keep('out'));
  child.stderr.setEncoding('utf8').on('data', keep('err'));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, ...text }));
  });
  return {
    pid: child.pid as number,
    kill: (signal) => child.kill(signal),
    ended,
    says: (wanted) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (text.out.includes(wanted) || text.err.includes(wanted)) resolve();
        };
        waiters.add(check);
        check();
        ended.then(() => reject(new Error(`ended without saying ${wanted}:\n${text.out}${text.err}`)), reject);
      }),
  };
}
