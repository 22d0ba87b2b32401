/** Revision and dirtiness, held against the real git. */
import { execFileSync } from 'node:child_process';
import { appendFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { layout } from '../tasks/layout.ts';
import { headCommit, readRevision } from '../tasks/revision.ts';
import { commitAll } from './_support/checkout.ts';
import { temporaryTree } from './_support/temporary-tree.ts';

const FILES = { 'python/ktx-sl/semantic_layer/__init__.py': 'a = 1\n', 'README.md': 'text\n' };

async function repository(t: ExecutionContext) {
  const root = await temporaryTree(t, FILES);
  await commitAll(root);
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: 'pipe' });
  let asked = 0;
  const read = (ambient: NodeJS.ProcessEnv = {}) =>
    readRevision(layout(root), ambient, async (args) => {
      asked += 1;
      return git(...args);
    });
  return { root, git, read, asked: () => asked, head: git('rev-parse', 'HEAD').trim() };
}

test('a clean commit: its id, its time, and git is asked only once', async (t) => {
  const { read, head, asked } = await repository(t);
  const expected = { id: head, time: Date.parse('2026-01-02T03:04:05Z') / 1000, dirty: false };
  t.deepEqual(await read(), expected);
  const before = asked();
  t.deepEqual(await read(), expected);
  t.is(asked(), before);
});

const DIRT: readonly [string, (root: string) => Promise<void>, boolean][] = [
  ['a changed file', (root) => appendFile(join(root, 'README.md'), 'more'), true],
  ['a deleted file', (root) => rm(join(root, 'README.md')), true],
  ['a new Python source', (root) => writeFile(join(root, 'python/ktx-sl/semantic_layer/new.py'), ''), true],
  ['a touched file', (root) => writeFile(join(root, 'README.md'), 'text\n'), false],
  ['a stray note', (root) => writeFile(join(root, 'note.txt'), ''), false],
];

for (const [name, change, dirty] of DIRT) {
  test(`${name} makes the tree ${dirty ? 'dirty' : 'no different'}`, async (t) => {
    const { root, read } = await repository(t);
    await change(root);
    t.is((await read()).dirty, dirty);
  });
}

test('HEAD is found detached, on a branch, packed, and in a linked worktree', async (t) => {
  const { root, git, head } = await repository(t);
  t.is(await headCommit(root), head);
  git('pack-refs', '--all');
  t.is(await headCommit(root), head);
  git('worktree', 'add', '-q', join(root, 'linked'));
  t.is(await headCommit(join(root, 'linked')), head);
  git('checkout', '-q', '--detach');
  t.is(await headCommit(root), head);
});

test('without a repository there is no revision and a fixed time', async (t) => {
  const root = await temporaryTree(t, FILES);
  const git = async () => t.fail('git was asked') as never;
  t.deepEqual(await readRevision(layout(root), {}, git), { id: null, time: 1580601600, dirty: false });
});

test('GITHUB_SHA and SOURCE_DATE_EPOCH win; an unexpected revision is refused', async (t) => {
  const { read, head } = await repository(t);
  const other = 'c'.repeat(40);
  t.like(await read({ GITHUB_SHA: head, SOURCE_DATE_EPOCH: '5' }), { id: head, time: 5, dirty: false });
  t.like(await read({ GITHUB_SHA: other }), { id: other, dirty: true });
  t.like(await read({ KTX_EXPECTED_SOURCE_REVISION: '', SOURCE_DATE_EPOCH: '' }), { id: head });
  await t.throwsAsync(read({ KTX_EXPECTED_SOURCE_REVISION: other }), { message: /KTX_EXPECTED_SOURCE_REVISION is c+/ });
});
