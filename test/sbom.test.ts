import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import * as CycloneDX from '@cyclonedx/cyclonedx-library';
import test from 'ava';
import { cycloneDx, npmPurl } from '../tasks/sbom.ts';
import { bundledLibraries, type NpmSbomInputs, npmSbom, npmSbomProblems } from '../tasks/sbom-npm.ts';
import { lockedPackages, type WheelSbomInputs, wheelSbom, wheelSbomProblems } from '../tasks/sbom-wheel.ts';
import { readToolchain } from '../tasks/toolchain.ts';

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFile(path.join(root, file), 'utf8');

async function exported(...selection: string[]): Promise<string> {
  const { uv, python } = await readToolchain(root, process.env);
  const args = [
    'export',
    '--frozen',
    '--package',
    'ktx-daemon',
    '--no-dev',
    '--no-emit-workspace',
    '--no-header',
    '--no-annotate',
  ];
  const { stdout } = await promisify(execFile)(uv.path, [...args, ...selection, '--python', python.path], {
    cwd: root,
    maxBuffer: 2 ** 26,
  });
  return stdout;
}

async function wheelInputs(): Promise<WheelSbomInputs> {
  const [core, embeddings] = await Promise.all([exported(), exported('--extra', 'local-embeddings')]);
  return {
    version: '0.1.0',
    licence: 'Apache-2.0',
    uvLock: await read('uv.lock'),
    locks: { core, 'local-embeddings': embeddings },
  };
}

const RULE = '-'.repeat(80);

async function npmInputs(
  names = ['@clack/prompts', '@clack/core', 'commander', 'pg', 'pg-pool', 'yaml'],
): Promise<NpmSbomInputs> {
  const packageLock = await read('package-lock.json');
  const { packages } = JSON.parse(packageLock);
  const entries = names.map((name) => {
    const { version, license } = packages[`node_modules/${name}`];
    return `${name} ${version} (${license})\n\nA licence text.\n\nIt speaks of other-library 9.9 (and brackets)\nand has lines.\n`;
  });
  const notices = `@kaelio/ktx contains code of the following libraries.\n\n${entries.join(`\n${RULE}\n\n`)}`;
  return {
    version: '0.1.0',
    licence: 'Apache-2.0',
    notices,
    packageLock,
    wheel: { version: '0.1.0', sha256: 'e'.repeat(64) },
  };
}

const validator = new CycloneDX.Validation.JsonStrictValidator(CycloneDX.Spec.Version.v1dot6);
const faults = async (text: string) => (await validator.validate(text)) ?? [];

interface Bill {
  readonly metadata: { component: { purl: string; properties?: { name: string; value: string }[] } };
  readonly components: readonly {
    purl: string;
    name: string;
    scope: string;
    hashes?: { alg: string; content: string }[];
    licenses?: unknown[];
  }[];
  readonly dependencies: readonly { ref: string; dependsOn: string[] }[];
}
const edgesOf = (bill: Bill, name: string) =>
  bill.dependencies.find(({ ref }) => ref.includes(`/${name}@`))?.dependsOn ?? [];

test('the wheel: valid CycloneDX 1.6 of everything that the locks install', async (t) => {
  const inputs = await wheelInputs();
  const text = wheelSbom(inputs);
  t.deepEqual(await faults(text), []);
  const bill: Bill = JSON.parse(text);
  t.is(bill.metadata.component.purl, 'pkg:pypi/kaelio-ktx@0.1.0');
  const locked = lockedPackages(inputs.locks['local-embeddings']).map(({ name }) => name);
  t.deepEqual(bill.components.map(({ name }) => name).sort(), [...new Set(locked)].sort());
  t.true(bill.components.length > 30);
  const scope = (name: string) => bill.components.find((one) => one.name === name)?.scope;
  t.is(scope('pydantic'), 'required');
  t.is(scope('torch'), 'optional');
  t.is(scope('sentence-transformers'), 'optional');
  t.false(bill.components.some(({ name }) => /^(ktx-|kaelio)/.test(name)));
});

test('the wheel: edges are those of uv.lock, extras and workspace members looked through', async (t) => {
  const bill: Bill = JSON.parse(wheelSbom(await wheelInputs()));
  const names = (list: string[]) => list.map((purl) => purl.replace(/^pkg:pypi\/|@.*$/g, ''));
  const direct = names(edgesOf(bill, 'kaelio-ktx'));
  for (const name of ['fastapi', 'pyyaml', 'sqlglot', 'psycopg', 'uvicorn', 'torch', 'sentence-transformers'])
    t.true(direct.includes(name), name);
  t.false(direct.includes('ktx-sl'));
  t.true(names(edgesOf(bill, 'fastapi')).includes('starlette'));
  t.true(names(edgesOf(bill, 'psycopg')).includes('psycopg-binary'));
  t.true(names(edgesOf(bill, 'uvicorn')).includes('uvloop'));

  // Everything is reached from the wheel itself: the edges leave no component hanging.
  const reached = new Set([bill.metadata.component.purl]);
  for (const purl of reached)
    for (const next of bill.dependencies.find(({ ref }) => ref === purl)?.dependsOn ?? []) reached.add(next);
  t.deepEqual(
    bill.components.map(({ purl }) => purl).filter((purl) => !reached.has(purl)),
    [],
  );
});

test('the wheel: equal inputs give equal bytes, and nothing of the machine is in it', async (t) => {
  const inputs = await wheelInputs();
  t.is(wheelSbom(inputs), wheelSbom(structuredClone(inputs)));
  t.notRegex(wheelSbom(inputs), /timestamp|https?:\/\/|\/tmp|index\.invalid/);
});

test('the wheel: a bill that disagrees with the shipped locks is refused by name', async (t) => {
  const { locks, ...rest } = await wheelInputs();
  const text = wheelSbom({ locks, ...rest });
  t.deepEqual(wheelSbomProblems(text, '0.1.0', locks), []);
  t.deepEqual(wheelSbomProblems(text, '0.2.0', locks), [
    'is about pkg:pypi/kaelio-ktx@0.1.0, not pkg:pypi/kaelio-ktx@0.2.0',
  ]);
  const other = { ...locks, core: locks.core.replace(/^pyyaml==\S+/m, 'pyyaml==0.0.1') };
  t.true(wheelSbomProblems(text, '0.1.0', other).some((one) => one === 'lacks pkg:pypi/pyyaml@0.0.1'));
  t.true(wheelSbomProblems(text, '0.1.0', other).some((one) => one.startsWith('states kaelio-ktx:lock:core:sha256 ')));
  t.deepEqual(wheelSbomProblems(text.replace('"optional"', '"required"'), '0.1.0', locks), [
    'has a serial number that is not that of its content',
  ]);
  t.deepEqual(wheelSbomProblems('{', '0.1.0', locks), ['is no JSON']);
  t.deepEqual(wheelSbomProblems('{}', '0.1.0', locks), ['is no bill of materials']);
});

test('the npm package: valid CycloneDX 1.6 of what is in the bundle, and the wheel', async (t) => {
  const inputs = await npmInputs();
  const text = npmSbom(inputs);
  t.deepEqual(await faults(text), []);
  const bill: Bill = JSON.parse(text);
  t.is(bill.metadata.component.purl, 'pkg:npm/%40kaelio/ktx@0.1.0');
  const { packages } = JSON.parse(inputs.packageLock);
  const pg = bill.components.find(({ name }) => name === 'pg');
  t.is(pg?.purl, npmPurl('pg', packages['node_modules/pg'].version));
  t.deepEqual(pg?.licenses, [{ license: { id: 'MIT' } }]);
  const sri = `sha512-${Buffer.from(pg?.hashes?.[0]?.content ?? '', 'hex').toString('base64')}`;
  t.is(sri, packages['node_modules/pg'].integrity);
  t.deepEqual(bill.components.find(({ name }) => name === 'kaelio-ktx')?.hashes, [
    { alg: 'SHA-256', content: 'e'.repeat(64) },
  ]);
});

test('the npm package: edges are those of the lock, among what is bundled', async (t) => {
  const bill: Bill = JSON.parse(npmSbom(await npmInputs()));
  const names = (list: string[]) => list.map((purl) => decodeURIComponent(purl.replace(/^pkg:\w+\/|@[^@]*$/g, '')));
  t.deepEqual(names(edgesOf(bill, 'ktx')), ['@clack/prompts', 'commander', 'pg', 'yaml', 'kaelio-ktx']);
  t.deepEqual(names(edgesOf(bill, 'prompts')), ['@clack/core']);
  t.deepEqual(names(edgesOf(bill, 'pg')), ['pg-pool']);
});

test('the npm package: a bill that disagrees with notices or wheel is refused by name', async (t) => {
  const inputs = await npmInputs();
  const text = npmSbom(inputs);
  const { notices, wheel } = inputs;
  t.deepEqual(npmSbomProblems(text, '0.1.0', notices, wheel), []);
  const fewer = (await npmInputs(['commander'])).notices;
  t.true(
    npmSbomProblems(text, '0.1.0', fewer, wheel).some((one) => /^lists pkg:npm\/pg@\S+, which is not in it$/.test(one)),
  );
  t.deepEqual(npmSbomProblems(text, '0.1.0', notices, { ...wheel, sha256: 'f'.repeat(64) }), [
    `states sha256 ${'e'.repeat(64)} of the wheel, not ${'f'.repeat(64)}`,
  ]);
  t.true(
    npmSbomProblems(text, '0.1.0', notices, { ...wheel, version: '0.1.1' }).includes('lacks pkg:pypi/kaelio-ktx@0.1.1'),
  );
});

test('a library that the lock does not have stops the build', async (t) => {
  const inputs = await npmInputs();
  const notices = inputs.notices.replace(/^commander \S+/m, 'commander 0.0.1');
  t.throws(() => npmSbom({ ...inputs, notices }), { code: 'sbom', message: /the bundle holds commander 0\.0\.1/ });
});

test('notices: only the first line of each entry names a library', async (t) => {
  t.deepEqual(
    bundledLibraries((await npmInputs(['pg', '@clack/core'])).notices).map(({ name }) => name),
    ['pg', '@clack/core'],
  );
  t.deepEqual(bundledLibraries('@kaelio/ktx contains code of the following libraries.\n\n'), []);
});

test('a licence expression is written as one, a version is escaped, order of input does not matter', async (t) => {
  const component = (name: string, licence: string) => ({
    name,
    version: '1.0+x',
    purl: npmPurl(name, '1.0+x'),
    licence,
    needs: [],
  });
  const [a, b] = [component('a', 'MIT OR Apache-2.0'), component('b', 'ISC')];
  const subject = { ...component('s', 'MIT'), needs: [b.purl, a.purl, a.purl] };
  const text = cycloneDx(subject, [b, a]);
  t.is(text, cycloneDx(subject, [a, b]));
  t.deepEqual(await faults(text), []);
  const bill: Bill = JSON.parse(text);
  t.deepEqual(bill.components[0]?.licenses, [{ expression: 'MIT OR Apache-2.0' }]);
  t.is(bill.components[0]?.purl, 'pkg:npm/a@1.0%2Bx');
  t.deepEqual(bill.dependencies[0]?.dependsOn, [a.purl, b.purl]);
});

test('the schema is really asked: a bill with a wrong field is refused by it', async (t) => {
  const text = npmSbom(await npmInputs());
  t.true((await faults(text.replace('"bomFormat": "CycloneDX"', '"bomFormat": "Other"'))).length !== 0);
  t.true((await faults(text.replace('"library"', '"book"'))).length !== 0);
});
