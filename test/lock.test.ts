/** One build at a time: waiting, naming the owner, taking over from the dead, never from the living. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { acquireLock } from '../tasks/lock.ts';
import { recordingLog } from '../tasks/log.ts';
import { processIdentity } from '../tasks/process-identity.ts';
import { temporaryTree } from './_support/temporary-tree.ts';

const never = new AbortController().signal;
const owner = (change: object) => JSON.stringify({ ...processIdentity(), token: 't', task: 'gulp wheel', ...change });

test('a second taker waits, saying for whom, and gets it after the first', async (t) => {
  const file = join(await temporaryTree(t), 'build.lock');
  const first = await acquireLock(file, 'gulp artifacts', recordingLog(), never);
  const log = recordingLog();
  let got = false;
  const second = acquireLock(file, 'gulp wheel', log, never).then((lock) => {
    got = true;
    return lock;
  });
  while (log.lines.length === 0) await new Promise((done) => setTimeout(done, 10));
  t.false(got);
  t.deepEqual(log.lines, [`waiting for gulp artifacts (process ${process.pid}) to finish in this checkout`]);
  first.release();
  (await second).release();
  t.deepEqual(await readdir(join(file, '..')), []);
});

const DEAD: readonly [string, string][] = [
  ['of a process that is gone', owner({ pid: 4194304 })],
  ['of a reused pid', owner({ start: '1' })],
  ['of an earlier boot', owner({ boot: 'another' })],
  ['that is empty', ''],
  ['that is damaged', '{"pid":'],
];

for (const [name, content] of DEAD) {
  test(`a lock ${name} is taken over`, async (t) => {
    const file = join(await temporaryTree(t, { 'build.lock': content }), 'build.lock');
    const lock = await acquireLock(file, 'gulp stage', recordingLog(), never);
    t.is(JSON.parse(await readFile(file, 'utf8')).token, lock.token);
    lock.release();
    t.deepEqual(await readdir(join(file, '..')), []);
  });
}

test('release leaves a lock alone that another one holds by now', async (t) => {
  const file = join(await temporaryTree(t), 'build.lock');
  const lock = await acquireLock(file, 'gulp stage', recordingLog(), never);
  await writeFile(file, owner({ token: 'other' }));
  lock.release();
  t.is(JSON.parse(await readFile(file, 'utf8')).token, 'other');
});

test('what killed takers left beside the lock goes, what living ones write stays', async (t) => {
  const root = await temporaryTree(t, {
    'build.lock.dead': owner({ pid: 4194304 }),
    'build.lock.half': '{"pid":',
    'build.lock.living': owner({}),
  });
  const lock = await acquireLock(join(root, 'build.lock'), 'gulp stage', recordingLog(), never);
  t.deepEqual((await readdir(root)).sort(), ['build.lock', 'build.lock.living']);
  lock.release();
});

test('waiting ends with the signal', async (t) => {
  const file = join(await temporaryTree(t, { 'build.lock': owner({}) }), 'build.lock');
  await t.throwsAsync(acquireLock(file, 'gulp stage', recordingLog(), AbortSignal.timeout(50)));
});

/** Takes the lock, writes `in` and `out` around a pause, 20 times. */
const WORKER = `
import { appendFileSync } from 'node:fs';
import { acquireLock } from ${JSON.stringify(join(import.meta.dirname, '..', 'tasks', 'lock.ts'))};
const [file, journal] = process.argv.slice(2);
const log = { say() {}, warn() {}, child() {} };
for (let i = 0; i < 20; i += 1) {
  const lock = await acquireLock(file, 'worker', log, new AbortController().signal);
  appendFileSync(journal, 'in\\n');
  await new Promise((done) => setTimeout(done, Math.random() * 3));
  appendFileSync(journal, 'out\\n');
  lock.release();
}
`;

test('four processes over the lock of a dead one: never two inside', async (t) => {
  const root = await temporaryTree(t, { 'build.lock': owner({ pid: 4194304 }), 'worker.mts': WORKER, journal: '' });
  await together(t, 4, () => fork(join(root, 'worker.mts'), [join(root, 'build.lock'), join(root, 'journal')]));
  const lines = (await readFile(join(root, 'journal'), 'utf8')).trim().split('\n');
  t.is(lines.length, 160);
  lines.forEach((line, i) => {
    if (line !== (i % 2 === 0 ? 'in' : 'out')) t.fail(`two were inside at line ${i}`);
  });
});

async function together(t: ExecutionContext, count: number, start: () => ChildProcess): Promise<void> {
  const children = Array.from({ length: count }, start);
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]));
  t.deepEqual(codes, Array(count).fill(0));
}
