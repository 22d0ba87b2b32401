/**
 * SIGKILL of the whole process group before a chosen step of `artifacts`: a
 * change of the file system or the start of a child. Whenever it comes, the set
 * in place is the old one or the new one, whole; the next run needs no clean-up
 * and gives the bytes of an undisturbed build.
 *
 * The ordinary run kills at points spread over the job, KTX_PROOF=long at each.
 */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { hashFiles } from '../tasks/digest.ts';
import { type Checkout, checkout } from './_support/checkout.ts';

const ORDINARY_POINTS = 8;
const TEXTS = ['# the one\n', '# the other\n'] as const;

test('killed before any step, the next run completes the set', async (t) => {
  t.timeout(85 * 60_000);
  const copy = await checkout(t);
  const journal = join(copy.root, '..', 'journal');
  const preload = { NODE_OPTIONS: `--import=${join(import.meta.dirname, '_support', 'kill-at.mjs')}` };
  const build = (at = 0) =>
    copy.start(['artifacts'], { ...preload, KTX_TEST_KILL_AT: String(at), KTX_TEST_JOURNAL: journal }).ended;

  const sets: Awaited<ReturnType<typeof release>>[] = [];
  for (const text of TEXTS) {
    await edit(copy, text);
    const { code, output } = await build();
    t.is(code, 0, output);
    sets.push(await release(copy));
  }
  t.notDeepEqual(sets[0], sets[1]);
  await edit(copy, TEXTS[0]);
  t.is((await build()).code, 0);
  const steps = Number((await readFile(journal, 'utf8')).split(' ')[0]);
  t.true(steps > 50, `${steps} steps`);

  const stride = process.env.KTX_PROOF === 'long' ? 1 : Math.ceil(steps / ORDINARY_POINTS);
  let now = 0;
  for (let at = 1 + (stride >> 1); at < steps; at += stride) {
    const next = 1 - now;
    await edit(copy, TEXTS[next] as string);
    await rm(journal, { force: true });
    await build(at);
    const where = await readFile(journal, 'utf8').catch(() => `${at} nowhere`);
    const left = JSON.stringify(await release(copy));
    t.true(
      [now, next].some((i) => JSON.stringify(sets[i]) === left),
      `a mixed set, killed before step ${where}`,
    );
    const { code, output } = await build();
    t.is(code, 0, `after a kill before step ${where}: ${output}`);
    t.deepEqual(await release(copy), sets[next], `after a kill before step ${where}`);
    t.deepEqual(await readdir(join(copy.root, 'dist', '.work')), []);
    now = next;
  }
});

/** One source of each language, so that every step runs. */
async function edit({ root }: Checkout, text: string): Promise<void> {
  await writeFile(join(root, 'python', 'ktx-sl', 'semantic_layer', 'edited.py'), text);
  await writeFile(join(root, 'python', 'ktx-daemon', 'src', 'ktx_daemon', 'edited.py'), text);
  await writeFile(join(root, 'packages', 'context', 'src', 'edited.ts'), `export const edited = '${text.trim()}';\n`);
  await writeFile(join(root, 'packages', 'context', 'README.md'), text);
}

const release = ({ root }: Checkout) => hashFiles(join(root, 'dist', 'artifacts'));
