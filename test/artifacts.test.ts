/** The real graph with the real uv, npm and Python, on copies of this repository. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { readTarball, readZip } from '../tasks/archives.ts';
import { hashFiles } from '../tasks/digest.ts';
import { type Checkout, checkout, repository } from './_support/checkout.ts';
import { temporaryTree } from './_support/temporary-tree.ts';

const ARTIFACTS = [
  'manifest.json',
  'npm/kaelio-ktx-0.1.0.tgz',
  'npm/ktx-context-0.1.0.tgz',
  'provenance.intoto.json',
  'python/kaelio_ktx-0.1.0-py3-none-any.whl',
  'python/ktx_daemon-0.1.0-py3-none-any.whl',
  'python/ktx_daemon-0.1.0.tar.gz',
  'python/ktx_sl-0.1.0-py3-none-any.whl',
  'python/ktx_sl-0.1.0.tar.gz',
];

const release = ({ root }: Checkout) => hashFiles(join(root, 'dist', 'artifacts'));

async function built(t: ExecutionContext, { root, gulp }: Checkout, env: NodeJS.ProcessEnv = {}, args: string[] = []) {
  const { code, output } = await gulp(['artifacts', '--explain', ...args], env);
  t.is(code, 0, output);
  const ran = [...output.matchAll(/^(\S+): ran in .*?, (.*)$/gm)].map(([, step]) => step as string).sort();
  return { output, ran, digests: await hashFiles(join(root, 'dist', 'artifacts')) };
}

const times = async ({ root }: Checkout) => {
  const folders = [
    'dist/runtime-wheel-src',
    'dist/built',
    'dist/artifacts',
    'packages/cli/assets',
    'packages/cli/dist',
  ];
  const entries: [string, number][] = [];
  for (const folder of folders) {
    for (const entry of await readdir(join(root, folder), { recursive: true })) {
      entries.push([`${folder}/${entry}`, (await stat(join(root, folder, entry))).mtimeMs]);
    }
  }
  return Object.fromEntries(entries);
};

test('cold, then with nothing changed: no child process, no write', async (t) => {
  const copy = await checkout(t, { git: true });
  const cold = await built(t, copy);
  t.deepEqual(Object.keys(cold.digests), ARTIFACTS);
  t.deepEqual(await readdir(join(copy.root, 'dist', '.work')), [], 'no scratch is left');
  const manifest = JSON.parse(await readFile(join(copy.root, 'dist', 'artifacts', 'manifest.json'), 'utf8'));
  t.deepEqual([manifest.generatedAt, manifest.sourceDirty], ['2026-01-02T03:04:05Z', false]);
  const before = await times(copy);
  const journal = join(copy.root, '..', 'children');
  const recorder = join(import.meta.dirname, '_support', 'record-children.mjs');
  const warm = await built(t, copy, { NODE_OPTIONS: `--import=${recorder}`, KTX_TEST_CHILDREN: journal });
  t.deepEqual(warm.ran, []);
  t.false(existsSync(journal), existsSync(journal) ? await readFile(journal, 'utf8') : '');
  t.deepEqual(await times(copy), before);
});

test('only what a change reaches is rebuilt, and damage is repaired to the same bytes', async (t) => {
  const copy = await checkout(t);
  const { digests } = await built(t, copy);
  const at = (...parts: string[]) => join(copy.root, ...parts);

  const wheel = at('dist', 'artifacts', 'python', 'kaelio_ktx-0.1.0-py3-none-any.whl');
  const bytes = await readFile(wheel);
  bytes[100] = (bytes[100] as number) ^ 1;
  await writeFile(wheel, bytes);
  const repaired = await built(t, copy);
  t.deepEqual([repaired.ran, repaired.digests], [['manifest'], digests]);

  await rm(at('dist', 'built', 'wheel'), { recursive: true });
  await rm(at('packages', 'cli', 'assets', 'python', 'manifest.json'));
  const again = await built(t, copy);
  t.deepEqual([again.ran, again.digests], [['assets', 'wheel'], digests]);

  await appendFile(at('packages', 'cli', 'src', 'main.ts'), "\nexport const changed = 'by a test';\n");
  const npm = await built(t, copy);
  t.false(
    npm.ran.some((step) => /wheel|dists|stage|locks|assets/.test(step)),
    npm.ran.join(),
  );
  t.true(npm.ran.includes('bundle-cli'));

  await appendFile(at('python', 'ktx-sl', 'semantic_layer', '__init__.py'), '# a comment\n');
  const python = await built(t, copy);
  t.false(
    python.ran.some((step) => /bundle|locks|ktx-daemon|pack-context/.test(step)),
    python.ran.join(),
  );
  t.true(python.ran.includes('wheel') && python.ran.includes('dists-ktx-sl') && python.ran.includes('pack-cli'));
});

test('two runs at once: the second waits, naming whom for, and both leave one whole set', async (t) => {
  const copy = await checkout(t);
  const first = copy.start(['artifacts']);
  await first.says('bundling');
  const second = copy.start(['artifacts']);
  const [one, two] = await Promise.all([first.ended, second.ended]);
  t.deepEqual([one.code, two.code], [0, 0], one.output + two.output);
  t.regex(two.output, new RegExp(`waiting for gulp .* \\(process ${first.pid}\\)`));
  t.deepEqual(Object.keys(await release(copy)), ARTIFACTS);
});

test('Ctrl-C ends every child, leaves nothing behind, and exits with 130', async (t) => {
  const copy = await checkout(t);
  const running = copy.start(['artifacts']);
  await running.says('Building');
  process.kill(running.pid, 'SIGINT');
  const { code, output } = await running.ended;
  t.is(code, 130, output);
  t.notRegex(output, /^\s+at /m);
  t.deepEqual(await readdir(join(copy.root, 'dist', '.work')), []);
  t.false(existsSync(join(copy.root, 'dist', '.state', 'build.lock')));
  t.is((await copy.gulp(['artifacts'])).code, 0);
});

const FAULTS: readonly [string, string, RegExp][] = [
  ['fails', 'echo "the backend exploded" >&2; exit 4', /uv build[\s\S]*exit code 4[\s\S]*the backend exploded/],
  ['dies by a signal', 'kill -9 $$', /ended by SIGKILL/],
  ['prints 100 MB', 'yes 0123456789 | head -c 100000000; exit 1', /exit code 1/],
  ['makes nothing', 'exit 0', /instead of|made nothing/],
];

/** A uv first on PATH that does `body` when it is to build. */
async function faultyUv(t: ExecutionContext, body: string): Promise<NodeJS.ProcessEnv> {
  const { uv } = JSON.parse(await readFile(join(repository, '.tools', 'toolchain.json'), 'utf8'));
  const script = `#!/bin/sh\nif [ "$1" = build ]; then\n${body}\nelse exec ${uv.path} "$@"\nfi\n`;
  const bin = await temporaryTree(t, { uv: script });
  await chmod(join(bin, 'uv'), 0o755);
  return { PATH: `${bin}:${process.env.PATH}` };
}

for (const [name, body, message] of FAULTS) {
  test(`a uv first on PATH that ${name} is explained in one message without a stack`, async (t) => {
    const copy = await checkout(t);
    const { code, output } = await copy.gulp(['wheel'], await faultyUv(t, body));
    t.is(code, 1);
    t.regex(output.slice(-20_000), message);
    t.notRegex(output.slice(-20_000), /^\s+at .*\.ts:\d+/m);
  });
}

test('a reader that is slower than the build still gets the last message', async (t) => {
  const copy = await checkout(t);
  const env = await faultyUv(t, 'yes 0123456789 | head -c 1000000; exit 4');
  const slowly = `const part = Buffer.alloc(4096);
    for (let n; (n = fs.readSync(0, part)); fs.writeSync(1, part, 0, n)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);`;
  const gulp = join(copy.root, 'node_modules', 'gulp', 'bin', 'gulp.js');
  const pipe = ['-c', '"$0" "$1" wheel 2>&1 | "$0" -e "$2"', process.execPath, gulp, slowly];
  const options = { cwd: copy.root, env: { ...process.env, ...env }, maxBuffer: 4 * 1024 * 1024 };
  const { stdout: read } = await promisify(execFile)('sh', pipe, options);
  t.regex(read.slice(-5000), /failed with exit code 4/);
});

test('the wheel holds the staged bytes, the tarball holds the wheel', async (t) => {
  const copy = await checkout(t);
  await built(t, copy);
  const wheel = await readZip(join(copy.root, 'dist', 'artifacts', 'python', 'kaelio_ktx-0.1.0-py3-none-any.whl'));
  const staging = join(copy.root, 'dist', 'runtime-wheel-src');
  for (const name of ['semantic_layer/py.typed', 'ktx_daemon/__main__.py']) {
    t.deepEqual(wheel.get(name), await readFile(join(staging, name)));
  }
  const tarball = await readTarball(join(copy.root, 'dist', 'artifacts', 'npm', 'kaelio-ktx-0.1.0.tgz'));
  for (const name of ['manifest.json', 'kaelio_ktx-0.1.0-py3-none-any.whl', 'requirements.lock.txt']) {
    t.true(tarball.has(`package/assets/python/${name}`), name);
  }
  const { dependencies, devDependencies, scripts } = JSON.parse(String(tarball.get('package/package.json')));
  t.deepEqual([dependencies, devDependencies, scripts], [undefined, undefined, undefined]);
});

test('trees that others wrote pass unchanged; junk is left out and counted', async (t) => {
  const copy = await checkout(t);
  const engine = join(copy.root, 'python', 'ktx-sl', 'semantic_layer');
  const odd: Record<string, string | Uint8Array> = {
    'build/__init__.py': '',
    'env/deep/er/module.py': 'x = 1\r\n',
    'data/bom.json': '\ufeff{}\r\n',
    'data/zero.json': '',
    'data/all.bin': Uint8Array.from({ length: 256 }, (_, i) => i),
  };
  const junk = ['__pycache__/a.pyc', 'tests/test_a.py', 'note.ipynb', '.DS_Store', 'a.py~'];
  for (const [path, content] of Object.entries({ ...odd, ...Object.fromEntries(junk.map((one) => [one, 'x'])) })) {
    await mkdir(join(engine, path, '..'), { recursive: true });
    await writeFile(join(engine, path), content);
  }
  const { code, output } = await copy.gulp(['stage']);
  t.is(code, 0, output);
  t.regex(output, /left out /);
  for (const [path, content] of Object.entries(odd)) {
    const staged = await readFile(join(copy.root, 'dist', 'runtime-wheel-src', 'semantic_layer', path));
    t.deepEqual(staged, Buffer.from(content as string), path);
  }
  for (const path of junk)
    t.false(existsSync(join(copy.root, 'dist', 'runtime-wheel-src', 'semantic_layer', path)), path);
});

test('plan says what would be built and touches nothing', async (t) => {
  const copy = await checkout(t);
  const { code, stdout } = await copy.gulp(['plan', '--json']);
  t.is(code, 0);
  const plan = JSON.parse(stdout);
  t.deepEqual(plan.artifacts, ARTIFACTS);
  t.true(plan.steps.some(({ step, runs }: { step: string; runs: boolean }) => step === 'locks' && runs));
  t.false(existsSync(join(copy.root, 'dist')));
  await built(t, copy);
  const later = JSON.parse((await copy.gulp(['plan', '--json'])).stdout);
  t.deepEqual(
    later.steps.filter(({ runs }: { runs: boolean }) => runs !== false),
    [],
  );
});
