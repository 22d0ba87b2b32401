import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { buildContext } from '../build.ts';
import { temporaryTree } from './_support/tree.ts';

const run = promisify(execFile);
const root = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

function files(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map((path) => [path.slice(folder.length + 1), readFileSync(path, 'latin1')]),
  );
}

test('two builds are equal, name no path of the machine, and work from anywhere', async (t) => {
  const at = temporaryTree(t, { 'ktx.yaml': 'connections:\n  lite: {driver: sqlite, path: a.db}\n' });
  await buildContext(join(at, 'one'));
  await buildContext(join(at, 'two'));
  const one = files(join(at, 'one'));
  t.deepEqual(one, files(join(at, 'two')));
  for (const [path, text] of Object.entries(one)) {
    t.true(path.startsWith('dist/'), path);
    t.false(/\.map$|(?<!\.d)\.ts$/.test(path), path);
    t.false(text.includes(root), path);
  }
  t.regex(one['dist/THIRD-PARTY-NOTICES.txt'] ?? '', /yaml \d/);

  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  new DatabaseSync(join(at, 'a.db')).exec('CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (7)');
  const home = join(at, 'node_modules/@ktx/context');
  mkdirSync(dirname(home), { recursive: true });
  symlinkSync(join(at, 'one'), home);
  writeFileSync(join(at, 'one/package.json'), readFileSync(join(root, 'packages/context/package.json')));
  writeFileSync(
    join(at, 'use.mjs'),
    `import { createExecutor, loadProject } from '@ktx/context';
     const [connection] = loadProject({ cwd: ${JSON.stringify(at)} }).connections;
     const { rows } = await (await createExecutor(connection)).execute('SELECT id FROM t', { maxRows: 1 });
     console.log(JSON.stringify(rows));`,
  );
  t.is((await run(process.execPath, [join(at, 'use.mjs')])).stdout, '[[7]]\n');

  const use = `import { createExecutor, KtxError, loadProject, type Execution } from '@ktx/context';
    const [connection] = loadProject({ cwd: '/' }).connections;
    if (connection === undefined) throw new KtxError('x', 'y');
    export const result: Promise<Execution> = (await createExecutor(connection)).execute('', { maxRows: 1 });`;
  writeFileSync(join(at, 'use.mts'), use);
  writeFileSync(
    join(at, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: { module: 'nodenext', target: 'es2024', strict: true, noEmit: true, types: [] },
      files: ['use.mts'],
    }),
  );
  await t.notThrowsAsync(run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', at]));
});

test('a directory with something in it is left alone', async (t) => {
  const at = temporaryTree(t, { 'mine.txt': 'x' });
  await t.throwsAsync(buildContext(at), { message: /is not empty/ });
  t.deepEqual(readdirSync(at), ['mine.txt']);
});
