import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { alive, placeUv, type Ran, sha256, snapshot, until, type World, world, writeAssets } from './_support/world.ts';

/** One failure: exit 1, nothing on stdout, no stack. */
function failed(t: ExecutionContext, ran: Ran, ...texts: (string | RegExp)[]): void {
  t.is(ran.code, 1, ran.stderr);
  t.is(ran.stdout, '');
  t.notRegex(ran.stderr, /^\s+at .*:\d+:\d+\)?$/m, 'no stack');
  for (const text of texts)
    t.true(typeof text === 'string' ? ran.stderr.includes(text) : text.test(ran.stderr), `${text} in\n${ran.stderr}`);
}

async function installed(t: ExecutionContext): Promise<World> {
  const w = await world(t);
  const ran = await w.ktx(['runtime', 'install']);
  t.is(ran.code, 0, ran.stderr);
  return w;
}

async function uvCalls(w: World): Promise<number> {
  return (await w.calls()).length;
}

test('a fresh install is ready, with core alone', async (t) => {
  const w = await world(t);
  const result = await w.json(['runtime', 'install', '--yes']);
  t.like(result, { code: 0, kind: 'installed', version: w.version, features: ['core'] });
  t.true((await stat(result.python as string)).isFile());
  t.deepEqual(await w.generations(), [result.generation as string]);
  const status = await w.json(['runtime', 'status']);
  t.like(status, { code: 0, kind: 'ready', daemon: { state: 'stopped' } });
  t.deepEqual(await readdir(join(w.root, w.version, 'work')), []);
  t.is(await readFile(join(w.root, '.ktx-runtime-root'), 'utf8'), '{"schemaVersion":1}\n');
});

test('the text of install names every path', async (t) => {
  const w = await world(t);
  const { stdout } = await w.ktx(['runtime', 'install']);
  for (const label of ['version:', 'features: core', 'python:', 'daemon:', 'manifest:', 'install log:'])
    t.true(stdout.includes(label), label);
});

test('a second install reuses without uv, lock or write', async (t) => {
  const w = await installed(t);
  const before = await snapshot(w.root);
  const calls = await uvCalls(w);
  t.like(await w.json(['runtime', 'install'], { env: { PATH: '/nowhere' } }), { code: 0, kind: 'reused' });
  t.is(await uvCalls(w), calls);
  t.deepEqual(await snapshot(w.root), before);
});

test('features add up, and only --exact drops one', async (t) => {
  const w = await installed(t);
  const both = ['core', 'local-embeddings'];
  t.like(await w.json(['runtime', 'install', '--feature', 'local-embeddings']), { kind: 'installed', features: both });
  t.like(await w.json(['runtime', 'install']), { kind: 'reused', features: both });
  t.like(await w.json(['runtime', 'install', '--force']), { kind: 'installed', features: both });
  t.like(await w.json(['runtime', 'install', '--exact']), { kind: 'installed', features: ['core'] });
  t.is((await w.generations()).length, 1);
});

test('uv gets hashes, a verified copy and no way to resolve by name', async (t) => {
  const w = await installed(t);
  const calls = await w.calls();
  t.deepEqual(
    calls.map(({ step }) => step),
    ['version', 'find', 'venv', 'sync', 'check'],
  );
  const sync = calls[3];
  const work = sync?.cwd ?? '';
  t.regex(work, /\/work\/[0-9a-f]{8}$/);
  t.deepEqual(sync?.argv.slice(0, 2), ['pip', 'sync']);
  for (const flag of ['--require-hashes', '--only-binary', '--strict', '--compile-bytecode'])
    t.true(sync?.argv.includes(flag), flag);
  t.is(sync?.argv[(sync?.argv.indexOf('--link-mode') ?? 0) + 1], 'copy');
  t.deepEqual(sync?.argv.slice(-2), [join(work, 'requirements.lock.txt'), join(work, 'wheel.txt')]);
  t.is(sync?.env.UV_PYTHON_INSTALL_DIR, join(w.root, 'python'));
});

const environments: readonly { name: string; env: Record<string, string>; kept: boolean }[] = [
  { name: 'UV_DEFAULT_INDEX', env: { UV_DEFAULT_INDEX: 'https://index.example/simple' }, kept: true },
  { name: 'UV_INDEX_PRIVATE_PASSWORD', env: { UV_INDEX_PRIVATE_PASSWORD: 'hunter22' }, kept: true },
  { name: 'UV_CACHE_DIR', env: { UV_CACHE_DIR: '/var/cache/uv' }, kept: true },
  { name: 'UV_HTTP_TIMEOUT', env: { UV_HTTP_TIMEOUT: '3' }, kept: true },
  { name: 'UV_CONFIG_FILE', env: { UV_CONFIG_FILE: '/etc/uv.toml' }, kept: true },
  { name: 'UV_PYTHON_DOWNLOADS', env: { UV_PYTHON_DOWNLOADS: 'never' }, kept: true },
  { name: 'HTTPS_PROXY', env: { HTTPS_PROXY: 'http://proxy.example:3128' }, kept: true },
  { name: 'SSL_CERT_FILE', env: { SSL_CERT_FILE: '/etc/private.pem' }, kept: true },
  { name: 'UV_PROJECT_ENVIRONMENT', env: { UV_PROJECT_ENVIRONMENT: '/elsewhere' }, kept: false },
  { name: 'UV_PYTHON', env: { UV_PYTHON: '3.9' }, kept: false },
  { name: 'UV_CONSTRAINT', env: { UV_CONSTRAINT: '/c.txt' }, kept: false },
  { name: 'VIRTUAL_ENV', env: { VIRTUAL_ENV: '/venv' }, kept: false },
  { name: 'CONDA_PREFIX', env: { CONDA_PREFIX: '/conda' }, kept: false },
  { name: 'PYTHONPATH', env: { PYTHONPATH: '/bad' }, kept: false },
  { name: 'PYTHONHOME', env: { PYTHONHOME: '/bad' }, kept: false },
  { name: 'PIP_INDEX_URL', env: { PIP_INDEX_URL: 'https://other.example' }, kept: false },
  { name: 'LD_PRELOAD', env: { LD_PRELOAD: '' }, kept: false },
];
test('the environment of uv says where packages come from, not where they go', async (t) => {
  const w = await world(t);
  const env = Object.assign({}, ...environments.map((row) => row.env)) as Record<string, string>;
  t.is((await w.ktx(['runtime', 'install'], { env })).code, 0);
  const sync = (await w.calls()).find(({ step }) => step === 'sync');
  for (const { name, kept, env: row } of environments) t.is(sync?.env[name], kept ? row[name] : undefined, name);
});

test('KTX_OFFLINE reaches uv as a flag', async (t) => {
  const w = await world(t);
  t.is((await w.ktx(['runtime', 'install'], { env: { KTX_OFFLINE: '1' } })).code, 0);
  t.true((await w.calls()).find(({ step }) => step === 'sync')?.argv.includes('--offline'));
});

test('one flipped byte in the wheel stops before uv is called', async (t) => {
  const w = await installed(t);
  const before = await snapshot(w.root);
  const calls = await uvCalls(w);
  const wheel = join(w.pkg, 'assets', 'python', `kaelio_ktx-${w.version}-py3-none-any.whl`);
  await writeFile(wheel, 'a whEel');
  failed(t, await w.ktx(['runtime', 'install']), wheel, 'sha256');
  t.is(await uvCalls(w), calls);
  t.deepEqual(await snapshot(w.root), before);
  t.like(await w.json(['runtime', 'status']), { kind: 'broken', reason: 'asset-invalid' });
});

test('wheel and manifest replaced together are refused', async (t) => {
  const w = await world(t);
  await writeAssets(w.pkg, { wheel: 'another wheel', keepBuildInfo: true });
  failed(t, await w.ktx(['runtime', 'install']), 'manifest.json is not the file this ktx was built with');
});

const damages: readonly { name: string; change: (manifest: Record<string, never>) => unknown; says: RegExp }[] = [
  {
    name: 'a path that leaves the folder',
    change: withWheel({ file: '../x.whl' }),
    says: /"\.\.\/x\.whl", which leaves the folder/,
  },
  { name: 'an absolute path', change: withWheel({ file: '/x.whl' }), says: /"\/x\.whl", which is an absolute path/ },
  { name: 'a backslash', change: withWheel({ file: 'a\\x.whl' }), says: /which holds a backslash/ },
  { name: 'a missing field', change: withWheel({ sha256: undefined }), says: /lacks "wheel\.sha256"/ },
  { name: 'a bad digest', change: withWheel({ sha256: 'ABC' }), says: /bad "wheel\.sha256"/ },
  {
    name: 'another schemaVersion',
    change: (m) => ({ ...m, schemaVersion: 2 }),
    says: /schemaVersion 2, this ktx reads 1/,
  },
  {
    name: 'another version',
    change: (m) => ({ ...m, version: '9.9.9' }),
    says: /version 9\.9\.9, which is not that of ktx/,
  },
  { name: 'no locks', change: (m) => ({ ...m, locks: undefined }), says: /lacks "locks"/ },
  { name: 'no lock for core', change: (m) => ({ ...m, locks: {} }), says: /names no lock for core/ },
  { name: 'text that is not JSON', change: () => '{', says: /is not JSON/ },
  { name: 'an empty file', change: () => '', says: /is empty/ },
  { name: 'a list', change: () => '[]', says: /is not an object/ },
];
function withWheel(change: Record<string, unknown>): (manifest: Record<string, unknown>) => unknown {
  return (manifest) => ({ ...manifest, wheel: { ...(manifest.wheel as object), ...change } });
}
for (const { name, change, says } of damages) {
  test(`a bundled manifest with ${name} has its own message`, async (t) => {
    const w = await world(t);
    await writeAssets(w.pkg, { manifest: change as (manifest: Record<string, unknown>) => unknown });
    failed(t, await w.ktx(['runtime', 'install']), join('assets', 'python', 'manifest.json'), says);
    t.is(await uvCalls(w), 0);
    t.deepEqual(await snapshot(w.root), []);
  });
}

test('a truncated wheel and an altered lock are named', async (t) => {
  const w = await world(t);
  const wheel = join(w.pkg, 'assets', 'python', `kaelio_ktx-${w.version}-py3-none-any.whl`);
  await writeFile(wheel, 'a w');
  failed(t, await w.ktx(['runtime', 'install']), `${wheel} has 3 bytes where the manifest says 7`);
  await writeAssets(w.pkg, {});
  const lock = join(w.pkg, 'assets', 'python', 'requirements.lock.txt');
  await writeFile(lock, (await readFile(lock, 'utf8')).replace('00', '01'));
  failed(t, await w.ktx(['runtime', 'install']), `${lock} has sha256`);
  await rm(wheel);
  failed(t, await w.ktx(['runtime', 'install']), `${wheel} is missing`);
});

test('an index that serves another hash leaves the old runtime and says which package', async (t) => {
  const w = await installed(t);
  const before = await w.manifest();
  const fault = {
    sync: {
      exit: 1,
      stderr:
        'error: Failed to download `orjson==3.11.9`\n  Caused by: Hash mismatch for `orjson==3.11.9`\n\nExpected:\n  sha256:00\n\nComputed:\n  sha256:11',
    },
  };
  const ran = await w.ktx(['runtime', 'install', '--force'], { env: { FAKE_UV_FAULT: JSON.stringify(fault) } });
  failed(
    t,
    ran,
    'Hash mismatch for `orjson==3.11.9`',
    'sha256:11',
    /install-\d{8}T\d{6}Z-[0-9a-f]{8}\.log/,
    'UV_DEFAULT_INDEX',
  );
  t.deepEqual(await w.manifest(), before);
  t.is((await w.json(['runtime', 'status'])).kind, 'ready');
  t.is((await w.generations()).length, 1);
});

const failures: readonly { name: string; fault: object; says: (string | RegExp)[] }[] = [
  {
    name: 'no network',
    fault: { sync: { exit: 2, stderr: 'error: Request failed after 3 retries\n  Caused by: dns error' } },
    says: ['HTTPS_PROXY', 'UV_DEFAULT_INDEX', 'UV_CACHE_DIR'],
  },
  {
    name: 'an empty cache offline',
    fault: { sync: { exit: 2, stderr: 'error: Network connectivity is disabled' } },
    says: ['KTX_OFFLINE', 'UV_CACHE_DIR'],
  },
  {
    name: 'no interpreter',
    fault: {
      find: { exit: 2 },
      venv: { skip: true, exit: 2, stderr: 'error: No interpreter found for Python >=3.13, <3.15' },
    },
    says: ['UV_PYTHON_DOWNLOADS', 'KTX_PYTHON'],
  },
  {
    name: 'a full disk',
    fault: { sync: { exit: 2, stderr: 'error: No space left on device (os error 28)' } },
    says: [/needed in .*, .* free/, 'KTX_RUNTIME_ROOT'],
  },
  {
    name: 'packages that do not fit',
    fault: { check: { exit: 1, stderr: 'pandas 3 needs numpy' } },
    says: ['could not check the packages', 'pandas 3 needs numpy'],
  },
  { name: 'a uv that is killed', fault: { sync: { signal: 'SIGKILL' } }, says: ['ended by SIGKILL'] },
];
for (const { name, fault, says } of failures) {
  test(`${name}: one message with a way out, and the old runtime intact`, async (t) => {
    const w = await installed(t);
    const before = await w.manifest();
    const ran = await w.ktx(['runtime', 'install', '--force'], { env: { FAKE_UV_FAULT: JSON.stringify(fault) } });
    failed(t, ran, ...says, 'runtime install --yes', '.log');
    t.deepEqual(await w.manifest(), before);
    t.deepEqual(await w.generations(), [before?.generation as string]);
  });
}

const probes: readonly { name: string; daemon: object; says: RegExp }[] = [
  {
    name: 'says another version',
    daemon: { saysVersion: '0.0.9' },
    says: /says "ktx-daemon 0\.0\.9" where "ktx-daemon 0\.1\.0" belongs/,
  },
  { name: 'misses a module', daemon: { importError: 'orjson' }, says: /No module named 'orjson'/ },
  { name: 'is built for another processor', daemon: { platform: 'linux-riscv64' }, says: /built for linux-riscv64/ },
];
for (const { name, daemon, says } of probes) {
  test(`a runtime that ${name} is not committed`, async (t) => {
    const w = await world(t);
    failed(t, await w.ktx(['runtime', 'install'], { env: { FAKE_DAEMON: JSON.stringify(daemon) } }), says);
    t.is(await w.manifest(), undefined);
    t.deepEqual(await w.generations(), []);
  });
}

const deaths: readonly { at: string; fault: object }[] = [
  { at: 'in venv', fault: { venv: { killParent: true, partial: true } } },
  { at: 'before venv', fault: { venv: { killParentBefore: true } } },
  { at: 'in sync', fault: { sync: { killParent: true } } },
  { at: 'after check, before the commit', fault: { check: { killParent: true } } },
];
for (const { at, fault } of deaths) {
  test(`kill -9 ${at}: the old runtime stays, and the next install sweeps`, async (t) => {
    const w = await installed(t);
    const before = await w.manifest();
    const died = await w.ktx(['runtime', 'install', '--force'], { env: { FAKE_UV_FAULT: JSON.stringify(fault) } });
    t.is(died.signal, 'SIGKILL');
    t.deepEqual(await w.manifest(), before);
    t.is((await w.json(['runtime', 'status'])).kind, 'ready');
    const next = await w.json(['runtime', 'install', '--force']);
    t.is(next.kind, 'installed');
    t.deepEqual(await w.generations(), [next.generation as string]);
    t.deepEqual(await readdir(join(w.root, w.version, 'work')), []);
    t.deepEqual(await readdir(join(w.root, 'locks')), []);
  });
  test(`kill -9 ${at} of a first install: missing, and the next one works`, async (t) => {
    const w = await world(t);
    await w.ktx(['runtime', 'install'], { env: { FAKE_UV_FAULT: JSON.stringify(fault) } });
    t.like(await w.json(['runtime', 'status']), { code: 1, kind: 'missing', reason: 'partial' });
    t.like(await w.json(['runtime', 'install']), { code: 0, kind: 'installed' });
    t.is((await w.generations()).length, 1);
  });
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`${signal} ends the whole group and leaves the old runtime`, async (t) => {
    const w = await installed(t);
    const before = await w.manifest();
    const fault = { sync: { hang: true, grandchild: true } };
    const { child, ended } = w.start(['runtime', 'install', '--force'], {
      env: { FAKE_UV_FAULT: JSON.stringify(fault) },
    });
    const uv = await until(async () => (await w.calls()).filter(({ step }) => step === 'sync')[1]);
    child.kill(signal);
    t.is((await ended).code, code);
    t.false(alive(uv.pid));
    t.deepEqual(await w.manifest(), before);
    t.deepEqual(await w.generations(), [before?.generation as string]);
  });
}

test('a uv that ignores the signal is killed', async (t) => {
  const w = await world(t);
  const fault = { sync: { hang: true, deaf: true } };
  const { child, ended } = w.start(['runtime', 'install'], { env: { FAKE_UV_FAULT: JSON.stringify(fault) } });
  const uv = await until(async () => (await w.calls()).find(({ step }) => step === 'sync'));
  child.kill('SIGINT');
  t.is((await ended).code, 130);
  t.false(alive(uv.pid));
});

test('KTX_INSTALL_TIMEOUT ends an installation that hangs', async (t) => {
  const w = await world(t);
  const env = { FAKE_UV_FAULT: JSON.stringify({ sync: { hang: true } }), KTX_INSTALL_TIMEOUT: '1.5' };
  failed(t, await w.ktx(['runtime', 'install'], { env }), 'KTX_INSTALL_TIMEOUT');
  t.deepEqual(await w.generations(), []);
});

test('a uv that prints 100 MB costs no memory and no disk', async (t) => {
  const w = await world(t);
  const env = {
    FAKE_UV_FAULT: JSON.stringify({ sync: { spin: 100 * 1024 * 1024 } }),
    NODE_OPTIONS: '--max-old-space-size=128',
  };
  const ran = await w.ktx(['runtime', 'install'], { env });
  t.is(ran.code, 0, ran.stderr);
  t.true((await stat(join(w.root, w.version, 'logs', 'install.log'))).size < 40 * 1024 * 1024);
});

test('no uv: one focused error, and a ready runtime is untouched', async (t) => {
  const w = await installed(t);
  const before = await snapshot(w.root);
  const without = { PATH: join(w.dir, 'none') };
  failed(
    t,
    await w.ktx(['runtime', 'install', '--force'], { env: without }),
    'no uv was found',
    '0.11.28',
    'KTX_UV',
    'does not fetch uv',
    'runtime install --yes',
  );
  t.deepEqual(await snapshot(w.root), before);
  const doctor = await w.json<{ checks: { id: string; status: string; fix?: string }[] }>(['runtime', 'doctor'], {
    env: without,
  });
  t.is(doctor.code, 1);
  t.deepEqual(
    doctor.checks.filter(({ status }) => status === 'fail').map(({ id }) => id),
    ['uv'],
  );
  t.truthy(doctor.checks.find(({ id }) => id === 'uv')?.fix);
});

const badUvs: readonly { name: string; env: Record<string, string>; says: RegExp }[] = [
  {
    name: 'an old uv',
    env: { FAKE_UV_VERSION: '0.4.30' },
    says: /uv 0\.11\.28 or newer, and none was found: \S+\/bin\/uv is 0\.4\.30/,
  },
  {
    name: 'exit code 127',
    env: { FAKE_UV_FAULT: '{"version":{"skip":true,"exit":127}}' },
    says: /ended with exit code 127/,
  },
  { name: 'garbage', env: { FAKE_UV_FAULT: '{"version":{"stdout":"hello"}}' }, says: /does not say which version/ },
  { name: 'a hang', env: { FAKE_UV_FAULT: '{"version":{"hang":true}}' }, says: /did not answer within 5 s/ },
];
for (const { name, env, says } of badUvs) {
  test(`${name} on PATH is named with what is needed`, async (t) => {
    const w = await world(t);
    failed(t, await w.ktx(['runtime', 'install'], { env }), says);
    t.deepEqual(await snapshot(w.root), []);
  });
}

test('uv is found off PATH: in a usual folder, by KTX_UV, as a managed copy', async (t) => {
  const w = await world(t, { uv: false });
  failed(t, await w.ktx(['runtime', 'install']), 'no uv was found');
  await placeUv(join(w.dir, 'elsewhere', 'uv'));
  const env = { KTX_UV: join(w.dir, 'elsewhere', 'uv') };
  t.is((await w.ktx(['runtime', 'install'], { env })).code, 0);
  await placeUv(join(w.home, '.local', 'bin', 'uv'));
  t.is((await w.ktx(['runtime', 'install', '--force'])).code, 0);
  await rm(join(w.home, '.local'), { recursive: true });
  const managed = join(w.root, 'uv', '0.13.9');
  await placeUv(join(managed, 'uv'));
  failed(t, await w.ktx(['runtime', 'install', '--force']), 'no uv was found');
  await writeFile(join(managed, 'uv.sha256'), `${sha256(await readFile(join(managed, 'uv')))}  uv\n`);
  t.is((await w.ktx(['runtime', 'install', '--force'])).code, 0);
  await writeFile(join(managed, 'uv'), '#!/bin/sh\nexit 0\n');
  failed(t, await w.ktx(['runtime', 'install', '--force']), 'no uv was found');
});

test('KTX_UV is this uv or a failure', async (t) => {
  const w = await world(t);
  failed(t, await w.ktx(['runtime', 'install'], { env: { KTX_UV: '/nowhere/uv' } }), 'KTX_UV names /nowhere/uv');
  await placeUv(join(w.dir, 'old', 'uv'));
  const env = { KTX_UV: join(w.dir, 'old', 'uv'), FAKE_UV_VERSION: '0.11.27' };
  failed(t, await w.ktx(['runtime', 'install'], { env }), 'is 0.11.27', 'ktx needs 0.11.28 or newer');
});

test('KTX_PYTHON is this interpreter or a failure', async (t) => {
  const w = await world(t);
  failed(
    t,
    await w.ktx(['runtime', 'install'], { env: { KTX_PYTHON: '/nowhere/python' } }),
    'KTX_PYTHON names /nowhere/python',
  );
  const old = join(w.dir, 'python3.9');
  await writeFile(old, '#!/bin/sh\necho 3.9.18\n', { mode: 0o755 });
  failed(
    t,
    await w.ktx(['runtime', 'install'], { env: { KTX_PYTHON: old } }),
    'which is Python 3.9.18; the runtime needs >=3.13',
  );
  const fit = join(w.dir, 'python3.13');
  await writeFile(fit, '#!/bin/sh\necho 3.13.5\n', { mode: 0o755 });
  t.is((await w.ktx(['runtime', 'install'], { env: { KTX_PYTHON: fit } })).code, 0);
  const venv = (await w.calls()).find(({ step }) => step === 'venv');
  t.is(venv?.argv[venv.argv.indexOf('--python') + 1], fit);
});

test('a fitting interpreter of pyenv is used where uv finds none', async (t) => {
  const w = await world(t);
  for (const version of ['3.9.18', '3.13.0', '3.13.10', '3.15.0']) {
    await mkdir(join(w.home, '.pyenv', 'versions', version, 'bin'), { recursive: true });
    await writeFile(join(w.home, '.pyenv', 'versions', version, 'bin', 'python'), `#!/bin/sh\necho ${version}\n`, {
      mode: 0o755,
    });
  }
  const shims = join(w.home, '.pyenv', 'shims');
  const env = { FAKE_UV_FAULT: '{"find":{"exit":2}}', PATH: `${shims}:${w.env.PATH}` };
  t.is((await w.ktx(['runtime', 'install'], { env })).code, 0);
  const venv = (await w.calls()).find(({ step }) => step === 'venv');
  t.is(venv?.argv[venv.argv.indexOf('--python') + 1], join(w.home, '.pyenv', 'versions', '3.13.10', 'bin', 'python'));
});

const breakages: readonly { name: string; reason: string; harm: (w: World, generation: string) => Promise<unknown> }[] =
  [
    {
      name: 'an interpreter that is gone',
      reason: 'python-missing',
      harm: (w, g) => rm(join(w.root, w.version, 'env', g, 'bin', 'python')),
    },
    {
      name: 'a pyvenv.cfg that is gone',
      reason: 'python-missing',
      harm: (w, g) => rm(join(w.root, w.version, 'env', g, 'pyvenv.cfg')),
    },
    {
      name: 'a base interpreter that is gone',
      reason: 'python-missing',
      harm: (w, g) => writeFile(join(w.root, w.version, 'env', g, 'pyvenv.cfg'), 'home = /gone/bin\n'),
    },
    {
      name: 'an interpreter without its x bit',
      reason: 'python-unrunnable',
      harm: (w, g) => chmod(join(w.root, w.version, 'env', g, 'bin', 'python'), 0o644),
    },
    {
      name: 'a corrupt manifest',
      reason: 'manifest-corrupt',
      harm: (w) => writeFile(join(w.root, w.version, 'manifest.json'), '{"schema'),
    },
    {
      name: 'an empty manifest',
      reason: 'manifest-corrupt',
      harm: (w) => writeFile(join(w.root, w.version, 'manifest.json'), ''),
    },
    {
      name: 'a foreign manifest',
      reason: 'manifest-corrupt',
      harm: (w) => writeFile(join(w.root, w.version, 'manifest.json'), '{"name":"other"}'),
    },
    {
      name: 'another wheel in the package',
      reason: 'wheel-changed',
      harm: (w) => writeAssets(w.pkg, { wheel: 'a newer wheel' }),
    },
    {
      name: 'another lock in the package',
      reason: 'lock-changed',
      harm: (w) => writeAssets(w.pkg, { lock: 'sqlglot==2 --hash=sha256:00\n' }),
    },
    { name: 'another processor', reason: 'arch-changed', harm: (w) => changed(w, { arch: 'mips' }) },
    {
      name: 'another version in the manifest',
      reason: 'version-changed',
      harm: (w) => changed(w, { cliVersion: '0.0.1' }),
    },
  ];
async function changed(w: World, change: object): Promise<void> {
  await writeFile(join(w.root, w.version, 'manifest.json'), JSON.stringify({ ...(await w.manifest()), ...change }));
}
for (const { name, reason, harm } of breakages) {
  test(`${name} is ${reason}, and plain install repairs it`, async (t) => {
    const w = await installed(t);
    const [generation = ''] = await w.generations();
    await harm(w, generation);
    const status = await w.json(['runtime', 'status']);
    t.like(status, { code: 1, reason });
    t.true(status.kind === 'broken' || status.kind === 'mismatched');
    t.like(await w.json(['runtime', 'install']), { code: 0, kind: 'repaired' });
    t.is((await w.json(['runtime', 'status'])).kind, 'ready');
    t.is((await w.generations()).length, 1);
  });
}

test('a root with foreign files is refused and left alone', async (t) => {
  const w = await world(t);
  await mkdir(w.root);
  await writeFile(join(w.root, 'thesis.txt'), 'mine');
  failed(t, await w.ktx(['runtime', 'install']), 'not-owned', w.root, 'KTX_RUNTIME_ROOT');
  t.like(await w.json(['runtime', 'status']), { kind: 'broken', reason: 'not-owned' });
  const lazy = await w
    .ktx(['demo', 'shop'])
    .then(() => w.ktx(['sl', 'query', '--project-dir', 'shop', '--measure', 'orders.order_count']));
  failed(t, lazy, 'not-owned', 'KTX_RUNTIME_ROOT');
  t.deepEqual(await readdir(w.root), ['thesis.txt']);
});

test('a file where a directory belongs is named', async (t) => {
  const w = await world(t);
  await mkdir(w.root);
  await writeFile(join(w.root, '.ktx-runtime-root'), '{"schemaVersion":1}');
  for (const name of ['locks', w.version]) {
    await writeFile(join(w.root, name), '');
    failed(t, await w.ktx(['runtime', 'install']), w.root, 'KTX_RUNTIME_ROOT', /directory/);
    await rm(join(w.root, name));
  }
});

test('a root of ktx 0.1, without a marker, is adopted', async (t) => {
  const w = await world(t);
  await mkdir(join(w.root, '0.0.9', '.venv'), { recursive: true });
  await writeFile(join(w.root, '0.0.9', 'manifest.json'), '{"schemaVersion":1,"cliVersion":"0.0.9"}');
  t.is((await w.ktx(['runtime', 'install'])).code, 0);
  t.true((await readdir(w.root)).includes('.ktx-runtime-root'));
});

test('two versions live side by side, and each finds its own', async (t) => {
  const w = await installed(t);
  const pkg = JSON.parse(await readFile(join(w.pkg, 'package.json'), 'utf8')) as Record<string, unknown>;
  await writeFile(join(w.pkg, 'package.json'), JSON.stringify({ ...pkg, version: '0.2.0-rc.1' }));
  await writeAssets(w.pkg, { manifest: (manifest) => ({ ...manifest, version: '0.2.0rc1' }) });
  t.like(await w.json(['runtime', 'status']), { kind: 'missing' });
  t.is((await w.ktx(['runtime', 'install'], { env: { FAKE_DAEMON: '{"saysVersion":"0.2.0rc1"}' } })).code, 0);
  t.like(await w.json(['runtime', 'status']), { kind: 'ready', manifest: { cliVersion: '0.2.0-rc.1' } });
  await writeFile(join(w.pkg, 'package.json'), JSON.stringify(pkg));
  await writeAssets(w.pkg, {});
  t.like(await w.json(['runtime', 'status']), { kind: 'ready', manifest: { cliVersion: w.version } });
});

test('too little space is said with both figures before anything is written', async (t) => {
  const w = await world(t);
  // Nothing has 4 GiB to spare in a process file system.
  const env = { KTX_RUNTIME_ROOT: '/proc/ktx', KTX_SKIP_SPACE_CHECK: undefined };
  const ran = await w.ktx(['runtime', 'install'], { env });
  t.is(ran.code, 1);
  t.regex(ran.stderr, /\/proc\/ktx/);
  t.regex(ran.stderr, /KTX_RUNTIME_ROOT/);
});

const oddRoots = [
  'with spaces',
  'ünïcødé 🦆',
  `quote's "and" $HOME #hash %41 ;x`,
  `${'l'.repeat(120)}/${'m'.repeat(120)}`,
];
for (const name of oddRoots) {
  test(`a root named ${name.slice(0, 30)} works`, async (t) => {
    const w = await world(t);
    const root = join(w.dir, name);
    const env = { KTX_RUNTIME_ROOT: root };
    t.like(await w.json(['runtime', 'install'], { env }), { code: 0, kind: 'installed' });
    t.like(await w.json(['runtime', 'status'], { env }), { code: 0, kind: 'ready', layout: { runtimeRoot: root } });
    t.like(await w.json(['runtime', 'start'], { env }), { code: 0, kind: 'started' });
    t.like(await w.json(['runtime', 'stop'], { env }), { code: 0, kind: 'stopped' });
  });
}

test('a root that is a link works', async (t) => {
  const w = await world(t);
  await mkdir(join(w.dir, 'real'));
  await symlink(join(w.dir, 'real'), w.root);
  t.is((await w.ktx(['runtime', 'install'])).code, 0);
  t.is((await w.json(['runtime', 'status'])).kind, 'ready');
});

test('the log has commands, output, times and exit codes, and no credentials', async (t) => {
  const w = await world(t);
  const env = {
    UV_DEFAULT_INDEX: 'https://user:s3cret-pw@index.example/simple',
    UV_INDEX_MINE_PASSWORD: 'pa55phrase',
    FAKE_UV_FAULT: JSON.stringify({
      sync: { stderr: 'Using https://user:s3cret-pw@index.example/simple with pa55phrase' },
    }),
  };
  t.is((await w.ktx(['runtime', 'install'], { env })).code, 0);
  const log = await readFile(join(w.root, w.version, 'logs', 'install.log'), 'utf8');
  t.regex(log, /^\d{4}-\d\d-\d\dT[\d:.]+Z \$ .*pip sync/m);
  t.regex(log, /exit code 0 after [\d.]+ s/);
  t.true(log.includes('https://***@index.example/simple with ***'));
  t.false(log.includes('s3cret-pw') || log.includes('pa55phrase'));
});
