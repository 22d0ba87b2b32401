/**
 * A world for one test: its own package, home, runtime root and PATH, so that tests run side by side.
 *
 * The package is the built one, laid out as npm would install it, with a stand-in wheel and locks: what is tested
 * here is what ktx does with them, and the fake uv never opens them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { buildCli } from '../../build.ts';
import { isRunning } from '../../src/runtime/process-identity.ts';

const here = dirname(fileURLToPath(import.meta.url));
const cli = join(here, '..', '..');

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface UvCall {
  readonly step: string;
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly pid: number;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly input?: string;
  /** Runs as this user; only root can. */
  readonly uid?: number;
}

export interface World {
  readonly dir: string;
  readonly home: string;
  readonly root: string;
  readonly pkg: string;
  readonly version: string;
  readonly env: Record<string, string>;
  readonly ktx: (args: readonly string[], options?: RunOptions) => Promise<Ran>;
  /** Also gives the process while it runs. */
  readonly start: (args: readonly string[], options?: RunOptions) => { child: ChildProcess; ended: Promise<Ran> };
  readonly json: <T = Record<string, unknown>>(
    args: readonly string[],
    options?: RunOptions,
  ) => Promise<T & { code: number | null }>;
  readonly calls: () => Promise<UvCall[]>;
  readonly generations: () => Promise<string[]>;
  readonly manifest: () => Promise<Record<string, unknown> | undefined>;
}

let built: Promise<string> | undefined;

/** The bundle, made once per test process. */
export function builtCli(): Promise<string> {
  built ??= (async () => {
    const out = await mkdtemp(join(tmpdir(), 'ktx-built-'));
    process.once('exit', () => rmSync(out, { recursive: true, force: true }));
    await buildCli(join(out, 'package'));
    return join(out, 'package');
  })();
  return built;
}

/** Worlds at once: ava starts all tests of a file together, and each starts several processes. */
const ROOM = 4;
let inside = 0;
const waiting: (() => void)[] = [];

async function enter(t: ExecutionContext): Promise<void> {
  t.timeout(10 * 60_000, 'waiting for a turn or a child');
  if (inside >= ROOM) await new Promise<void>((resolve) => waiting.push(resolve));
  inside += 1;
  t.teardown(() => {
    inside -= 1;
    waiting.shift()?.();
  });
}

export async function world(t: ExecutionContext, options: { uv?: boolean; root?: string } = {}): Promise<World> {
  await enter(t);
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'ktx-world-')));
  t.teardown(async () => {
    await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  });
  const pkg = join(dir, 'package');
  await cp(await builtCli(), pkg, { recursive: true });
  await cp(join(cli, 'package.json'), join(pkg, 'package.json'));
  const version = (JSON.parse(await readFile(join(pkg, 'package.json'), 'utf8')) as { version: string }).version;
  await writeAssets(pkg, {});
  const home = join(dir, 'home');
  const bin = join(dir, 'bin');
  await mkdir(home);
  await mkdir(bin);
  await symlink(process.execPath, join(bin, 'node'));
  if (options.uv !== false) await placeUv(join(bin, 'uv'));
  const root = options.root ?? join(dir, 'root');
  const env = {
    PATH: `${bin}:/usr/bin:/bin`,
    HOME: home,
    TMPDIR: join(dir, 'tmp'),
    KTX_RUNTIME_ROOT: root,
    KTX_SKIP_SPACE_CHECK: '1',
    FAKE_UV_CALLS: join(dir, 'calls'),
  };
  await mkdir(env.TMPDIR);
  const start: World['start'] = (args, { env: more = {}, cwd = dir, input, uid } = {}) => {
    const child = spawn(process.execPath, [join(pkg, 'dist', 'bin.js'), ...args], {
      cwd,
      env: Object.fromEntries(
        Object.entries({ ...env, ...more }).filter(([, value]) => value !== undefined),
      ) as NodeJS.ProcessEnv,
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
    return { child, ended: ended(child) };
  };
  const ktx: World['ktx'] = async (args, more) => await start(args, more).ended;
  return {
    dir,
    home,
    root,
    pkg,
    version,
    env,
    start,
    ktx,
    json: async <T>(args: readonly string[], more?: RunOptions) => {
      const { stdout, code, stderr } = await ktx([...args, '--json'], more);
      try {
        return { ...(JSON.parse(stdout) as T), code };
      } catch (cause) {
        throw new Error(`no document on stdout of ${args.join(' ')}: ${stdout}\n${stderr}`, { cause });
      }
    },
    calls: async () => await readCalls(env.FAKE_UV_CALLS),
    generations: async () => (await readdir(join(root, version, 'env')).catch(() => [])).sort(),
    manifest: async () =>
      await readFile(join(root, version, 'manifest.json'), 'utf8').then(
        (text) => JSON.parse(text) as Record<string, unknown>,
        () => undefined,
      ),
  };
}

/** The version is answered by the shell: on a crowded machine a Node may take longer to start than uv is given. */
export async function placeUv(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const script = [
    '#!/bin/sh',
    'case "$1$FAKE_UV_FAULT" in --version*\'"version"\'*) ;; --version*)',
    '  /bin/mkdir -p "$FAKE_UV_CALLS"',
    '  call="$FAKE_UV_CALLS/$(/bin/date +%s%N)-$$.json"',
    `  echo '{"step":"version","argv":["--version"],"cwd":"","env":{},"pid":0}' > "$call.tmp"`,
    '  /bin/mv "$call.tmp" "$call"',
    '  [ -n "$FAKE_UV_VERSION" ] || FAKE_UV_VERSION=0.13.9',
    '  echo "uv $FAKE_UV_VERSION (fake)"',
    '  exit 0 ;;',
    'esac',
    `exec '${process.execPath}' '${join(here, 'fake-uv.mjs')}' "$@"`,
  ].join('\n');
  await writeFile(path, `${script}\n`);
  await chmod(path, 0o755);
}

export interface AssetChanges {
  readonly wheel?: string;
  readonly lock?: string;
  /** Last word over the manifest's text. */
  readonly manifest?: (manifest: Record<string, unknown>) => unknown;
  /** Keep `build-info.js` as it was: the assets alone were replaced. */
  readonly keepBuildInfo?: boolean;
}

/** Stand-in assets, consistent with each other and with `build-info.js` unless told otherwise. */
export async function writeAssets(pkg: string, changes: AssetChanges): Promise<void> {
  const assets = join(pkg, 'assets', 'python');
  await mkdir(assets, { recursive: true });
  const { version } = JSON.parse(await readFile(join(pkg, 'package.json'), 'utf8')) as { version: string };
  const file = async (name: string, content: string): Promise<{ file: string; sha256: string; bytes: number }> => {
    await writeFile(join(assets, name), content);
    return { file: name, sha256: sha256(content), bytes: Buffer.byteLength(content) };
  };
  const wheel = await file(`kaelio_ktx-${version}-py3-none-any.whl`, changes.wheel ?? 'a wheel');
  const core = await file('requirements.lock.txt', changes.lock ?? 'sqlglot==1 --hash=sha256:00\n');
  const embeddings = await file(
    'requirements.local-embeddings.lock.txt',
    `${changes.lock ?? ''}torch==1 --hash=sha256:00\n`,
  );
  const manifest = {
    schemaVersion: 1,
    distributionName: 'kaelio-ktx',
    normalizedName: 'kaelio_ktx',
    version,
    wheel,
    requiresPython: '>=3.13,<3.15',
    locks: { core, 'local-embeddings': embeddings },
    uv: { minimum: '0.11.28' },
    sourceRevision: null,
  };
  const changed = changes.manifest?.(structuredClone(manifest)) ?? manifest;
  const text = typeof changed === 'string' ? changed : `${JSON.stringify(changed, null, 2)}\n`;
  await writeFile(join(assets, 'manifest.json'), text);
  if (changes.keepBuildInfo === true) return;
  const buildInfo = {
    version,
    manifestSha256: sha256(text),
    wheelSha256: wheel.sha256,
    locks: { core: core.sha256, 'local-embeddings': embeddings.sha256 },
    runtimeInstaller: { uvStrategy: 'path-prerequisite', bootstrapUv: false, missingUvBehavior: 'focused-error' },
  };
  await writeFile(
    join(pkg, 'dist', 'build-info.js'),
    `export const buildInfo = Object.freeze(${JSON.stringify(buildInfo)});\n`,
  );
}

export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

export async function readCalls(folder: string): Promise<UvCall[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json')).sort();
  return await Promise.all(names.map(async (name) => JSON.parse(await readFile(join(folder, name), 'utf8')) as UvCall));
}

/** Every path below a folder with its kind and content digest: two equal answers mean that nothing was touched. */
export async function snapshot(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const lines = await Promise.all(
    entries.map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      const content = entry.isFile() ? sha256(await readFile(path)) : '';
      return `${path} ${entry.isDirectory() ? 'dir' : content}`;
    }),
  );
  return lines.sort();
}

/** Waits until something holds; the limit only ends a test that would never end. */
export async function until<T>(
  what: () => Promise<T | undefined | false> | T | undefined | false,
  limitMs = 60_000,
): Promise<T> {
  const started = performance.now();
  for (;;) {
    const value = await what();
    if (value !== undefined && value !== false) return value;
    if (performance.now() - started > limitMs) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A zombie is dead: not every machine has an init that reaps. */
export const alive: (pid: number) => boolean = isRunning;

function ended(child: ChildProcess): Promise<Ran> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}
