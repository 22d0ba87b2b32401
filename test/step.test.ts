/** The life of a step, on real files: what makes it run, what keeps it, and what a crash leaves. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Context, type ContextOptions, createContext } from '../tasks/context.ts';
import { BuildError } from '../tasks/errors.ts';
import { recordingLog } from '../tasks/log.ts';
import { processIdentity } from '../tasks/process-identity.ts';
import { foresee, perform, recall, type Step } from '../tasks/step.ts';
import { repository } from './_support/checkout.ts';
import { temporaryTree } from './_support/temporary-tree.ts';

/** A step that copies `source.txt` in upper case into a folder, and counts its runs. */
function upper(root: string, fault?: (out: string) => Promise<void>) {
  const made = { runs: 0 };
  const step: Step<{ size: number }> = {
    name: 'upper',
    doing: 'writing capitals',
    output: join(root, 'out'),
    async prepare(_context, scratch) {
      const text = await readFile(join(root, 'source.txt'), 'utf8');
      return {
        inputs: { 'source.txt': text },
        run: async () => {
          made.runs += 1;
          const out = join(scratch as string, 'built');
          await mkdir(out);
          await writeFile(join(out, 'upper.txt'), text.toUpperCase());
          await fault?.(out);
          return { output: out, result: { size: text.length } };
        },
      };
    },
  };
  return { step, made };
}

/** A run of its own over the same tree, with the real tools for exchanging folders. */
function run(root: string, options: ContextOptions = {}): Context {
  const context = createContext(root, { log: recordingLog(), ...options });
  const { toolchain } = createContext(repository);
  return { ...context, toolchain, exchange: (a, b) => createContext(repository).exchange(a, b) };
}

const fixture = (t: ExecutionContext) => temporaryTree(t, { 'source.txt': 'one' });
const because = ({ outcomes }: Context) => outcomes.map(({ ran, because: why }) => `${ran ? 'ran' : 'kept'}: ${why}`);

test('runs once, then is kept without a write, and returns what it returned', async (t) => {
  const root = await fixture(t);
  const { step, made } = upper(root);
  t.deepEqual(await perform(run(root), step), { size: 3 });
  const before = await stat(join(root, 'out', 'upper.txt'));
  const second = run(root);
  t.deepEqual(await perform(second, step), { size: 3 });
  t.is(made.runs, 1);
  t.deepEqual(because(second), ['kept: nothing changed']);
  t.is((await stat(join(root, 'out', 'upper.txt'))).mtimeMs, before.mtimeMs);
  t.deepEqual(await recall(run(root), step), { size: 3 });
});

const CHANGES: readonly [string, (root: string) => Promise<void>, string][] = [
  ['an input changed', (root) => writeFile(join(root, 'source.txt'), 'two'), 'ran: source.txt changed'],
  [
    'its output lost one bit',
    (root) => writeFile(join(root, 'out', 'upper.txt'), 'ONF'),
    'ran: its output was changed',
  ],
  ['its output has a stranger', (root) => writeFile(join(root, 'out', 'new'), ''), 'ran: its output was changed'],
  ['its output is gone', (root) => rm(join(root, 'out'), { recursive: true }), 'ran: its output is gone'],
  [
    'its record is damaged',
    (root) => writeFile(join(root, 'dist', '.state', 'steps', 'upper.json'), '{'),
    'ran: never built',
  ],
];

for (const [name, change, expected] of CHANGES) {
  test(`runs again when ${name}`, async (t) => {
    const root = await fixture(t);
    const { step } = upper(root);
    await perform(run(root), step);
    await change(root);
    const again = run(root);
    t.deepEqual((await foresee(again, step)).because, expected.slice(5));
    await perform(again, step);
    t.deepEqual(because(again), [expected]);
    t.is(
      await readFile(join(root, 'out', 'upper.txt'), 'utf8'),
      (await readFile(join(root, 'source.txt'), 'utf8')).toUpperCase(),
    );
    t.deepEqual(await readdir(join(root, 'out')), ['upper.txt']);
  });
}

test('touching an input changes nothing: times do not count', async (t) => {
  const root = await fixture(t);
  const { step, made } = upper(root);
  await perform(run(root), step);
  await writeFile(join(root, 'source.txt'), 'one');
  await perform(run(root), step);
  t.is(made.runs, 1);
});

test('--force runs it whatever its inputs, --explain says why', async (t) => {
  const root = await fixture(t);
  const { step, made } = upper(root);
  await perform(run(root), step);
  const log = recordingLog();
  await perform(run(root, { flags: { force: true, explain: true }, log }), step);
  t.is(made.runs, 2);
  t.regex(log.lines.join('\n'), /upper: ran in .*, forced/);
});

test('two tasks that stand on one step share its run', async (t) => {
  const root = await fixture(t);
  const { step, made } = upper(root);
  const context = run(root);
  await Promise.all([perform(context, step), perform(context, step)]);
  t.is(made.runs, 1);
});

test('a failure leaves the old output, no scratch folder, and the next run heals', async (t) => {
  const root = await fixture(t);
  await perform(run(root), upper(root).step);
  await writeFile(join(root, 'source.txt'), 'two');
  const failing = upper(root, async () => {
    throw new BuildError('fault', 'the disk is full', 'Free some.');
  });
  const failed = run(root);
  await t.throwsAsync(perform(failed, failing.step), { message: /disk is full/ });
  t.is(await readFile(join(root, 'out', 'upper.txt'), 'utf8'), 'ONE');
  t.deepEqual(await readdir(failed.scratch().folder('.')), ['.children', '.owner']);
  await perform(run(root), upper(root).step);
  t.is(await readFile(join(root, 'out', 'upper.txt'), 'utf8'), 'TWO');
});

test('scratch folders of dead runs are swept and their children ended, those of living ones stay', async (t) => {
  const orphan = spawn('sleep', ['300'], { detached: true, stdio: 'ignore' });
  const dead = JSON.stringify({ ...processIdentity(), pid: 4194304 });
  const root = await temporaryTree(t, {
    'dist/.work/aaaaaaaaaaaa/.owner': dead,
    [`dist/.work/aaaaaaaaaaaa/.children/${orphan.pid}`]: JSON.stringify(processIdentity(orphan.pid)),
    'dist/.work/aaaaaaaaaaaa/upper/half': 'x',
    'dist/.work/bbbbbbbbbbbb/half': 'nobody owns it',
    'dist/.work/cccccccccccc/.owner': JSON.stringify(processIdentity()),
  });
  const { token, scratch } = run(root);
  const ended = once(orphan, 'exit');
  scratch().folder('upper');
  t.deepEqual((await ended)[1], 'SIGKILL');
  t.deepEqual((await readdir(join(root, 'dist', '.work'))).sort(), ['cccccccccccc', token].sort());
});

test('what a child that its dead run had not yet noted writes meanwhile goes at the end of the next run', async (t) => {
  const root = await temporaryTree(t, { 'dist/.work/aaaaaaaaaaaa/.owner': 'cut short' });
  const { scratch } = run(root);
  const { remove } = scratch();
  await mkdir(join(root, 'dist', '.work', 'aaaaaaaaaaaa', 'bundle-cli', 'tree'), { recursive: true });
  remove();
  t.deepEqual(await readdir(join(root, 'dist', '.work')), []);
});
