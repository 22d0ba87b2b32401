import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { world } from './_support/world.ts';

const killer = fileURLToPath(new URL('_support/killer.cjs', import.meta.url));

for (const first of [true, false]) {
  test(`kill -9 after each change of the file system, ${first ? 'in a first installation' : 'over a ready runtime'}`, async (t) => {
    t.timeout(30 * 60_000);
    const w = await world(t);
    const preload = { NODE_OPTIONS: `--require ${JSON.stringify(killer)}` };
    const install = ['runtime', 'install', ...(first ? [] : ['--force'])];

    if (!first) t.is((await w.ktx(['runtime', 'install'])).code, 0);
    const counted = join(w.dir, 'count');
    const rehearsal = { KTX_RUNTIME_ROOT: first ? join(w.dir, 'rehearsal') : w.root };
    t.is((await w.ktx(install, { env: { ...preload, ...rehearsal, KILL_COUNT: counted } })).code, 0);
    const steps = Number(await readFile(counted, 'utf8'));
    t.true(steps > 15, `${steps} steps`);

    let kills = 0;
    for (let step = 1; step <= steps; step++) {
      const root = first ? join(w.dir, `root-${step}`) : w.root;
      const env = { KTX_RUNTIME_ROOT: root };
      const died = await w.ktx(install, { env: { ...preload, ...env, KILL_AT: `after:${step}` } });
      const status = await w.json<{ kind: string }>(['runtime', 'status'], { env });
      if (died.signal === 'SIGKILL') kills += 1;
      else t.is(died.code, 0, `step ${step}`);
      if (!first) t.is(status.kind, 'ready', `step ${step}: the old or the new runtime`);
      else t.true(['missing', 'ready'].includes(status.kind), `step ${step}: ${status.kind}`);
      if (!first && step % 8 !== 0) continue;
      const next = await w.json<{ kind: string; generation: string }>(install, { env });
      t.true(['installed', 'reused'].includes(next.kind), `step ${step}: ${JSON.stringify(next)}`);
      if (next.kind === 'reused') continue;
      t.deepEqual(await readdir(join(root, w.version, 'env')), [next.generation], `step ${step}`);
      t.deepEqual(await readdir(join(root, w.version, 'work')), [], `step ${step}`);
      t.deepEqual(
        (await readdir(join(root, w.version))).filter((name) => name.endsWith('.tmp')),
        [],
        `step ${step}`,
      );
    }
    t.true(kills > steps / 2, `${kills} kills in ${steps} steps`);
  });
}
