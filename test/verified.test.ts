import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { layout } from '../tasks/layout.ts';
import { readVerified, recordVerified } from '../tasks/verified.ts';

async function place(t: ExecutionContext) {
  const root = await mkdtemp(path.join(tmpdir(), 'ktx-verified-'));
  t.teardown(() => rm(root, { recursive: true }));
  return layout(root);
}

test('a passed verification is remembered by the digest of the manifest', async (t) => {
  const at = await place(t);
  t.is(await readVerified(at), undefined);
  await recordVerified(at, 'a'.repeat(64));
  await recordVerified(at, 'b'.repeat(64));
  t.is(await readVerified(at), 'b'.repeat(64));
});

test('a damaged record counts as none', async (t) => {
  const at = await place(t);
  await mkdir(at.state, { recursive: true });
  await writeFile(path.join(at.state, 'verified'), 'b'.repeat(30));
  t.is(await readVerified(at), undefined);
});
