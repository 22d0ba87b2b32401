import { createHash } from 'node:crypto';
import { chmod, link, lstat, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'ava';
import { hashTree, treeDigest } from '../tasks/ledger.ts';
import { stageTrees } from '../tasks/stage-tree.ts';
import { fixture } from './_support/stage-fixture.ts';
import { plant, temporaryTree } from './_support/temporary-tree.ts';

const sha = (content: string | Uint8Array) => createHash('sha256').update(content).digest('hex');

test('sources, stubs, markers and declared data are staged, and the ledger lists them', async (t) => {
  const at = await fixture(t, {
    'planner.py': 'plan = 1\n',
    'planner.pyi': 'plan: int\n',
    'py.typed': '',
    'queries/top.sql': 'select 1\n',
    'notes.md': 'left out',
  });
  const staged = await at.stage({ data: ['queries/*.sql'] });
  t.deepEqual(
    [...staged.ledger.keys()],
    ['pkg/__init__.py', 'pkg/planner.py', 'pkg/planner.pyi', 'pkg/py.typed', 'pkg/queries/top.sql'],
  );
  t.deepEqual(staged.ledger.get('pkg/planner.py'), { bytes: 9, sha256: sha('plan = 1\n') });
  t.is(staged.files, 5);
  t.is(staged.bytes, 28);
  t.deepEqual(staged.leftOut, { 'undeclared .md': 1 });
  t.is(treeDigest(await hashTree(at.out)), treeDigest(staged.ledger));
});

test('two trees and generated files become one', async (t) => {
  const base = await temporaryTree(t, { 'a/__init__.py': 'a', 'src/b/__init__.py': 'b', 'src/b/deep/x.py': 'x' });
  const staged = await stageTrees({
    trees: [
      { root: join(base, 'a'), module: 'a', origin: 'python/a', data: [] },
      { root: join(base, 'src/b'), module: 'renamed', origin: 'python/b', data: [] },
    ],
    generated: [
      { path: 'pyproject.toml', text: 'é\n' },
      { path: 'licenses/LICENSE', text: '' },
    ],
    out: join(base, 'dist/deep/staged'),
  });
  t.deepEqual(
    [...staged.ledger.keys()],
    ['a/__init__.py', 'licenses/LICENSE', 'pyproject.toml', 'renamed/__init__.py', 'renamed/deep/x.py'],
  );
  t.deepEqual(staged.ledger.get('pyproject.toml'), { bytes: 3, sha256: sha('é\n') });
  t.is(await readFile(join(base, 'dist/deep/staged/pyproject.toml'), 'utf8'), 'é\n');
});

test('bytes pass unchanged', async (t) => {
  const contents: Record<string, Uint8Array> = {
    'bom.py': Buffer.from('\ufeffimport os\n'),
    'crlf.py': Buffer.from('a = 1\r\nb = 2\r\n'),
    'latin.py': Buffer.from([0x23, 0xe9, 0x0a]),
    'empty.py': Buffer.alloc(0),
    'data/zeros.bin': Buffer.alloc(8192),
    'data/exact.bin': Buffer.alloc(128 * 1024, 1), // just what one buffer holds
    'data/above.bin': Buffer.alloc(128 * 1024 + 1, 2),
    'data/large.bin': Buffer.alloc(3_000_001, 'abcdefg'),
  };
  const at = await fixture(t, contents);
  const { ledger } = await at.stage({ data: ['data/*.bin'] });
  for (const [path, content] of Object.entries(contents)) {
    t.deepEqual(ledger.get(`pkg/${path}`), { bytes: content.length, sha256: sha(content) }, path);
    t.true((await readFile(join(at.out, 'pkg', path))).equals(content), path);
  }
});

test('modes are 0644 and 0755, and a hard link is copied', async (t) => {
  const at = await fixture(t, { 'run.py': 'x', 'private.py': 'y', 'deep/er/z.py': 'z' });
  await chmod(join(at.root, 'run.py'), 0o777);
  await chmod(join(at.root, 'private.py'), 0o600);
  await chmod(join(at.root, 'deep'), 0o700);
  await link(join(at.root, 'run.py'), join(at.root, 'linked.py'));
  await at.stage();
  for (const path of await readdir(at.out, { recursive: true })) {
    const found = await lstat(join(at.out, path));
    t.is(found.mode & 0o7777, found.isDirectory() ? 0o755 : 0o644, path);
    if (found.isFile()) t.is(found.nlink, 1, path);
  }
  t.is(await readFile(join(at.out, 'pkg/linked.py'), 'utf8'), 'x');
});

test('equal content gives an equal tree, whatever its order, times and modes', async (t) => {
  const files = { 'a.py': '1', 'b/c.py': '2', 'b/d.py': '3', 'z.py': '4' };
  const one = await fixture(t, files);
  const other = await fixture(t, Object.fromEntries(Object.entries(files).reverse()));
  await utimes(join(other.root, 'a.py'), 1, 1);
  await chmod(join(other.root, 'b/c.py'), 0o600);
  t.is(treeDigest((await one.stage()).ledger), treeDigest((await other.stage()).ledger));
});

test('without a folder to write to, all is judged and hashed and nothing written', async (t) => {
  const at = await fixture(t, { 'a.py': 'a', 'data/large.bin': Buffer.alloc(500_000, 'x'), 'notes.md': '' });
  const trees = [{ root: at.root, module: 'pkg', origin: 'python/pkg', data: ['data/*'] }];
  const generated = [{ path: 'README.md', text: 'read me' }];
  const { ledger, leftOut } = await stageTrees({ trees, generated, out: null });
  t.deepEqual(await readdir(dirname(at.root)), ['pkg']);
  const written = await stageTrees({ trees, generated, out: at.out });
  t.is(treeDigest(ledger), treeDigest(written.ledger));
  t.deepEqual(leftOut, written.leftOut);
  await plant(at.root, { '.env': '' });
  await t.throwsAsync(stageTrees({ trees, generated, out: null }), { code: 'RefusedEntry' });
});

test('junk is left out and counted by kind', async (t) => {
  const at = await fixture(t, {
    '__pycache__/a.cpython-313.pyc': 'x',
    'deep/__pycache__/b.pyc': 'x',
    'deep/old.pyc': 'x',
    '.mypy_cache/3.13/x.json': '{}',
    '.venv/pyvenv.cfg': '',
    '.venv/bin/python': { link: '/usr/bin/python3' },
    '.venv/lib/site.py': '',
    'env/pyvenv.cfg': '',
    'env/bin/python': { link: '/usr/bin/python3' },
    'node_modules/x/.env': 'A=1',
    'node_modules/.bin/x': { link: '../x' },
    'tests/test_a.py': '',
    'tests/data.json': '{}',
    'test_b.py': '',
    'conftest.py': '',
    'explore.ipynb': '{}',
    'a.py~': '',
    '.#a.py': { link: 'someone@host.1234:1' },
    '.DS_Store': 'x',
    'README.md': '',
    Makefile: '',
  });
  const { ledger, leftOut } = await at.stage();
  t.deepEqual([...ledger.keys()], ['pkg/__init__.py']);
  t.deepEqual(leftOut, {
    bytecode: 1,
    'cache folder': 4,
    'editor file': 2,
    notebook: 1,
    'system file': 1,
    'test file': 4,
    'undeclared .md': 1,
    'undeclared file': 1,
    'virtual environment': 2,
  });
});

test('sub-packages may have any legal name, and folders any portable one', async (t) => {
  const paths = [
    'build',
    'dist',
    'env',
    'venv',
    'lib',
    'node',
    'wheel',
    '.hidden',
    'with space',
    'we!rd [x] {a,b} (c) +@',
    'été',
  ];
  const at = await fixture(t, Object.fromEntries(paths.map((path) => [`${path}/__init__.py`, path])));
  const { ledger } = await at.stage();
  t.deepEqual([...ledger.keys()], ['pkg/__init__.py', ...paths.map((path) => `pkg/${path}/__init__.py`)].sort());
});

test('a checkout may lie in a folder of any name', async (t) => {
  const base = await temporaryTree(t, { 'we!rd [x] {a,b} (c) *?+@ $é/pkg/__init__.py': '' });
  const root = join(base, 'we!rd [x] {a,b} (c) *?+@ $é/pkg');
  const staged = await stageTrees({
    trees: [{ root, module: 'pkg', origin: 'python/pkg', data: [] }],
    generated: [],
    out: join(dirname(root), 'out'),
  });
  t.is(staged.files, 1);
});

test('long and deep paths pass', async (t) => {
  const deep = Array.from({ length: 120 }, (_, i) => `level${i}`).join('/');
  const at = await fixture(t, { [`${deep}/m.py`]: 'deep', [`${'x'.repeat(250)}.py`]: 'long' });
  const { ledger } = await at.stage();
  t.is(ledger.get(`pkg/${deep}/m.py`)?.sha256, sha('deep'));
  t.is(ledger.get(`pkg/${'x'.repeat(250)}.py`)?.sha256, sha('long'));
});

test('hundreds of files in one folder and in many all arrive', async (t) => {
  const flat = Array.from({ length: 600 }, (_, i) => [`flat/m${i}.py`, `${i}`]);
  const nested = Array.from({ length: 200 }, (_, i) => [`nested/p${i}/m.py`, `${i}`]);
  const at = await fixture(t, Object.fromEntries([...flat, ...nested]));
  const staged = await at.stage();
  t.is(staged.files, 801);
  t.is(treeDigest(await hashTree(at.out)), treeDigest(staged.ledger));
});

test('a folder that exists is not written into, and stays as it is', async (t) => {
  const at = await fixture(t);
  await plant(at.out, { 'keep.txt': 'mine' });
  await t.throwsAsync(at.stage(), { name: 'BuildError', code: 'EEXIST', message: /Cannot make the staging folder/ });
  t.deepEqual(await readdir(at.out), ['keep.txt']);
});

for (const [what, generated, expected] of [
  ['leaves the tree', [{ path: '../x', text: '' }], { code: 'UnsafePath' }],
  ['lies inside a package', [{ path: 'PKG/version.py', text: '' }], { code: 'SameTree', message: /python\/pkg/ }],
  [
    'is named like another',
    [
      { path: 'README.md', text: '' },
      { path: 'readme.md', text: '' },
    ],
    { code: 'SameTree', message: /another generated file/ },
  ],
] as const) {
  test(`a generated file that ${what} is refused`, async (t) => {
    const at = await fixture(t);
    await t.throwsAsync(at.stage({ generated }), expected);
    await t.throwsAsync(stat(at.out), { code: 'ENOENT' });
  });
}

test('two trees of one name are refused, naming both and the path', async (t) => {
  const base = await temporaryTree(t, { 'a/__init__.py': '', 'b/__init__.py': '' });
  const tree = (name: string, module: string) => ({
    root: join(base, name),
    module,
    origin: `python/${name}`,
    data: [],
  });
  await t.throwsAsync(
    stageTrees({ trees: [tree('a', 'pkg'), tree('b', 'Pkg')], generated: [], out: join(base, 'out') }),
    {
      code: 'SameTree',
      message: /python\/a and python\/b both supply Pkg\/__init__\.py/,
    },
  );
});

test('a tree that is missing, no folder, a link or empty is refused', async (t) => {
  const base = await temporaryTree(t, {
    file: '',
    link: { link: 'real' },
    'real/__init__.py': '',
    'junk/README.md': '',
    'bare/module.py': '',
    empty: null,
  });
  for (const [name, code, message] of [
    ['nowhere', 'MissingTree', /python\/nowhere does not exist/],
    ['file', 'MissingTree', /python\/file is not a folder/],
    ['link', 'RefusedEntry', /python\/link is a symbolic link/],
    ['empty', 'EmptyTree', /python\/empty holds no Python file/],
    ['junk', 'EmptyTree', /python\/junk holds no Python file/],
    ['bare', 'RefusedEntry', /python\/bare\/__init__\.py is missing/],
  ] as const) {
    const out = join(base, 'out');
    const trees = [{ root: join(base, name), module: 'pkg', origin: `python/${name}`, data: [] }];
    await t.throwsAsync(stageTrees({ trees, generated: [], out }), { name: 'BuildError', code, message }, name);
    await t.throwsAsync(stat(out), { code: 'ENOENT' }, name);
  }
});

test('staging again after a failure needs no clean-up', async (t) => {
  const at = await fixture(t, { '.env': 'SECRET=1' });
  await t.throwsAsync(at.stage(), { code: 'RefusedEntry' });
  await rm(join(at.root, '.env'));
  await writeFile(join(at.root, 'more.py'), '');
  t.is((await at.stage()).files, 2);
});
