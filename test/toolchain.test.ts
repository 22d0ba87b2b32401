import { appendFile, rm } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readToolchain } from '../tasks/toolchain.ts';
import { realTools, setupWorkspace } from './_support/setup-workspace.ts';

async function ready(t: ExecutionContext) {
  const [at, tools] = [await setupWorkspace(t), await realTools()];
  await at.link('uv', tools.uv.path);
  at.env.UV_PYTHON = tools.python.path;
  const { code, err } = await at.setUp();
  t.is(code, 0, err);
  return { at, tools };
}

test.serial('tells the recorded tools, frozen', async (t) => {
  const { at, tools } = await ready(t);
  const found = await readToolchain(at.root, at.env);
  t.is(found.uv.path, path.join(at.bin, 'uv'));
  t.is(found.uv.version, tools.uv.version);
  t.deepEqual(found.python, tools.python);
  t.deepEqual(found.node, { path: process.execPath, version: process.versions.node });
  t.true(Object.isFrozen(found));
});

test.serial('a checkout that was never set up says how to', async (t) => {
  const at = await setupWorkspace(t);
  await t.throwsAsync(readToolchain(at.root, at.env), { code: 'toolchain-missing', message: /npm run setup/ });
});

test.serial('a damaged record says how to make it again', async (t) => {
  const { at } = await ready(t);
  await at.write('.tools/toolchain.json', '{"schemaVersion":1}');
  await t.throwsAsync(readToolchain(at.root, at.env), { code: 'toolchain-stale', message: /npm run setup/ });
});

test.serial('another uv first on PATH is noticed, and used when it fits', async (t) => {
  const { at, tools } = await ready(t);
  await at.script('uv', `exec "${tools.uv.path}" "$@"`);
  t.deepEqual((await readToolchain(at.root, at.env)).uv, { path: path.join(at.bin, 'uv'), version: tools.uv.version });
});

test.serial('an old uv first on PATH is refused by path, version and need', async (t) => {
  const { at } = await ready(t);
  await at.script('uv', 'echo "uv 0.4.30"');
  const message = /\/bin\/uv is uv 0\.4\.30; uv>=0\.11\.28 is needed\n {2}Run: npm run setup/;
  await t.throwsAsync(readToolchain(at.root, at.env), { code: 'old-uv', message });
});

test.serial('a broken uv first on PATH is refused with how it failed', async (t) => {
  const { at } = await ready(t);
  await at.script('uv', 'kill -9 $$');
  await t.throwsAsync(readToolchain(at.root, at.env), { code: 'broken-uv', message: /was ended by SIGKILL/ });
});

test.serial('a uv that left PATH but lies where it was is still used', async (t) => {
  const { at } = await ready(t);
  t.is((await readToolchain(at.root, { ...at.env, PATH: '' })).uv.path, path.join(at.bin, 'uv'));
  await rm(path.join(at.bin, 'uv'));
  await t.throwsAsync(readToolchain(at.root, at.env), { code: 'no-uv' });
});

test.serial('a need that grew is noticed', async (t) => {
  const { at } = await ready(t);
  await appendFile(path.join(at.root, 'pyproject.toml'), '\n');
  await t.notThrowsAsync(readToolchain(at.root, at.env));
  await at.write('pyproject.toml', '[project]\nrequires-python = ">=3.99"\n');
  await t.throwsAsync(readToolchain(at.root, at.env), {
    code: 'toolchain-stale',
    message: /no longer the Python to use/,
  });
});
