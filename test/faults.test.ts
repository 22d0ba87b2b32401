/**
 * What goes wrong around `artifacts`: a disk that is full or read-only, outputs
 * that others hold open, other runs, a uv that hangs. The set in place stays the
 * old one until it is the new one; nothing half is left; the next run completes.
 *
 * One checkout serves all tests, one after another. Its `dist` is a disk of its
 * own where this user may mount one, so that a build across two is proven too.
 */
import { existsSync } from 'node:fs';
import { chmod, mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { createContext } from '../tasks/context.ts';
import type { BuildError } from '../tasks/errors.ts';
import { recordingLog } from '../tasks/log.ts';
import { perform } from '../tasks/step.ts';
import { wheelStep } from '../tasks/wheel.ts';
import { type Checkout, checkout, type Ended, edit, releaseOf, repository, type Text } from './_support/checkout.ts';
import { verified } from './_support/good-release.ts';
import { gone, processesIn } from './_support/processes.ts';
import { mount, mountRefusal, unmount, whileFull } from './_support/small-disk.ts';
import { temporaryTree } from './_support/temporary-tree.ts';

const refusal = mountRefusal();
if (refusal) console.log(`skipped: a full disk, a read-only disk (no file system can be mounted here: ${refusal})`);
const disk = refusal ? test.serial.skip : test.serial;

let copy: Checkout;
let sets: Record<Text, Record<string, string>>;
let now: Text = 'one';
const cleanUps: (() => unknown)[] = [];

test.before('the sets of an undisturbed build', async (t) => {
  copy = await checkout({ teardown: (fn) => void cleanUps.unshift(fn) });
  const { dist } = at();
  if (!refusal) {
    await mkdir(dist);
    mount('-t', 'tmpfs', '-o', 'size=96m', 'tmpfs', dist);
    cleanUps.unshift(() => unmount(dist));
  }
  const set = async (text: Text) => {
    await edit(copy, text);
    await succeeds(t);
    return releaseOf(copy);
  };
  const other = await set('other');
  sets = { other, one: await set('one') };
  t.notDeepEqual(sets.one, sets.other);
});

test.after.always(async () => {
  for (const cleanUp of cleanUps) await cleanUp();
});

const at = () => ({
  dist: join(copy.root, 'dist'),
  release: join(copy.root, 'dist', 'artifacts'),
  work: join(copy.root, 'dist', '.work'),
  lock: join(copy.root, 'dist', '.state', 'build.lock'),
  cli: join(copy.root, 'packages', 'cli'),
});

async function succeeds(t: ExecutionContext): Promise<void> {
  const { code, output } = await copy.gulp(['artifacts']);
  t.is(code, 0, output);
}

/** The sources in their other state. */
async function turn(): Promise<Text> {
  const next = now === 'one' ? 'other' : 'one';
  await edit(copy, next);
  return next;
}

/** The next run, with nothing cleaned up, makes the set of an undisturbed build. */
async function completes(t: ExecutionContext, next: Text): Promise<void> {
  await succeeds(t);
  t.deepEqual(await releaseOf(copy), sets[next]);
  now = next;
}

/** Every path below the folders that the graph writes to: its names are the same for each state of the sources. */
async function everything(): Promise<string[]> {
  const { dist, cli } = at();
  const folders = [dist, cli].map(async (folder) =>
    (await readdir(folder, { recursive: true })).map((path) => join(folder, path)),
  );
  return (await Promise.all(folders)).flat().sort();
}

function saidOnce(t: ExecutionContext, { code, output }: Ended, message: RegExp): void {
  t.is(code, 1, output);
  t.regex(output, message);
  t.notRegex(output, /^\s+at .*:\d+/m, 'no stack');
  t.is(output.match(new RegExp(message.source, `g${message.flags}`))?.length, 1, output);
}

disk('a full disk is said once, with the place, and leaves nothing half', async (t) => {
  const { dist } = at();
  const before = await everything();
  const next = await turn();
  for (const left of [0, 64, 512, 1400, 2600]) {
    const ended = await whileFull(dist, left, () => copy.gulp(['artifacts']));
    t.log(`${left} KiB left: ${ended.output.split('\n').filter((line) => /full/.test(line))}`);
    saidOnce(t, ended, /the disk is full/i);
    t.regex(ended.output, new RegExp(`full.*${dist}`));
    t.deepEqual(await releaseOf(copy), sets[now], `with ${left} KiB left`);
    t.deepEqual(await everything(), before, `with ${left} KiB left`);
  }
  await completes(t, next);
  t.deepEqual(await everything(), before);
});

disk('a read-only output is named in one sentence', async (t) => {
  const { dist, cli, release } = at();
  const before = await everything();
  const assets = join(cli, 'assets');
  const readOnly: [string, string, () => void, () => void][] = [
    [dist, dist, () => mount('-o', 'remount,ro', dist), () => mount('-o', 'remount,rw', dist)],
    [assets, join(assets, 'python'), () => bindReadOnly(assets), () => unmount(assets)],
    [release, release, () => bindReadOnly(release), () => unmount(release)],
  ];
  const next = await turn();
  for (const [folder, named, close, reopen] of readOnly) {
    close();
    try {
      const ended = await copy.gulp(['artifacts']);
      t.log(ended.output.split('\n').filter((line) => /cannot be/.test(line)));
      saidOnce(t, ended, new RegExp(`${named}\\S* cannot be (written: its file system is read-only|replaced)`));
      t.deepEqual(await releaseOf(copy), sets[now], folder);
      t.deepEqual(await everything(), before, folder);
    } finally {
      reopen();
    }
  }
  await completes(t, next);
});

function bindReadOnly(folder: string): void {
  mount('--bind', folder, folder);
  mount('-o', 'remount,bind,ro', folder);
}

test.serial('who holds an output open while it is replaced reads the old one to its end', async (t) => {
  const { release } = at();
  const names = Object.keys(sets[now]);
  const old = await Promise.all(names.map((name) => readFile(join(release, name))));
  const held = await Promise.all(names.map((name) => open(join(release, name))));
  const heads = await Promise.all(held.map(async (file) => (await file.read(Buffer.alloc(100), 0, 100)).buffer));
  await completes(t, await turn());
  for (const [i, file] of held.entries()) {
    const read = Buffer.concat([heads[i] as Buffer, await file.readFile()]);
    t.true(read.equals(old[i] as Buffer), names[i]);
    await file.close();
  }
  await verified(release);
});

test.serial('of four at once each waits its turn, naming for whom, and the set is whole', async (t) => {
  const next = await turn();
  const runs = Array.from({ length: 4 }, () => copy.start(['artifacts']));
  const ended = await Promise.all(runs.map((run) => run.ended));
  t.deepEqual(
    ended.map(({ code }) => code),
    [0, 0, 0, 0],
    ended.map(({ output }) => output).join('\n'),
  );
  const pids = runs.map(({ pid }) => pid);
  const waited = ended.map(({ output }) =>
    [...output.matchAll(/waiting for gulp .* \(process (\d+)\) to finish/g)].map(([, pid]) => Number(pid)),
  );
  t.log(waited.map((others, i) => `${pids[i]} waited for ${others.join(', ') || 'nobody'}`).join('; '));
  t.is(waited.filter((others) => others.length > 0).length, 3);
  for (const [i, others] of waited.entries()) t.true(others.every((pid) => pids.includes(pid) && pid !== pids[i]));
  t.deepEqual(await releaseOf(copy), sets[next]);
  await verified(at().release);
  now = next;
});

/** A uv first on PATH that hangs when `hangs` (a test of the shell) holds, a temporary file and its pids written. */
async function hangingUv(t: ExecutionContext, hangs: string, prelude: string) {
  const { uv } = JSON.parse(await readFile(join(repository, '.tools', 'toolchain.json'), 'utf8'));
  const bin = await temporaryTree(t);
  const pids = join(bin, 'pids');
  const temporary = join(bin, 'tmp');
  await mkdir(temporary);
  const script = `#!/bin/sh
if ${hangs}; then
${prelude}
[ "$1" != build ] || mktemp > ${bin}/made
sleep 600 &
echo $$ $! > ${pids}.new && mv ${pids}.new ${pids}
while :; do wait; done
fi
exec ${uv.path} "$@"
`;
  await writeFile(join(bin, 'uv'), script);
  await chmod(join(bin, 'uv'), 0o755);
  return {
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, TMPDIR: temporary },
    leftovers: async () => (await readdir(temporary)).filter((name) => name !== 'node-compile-cache'),
    /** Resolves to its pids, once it hangs. */
    async hanging(): Promise<number[]> {
      while (!existsSync(pids)) await sleep(20);
      return (await readFile(pids, 'utf8')).trim().split(' ').map(Number);
    },
  };
}

test.serial('a uv that never answers is ended with its whole group, and said with command and limit', async (t) => {
  const uv = await hangingUv(t, '[ "$1" = build ]', '');
  const context = createContext(copy.root, { ambient: uv.env, log: recordingLog(), flags: { force: true } });
  const impatient = {
    ...context,
    run: (plan: Parameters<typeof context.run>[0]) =>
      context.run(plan.args[0] === 'build' ? { ...plan, timeout: 2000 } : plan),
  };
  const error = await t.throwsAsync<BuildError>(perform(impatient, wheelStep(context)));
  t.log(error.message);
  t.regex(error.message, /^wheel: \S+\/uv build --wheel .*\n {2}took longer than 2 s and was ended\..*\n {2}Find what/);
  t.false(error.showStack);
  await Promise.all((await uv.hanging()).map(gone));
  await context.release();
  t.deepEqual([...(await uv.leftovers()), ...(await readdir(at().work))], []);
});

const STUBBORN: readonly [string, string, string][] = [
  ['a uv that ignores every polite signal', '[ "$1" = build ]', "trap '' TERM INT HUP"],
  ['a uv that does not even say its version', 'true', "trap '' TERM INT HUP"],
];
for (const [what, hangs, prelude] of STUBBORN) {
  test.serial(`Ctrl-C ends ${what}, with its group`, async (t) => {
    const uv = await hangingUv(t, hangs, prelude);
    const running = copy.start(['wheel', '--force'], uv.env);
    const pids = await Promise.race([uv.hanging(), running.ended.then(({ output }) => Promise.reject(output))]);
    const asked = performance.now();
    process.kill(running.pid, 'SIGINT');
    const { code, output } = await running.ended;
    t.log(`ended after ${Math.round(performance.now() - asked)} ms`);
    t.is(code, 130, output);
    t.notRegex(output, /^\s+at .*:\d+/m);
    await Promise.all(pids.map(gone));
    t.deepEqual(await processesIn(copy.root), []);
    t.deepEqual([...(await uv.leftovers()), ...(await readdir(at().work))], []);
    t.false(existsSync(at().lock));
  });
}

test.serial('after all of that the set is whole', async (t) => {
  await completes(t, await turn());
  t.deepEqual(await readdir(join(at().dist, '.state')), ['steps']);
});
