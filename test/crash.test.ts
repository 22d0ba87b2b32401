/**
 * SIGKILL of the whole process group of `artifacts`: before a chosen step of it,
 * which is a change of the file system or the start of a child, and at any moment
 * at all. Whenever it comes, the set in place is the old one or the new one,
 * whole; the next run needs no clean-up and gives the bytes of an undisturbed
 * build.
 *
 * The ordinary run kills at a few random points. They follow from a seed, which
 * is printed and can be given again as KTX_PROOF_SEED. KTX_PROOF=long kills
 * before every step and at a hundred moments.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { type Checkout, checkout, edit, releaseOf, type Text } from './_support/checkout.ts';
import { verified } from './_support/good-release.ts';
import { randomNumbers } from './_support/random.ts';

const isLong = process.env.KTX_PROOF === 'long';
const seed = Number(process.env.KTX_PROOF_SEED ?? Math.floor(Math.random() * 2 ** 32));
const ORDINARY_STEPS = 6;
const ORDINARY_MOMENTS = 4;

test(`killed at random, the next run completes the set (KTX_PROOF_SEED=${seed})`, async (t) => {
  t.timeout(170 * 60_000);
  const copy = await checkout(t);
  const journal = join(copy.root, '..', 'journal');
  const preload = { NODE_OPTIONS: `--import=${join(import.meta.dirname, '_support', 'kill-at.mjs')}` };
  const build = (at = 0) =>
    copy.start(['artifacts'], { ...preload, KTX_TEST_KILL_AT: String(at), KTX_TEST_JOURNAL: journal });

  const sets = {} as Record<Text, Awaited<ReturnType<typeof releaseOf>>>;
  for (const text of ['one', 'other'] as const) {
    await edit(copy, text);
    const { code, output } = await build().ended;
    t.is(code, 0, output);
    sets[text] = await releaseOf(copy);
  }
  t.notDeepEqual(sets.one, sets.other);
  const names = await everything(copy);
  await edit(copy, 'one');
  const started = performance.now();
  t.is((await build().ended).code, 0);
  const length = performance.now() - started;
  const steps = Number((await readFile(journal, 'utf8')).split(' ')[0]);
  t.true(steps > 50, `${steps} steps`);

  const random = randomNumbers(seed);
  const some = (count: number) => Array.from({ length: count }, random);
  const atSteps = isLong
    ? Array.from({ length: steps - 1 }, (_, i) => i + 1)
    : some(ORDINARY_STEPS).map((x) => 1 + Math.floor(x * (steps - 1)));
  const moments = some(isLong ? 100 : ORDINARY_MOMENTS).map((x) => Math.round(x * length));
  const points = [...atSteps.map((step) => ({ step })), ...moments.map((after) => ({ after }))];

  let now: Text = 'one';
  for (const point of points) {
    const next: Text = now === 'one' ? 'other' : 'one';
    await edit(copy, next);
    await rm(journal, { force: true });
    const where = await killed(build, point, journal);
    if (!isLong) t.log(`killed ${where}`);
    const left = JSON.stringify(await releaseOf(copy));
    t.true([sets[now], sets[next]].map((set) => JSON.stringify(set)).includes(left), `a mixed set, killed ${where}`);
    const { code, output } = await build().ended;
    t.is(code, 0, `after a kill ${where}: ${output}`);
    t.deepEqual(await releaseOf(copy), sets[next], `after a kill ${where}`);
    t.deepEqual(await everything(copy), names, `after a kill ${where}`);
    now = next;
  }
  await verified(join(copy.root, 'dist', 'artifacts'));
});

/** Kill a build at `point`; tells where that was. */
async function killed(
  build: (step?: number) => ReturnType<Checkout['start']>,
  point: { step: number } | { after: number },
  journal: string,
): Promise<string> {
  const running = build('step' in point ? point.step : 0);
  if ('after' in point) {
    await Promise.race([sleep(point.after), running.ended]);
    try {
      process.kill(-running.pid, 'SIGKILL');
    } catch {
      // it had finished
    }
  }
  await running.ended;
  if ('after' in point) return `after ${point.after} ms`;
  return `before step ${await readFile(journal, 'utf8').catch(() => `${point.step}, which did not come`)}`.trim();
}

/** Every path that the graph has written: the names are the same for both states of the sources. */
async function everything({ root }: Checkout): Promise<string[]> {
  const folders = ['dist', 'packages/cli'].map(async (folder) =>
    (await readdir(join(root, folder), { recursive: true })).map((path) => `${folder}/${path}`),
  );
  return (await Promise.all(folders)).flat().sort();
}
