import { spawn, spawnSync } from 'node:child_process';
import { chmod, chown, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { alive, until, type World, world } from './_support/world.ts';

interface Started {
  readonly kind: string;
  readonly url: string;
  readonly pid: number;
  readonly state: string;
}

/** A world with a ready runtime; whatever daemon is left at the end is stopped. */
async function ready(t: ExecutionContext): Promise<World> {
  const w = await world(t);
  const ran = await w.ktx(['runtime', 'install']);
  t.is(ran.code, 0, ran.stderr);
  t.teardown(async () => {
    const { pid } = await record(w).catch(() => ({ pid: 0 }));
    if (typeof pid === 'number' && pid > 1 && pid !== process.pid && alive(pid) && (await isFake(pid)))
      process.kill(pid, 'SIGKILL');
  });
  return w;
}

async function isFake(pid: number): Promise<boolean> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes('serve-http');
}

function statePath(w: World): string {
  return join(w.root, w.version, 'daemon', 'daemon.json');
}

async function record(w: World): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(statePath(w), 'utf8')) as Record<string, unknown>;
}

async function change(w: World, values: object): Promise<void> {
  await writeFile(statePath(w), JSON.stringify({ ...(await record(w)), ...values }));
}

async function standing(w: World): Promise<string> {
  return (await w.json<{ daemon: { state: string } }>(['runtime', 'status'])).daemon.state;
}

async function start(
  w: World,
  daemon: object = {},
  args: readonly string[] = [],
): Promise<Started & { code: number | null }> {
  return await w.json<Started>(['runtime', 'start', ...args], { env: { FAKE_DAEMON: JSON.stringify(daemon) } });
}

const without = { FAKE_DAEMON: '{}' };

test('start gives a url on a port of its own, a private record, and the same process again', async (t) => {
  const w = await ready(t);
  const first = await start(w);
  t.like(first, { code: 0, kind: 'started', state: statePath(w) });
  t.regex(first.url, /^http:\/\/127\.0\.0\.1:\d+$/);
  t.is((await stat(statePath(w))).mode & 0o777, 0o600);
  t.like(await start(w), { kind: 'reused', pid: first.pid, url: first.url });
  t.is(await standing(w), 'running');
  const stopped = await w.json(['runtime', 'stop']);
  t.like(stopped, { code: 0, kind: 'stopped', pid: first.pid });
  t.false(alive(first.pid));
  t.is(await standing(w), 'stopped');
  t.like(await w.json(['runtime', 'stop']), { code: 0, kind: 'already-stopped' });
});

test('--force replaces it: the old one is gone before the new record', async (t) => {
  const w = await ready(t);
  const first = await start(w);
  const second = await start(w, {}, ['--force']);
  t.is(second.kind, 'started');
  t.not(second.pid, first.pid);
  t.false(alive(first.pid));
});

test('the token is in no document, text, log or argument list', async (t) => {
  const w = await ready(t);
  const { pid } = await start(w);
  const { token } = (await record(w)) as { token: string };
  t.regex(token, /^[0-9a-f]{64}$/);
  const texts = [
    (await w.ktx(['runtime', 'status', '--json'])).stdout,
    (await w.ktx(['runtime', 'status'])).stdout,
    (await w.ktx(['runtime', 'start', '--json'])).stdout,
    (await w.ktx(['runtime', 'doctor', '--json'])).stdout,
    await readFile(join(w.root, w.version, 'daemon', 'daemon.stdout.log'), 'utf8'),
    await readFile(join(w.root, w.version, 'daemon', 'daemon.stderr.log'), 'utf8'),
    await readFile(`/proc/${pid}/cmdline`, 'utf8'),
  ];
  for (const text of texts) t.false(text.includes(token));
});

test('a process number that now belongs to somebody else is never signalled', async (t) => {
  const w = await ready(t);
  const first = await start(w);
  const bystander = spawn('/bin/sleep', ['600']);
  t.teardown(() => bystander.kill('SIGKILL'));
  await change(w, { pid: bystander.pid });
  t.is(await standing(w), 'stale');
  t.like(await w.json(['runtime', 'stop']), { code: 0, kind: 'stale-cleaned' });
  t.true(alive(bystander.pid ?? 0));
  t.true(alive(first.pid), 'and neither is the process that the record no longer names');
  process.kill(first.pid, 'SIGKILL');
  t.is((await start(w)).kind, 'started');
});

test('a process of the same start but another program is not ours', async (t) => {
  const w = await ready(t);
  const { pid } = await start(w);
  process.kill(pid, 'SIGKILL');
  await until(() => !alive(pid));
  const bystander = spawn('/bin/sleep', ['600']);
  t.teardown(() => bystander.kill('SIGKILL'));
  const procStart = (await readFile(`/proc/${bystander.pid}/stat`, 'utf8')).split(') ')[1]?.split(' ')[19];
  await change(w, { pid: bystander.pid, procStart });
  t.is(await standing(w), 'not-ours');
  t.like(await w.json(['runtime', 'stop']), { code: 0, kind: 'not-ours' });
  t.true(alive(bystander.pid ?? 0));
  t.is((await start(w)).kind, 'started');
});

test('another boot is stale, whatever process has the number now', async (t) => {
  const w = await ready(t);
  const { pid } = await start(w);
  await change(w, { bootId: '00000000-0000-0000-0000-000000000000' });
  t.is(await standing(w), 'stale');
  t.is((await w.json(['runtime', 'stop'])).kind, 'stale-cleaned');
  t.true(alive(pid));
  process.kill(pid, 'SIGKILL');
});

test('a stranger on the port, with our health and version, is rejected', async (t) => {
  const w = await ready(t);
  const { pid } = await start(w);
  const stranger = await listening(t, (path) => ({ status: 'healthy', version: w.version, nonce: path, pid }));
  await change(w, { port: (stranger.address() as AddressInfo).port });
  t.is(await standing(w), 'not-ours');
  const next = await start(w);
  t.is(next.kind, 'started');
  t.not(next.pid, pid);
  process.kill(pid, 'SIGKILL');
});

async function listening(t: ExecutionContext, body: (path: string) => object): Promise<Server> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(body(request.url ?? '')));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return server;
}

test('one that accepts and never answers is unresponsive, and start replaces it', async (t) => {
  const w = await ready(t);
  const { pid } = await start(w, { muteAfterStart: true });
  await until(async () => (await standing(w)) === 'unresponsive');
  const next = await start(w);
  t.is(next.kind, 'started');
  t.false(alive(pid));
});

test('one that is slow but healthy is busy, and stays', async (t) => {
  const w = await ready(t);
  const { pid } = await start(w, { slow: 60_000 });
  t.is(await standing(w), 'busy');
  t.true(alive(pid));
});

test('stop escalates to one that is mute and deaf, and says stopped only then', async (t) => {
  const w = await ready(t);
  const { pid } = await start(w, { muteAfterStart: true, deaf: true });
  await until(async () => (await standing(w)) === 'unresponsive');
  t.like(await w.json(['runtime', 'stop']), { code: 0, kind: 'stopped', pid });
  t.false(alive(pid));
  await t.throwsAsync(stat(statePath(w)));
});

test('one that ends while starting: its code, its last words, no record, no child', async (t) => {
  const w = await ready(t);
  const env = {
    FAKE_DAEMON: JSON.stringify({ exitAtStart: 7, stderr: "ModuleNotFoundError: No module named 'uvicorn'" }),
  };
  const ran = await w.ktx(['runtime', 'start'], { env });
  t.is(ran.code, 1);
  t.is(ran.stdout, '');
  t.regex(ran.stderr, /exit code 7/);
  t.regex(ran.stderr, /No module named 'uvicorn'/);
  await t.throwsAsync(stat(statePath(w)));
  t.is(await standing(w), 'stopped');
});

const refusals: readonly { name: string; daemon: object; says: RegExp }[] = [
  { name: 'never becomes ready', daemon: { noReady: true }, says: /not ready within 2 s/ },
  { name: 'says another nonce', daemon: { nonce: 'stranger' }, says: /not ready within 2 s/ },
  { name: 'is of another version', daemon: { version: '9.9.9' }, says: /answers as version "9\.9\.9"/ },
];
for (const { name, daemon, says } of refusals) {
  test(`one that ${name} is ended, and leaves no record`, async (t) => {
    const w = await ready(t);
    const env = { FAKE_DAEMON: JSON.stringify(daemon), KTX_DAEMON_START_TIMEOUT: '2' };
    const ran = await w.ktx(['runtime', 'start'], { env });
    t.is(ran.code, 1);
    t.regex(ran.stderr, says);
    await t.throwsAsync(stat(statePath(w)));
    const [, pid] =
      /"pid":(\d+)/.exec(await readFile(join(w.root, w.version, 'daemon', 'daemon.stdout.log'), 'utf8')) ?? [];
    t.false(alive(Number(pid)));
  });
}

test('ten starts at once give one process and one url; stop leaves none', async (t) => {
  const w = await ready(t);
  const all = await Promise.all(Array.from({ length: 10 }, () => start(w)));
  t.is(new Set(all.map(({ url }) => url)).size, 1);
  t.is(new Set(all.map(({ pid }) => pid)).size, 1);
  t.is(all.filter(({ kind }) => kind === 'started').length, 1);
  t.is((await w.json(['runtime', 'stop'])).kind, 'stopped');
  t.false(alive(all[0]?.pid ?? 0));
});

const wrecks: readonly { name: string; text: string }[] = [
  { name: 'empty', text: '' },
  { name: 'corrupt', text: '{"pid": 12' },
  { name: 'foreign', text: '{"name":"other"}' },
  { name: 'without a token', text: '{"schemaVersion":1,"pid":1,"port":80,"host":"127.0.0.1"}' },
];
for (const { name, text } of wrecks) {
  test(`a record that is ${name} is stale; stop cleans it and start recovers`, async (t) => {
    const w = await ready(t);
    await mkdir(join(w.root, w.version, 'daemon'), { recursive: true });
    await writeFile(statePath(w), text);
    t.is(await standing(w), 'stale');
    t.is((await w.json(['runtime', 'stop'])).kind, 'stale-cleaned');
    await writeFile(statePath(w), text);
    t.is((await start(w)).kind, 'started');
    t.is(await standing(w), 'running');
  });
}

test('after a rebuild the daemon is outdated until the next start, and then the old generation goes', async (t) => {
  const w = await ready(t);
  const { pid } = await start(w);
  const [old = ''] = await w.generations();
  t.is((await w.ktx(['runtime', 'install', '--force'])).code, 0);
  t.is(await standing(w), 'outdated');
  t.true((await w.generations()).includes(old), 'a live daemon keeps its files');
  const next = await start(w);
  t.is(next.kind, 'started');
  t.false(alive(pid));
  t.false((await w.generations()).includes(old));
  t.is(await standing(w), 'running');
});

test('a daemon without the feature is replaced by one that has it', async (t) => {
  const w = await ready(t);
  const { pid } = await start(w);
  const next = await start(w, {}, ['--feature', 'local-embeddings']);
  t.like(next, { kind: 'started', features: ['core', 'local-embeddings'] });
  t.false(alive(pid));
});

test('one that ended by itself is stopped; one that was killed is stale', async (t) => {
  const w = await ready(t);
  const first = await start(w);
  process.kill(first.pid, 'SIGTERM');
  await until(() => !alive(first.pid));
  t.is(await standing(w), 'stopped');
  const second = await start(w);
  process.kill(second.pid, 'SIGKILL');
  await until(() => !alive(second.pid));
  t.is(await standing(w), 'stale');
  t.is((await start(w)).kind, 'started');
});

test('a start that was killed is recovered: its child is found by nonce, and stopped', async (t) => {
  const w = await ready(t);
  const { child, ended } = w.start(['runtime', 'start'], {
    env: { FAKE_DAEMON: JSON.stringify({ readyDelay: 1_500 }) },
  });
  const pid = await until(async () => {
    const { pid: found } = await record(w).catch(() => ({ pid: 0 }));
    return typeof found === 'number' && found > 0 ? found : undefined;
  });
  child.kill('SIGKILL');
  await ended;
  t.true(alive(pid));
  await until(async () => (await readdir(join(w.root, w.version, 'daemon'))).includes('ready.json'));
  t.is(await standing(w), 'running');
  t.like(await w.json(['runtime', 'stop']), { kind: 'stopped', pid });
  t.false(alive(pid));
});

test('Ctrl-C while starting leaves no child and no record', async (t) => {
  const w = await ready(t);
  const { child, ended } = w.start(['runtime', 'start'], { env: { FAKE_DAEMON: JSON.stringify({ noReady: true }) } });
  const pid = await until(async () => {
    const { pid: found } = await record(w).catch(() => ({ pid: 0 }));
    return typeof found === 'number' && found > 0 ? found : undefined;
  });
  child.kill('SIGINT');
  t.is((await ended).code, 130);
  t.false(alive(pid));
  await t.throwsAsync(stat(statePath(w)));
});

test('loopback is not proxied, and the child sees no PYTHON* and no IPv6 range in NO_PROXY', async (t) => {
  const w = await ready(t);
  const env = {
    HTTP_PROXY: 'http://127.0.0.1:9',
    http_proxy: 'http://127.0.0.1:9',
    NO_PROXY: 'a.example,fd00::/8,[::1]/128',
    PYTHONPATH: '/bad',
    NODE_USE_ENV_PROXY: '1',
  };
  const { pid, code } = await w.json<Started>(['runtime', 'start'], { env });
  t.is(code, 0);
  const child = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
  t.true(child.includes('NO_PROXY=a.example'));
  t.false(child.some((entry) => entry.startsWith('PYTHON')));
  t.true(child.includes(`KTX_DAEMON_VERSION=${w.version}`));
});

test('logs above 5 MB rotate at start, and three are kept', async (t) => {
  const w = await ready(t);
  const log = join(w.root, w.version, 'daemon', 'daemon.stderr.log');
  for (let round = 0; round < 5; round++) {
    await start(w);
    await w.ktx(['runtime', 'stop']);
    await writeFile(log, 'x'.repeat(5 * 1024 * 1024 + 1));
  }
  const names = (await readdir(join(w.root, w.version, 'daemon')))
    .filter((name) => name.startsWith('daemon.stderr'))
    .sort();
  t.deepEqual(names, ['daemon.stderr.log', 'daemon.stderr.log.1', 'daemon.stderr.log.2', 'daemon.stderr.log.3']);
});

test('stop --all goes through every version', async (t) => {
  const w = await ready(t);
  const { pid } = await start(w);
  await mkdir(join(w.root, '0.0.8', 'daemon'), { recursive: true });
  await writeFile(join(w.root, '0.0.8', 'daemon', 'daemon.json'), 'junk');
  const { daemons } = await w.json<{ daemons: { version: string; kind: string }[] }>(['runtime', 'stop', '--all']);
  t.deepEqual(
    daemons.map(({ version, kind }) => [version, kind]),
    [
      ['0.0.8', 'stale-cleaned'],
      [w.version, 'stopped'],
    ],
  );
  t.false(alive(pid));
});

test('the status of a hung daemon still answers', async (t) => {
  const w = await ready(t);
  await start(w, { muteAfterStart: true });
  await until(async () => (await standing(w)) === 'unresponsive');
  const doctor = await w.json<{ checks: { id: string; status: string; detail: string }[] }>(['runtime', 'doctor'], {
    env: without,
  });
  t.like(
    doctor.checks.find(({ id }) => id === 'daemon'),
    { status: 'warn' },
  );
});

test('a root that cannot be written keeps the record elsewhere', async (t) => {
  const w = await ready(t);
  // Root may write anywhere; a file in the place of the folder refuses everybody.
  await rm(join(w.root, w.version, 'daemon'), { recursive: true, force: true });
  await writeFile(join(w.root, w.version, 'daemon'), '');
  await chmod(join(w.root, w.version, 'daemon'), 0o444);
  const started = await start(w);
  t.is(started.kind, 'started');
  t.true(started.state.startsWith(join(w.home, '.local', 'state', 'kaelio', 'ktx')), started.state);
  t.like(await start(w), { kind: 'reused', pid: started.pid });
  t.like(await w.json(['runtime', 'stop']), { kind: 'stopped', pid: started.pid });
});

/** Another user of this machine, who can read Node and this checkout; only root can play one. */
const NOBODY = 65_534;
const asNobody = canPlayNobody();

function canPlayNobody(): boolean {
  if (process.getuid?.() !== 0) return false;
  const fake = fileURLToPath(new URL('_support/fake-python.mjs', import.meta.url));
  const read = `require('node:fs').readFileSync(${JSON.stringify(fake)})`;
  return spawnSync(process.execPath, ['-e', read], { uid: NOBODY }).status === 0;
}

const withNobody = asNobody ? test : test.skip;
if (!asNobody) console.error('skipped: two users of one root, as only root can play both');

withNobody("another user's root serves: a daemon of one's own, nobody else's record believed or touched", async (t) => {
  const w = await ready(t);
  await chmod(w.dir, 0o755);
  await chmod(w.env.TMPDIR ?? '', 0o1777);
  const roots = await start(w);
  const other = { uid: NOBODY, env: { HOME: '/nonexistent' } };
  t.like(await w.json(['runtime', 'status'], other), { kind: 'ready', daemon: { state: 'stopped' } });
  t.like(await w.json(['runtime', 'install', '--force'], other), {
    kind: 'error',
    error: { code: 'root_not_writable' },
  });
  const own = await w.json<Started>(['runtime', 'start'], other);
  t.is(own.kind, 'started');
  t.not(own.pid, roots.pid);
  t.true(own.state.startsWith(join(w.env.TMPDIR ?? '', `ktx-${NOBODY}-`)), own.state);
  t.like(await w.json(['runtime', 'start'], other), { kind: 'reused', pid: own.pid });
  t.like(await w.json(['runtime', 'stop'], other), { kind: 'stopped', pid: own.pid });
  t.true(alive(roots.pid));

  // A record planted in the shared folder, readable and whole, but not theirs.
  await chown(join(own.state, '..', '..'), 0, 0);
  await writeFile(own.state, await readFile(statePath(w)), { mode: 0o644 });
  await chmod(join(own.state, '..', '..'), 0o755);
  await chmod(join(own.state, '..'), 0o755);
  t.like(await w.json(['runtime', 'status'], other), { daemon: { state: 'stopped' } });
  t.like(await w.json(['runtime', 'start'], other), { kind: 'error', error: { code: 'daemon_home' } });
  t.like(await w.json(['runtime', 'stop']), { kind: 'stopped', pid: roots.pid });
});
