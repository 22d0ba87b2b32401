/**
 * `gulp watch` as a person runs it: a process of its own in a checkout, ended by
 * Ctrl-C, while other processes read what it stages.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { createContext } from '../tasks/context.ts';
import { hashFiles } from '../tasks/digest.ts';
import { hashTree, treeDigest } from '../tasks/ledger.ts';
import { readSources } from '../tasks/sources.ts';
import { stageTrees } from '../tasks/stage-tree.ts';
import { type Checkout, checkout, type Running } from './_support/checkout.ts';
import { processesIn } from './_support/processes.ts';

let copy: Checkout;
const cleanUps: (() => unknown)[] = [];

test.before(async () => {
  copy = await checkout({ teardown: (fn) => void cleanUps.unshift(fn) });
});

test.after.always(async () => {
  for (const cleanUp of cleanUps) await cleanUp();
});

const inEngine = (...parts: string[]) => join(copy.root, 'python', 'ktx-sl', 'semantic_layer', ...parts);
const staging = () => join(copy.root, 'dist', 'runtime-wheel-src');
const passes = ({ output }: Running) => [...output().matchAll(/(?:re)?staged.* tree ([0-9a-f]{12}), \d+ ms\)/g)];

async function watching(t: ExecutionContext, ...args: string[]): Promise<Running> {
  const running = copy.start(args);
  t.teardown(() => {
    try {
      process.kill(-running.pid, 'SIGKILL');
    } catch {
      // it ended, as it should
    }
  });
  await running.says('staged into');
  return running;
}

/** Save at once, by a rename from outside the tree: one event, and never half a source. */
async function save(path: string, text: string): Promise<void> {
  const next = join(copy.root, '..', 'next');
  await writeFile(next, text);
  await rename(next, path);
}

async function until(running: Running, done: () => boolean | Promise<boolean>): Promise<void> {
  let ended = false;
  running.ended.then(() => {
    ended = true;
  });
  while (!(await done())) {
    if (ended) throw new Error(`ended too soon:\n${running.output()}`);
    await sleep(5);
  }
}

/** The digest that `stage` makes of the sources as they are now. */
async function stagedDigest(): Promise<string> {
  const { ledger } = await stageTrees({ ...(await readSources(createContext(copy.root))), out: null });
  return treeDigest(ledger);
}

/** Once another pass was told: it names the digest that `stage` makes, and that tree lies there. */
async function passIsTrue(t: ExecutionContext, running: Running, before: number): Promise<void> {
  const isTrue = async () =>
    passes(running).length > before && (await stagedDigest()).startsWith(passes(running).at(-1)?.[1] as string);
  await until(running, isTrue);
  t.is(treeDigest(await hashTree(staging())), await stagedDigest(), running.output());
}

/** Ctrl-C as a terminal sends it, to the whole group; twice would mean at once. */
async function endsCleanly(t: ExecutionContext, running: Running): Promise<void> {
  process.kill(-running.pid, 'SIGINT');
  const { code, output } = await running.ended;
  t.is(code, 0, output);
  t.notRegex(output, /^\s+at .*:\d+|Traceback/m);
  t.deepEqual(await processesIn(copy.root), []);
  t.deepEqual(await readdir(join(copy.root, 'dist', '.work')), []);
  t.false(existsSync(join(copy.root, 'dist', '.state', 'build.lock')));
  const left = (await readdir(join(copy.root, 'dist'), { recursive: true })).filter((path) =>
    /\.(next|replaced|tmp)$/.test(path),
  );
  t.deepEqual(left, []);
}

test.serial('each pass makes the tree that stage makes, and Ctrl-C leaves that tree and nothing else', async (t) => {
  const running = await watching(t, 'watch');
  const daemon = join(copy.root, 'python', 'ktx-daemon', 'pyproject.toml');
  const pyproject = await readFile(daemon, 'utf8');
  const steps: [string, () => Promise<unknown>][] = [
    ['an edit', () => appendFile(inEngine('__init__.py'), '# edited\n')],
    ['a new file', () => save(inEngine('more.py'), 'x = 1\n')],
    ['a renamed file', () => rename(inEngine('more.py'), inEngine('renamed.py'))],
    ['a new folder', () => mkdir(inEngine('sub')).then(() => save(inEngine('sub', 'deep.py'), 'y = 1\n'))],
    ['a removed folder', () => rm(inEngine('sub'), { recursive: true })],
    ['a pyproject', () => save(daemon, pyproject.replace('"Apache-2.0"', '"MIT"'))],
  ];
  for (const [what, step] of steps) {
    const before = passes(running).length;
    await step();
    await passIsTrue(t, running, before);
    t.log(`${what}: ${running.output().trim().split('\n').at(-1)}`);
  }
  const watched = treeDigest(await hashTree(staging()));
  await endsCleanly(t, running);
  t.is(treeDigest(await hashTree(staging())), watched);
  const { output } = await copy.gulp(['stage', '--force']); // with locks exported anew, as the pyproject is an input of theirs
  t.regex(output, new RegExp(`staged \\d+ files, tree ${watched.slice(0, 12)}`));
  await save(daemon, pyproject);
});

test.serial('another process that walks the tree during 1,000 edits meets every file, each whole', async (t) => {
  const body = (edit: number) => `# ${String(edit).padStart(6)}\n`.repeat(2_000);
  const names = Array.from({ length: 20 }, (_, i) => `even${i}.py`);
  for (const name of names) await save(inEngine(name), body(0));
  const running = await watching(t, 'watch');
  const script = join(import.meta.dirname, '_support', 'walking-reader.mjs');
  const reader = spawn(process.execPath, [script, staging(), String(body(0).length)], { stdio: 'pipe' });
  t.teardown(() => reader.kill());
  let printed = '';
  reader.stdout.setEncoding('utf8').on('data', (text) => {
    printed += text;
  });
  await until(running, () => printed.includes('walking'));
  const before = passes(running).length;
  for (let edit = 1; edit <= 1_000; edit += 1) {
    await save(inEngine(names[edit % names.length] as string), body(edit));
    const seen = passes(running).length;
    if (edit % names.length === 0) await until(running, () => passes(running).length > seen);
  }
  await passIsTrue(t, running, before);
  const made = passes(running).length - before;
  reader.stdin.end();
  await new Promise((resolve) => reader.once('close', resolve));
  const { walks, faults } = JSON.parse(printed.split('\n')[1] as string);
  t.log(`${walks} walks, ${made} passes`);
  t.deepEqual(faults, []);
  t.true(walks > 10 && made >= 10, `${walks} walks, ${made} passes`);
  await endsCleanly(t, running);
  for (const name of names) await rm(inEngine(name));
});

test.serial('--wheel keeps wheel and assets at what gulp assets makes, and Ctrl-C may come amid a build', async (t) => {
  const assets = join(copy.root, 'packages', 'cli', 'assets', 'python');
  const running = await watching(t, 'watch', '--wheel');
  const made = () => running.output().match(/wheel and assets are made of it/g)?.length ?? 0;
  await until(running, () => made() === 1);
  const before = await hashFiles(assets);
  await appendFile(inEngine('__init__.py'), '# edited again\n');
  await until(running, () => made() === 2);
  const watched = await hashFiles(assets);
  const source = await readFile(inEngine('__init__.py'), 'utf8');
  t.notDeepEqual(watched, before);
  t.is(treeDigest(await hashTree(staging())), await stagedDigest());

  const builds = () => running.output().match(/building the runtime wheel/g)?.length ?? 0;
  const built = builds();
  await appendFile(inEngine('__init__.py'), '# and again\n');
  await until(running, () => builds() > built);
  await endsCleanly(t, running);

  await save(inEngine('__init__.py'), source);
  const { code, output } = await copy.gulp(['assets', '--force']);
  t.is(code, 0, output);
  t.deepEqual(await hashFiles(assets), watched);
});
