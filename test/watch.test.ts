import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { appendFile, mkdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'ava';
import { hashTree, treeDigest } from '../tasks/ledger.ts';
import { syntaxChecker } from '../tasks/python-syntax.ts';
import { plant, temporaryTree } from './_support/temporary-tree.ts';
import { watching } from './_support/watching.ts';

const PYTHON = ['python3.13', 'python3'].find((name) => {
  try {
    execFileSync(name, ['-c', ''], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}) as string;

/** Save at once: between truncating and writing, a file is empty, and a pass may rightly take it so. */
async function save(path: string, text: string): Promise<void> {
  await writeFile(`${path}.tmp`, text);
  await rename(`${path}.tmp`, path);
}

test('stages once, says where, and ends when it is told to', async (t) => {
  const at = await watching(t, { 'a.py': 'a = 1\n' });
  t.is(at.lines.length, 1);
  t.regex(at.lines[0] ?? '', /^staged into .*staged \(3 files, tree [0-9a-f]{12}, \d+ ms\)$/);
  t.is(at.passes[0]?.digest, treeDigest(await hashTree(at.out)));
  await at.stop();
  t.false(existsSync(join(dirname(at.out), 'beside')));
  t.true(existsSync(join(at.out, 'pkg/a.py')));
});

test('an edit restages that file alone', async (t) => {
  const at = await watching(t, { 'a.py': 'a = 1\n', 'b.py': 'b = 1\n' });
  await save(join(at.root, 'a.py'), 'a = 2\n');
  await at.settled();
  t.deepEqual(
    at.passes.slice(1).map(({ added, edited, removed }) => ({ added, edited, removed })),
    [{ added: [], edited: ['pkg/a.py'], removed: [] }],
  );
  t.regex(at.lines[1] ?? '', /^restaged: edited pkg\/a\.py \(4 files, tree [0-9a-f]{12}, \d+ ms\)$/);
});

test('adds, renames and removals of files and folders arrive', async (t) => {
  const at = await watching(t, { 'a.py': 'a', 'sub/b.py': 'b', 'sub/deep/c.py': 'c', 'data/x': 'file' });
  const inside = (path: string) => join(at.root, path);
  const steps: [string, () => Promise<unknown>][] = [
    ['a new file', () => writeFile(inside('new.py'), 'new')],
    ['a new folder with folders', () => plant(at.root, { 'more/a.py': '1', 'more/deep/er/b.py': '2' })],
    ['a file in a new folder', () => writeFile(inside('more/deep/er/c.py'), '3')],
    ['a renamed file', () => rename(inside('a.py'), inside('z.py'))],
    ['a renamed folder', () => rename(inside('sub'), inside('sub2'))],
    ['a file in a renamed folder', () => writeFile(inside('sub2/deep/d.py'), 'd')],
    ['a removed file', () => rm(inside('new.py'))],
    ['a removed folder', () => rm(inside('more'), { recursive: true })],
    [
      'a folder in the place of a file',
      async () => {
        await rm(inside('data/x'));
        await plant(at.root, { 'data/x/y': 'inside' });
      },
    ],
    [
      'a file in the place of a folder',
      async () => {
        await rm(inside('data/x'), { recursive: true });
        await writeFile(inside('data/x'), 'file again');
      },
    ],
    ['a folder that comes back', () => plant(at.root, { 'more/a.py': '1 again' })],
    ['a file that becomes empty', () => writeFile(inside('z.py'), '')],
  ];
  for (const [what, step] of steps) {
    await step();
    await at.settled();
    t.log(`${what}: ${at.lines.at(-1)}`);
  }
  t.deepEqual(
    [...(await hashTree(at.out)).keys()],
    [
      'README.md',
      'pkg/__init__.py',
      'pkg/data/x',
      'pkg/more/a.py',
      'pkg/sub2/b.py',
      'pkg/sub2/deep/c.py',
      'pkg/sub2/deep/d.py',
      'pkg/z.py',
    ],
  );
  t.deepEqual(readdirSync(join(at.out, 'pkg')).sort(), ['__init__.py', 'data', 'more', 'sub2', 'z.py']);
});

test('an editor that writes by rename makes one edit', async (t) => {
  const at = await watching(t, { 'a.py': 'a = 1\n' });
  const path = join(at.root, 'a.py');
  await writeFile(`${path}.tmp4711`, 'a = 2\n');
  await rename(path, `${path}~`);
  await rename(`${path}.tmp4711`, path);
  await at.settled();
  t.deepEqual(at.passes.at(-1)?.edited, ['pkg/a.py']);
  t.is(await readFile(join(at.out, 'pkg/a.py'), 'utf8'), 'a = 2\n');
});

test('a new file is judged as it is by a walk', async (t) => {
  const at = await watching(t, { 'Plan.py': 'a' });
  const inside = (path: string) => join(at.root, path);
  for (const [name, content, message] of [
    ['plan.py', 'b', /plan\.py has the same name as Plan\.py/],
    ['.env', 'A=1', /\.env looks like a credential/],
    ['tool.py', '\x7fELF\x02\x01', /tool\.py is a compiled binary/],
  ] as const) {
    await save(inside(name), content);
    await at.until(() => message.test(at.lines.at(-1) ?? ''));
    await rm(inside(name));
    await at.until(() => /^restaged/.test(at.lines.at(-1) ?? ''));
  }
  await rm(inside('__init__.py'));
  await at.until(() => /pkg\/__init__\.py is missing/.test(at.lines.at(-1) ?? ''));
  await plant(at.root, { '__init__.py': 'back', 'more.py': 'more' });
  await rm(inside('Plan.py'));
  await at.settled();
  t.deepEqual([...(await hashTree(at.out)).keys()], ['README.md', 'pkg/__init__.py', 'pkg/more.py']);
});

test('what editors and interpreters write on the side starts no pass', async (t) => {
  const at = await watching(t, { 'a.py': 'a' });
  await plant(at.root, {
    '.a.py.swp': 'x',
    'a.py~': 'x',
    '.DS_Store': 'x',
    '__pycache__/a.pyc': 'x',
    '.#a.py': { link: 'me@host.1:1' },
  });
  await save(join(at.root, 'a.py'), 'b');
  await at.settled();
  t.is(at.passes.length, 2);
  t.deepEqual(at.passes[1]?.edited, ['pkg/a.py']);
});

test('a file that is touched changes nothing', async (t) => {
  const at = await watching(t, { 'a.py': 'a' });
  await utimes(join(at.root, 'a.py'), 1, 1);
  await at.until(() => at.passes.length > 1);
  t.regex(at.lines[1] ?? '', /^restaged: nothing changed/);
});

test('a burst is not a pass for each file', async (t) => {
  const files = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`p${i % 10}/m${i}.py`, 'x = 1\n']));
  const at = await watching(t, files);
  execFileSync(process.execPath, [
    '-e',
    `const fs = require('fs'); for (const path of process.argv.slice(2)) fs.writeFileSync(process.argv[1] + '/' + path, 'x = 22');`,
    at.root,
    ...Object.keys(files),
  ]);
  await at.settled();
  // One pass, unless the machine is so busy that the writer itself stops for longer than the quiet that ends a burst.
  t.true(at.passes.length <= 4, at.lines.join('\n'));
  const edited = new Set(at.passes.slice(1).flatMap((pass) => pass.edited));
  t.is(edited.size, 400);
  t.regex(at.lines[1] ?? '', /^restaged: edited pkg\/p\d\/m\d+\.py, .* and \d+ more/);
});

test('a fault is said once and keeps the last good tree, until it is gone', async (t) => {
  const at = await watching(t, { 'a.py': 'a = 1\n' });
  const before = at.passes[0]?.digest ?? t.fail();
  await symlink('a.py', join(at.root, 'link.py'));
  await at.until(() => at.lines.length > 1);
  t.regex(
    at.lines[1] ?? '',
    /^warning: python\/pkg\/link\.py is a symbolic link\.\n.*\n {2}The staged tree stays as it was\.$/,
  );
  await save(join(at.root, 'a.py'), 'a = 2\n');
  await new Promise((resolve) => setTimeout(resolve, 600));
  t.is(at.lines.length, 2);
  t.is(treeDigest(await hashTree(at.out)), before);
  await rm(join(at.root, 'link.py'));
  await at.settled();
  t.deepEqual(at.passes[1]?.edited, ['pkg/a.py']);
});

test('a syntax error keeps the last good tree', async (t) => {
  const at = await watching(
    t,
    { 'a.py': 'a = 1\n', 'b.py': 'b = 1\n', 'old.py': 'never = = right' },
    { syntax: syntaxChecker(PYTHON) },
  );
  await save(join(at.root, 'a.py'), 'a = 1\nif a:\n');
  await at.until(() => at.lines.length > 1);
  t.regex(at.lines[1] ?? '', /^warning: Python cannot read python\/pkg\/a\.py:2: expected an indented block/);
  t.is(await readFile(join(at.out, 'pkg/a.py'), 'utf8'), 'a = 1\n');
  await save(join(at.root, 'b.py'), 'b = 2\n');
  await save(join(at.root, 'a.py'), 'a = 1\nif a:\n    pass\n');
  await at.settled();
  t.deepEqual(at.passes.at(-1)?.edited, ['pkg/a.py', 'pkg/b.py']);
});

test('an edited input regenerates what is generated from it', async (t) => {
  const inputs = await temporaryTree(t, { 'pyproject.toml': 'version 1' });
  const input = join(inputs, 'pyproject.toml');
  let root = '';
  const sources = async () => {
    const text = readFileSync(input, 'utf8');
    if (text === 'broken') throw new Error('pyproject.toml is broken');
    const data = text === 'version 2' ? ['notes.md'] : [];
    return {
      trees: root ? [{ root, module: 'pkg', origin: 'python/pkg', data }] : [],
      generated: [{ path: 'pyproject.toml', text }],
    };
  };
  root = join(await temporaryTree(t, { 'pkg/__init__.py': '', 'pkg/notes.md': '' }), 'pkg');
  const at = await watching(t, {}, { sources, inputs: [input] });
  await save(input, 'broken');
  await at.until(() => at.lines.some((line) => /pyproject\.toml is broken/.test(line)));
  await save(input, 'version 2');
  await at.settled();
  t.deepEqual(at.passes.at(-1)?.edited, ['pyproject.toml']);
  t.deepEqual(at.passes.at(-1)?.added, ['pkg/notes.md']);
});

test('a tree that vanishes and comes back is staged again', async (t) => {
  const at = await watching(t, { 'a.py': 'a' });
  await rename(at.root, `${at.root}-away`);
  await at.until(() => at.lines.some((line) => /python\/pkg does not exist/.test(line)));
  t.true(existsSync(join(at.out, 'pkg/a.py')));
  await save(join(`${at.root}-away`, 'b.py'), 'b');
  await rename(`${at.root}-away`, at.root);
  await at.settled();
  t.deepEqual(at.passes.at(-1)?.added, ['pkg/b.py']);
  await save(join(at.root, 'b.py'), 'bb');
  await at.settled();
});

test('a staged tree that is removed is made again', async (t) => {
  const at = await watching(t, { 'a.py': 'a' });
  await rm(at.out, { recursive: true });
  await save(join(at.root, 'a.py'), 'b');
  await at.settled();
  t.is(at.passes.at(-1)?.added.length, 3);
});

test('a tree that an earlier run left is taken over, and what does not belong in it goes', async (t) => {
  const base = await temporaryTree(t, {
    'pkg/__init__.py': '',
    'pkg/a.py': 'a',
    'out/pkg/a.py': 'older',
    'out/pkg/__init__.py': '',
    'out/pkg/__pycache__/a.pyc': 'x',
    'out/gone/b.py': '',
  });
  const trees = [{ root: join(base, 'pkg'), module: 'pkg', origin: 'python/pkg', data: [] }];
  const at = await watching(t, {}, { sources: async () => ({ trees, generated: [] }), out: join(base, 'out') });
  const { added, edited, removed } = at.passes[0] ?? t.fail();
  t.deepEqual(
    { added, edited, removed },
    { added: [], edited: ['pkg/a.py'], removed: ['gone/b.py', 'pkg/__pycache__/a.pyc'] },
  );
  t.deepEqual(readdirSync(join(base, 'out')), ['pkg']);
  t.is(at.passes[0]?.digest, treeDigest(await hashTree(join(base, 'out'))));
});

test('the rebuild that follows a pass may fail without ending the watching', async (t) => {
  let builds = 0;
  const onStaged = () => {
    builds += 1;
    if (builds === 2) throw new Error('no wheel today');
  };
  const at = await watching(t, { 'a.py': '1' }, { onStaged });
  await save(join(at.root, 'a.py'), '2');
  await at.until(() => at.lines.includes('warning: no wheel today'));
  await save(join(at.root, 'a.py'), '3');
  await at.until(() => builds === 3);
  t.pass();
});

test('a reader in a loop never meets a missing or half written file', async (t) => {
  const size = 20_000;
  const body = (edit: number) => `# ${String(edit).padStart(6)}\n`.repeat(size / 9);
  const names = Array.from({ length: 20 }, (_, i) => `p${i % 4}/m${i}.py`);
  const at = await watching(t, Object.fromEntries(names.map((name) => [name, body(0)])));
  let writing = true;
  const writer = (async () => {
    for (let edit = 1; edit <= 400; edit++) {
      const path = join(at.root, names[edit % names.length] as string);
      await writeFile(`${path}.tmp`, body(edit));
      await rename(`${path}.tmp`, path);
    }
    writing = false;
  })();
  let reads = 0;
  while (writing) {
    for (const name of names) {
      const text = readFileSync(join(at.out, 'pkg', name), 'utf8');
      const whole = text.length === body(0).length && new Set(text.split('\n').slice(0, -1)).size === 1;
      if (!whole) t.fail(`${name} is half written: ${text.slice(0, 40)}`);
      reads += 1;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await writer;
  await at.settled();
  t.true(reads > 100 && at.passes.length > 1, `${reads} reads, ${at.passes.length} passes`);
});

test('a file that is appended to without end does not stop the others', async (t) => {
  const at = await watching(t, { 'a.py': 'a', 'b.py': 'b' });
  for (let i = 0; i < 30; i++) {
    await appendFile(join(at.root, 'a.py'), `# ${i}\n`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await mkdir(join(at.root, 'empty'));
  await writeFile(join(at.root, 'b.py'), 'bb');
  await at.settled();
  t.pass();
});

test('faults of syntax name path, line and reason, and the checker outlives its Python', async (t) => {
  const root = await temporaryTree(t, {
    'good.py': 'x = 1\n',
    'bad.py': 'x = 1\ny = (\n',
    'nul.py': 'x\0y',
    'encoded.py': Buffer.from('# coding: latin-1\nx = "\xe9"\n', 'latin1'),
    'undecodable.py': Buffer.from([0xff, 0xfe, 0x41]),
  });
  const checker = syntaxChecker(PYTHON);
  t.teardown(() => checker.close());
  const paths = ['good.py', 'bad.py', 'nul.py', 'encoded.py', 'undecodable.py'].map((name) => join(root, name));
  const faults = await checker.check(paths);
  t.deepEqual(
    faults.map(({ path }) => path),
    [paths[1], paths[2], paths[4]],
  );
  t.is(faults[0]?.line, 2);
  t.regex(faults[0]?.message ?? '', /never closed/);
  const [one, two] = await Promise.all([checker.check([paths[0] as string]), checker.check([paths[1] as string])]);
  t.deepEqual([one.length, two.length], [0, 1]);
  checker.close();
  t.is((await checker.check(paths)).length, 3);
  await t.throwsAsync(syntaxChecker(join(root, 'no-python')).check(paths), {
    message: /no-python ended while it checked syntax/,
  });
});
