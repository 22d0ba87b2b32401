/**
 * A world with the real uv, wheel and locks: what `gulp artifacts` put into the package, installed from whatever index
 * uv is configured for.
 *
 * Where uv or the wheel is missing the tests are skipped, and say so; in CI that is a failure.
 */
import { execFile } from 'node:child_process';
import { access, cp, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import { sha256, type World, world } from './world.ts';

const run = promisify(execFile);
const cli = fileURLToPath(new URL('../..', import.meta.url));

export const assets = join(cli, 'assets', 'python');

export interface Tools {
  readonly uv: string;
  readonly cache: string;
}

/** Undefined when the real installation cannot be tested here; the reason is printed. */
export async function realTools(): Promise<Tools | undefined> {
  const uv = await realUv();
  const wheel = await access(join(assets, 'manifest.json')).then(
    () => true,
    () => false,
  );
  if (uv === undefined) return skipped('no uv in KTX_UV, on PATH or in .tools');
  if (!wheel) return skipped('no wheel in packages/cli/assets/python: run gulp artifacts first');
  const cache = process.env.UV_CACHE_DIR ?? (await run(uv, ['cache', 'dir'])).stdout.trim();
  return { uv, cache };
}

function skipped(reason: string): undefined {
  if (process.env.CI) throw new Error(`the real installation cannot be tested: ${reason}`);
  console.error(`skipped: the real installation, as there is ${reason}`);
  return undefined;
}

async function realUv(): Promise<string | undefined> {
  const name = process.platform === 'win32' ? 'uv.exe' : 'uv';
  const onPath = (process.env.PATH ?? '')
    .split(delimiter)
    .filter(isAbsolute)
    .map((folder) => join(folder, name));
  for (const path of [process.env.KTX_UV, ...onPath, join(cli, '..', '..', '.tools', 'uv', 'bin', name)]) {
    if (
      path &&
      (await run(path, ['--version']).then(
        () => true,
        () => false,
      ))
    )
      return path;
  }
  return undefined;
}

/** Its own home and root; the cache, index, certificates and interpreters are those of this machine. */
export async function realWorld(t: ExecutionContext, tools: Tools): Promise<World> {
  const w = await world(t, { uv: false });
  await takeAssets(w.pkg);
  const kept = Object.entries(process.env).filter(([name]) =>
    /^(?:UV_|SSL_|HTTPS?_PROXY|NO_PROXY|XDG_CONFIG_HOME)/i.test(name),
  );
  Object.assign(w.env, Object.fromEntries(kept), {
    KTX_UV: tools.uv,
    UV_CACHE_DIR: tools.cache,
    PYENV_ROOT: process.env.PYENV_ROOT ?? join(homedir(), '.pyenv'),
    ...(process.env.UV_PYTHON !== undefined && isAbsolute(process.env.UV_PYTHON)
      ? { KTX_PYTHON: process.env.UV_PYTHON }
      : {}),
  });
  return w;
}

/** The real assets, as they are or with one file altered, and the `build-info.js` that fits them. */
export async function takeAssets(pkg: string, alter: { lock?: (text: string) => string } = {}): Promise<void> {
  const target = join(pkg, 'assets', 'python');
  await cp(assets, target, { recursive: true });
  const path = join(target, 'manifest.json');
  const manifest = JSON.parse(await readFile(path, 'utf8')) as {
    version: string;
    wheel: { sha256: string };
    locks: Record<string, { file: string; sha256: string; bytes: number }>;
  };
  const core = manifest.locks.core;
  if (alter.lock !== undefined && core !== undefined) {
    const text = alter.lock(await readFile(join(target, core.file), 'utf8'));
    await writeFile(join(target, core.file), text);
    manifest.locks.core = { file: core.file, sha256: sha256(text), bytes: Buffer.byteLength(text) };
    await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`);
  }
  const { version } = JSON.parse(await readFile(join(pkg, 'package.json'), 'utf8')) as { version: string };
  const info = {
    version,
    manifestSha256: sha256(await readFile(path)),
    wheelSha256: manifest.wheel.sha256,
    locks: Object.fromEntries(Object.entries(manifest.locks).map(([feature, lock]) => [feature, lock.sha256])),
    runtimeInstaller: { uvStrategy: 'path-prerequisite', bootstrapUv: false, missingUvBehavior: 'focused-error' },
  };
  await writeFile(
    join(pkg, 'dist', 'build-info.js'),
    `export const buildInfo = Object.freeze(${JSON.stringify(info)});\n`,
  );
}
