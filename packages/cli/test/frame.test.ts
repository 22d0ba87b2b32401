import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { buildCli } from '../build.ts';
import { builtCli, snapshot, world } from './_support/world.ts';

test('--version names package and version, in every form', async (t) => {
  const w = await world(t);
  for (const flag of ['--version', '-v'])
    t.deepEqual(await w.ktx([flag]), { code: 0, signal: null, stdout: `@kaelio/ktx ${w.version}\n`, stderr: '' });
  t.like(await w.json(['--version']), { code: 0, kind: 'version', data: { name: '@kaelio/ktx', version: w.version } });
});

test('help goes to stdout with 0: bare, by flag, of a group', async (t) => {
  const w = await world(t);
  for (const args of [[], ['--help'], ['-h'], ['runtime'], ['runtime', 'install', '--help'], ['sl']]) {
    const ran = await w.ktx(args);
    t.is(ran.code, 0, args.join(' '));
    t.regex(ran.stdout, /^Usage: ktx/);
    t.is(ran.stderr, '');
  }
});

const misuses: readonly { args: string[]; says: RegExp; command: string }[] = [
  { args: ['instal'], says: /unknown command 'instal'/, command: '' },
  { args: ['runtime', 'instal'], says: /unknown command 'instal'\n\(Did you mean install\?\)/, command: 'runtime' },
  { args: ['runtime', 'install', '--fast'], says: /unknown option '--fast'/, command: 'runtime install' },
  { args: ['runtime', 'install', '--feature', 'gpu'], says: /core, local-embeddings/, command: 'runtime install' },
  { args: ['runtime', 'install', 'now'], says: /too many arguments/, command: 'runtime install' },
  { args: ['runtime', 'start', '--idle-timeout', 'soon'], says: /whole number/, command: 'runtime start' },
  { args: ['runtime', 'install', '--yes', '--no-input'], says: /contradict/, command: 'runtime install' },
];
for (const { args, says, command } of misuses) {
  test(`usage: ktx ${args.join(' ')}`, async (t) => {
    const w = await world(t);
    const ran = await w.ktx(args);
    t.is(ran.code, 1);
    t.is(ran.stdout, '');
    t.regex(ran.stderr, says);
    const document = await w.json<{ error: { message: string } }>(args);
    t.like(document, { code: 1, kind: 'error', error: { code: 'usage' }, meta: { command } });
  });
}

test('a failure under --json is one document on stdout and nothing on stderr', async (t) => {
  const w = await world(t, { uv: false });
  const ran = await w.ktx(['runtime', 'install', '--json', '--no-progress']);
  t.is(ran.code, 1);
  t.is(ran.stderr, '');
  t.like(JSON.parse(ran.stdout), {
    kind: 'error',
    error: { code: 'uv_missing' },
    meta: { command: 'runtime install' },
  });
});

test('--debug shows the stack, and only --debug', async (t) => {
  const w = await world(t, { uv: false });
  t.notRegex((await w.ktx(['runtime', 'install'])).stderr, /^\s+at /m);
  t.regex((await w.ktx(['runtime', 'install', '--debug'])).stderr, /^\s+at /m);
});

test('an old Node gets one line and 1', async (t) => {
  const w = await world(t);
  const preload = join(w.dir, 'old.cjs');
  await writeFile(
    preload,
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } });",
  );
  const ran = await w.ktx(['--version'], { env: { NODE_OPTIONS: `--require ${preload}` } });
  t.is(ran.code, 1);
  t.is(ran.stdout, '');
  t.is(ran.stderr, 'ktx needs Node.js 22.18 or newer; this is 18.20.4. Install one from https://nodejs.org\n');
  const entry = await readFile(join(await builtCli(), 'dist', 'bin.js'), 'utf8');
  t.notRegex(entry, /^\s*(import\s*[{*\w]|export )|\?\.|\?\?|#[a-z]|\bawait\b/m, 'syntax that old Nodes parse');
});

test('status reads and never writes, whatever lies there', async (t) => {
  const w = await world(t);
  t.like(await w.json(['runtime', 'status']), { code: 1, kind: 'missing', daemon: { state: 'stopped' } });
  t.deepEqual(await snapshot(w.root), []);
  t.is((await w.calls()).length, 0);
  await w.ktx(['runtime', 'install']);
  const before = await snapshot(w.root);
  const { layout, cacheKey } = await w.json<{ layout: Record<string, string>; cacheKey: string }>([
    'runtime',
    'status',
  ]);
  t.deepEqual(await snapshot(w.root), before);
  const keys =
    'cliVersion runtimeRoot versionDir venvDir manifestPath installLogPath assetDir assetManifestPath pythonPath daemonPath daemonStatePath daemonStdoutPath daemonStderrPath';
  t.deepEqual(Object.keys(layout), keys.split(' '));
  t.regex(cacheKey, new RegExp(`^${process.platform}-${process.arch}-`));
  const text = (await w.ktx(['runtime', 'status'])).stdout;
  for (const label of ['status: ready', 'detail: ', 'runtime root: ', 'version dir: ', 'daemon state: stopped'])
    t.true(text.includes(label), label);
});

test('a stdout that is closed early is no crash', async (t) => {
  const w = await world(t);
  const { child, ended } = w.start(['--help']);
  child.stdout?.destroy();
  t.notRegex((await ended).stderr, /EPIPE|at /);
});

test('the build writes dist and the demo, the same bytes twice, and nothing that must not ship', async (t) => {
  const first = await builtCli();
  const out = join(await mkdtemp(join(tmpdir(), 'ktx-again-')), 'package');
  t.teardown(() => rm(join(out, '..'), { recursive: true, force: true }));
  await buildCli(out);
  const digests = async (folder: string): Promise<string[]> =>
    (await snapshot(folder)).map((line) => line.replace(folder, ''));
  t.deepEqual(await digests(out), await digests(first));
  const files = (await readdir(out, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
  t.deepEqual(
    files.filter((name) => /\.ts$|\.map$|test/.test(name) && !/^test-[A-Z0-9]{8}\.js$/.test(name)),
    [],
  );
  t.true(files.includes('THIRD-PARTY-NOTICES.txt'));
  const notices = await readFile(join(out, 'dist', 'THIRD-PARTY-NOTICES.txt'), 'utf8');
  for (const name of ['commander', '@clack/prompts', 'yaml', 'pg', 'pg-cursor'])
    t.regex(notices, new RegExp(`^${name} \\d`, 'm'), name);
  const code = (
    await Promise.all(
      (await readdir(join(out, 'dist'))).map(async (name) => await readFile(join(out, 'dist', name), 'utf8')),
    )
  ).join('\n');
  t.false(code.includes(process.cwd()), 'no path of this machine');
  await t.throwsAsync(buildCli(out), { message: /is not empty/ });
});
