import { type ChildProcess, fork, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { acquire, acquireNow, type Holder, isHeld } from '../src/runtime/lock.ts';
import { ownIdentity } from '../src/runtime/process-identity.ts';
import { until, world } from './_support/world.ts';

async function place(t: ExecutionContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'ktx-lock-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return join(dir, 'lock.json');
}

async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  const { pid } = child;
  await new Promise((resolve) => child.once('exit', resolve));
  return pid ?? 0;
}

async function plant(path: string, change: Partial<Holder>): Promise<void> {
  const holder: Holder = { ...(await ownIdentity()), token: 'planted', createdAt: new Date().toISOString(), ...change };
  await writeFile(path, JSON.stringify(holder));
}

const stale: readonly { name: string; change: () => Promise<Partial<Holder>>; mtime?: Date }[] = [
  { name: 'a dead process', change: async () => ({ pid: await deadPid() }) },
  { name: 'a reused process number', change: async () => ({ pid: process.pid, procStart: '1' }) },
  { name: 'another boot', change: async () => ({ pid: process.pid, bootId: 'before' }) },
  {
    name: 'a dead process with a heartbeat in the future',
    change: async () => ({ pid: await deadPid() }),
    mtime: new Date(Date.now() + 86_400_000),
  },
];
for (const { name, change, mtime } of stale) {
  test(`the lock of ${name} is taken over`, async (t) => {
    const path = await place(t);
    await plant(path, await change());
    if (mtime !== undefined) await utimes(path, mtime, mtime);
    t.false(await isHeld(path));
    const lock = await acquire(path, { timeoutMs: 5_000 });
    t.true(await lock.held());
    await lock.release();
    t.deepEqual(await readdir(join(path, '..')), []);
  });
}

const live: readonly { name: string; change: Partial<Holder> }[] = [
  { name: 'a live process', change: {} },
  { name: 'another host that beat a moment ago', change: { host: `${hostname()}-other`, pid: 1 } },
  {
    name: 'a live process whose clock was a day off',
    change: { createdAt: new Date(Date.now() + 86_400_000).toISOString() },
  },
];
for (const { name, change } of live) {
  test(`the lock of ${name} is waited for, and the timeout names file and holder`, async (t) => {
    const path = await place(t);
    await plant(path, change);
    await utimes(path, new Date(0), new Date(0));
    t.is(await acquireNow(path), undefined);
    const error = await t.throwsAsync(acquire(path, { timeoutMs: 300 }));
    t.true(
      error?.message.includes(path) && error.message.includes(`process ${change.pid ?? process.pid}`),
      error?.message,
    );
    t.like(JSON.parse(await readFile(path, 'utf8')), { token: 'planted' });
  });
}

test('an owner notices that its lock was taken', async (t) => {
  const path = await place(t);
  const lock = await acquire(path, { timeoutMs: 1_000 });
  await rm(path);
  await plant(path, {});
  t.false(await lock.held());
  await lock.release();
  t.like(JSON.parse(await readFile(path, 'utf8')), { token: 'planted' }, 'releasing leaves what is not ours');
});

test('a wait ends with the signal', async (t) => {
  const path = await place(t);
  await plant(path, {});
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 100);
  await t.throwsAsync(acquire(path, { timeoutMs: 60_000, signal: controller.signal }));
});

test('200 rounds of stale takeover by 8 processes have one winner each', async (t) => {
  t.timeout(10 * 60_000);
  const path = await place(t);
  const script = fileURLToPath(new URL('_support/locker.ts', import.meta.url));
  const contenders = Array.from({ length: 8 }, () => fork(script, [path], { stdio: 'ignore' }));
  t.teardown(() => {
    for (const child of contenders) child.kill('SIGKILL');
  });
  await Promise.all(contenders.map(answer));
  const all = async (order: string): Promise<unknown[]> =>
    await Promise.all(
      contenders.map(async (child) => {
        const reply = answer(child);
        child.send(order);
        return await reply;
      }),
    );
  const pid = await deadPid();
  for (let round = 0; round < 200; round++) {
    await plant(path, { pid, token: `dead-${round}` });
    const tried = await all('try');
    t.true(tried.some(Boolean), `round ${round}: somebody gets it`);
    t.is((await all('held')).filter(Boolean).length, 1, `round ${round}`);
    await all('release');
    t.deepEqual(await readdir(join(path, '..')), [], `round ${round} leaves nothing`);
  }
});

function answer(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => child.once('message', resolve));
}

for (const count of [2, 8]) {
  test(`${count} installations at once: one build, one manifest, waiters name the holder`, async (t) => {
    const w = await world(t);
    const env = { FAKE_UV_FAULT: JSON.stringify({ sync: { sleep: 6_000 } }) };
    const runs = await Promise.all(
      Array.from({ length: count }, () => w.ktx(['runtime', 'install', '--json'], { env })),
    );
    t.deepEqual(
      new Set(runs.map(({ code }) => code)),
      new Set([0]),
      runs.map(({ stdout, stderr }) => stdout + stderr).join('\n'),
    );
    t.is((await w.calls()).filter(({ step }) => step === 'sync').length, 1);
    const documents = runs.map(({ stdout }) => JSON.parse(stdout) as { kind: string; generation: string });
    t.is(documents.filter(({ kind }) => kind === 'installed').length, 1);
    t.is(new Set(documents.map(({ generation }) => generation)).size, 1);
    t.deepEqual(await w.generations(), [documents[0]?.generation ?? '']);
    t.true(runs.some(({ stderr }) => /waiting for process \d+ on \S+, which is installing/.test(stderr)));
    t.deepEqual(await readdir(join(w.root, 'locks')), []);
  });
}

test('a lock lost during the build costs the build, not the runtime', async (t) => {
  const w = await world(t);
  const env = { FAKE_UV_FAULT: JSON.stringify({ sync: { sleep: 2_500 } }) };
  const { ended } = w.start(['runtime', 'install', '--json'], { env });
  await until(async () => (await w.calls()).some(({ step }) => step === 'sync'));
  await plant(join(w.root, 'locks', `${w.version}.json`), { pid: await deadPid() });
  const { code, stdout } = await ended;
  t.is(code, 0);
  t.is((JSON.parse(stdout) as { kind: string }).kind, 'installed');
  t.is((await w.calls()).filter(({ step }) => step === 'sync').length, 2);
  t.is((await w.generations()).length, 1);
});
