import { mkdir, readdir, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { snapshot, type World, world } from './_support/world.ts';

interface Document {
  readonly removed: string[];
  readonly kept: { path: string; reason: string }[];
  readonly bytes: number;
}

/** A root with its own version and these others; the content is a stand-in for an installed runtime. */
async function rooted(w: World, ...versions: string[]): Promise<void> {
  const ran = await w.ktx(['runtime', 'install']);
  if (ran.code !== 0) throw new Error(ran.stderr);
  for (const [age, version] of versions.entries()) {
    await mkdir(join(w.root, version, 'env', '0123abcd', 'bin'), { recursive: true });
    await writeFile(join(w.root, version, 'manifest.json'), JSON.stringify({ schemaVersion: 1, cliVersion: version }));
    const day = new Date(Date.now() - (age + 1) * 86_400_000);
    await utimes(join(w.root, version, 'manifest.json'), day, day);
  }
}

test('prune without a flag deletes nothing', async (t) => {
  const w = await world(t);
  await rooted(w, '0.0.8');
  const before = await snapshot(w.root);
  const ran = await w.ktx(['runtime', 'prune']);
  t.is(ran.code, 1);
  t.is(ran.stdout, '');
  t.regex(ran.stderr, /--dry-run.*--yes/);
  t.deepEqual(await snapshot(w.root), before);
});

test('a dry run lists what --yes removes, with its size', async (t) => {
  const w = await world(t);
  await rooted(w, '0.0.8', '0.0.7');
  await writeFile(join(w.root, '0.0.8', 'env', '0123abcd', 'big'), 'x'.repeat(5_000));
  const before = await snapshot(w.root);
  const plan = await w.json<Document>(['runtime', 'prune', '--dry-run']);
  t.deepEqual(await snapshot(w.root), before);
  t.deepEqual(plan.removed, [join(w.root, '0.0.8'), join(w.root, '0.0.7')]);
  t.true(plan.bytes >= 5_000);
  const done = await w.json<Document>(['runtime', 'prune', '--yes']);
  t.deepEqual(done.removed, plan.removed);
  t.deepEqual(
    (await readdir(w.root)).filter((name) => /^\d/.test(name)),
    [w.version],
  );
  t.deepEqual(await readdir(join(w.root, '.trash')), []);
});

test('what ktx did not make is never listed', async (t) => {
  const w = await world(t);
  await rooted(w, '0.0.8');
  await mkdir(join(w.root, 'notes'));
  await mkdir(join(w.root, '1.2.3'));
  await writeFile(join(w.root, '1.2.3', 'thesis.txt'), 'mine');
  // Versions of something else, which also keeps manifests and environments.
  await mkdir(join(w.root, '2.0.0'));
  await writeFile(join(w.root, '2.0.0', 'manifest.json'), '{"name":"an extension"}');
  await mkdir(join(w.root, '3.0.0', 'env', 'production'), { recursive: true });
  await mkdir(join(w.dir, 'outside', 'env'), { recursive: true });
  await symlink(join(w.dir, 'outside'), join(w.root, '0.0.5'));
  const { removed } = await w.json<Document>(['runtime', 'prune', '--yes']);
  t.deepEqual(removed, [join(w.root, '0.0.8')]);
  t.deepEqual(
    (await readdir(w.root)).filter((name) => !name.startsWith('.') && name !== 'locks').sort(),
    ['0.0.5', w.version, '1.2.3', '2.0.0', '3.0.0', 'notes'].sort(),
  );
  t.deepEqual(await readdir(join(w.dir, 'outside')), ['env']);
});

test('a link inside a version is removed, not followed', async (t) => {
  const w = await world(t);
  await rooted(w, '0.0.8');
  await mkdir(join(w.dir, 'outside'));
  await writeFile(join(w.dir, 'outside', 'thesis.txt'), 'mine');
  await symlink(join(w.dir, 'outside'), join(w.root, '0.0.8', 'env', 'link'));
  t.is((await w.ktx(['runtime', 'prune', '--yes'])).code, 0);
  t.deepEqual(await readdir(join(w.dir, 'outside')), ['thesis.txt']);
});

test('an unmarked root is refused', async (t) => {
  const w = await world(t);
  await rooted(w, '0.0.8');
  await rm(join(w.root, '.ktx-runtime-root'));
  const before = await snapshot(w.root);
  const ran = await w.ktx(['runtime', 'prune', '--yes']);
  t.is(ran.code, 1);
  t.regex(ran.stderr, /not-owned/);
  t.deepEqual(await snapshot(w.root), before);
});

test('--keep and --older-than spare the newest', async (t) => {
  const w = await world(t);
  await rooted(w, '0.0.8', '0.0.7', '0.0.6');
  const kept = await w.json<Document>(['runtime', 'prune', '--dry-run', '--keep', '1']);
  t.deepEqual(kept.removed, [join(w.root, '0.0.7'), join(w.root, '0.0.6')]);
  t.deepEqual(kept.kept, [{ path: join(w.root, '0.0.8'), reason: 'one of the newest 1' }]);
  const older = await w.json<Document>(['runtime', 'prune', '--dry-run', '--older-than', '2']);
  t.deepEqual(older.removed, [join(w.root, '0.0.7'), join(w.root, '0.0.6')]);
});

test('a version with a live daemon is skipped and said; --stop-daemons stops it first', async (t) => {
  const w = await world(t);
  await rooted(w);
  t.is((await w.ktx(['runtime', 'start'])).code, 0);
  t.teardown(() => w.ktx(['runtime', 'stop', '--all']));
  // The same installation, as another version of the CLI would have left it.
  await rename(join(w.root, w.version), join(w.root, '0.0.8'));
  const skipped = await w.json<Document>(['runtime', 'prune', '--yes']);
  t.deepEqual(skipped.removed, []);
  t.regex(skipped.kept[0]?.reason ?? '', /daemon runs \(process \d+\)/);
  const done = await w.json<Document>(['runtime', 'prune', '--yes', '--stop-daemons']);
  t.deepEqual(done.removed, [join(w.root, '0.0.8')]);
});

test('a version with a running installation is skipped', async (t) => {
  const w = await world(t);
  await rooted(w, '0.0.8');
  const holder = {
    pid: process.pid,
    procStart: null,
    bootId: null,
    host: (await import('node:os')).hostname(),
    token: 'x',
    createdAt: '',
  };
  await writeFile(join(w.root, 'locks', '0.0.8.json'), JSON.stringify(holder));
  const { removed, kept } = await w.json<Document>(['runtime', 'prune', '--yes']);
  t.deepEqual(removed, []);
  t.is(kept[0]?.reason, 'an installation is running in it');
});

test('an empty or absent root has nothing to prune', async (t) => {
  const w = await world(t);
  t.like(await w.json(['runtime', 'prune', '--dry-run']), { code: 0, removed: [], bytes: 0 });
});
