/** Whose directory the root is, when several processes ask at once. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { runtimePaths } from '../src/runtime/paths.ts';
import { claimRoot } from '../src/runtime/root.ts';

test('many claim an absent root at once: each gets it', async (t) => {
  const base = await mkdtemp(join(tmpdir(), 'ktx-root-'));
  t.teardown(() => rm(base, { recursive: true, force: true }));
  for (let round = 0; round < 500; round += 1) {
    const paths = runtimePaths({ env: { KTX_RUNTIME_ROOT: join(base, String(round)) }, cwd: base });
    await Promise.all(Array.from({ length: 8 }, () => claimRoot(paths)));
    t.deepEqual(await readdir(paths.root), ['.ktx-runtime-root']);
  }
});
