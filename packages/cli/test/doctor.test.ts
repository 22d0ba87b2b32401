import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { snapshot, type World, world } from './_support/world.ts';

interface Report {
  readonly ok: boolean;
  readonly checks: {
    readonly id: string;
    readonly status: string;
    readonly label: string;
    readonly detail: string;
    readonly fix?: string;
  }[];
}

async function doctor(
  w: World,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Report & { code: number | null }> {
  return await w.json<Report>(['runtime', 'doctor', ...args], { env });
}

async function site(w: World): Promise<string> {
  const [generation = ''] = await w.generations();
  return join(w.root, w.version, 'env', generation, 'lib', 'python3.13', 'site-packages');
}

test('every check has its id and label, and nothing is written', async (t) => {
  const w = await world(t);
  await w.ktx(['runtime', 'install']);
  const before = await snapshot(w.root);
  const { ok, code, checks } = await doctor(w);
  t.true(ok);
  t.is(code, 0);
  t.deepEqual(
    checks.map(({ id, label, status }) => [id, label, status]),
    [
      ['node', 'Node.js', 'pass'],
      ['uv', 'uv', 'pass'],
      ['asset', 'Bundled Python wheel', 'pass'],
      ['runtime', 'Managed Python runtime', 'pass'],
      ['files', 'Installed files', 'pass'],
      ['daemon', 'Daemon', 'pass'],
    ],
  );
  t.deepEqual(await snapshot(w.root), before);
  const { stdout } = await w.ktx(['runtime', 'doctor']);
  t.regex(stdout, /^PASS Node\.js: \d+\.\d+\.\d+/);
});

test('a missing runtime is a warning with the command, and no failure', async (t) => {
  const w = await world(t);
  const { code, checks } = await doctor(w);
  t.is(code, 0);
  t.like(
    checks.find(({ id }) => id === 'runtime'),
    { status: 'warn', fix: 'ktx runtime install --yes' },
  );
  t.like(
    checks.find(({ id }) => id === 'files'),
    { status: 'skip' },
  );
  t.regex(
    (await w.ktx(['runtime', 'doctor'])).stdout,
    /WARN Managed Python runtime: .*\n {2}Fix: ktx runtime install --yes/,
  );
});

test('a changed and a missing installed file fail with their paths', async (t) => {
  const w = await world(t);
  await w.ktx(['runtime', 'install']);
  const file = join(await site(w), 'wheel.txt');
  await writeFile(file, 'changed');
  t.like(
    (await doctor(w)).checks.find(({ id }) => id === 'files'),
    { status: 'fail', detail: `${file} was changed` },
  );
  await rm(file);
  const { code, checks } = await doctor(w);
  t.is(code, 1);
  t.like(
    checks.find(({ id }) => id === 'files'),
    { status: 'fail', detail: `${file} is missing`, fix: 'ktx runtime install --yes --force' },
  );
  t.like(await w.json(['runtime', 'install', '--yes', '--force']), { kind: 'installed' });
  t.true((await doctor(w)).ok);
});

test('an interpreter that does not start fails, though its files are there', async (t) => {
  const w = await world(t);
  await w.ktx(['runtime', 'install']);
  const [generation = ''] = await w.generations();
  const python = join(w.root, w.version, 'env', generation, 'bin', 'python');
  await writeFile(python, '#!/bin/sh\necho "cannot execute" >&2\nexit 126\n');
  await chmod(python, 0o755);
  const check = (await doctor(w)).checks.find(({ id }) => id === 'runtime');
  t.is(check?.status, 'fail');
  t.regex(check?.detail ?? '', /python-unrunnable: .*exit code 126: cannot execute/);
});

test('a report can be sent to strangers', async (t) => {
  const w = await world(t);
  const root = join(w.home, 'runtime');
  const env = { KTX_RUNTIME_ROOT: root, UV_INDEX_MINE_PASSWORD: 'pa55phrase' };
  await w.ktx(['runtime', 'install'], { env });
  const path = join(w.dir, 'report.json');
  t.is((await w.ktx(['runtime', 'doctor', '--report', path], { env })).code, 0);
  const text = await readFile(path, 'utf8');
  t.like(JSON.parse(text), { ok: true });
  t.false(text.includes(w.home) || text.includes('pa55phrase'));
  t.true(text.includes('~/runtime'));
});

test('the index is tried only on request, and its silence is a failure', async (t) => {
  const w = await world(t);
  await w.ktx(['runtime', 'install']);
  t.false((await doctor(w)).checks.some(({ id }) => id === 'network'));
  t.like((await doctor(w, ['--network'])).checks.at(-1), { id: 'network', status: 'pass' });
  const fault = { compile: { exit: 2, stderr: 'error: dns error for https://me:s3cret@index.example' } };
  const { checks, code } = await doctor(w, ['--network'], { FAKE_UV_FAULT: JSON.stringify(fault) });
  t.is(code, 1);
  t.like(checks.at(-1), { id: 'network', status: 'fail', detail: 'error: dns error for https://***@index.example' });
});

test('ktx doctor adds project, sources and connections', async (t) => {
  const w = await world(t);
  const outside = await w.json<Report>(['doctor']);
  t.like(
    outside.checks.find(({ id }) => id === 'project'),
    { status: 'skip' },
  );
  await w.ktx(['demo', 'shop']);
  const inside = await w.json<Report>(['doctor'], { cwd: join(w.dir, 'shop') });
  t.deepEqual(
    inside.checks.slice(0, 4).map(({ id, status }) => [id, status]),
    [
      ['node', 'pass'],
      ['project', 'pass'],
      ['sources', 'pass'],
      ['connection:harbor', 'pass'],
    ],
  );
  await rm(join(w.dir, 'shop', 'data', 'harbor.sqlite'));
  await writeFile(join(w.dir, 'shop', 'semantic-layer', 'harbor', 'orders.yaml'), 'name: [');
  const broken = await w.json<Report>(['doctor'], { cwd: join(w.dir, 'shop') });
  t.is(broken.code, 1);
  for (const id of ['sources', 'connection:harbor']) {
    const check = broken.checks.find((one) => one.id === id);
    t.is(check?.status, 'fail', id);
    t.truthy(check?.fix, id);
  }
});
