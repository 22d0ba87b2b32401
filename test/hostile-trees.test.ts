import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { appendFile, chmod, mkdir, readdir, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import File from 'vinyl';
import { BuildError } from '../tasks/errors.ts';
import { hashTree, LedgerBuilder, treeDigest } from '../tasks/ledger.ts';
import { stageTrees } from '../tasks/stage-tree.ts';
import { mirror } from '../tasks/streams/mirror.ts';
import { Problems } from '../tasks/streams/problems.ts';
import { type Fixture, fixture } from './_support/stage-fixture.ts';
import { type TreeEntry, temporaryTree } from './_support/temporary-tree.ts';

const run = promisify(execFile);

/** A tree that is refused leaves nothing behind, says path and reason in one line, and hints at what to do. */
async function refused(
  t: ExecutionContext<unknown>,
  at: Fixture,
  message: RegExp,
  data: string[] = [],
): Promise<BuildError> {
  const error = await t.throwsAsync(at.stage({ data }), { instanceOf: BuildError, message });
  await t.throwsAsync(stat(at.out), { code: 'ENOENT' });
  return error as BuildError;
}

const elf = Buffer.from('\x7fELF\x02\x01\x01\0\0\0', 'latin1');
const key = '-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n';

const TREES: Record<string, readonly [Record<string, TreeEntry>, RegExp]> = {
  'a link to a file': [
    { 'real.py': '', 'deep/link.py': { link: '../real.py' } },
    /^python\/pkg\/deep\/link\.py is a symbolic link\./,
  ],
  'a link out of the tree': [{ 'passwd.py': { link: '/etc/passwd' } }, /^python\/pkg\/passwd\.py is a symbolic link/],
  'a dangling link': [{ 'gone.py': { link: 'nowhere.py' } }, /^python\/pkg\/gone\.py is a symbolic link/],
  'a link to itself': [{ 'loop.py': { link: 'loop.py' } }, /^python\/pkg\/loop\.py is a symbolic link/],
  'a link to a folder': [{ 'real/a.py': '', alias: { link: 'real' } }, /^python\/pkg\/alias is a symbolic link/],
  'a link to the root of the machine': [{ everything: { link: '/' } }, /^python\/pkg\/everything is a symbolic link/],
  'a link to its own folder': [{ 'sub/self': { link: '..' } }, /^python\/pkg\/sub\/self is a symbolic link/],
  'a link among tests': [{ 'tests/data': { link: '/tmp' } }, /^python\/pkg\/tests\/data is a symbolic link/],
  'a link named like a cache': [{ __pycache__: { link: '/tmp' } }, /^python\/pkg\/__pycache__ is a symbolic link/],
  'a credential': [{ 'deep/.env.local': 'A=1' }, /^python\/pkg\/deep\/\.env\.local looks like a credential/],
  'a credential among tests': [{ 'tests/server.PEM': '' }, /^python\/pkg\/tests\/server\.PEM looks like a credential/],
  'a private key in declared data': [{ 'data/k.txt': key }, /^python\/pkg\/data\/k\.txt holds a private key/],
  'a private key under any name': [{ 'tests/k.txt': key }, /^python\/pkg\/tests\/k\.txt holds a private key/],
  'an extension module': [{ '_x.so': '' }, /^python\/pkg\/_x\.so is a compiled binary/],
  'an executable without suffix': [{ 'bin/helper': elf }, /^python\/pkg\/bin\/helper is a compiled binary/],
  'an executable named like a source': [{ 'helper.py': elf }, /^python\/pkg\/helper\.py is a compiled binary/],
  'an executable in declared data': [{ 'data/tool.txt': elf }, /^python\/pkg\/data\/tool\.txt is a compiled binary/],
  'a decomposed name': [
    { 'e\u0301t\u00e9.py': '' },
    /^python\/pkg\/e\\u0301té\.py has a name that is not in Unicode normal form C/,
  ],
  'a colon': [{ 'a:b.py': '' }, /^python\/pkg\/a:b\.py has a character in its name that is not portable/],
  'a line break in a name': [{ 'new\nline.py': '' }, /^python\/pkg\/new\\u000aline\.py has a character/],
  'a backslash': [{ 'a\\b.py': '', 'a/b.py': '' }, /^python\/pkg\/a\\b\.py has a character/],
  'a device name': [{ 'aux.py': '' }, /^python\/pkg\/aux\.py has a name that Windows reserves/],
  'a folder with a device name': [{ 'nul/a.py': '' }, /^python\/pkg\/nul has a name that Windows reserves/],
  'names equal but for case': [
    { 'Plan.py': '', 'plan.py': '' },
    /^python\/pkg\/plan\.py has the same name as Plan\.py/,
  ],
  'folders equal but for case': [{ 'Sub/a.py': '', 'sub/b.py': '' }, /^python\/pkg\/sub has the same name as Sub /],
  'names equal but for compatibility': [
    { 'ﬁle.py': '', 'file.py': '' },
    /^python\/pkg\/ﬁle\.py has the same name as file\.py/,
  ],
  'a left-out name equal to a kept one': [
    { 'Notes.md': '', 'notes.md': '' },
    /^python\/pkg\/notes\.md has the same name as Notes\.md/,
  ],
};

for (const [what, [entries, message]] of Object.entries(TREES)) {
  test(`refuses ${what}`, async (t) => {
    const error = await refused(t, await fixture(t, entries), message, ['data/*.txt']);
    t.is(error.showStack, false);
    t.regex(error.message, /\n {2}\S/);
  });
}

test('names many faults at once, ten of them by path', async (t) => {
  const links = Array.from({ length: 14 }, (_, i) => [`l${String(i).padStart(2, '0')}.py`, { link: 'x' }]);
  const at = await fixture(t, { '.env': '', ...Object.fromEntries(links) });
  const { message } = await refused(t, at, /^python\/pkg cannot be staged:/);
  t.snapshot(message);
});

test('refuses a named pipe without waiting for a writer', async (t) => {
  const at = await fixture(t);
  execFileSync('mkfifo', [join(at.root, 'pipe.py')]);
  await refused(t, at, /python\/pkg\/pipe\.py is a named pipe/);
});

test('refuses a socket', async (t) => {
  const short = mkdtempSync(join(tmpdir(), 'k-')); // the path of a socket has room for 100 bytes
  t.teardown(() => rmSync(short, { recursive: true, force: true }));
  const server = createServer().listen(join(short, 's'));
  await once(server, 'listening');
  const at = await fixture(t);
  await rename(join(short, 's'), join(at.root, 'socket.py'));
  await refused(t, at, /python\/pkg\/socket\.py is a socket/);
  server.close();
});

const device = canMakeDevices() ? test : test.skip;
device('refuses a device', async (t) => {
  const at = await fixture(t);
  execFileSync('mknod', [join(at.root, 'null.py'), 'c', '1', '3']);
  await refused(t, at, /python\/pkg\/null\.py is a device/);
});

test('refuses a name that is not UTF-8', async (t) => {
  const at = await fixture(t);
  try {
    writeFileSync(Buffer.concat([Buffer.from(`${at.root}/bad`), Buffer.from([0xff]), Buffer.from('.py')]), '');
  } catch {
    t.log('skipped: this file system refuses such names itself');
    t.pass();
    return;
  }
  await refused(t, at, /python\/pkg\/bad\\ufffd\.py has a name that is not UTF-8/);
});

for (const [what, path, message] of [
  ['file', 'secret.py', /python\/pkg\/secret\.py cannot be read: permission denied/],
  ['folder', 'closed', /python\/pkg\/closed is a folder that cannot be read/],
] as const) {
  test(`refuses a ${what} that cannot be read`, async (t) => {
    const at = await fixture(t, { 'secret.py': 'x', 'closed/a.py': 'x' });
    await chmod(join(at.root, '..'), 0o777);
    await chmod(join(at.root, path), 0);
    const script = join(import.meta.dirname, '_support/stage-unprivileged.ts');
    const { stdout } = await run(process.execPath, [script, at.root, at.out]);
    await chmod(join(at.root, path), 0o755);
    t.regex(stdout, message);
    await t.throwsAsync(stat(at.out), { code: 'ENOENT' });
  });
}

test('refuses a path that the system cannot open', async (t) => {
  const at = await fixture(t);
  const dig =
    'import os, sys\nos.chdir(sys.argv[1])\nfor _ in range(25):\n    os.mkdir("x" * 200)\n    os.chdir("x" * 200)\nopen("m.py", "w")';
  execFileSync('python3', ['-c', dig, at.root]);
  await refused(
    t,
    at,
    /python\/pkg\/(?:x{200}\/)+x{200} (?:is a folder that cannot be read|cannot be looked at|has a path too long)/,
  );
  execFileSync('rm', ['-rf', at.root]); // Node cannot name what lies so deep
});

const disk = canMount() ? test : test.skip;
disk('a full disk is said, and nothing is left on it', async (t) => {
  const at = await fixture(
    t,
    Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`m${i}.py`, 'x'.repeat(50_000)])),
  );
  const small = await temporaryTree(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
  try {
    const trees = [{ root: at.root, module: 'pkg', origin: 'python/pkg', data: [] }];
    const staging = stageTrees({ trees, generated: [], out: join(small, 'staged') });
    await t.throwsAsync(staging, {
      instanceOf: BuildError,
      code: 'ENOSPC',
      message: /^the disk is full: \S+\/m\d+\.py cannot be written\n/,
    });
    t.deepEqual(await readdir(small), []);
  } finally {
    execFileSync('umount', [small]);
  }
});

/** Mirror one file whose listing is older than what lies there now. */
async function mirrorAfter(t: ExecutionContext<unknown>, content: string, change: (path: string) => Promise<void>) {
  const base = await temporaryTree(t, { 'in/m.py': content, out: null });
  const root = join(base, 'in');
  const path = join(root, 'm.py');
  const file = new File({ cwd: root, base: root, path, stat: lstatSync(path) });
  await change(path);
  const problems = new Problems('python/pkg');
  const ledger = new LedgerBuilder();
  await pipeline(Readable.from([file]), mirror({ out: join(base, 'out'), folder: '', ledger, problems }));
  t.is(ledger.size, problems.any ? 0 : 1);
  return problems.any ? problems.error() : undefined;
}

const later = async (path: string) => {
  await rm(path);
  await new Promise((resolve) => setTimeout(resolve, 20));
};

for (const [what, change, message] of [
  ['removed', (path: string) => rm(path), /m\.py vanished while the tree was read/],
  ['edited', (path: string) => writeFile(path, 'y = 2\n'), /m\.py changed while the tree was read/],
  ['longer', (path: string) => appendFile(path, 'more'), /m\.py changed while the tree was read/],
  ['empty', (path: string) => writeFile(path, ''), /m\.py changed while the tree was read/],
  [
    'replaced by another file',
    async (path: string) => {
      await writeFile(`${path}.new`, 'x = 1\n');
      await rename(`${path}.new`, path);
    },
    /m\.py was replaced while the tree was read/,
  ],
  [
    'replaced by a link',
    async (path: string) => {
      await rename(path, `${path}.old`);
      await symlink('m.py.old', path);
    },
    /m\.py is no longer a regular file/,
  ],
  [
    'replaced by a folder',
    async (path: string) => {
      await later(path);
      await mkdir(path);
    },
    /m\.py is no longer a regular file/,
  ],
  [
    'replaced by a named pipe',
    async (path: string) => {
      await later(path);
      execFileSync('mkfifo', [path]);
    },
    /m\.py is no longer a regular file/,
  ],
] as const) {
  test(`refuses a file that is ${what} after it was listed`, async (t) => {
    const error = await mirrorAfter(t, 'x = 1\n', change);
    t.is(error?.code, 'TreeChanged');
    t.regex(error?.message ?? '', message);
  });
}

test('copies a file that is what was listed', async (t) => {
  t.is(await mirrorAfter(t, 'x = 1\n', async () => {}), undefined);
});

test('refuses a large file that grows while it is read', async (t) => {
  const at = await fixture(t, { 'data/big.bin': Buffer.alloc(48 << 20) });
  const staging = at.stage({ data: ['data/*'] });
  const growing = setInterval(() => appendFile(join(at.root, 'data/big.bin'), 'x'), 1);
  const error = await t.throwsAsync(staging, { instanceOf: BuildError, message: /big\.bin (?:grew|changed) while/ });
  clearInterval(growing);
  t.is((error as BuildError).code, 'TreeChanged');
  await t.throwsAsync(stat(at.out), { code: 'ENOENT' });
});

test('a tree that is written to is staged as it was at one time, or refused', async (t) => {
  const at = await fixture(t, Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`p${i % 9}/m${i}.py`, 'x'])));
  let stop = false;
  let edits = 0;
  const editing = (async () => {
    for (; !stop; edits++) {
      const path = join(at.root, `p${edits % 9}/m${edits % 200}.py`);
      await writeFile(`${path}.tmp`, `edit ${edits}`);
      await rename(`${path}.tmp`, path);
    }
  })();
  for (let round = 0; round < 12; round++) {
    try {
      const { ledger } = await at.stage();
      t.is(treeDigest(await hashTree(at.out)), treeDigest(ledger));
      await rm(at.out, { recursive: true });
    } catch (error) {
      t.is((error as BuildError).code, 'TreeChanged', String(error));
      await t.throwsAsync(stat(at.out), { code: 'ENOENT' });
    }
  }
  stop = true;
  await editing;
  t.true(edits > 0);
  await t.notThrowsAsync(at.stage());
});

// Serial, as memory is that of all tests in flight.
test.serial('a hundred megabytes pass through a few', async (t) => {
  const at = await fixture(t, { 'data/sparse.bin': '' });
  await truncate(join(at.root, 'data/sparse.bin'), 128 << 20);
  const before = process.memoryUsage().arrayBuffers;
  let peak = 0;
  const sampling = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().arrayBuffers);
  }, 5);
  const { bytes } = await at.stage({ data: ['data/*'] });
  clearInterval(sampling);
  t.is(bytes, 128 << 20);
  t.true(peak - before < 16 << 20, `${(peak - before) >> 20} MiB of buffers`);
});

function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'ktx-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' });
    execFileSync('umount', [folder]);
    return true;
  } catch {
    console.log('skipped: a full disk (this user may not mount one)');
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function canMakeDevices(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'ktx-device-'));
  try {
    execFileSync('mknod', [join(folder, 'null'), 'c', '1', '3'], { stdio: 'ignore' });
    return true;
  } catch {
    console.log('skipped: refuses a device (this user may not make one)');
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
