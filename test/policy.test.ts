import { readFile } from 'node:fs/promises';
import test from 'ava';
import { inspectPolicy, parsePolicy, policyFacts } from '../tasks/policy.ts';

const facts = policyFacts('0.1.0');
const REGISTRY = 'https://registry.example/';

const ci = {
  schemaVersion: 1,
  releaseMode: 'ci-artifact-only',
  npm: { publish: false, registry: null, packages: ['@kaelio/ktx', '@ktx/context'] },
  python: { publish: false, repository: null, packages: ['ktx-sl', 'ktx-daemon', 'kaelio-ktx'] },
  publishedPackageSmoke: { packageName: null, version: null, registry: null },
  runtimeInstaller: { uvStrategy: 'path-prerequisite', bootstrapUv: false, missingUvBehavior: 'focused-error' },
  requiredBeforePublishing: ['choose the registry'],
};
const smoke = {
  ...ci,
  releaseMode: 'published-package-smoke-required',
  publishedPackageSmoke: { packageName: '@kaelio/ktx', version: '0.1.0', registry: REGISTRY },
  requiredBeforePublishing: [],
};
const ready = {
  ...smoke,
  releaseMode: 'npm-public-release-ready',
  npm: { publish: true, registry: REGISTRY, access: 'public', tag: 'latest', packages: ['@kaelio/ktx'] },
};
const bases: Record<string, object> = { ci, smoke, ready };

/** A copy with one dotted field set, or removed when the value is undefined. */
function changed(base: object, field: string, value: unknown): object {
  const copy = structuredClone(base) as Record<string, unknown>;
  const keys = field.split('.');
  const last = keys.pop() as string;
  const parent = keys.reduce((at, key) => at[key] as Record<string, unknown>, copy);
  if (value === undefined) delete parent[last];
  else parent[last] = value;
  return copy;
}

const problems = (policy: object, version = '0.1.0') =>
  inspectPolicy(JSON.stringify(policy), policyFacts(version)).violations.map(
    ({ field, problem }) => `${field} ${problem}`,
  );

test('the committed policy keeps its rules', async (t) => {
  const text = await readFile(new URL('../release-policy.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(await readFile(new URL('../packages/cli/package.json', import.meta.url), 'utf8'));
  const policy = parsePolicy(text, policyFacts(version));
  t.is(policy.releaseMode, 'ci-artifact-only');
  t.true(policy.requiredBeforePublishing.length > 0);
});

for (const [name, base] of Object.entries(bases)) {
  test(`a right policy is accepted: ${name}`, (t) => {
    t.deepEqual(problems(base), []);
    t.deepEqual(parsePolicy(JSON.stringify(base), facts), base as never);
  });
}

test('lists are sets: their order does not matter, nor does that of keys', (t) => {
  const reordered = Object.fromEntries(Object.entries(ci).reverse());
  t.deepEqual(problems(changed(reordered, 'python.packages', ['kaelio-ktx', 'ktx-sl', 'ktx-daemon'])), []);
});

const ROWS: [base: string, field: string, value: unknown, problem: RegExp][] = [
  // the form
  ['ci', 'schemaVersion', 2, /^schemaVersion must be 1, .*not 2$/],
  ['ci', 'schemaVersion', undefined, /^schemaVersion is missing$/],
  ['ci', 'releaseMode', 'soon', /^releaseMode must be one of ci-artifact-only, /],
  ['ci', 'npm', [], /^npm must be Object, not Array$|^npm\.publish is missing$/],
  ['ci', 'npm.publish', 'no', /^npm\.publish must be boolean, not "no"$/],
  ['ci', 'npm.registry', undefined, /^npm\.registry is missing$/],
  ['ci', 'npm.registy', null, /^npm\.registy is no field of this schema$/],
  ['ci', 'npm.access', 'private', /^npm\.access must be public or restricted, not "private"$/],
  ['ci', 'npm.packages', '@kaelio/ktx', /^npm\.packages must be Array, not "@kaelio\/ktx"$/],
  ['ci', 'npm.packages', ['@kaelio/ktx', 1], /^npm\.packages\.1 must be string, not 1$/],
  ['ci', 'python.repository', 3, /^python\.repository must be /],
  ['ci', 'runtimeInstaller.bootstrapUv', 0, /^runtimeInstaller\.bootstrapUv must be boolean, not 0$/],
  ['ci', 'notes', 'x', /^notes is no field of this schema$/],
  // ci-artifact-only
  ['ci', 'npm.publish', true, /^npm\.publish must be false: .* nothing may be published$/],
  ['ci', 'npm.registry', REGISTRY, /^npm\.registry must be null in this mode, not "https/],
  ['ci', 'python.repository', REGISTRY, /^python\.repository must be null/],
  ['ci', 'publishedPackageSmoke.registry', REGISTRY, /^publishedPackageSmoke\.registry must be null/],
  ['ci', 'publishedPackageSmoke.packageName', 'other', /^publishedPackageSmoke\.packageName must be "@kaelio\/ktx"/],
  ['ci', 'publishedPackageSmoke.version', '0.2.0', /^publishedPackageSmoke\.version must be "0\.1\.0", not "0\.2\.0"$/],
  ['ci', 'requiredBeforePublishing', [], /^requiredBeforePublishing must list what is still undecided/],
  ['ci', 'requiredBeforePublishing', ['a', 'a'], /^requiredBeforePublishing lists "a" twice$/],
  ['ci', 'requiredBeforePublishing', [' '], /^requiredBeforePublishing holds an empty text$/],
  ['ci', 'npm.packages', ['@kaelio/ktx'], /^npm\.packages lacks @ktx\/context$/],
  ['ci', 'npm.packages', ['@kaelio/ktx', '@ktx/context', 'x'], /^npm\.packages must not list x$/],
  ['ci', 'npm.packages', ['@kaelio/ktx', '@ktx/context', '@ktx/context'], /^npm\.packages lists @ktx\/context twice$/],
  // every mode
  ['ci', 'python.publish', true, /^python\.publish must be false/],
  ['smoke', 'python.publish', true, /^python\.publish must be false/],
  ['ready', 'python.publish', true, /^python\.publish must be false/],
  ['ready', 'python.repository', REGISTRY, /^python\.repository must be null/],
  ['ready', 'python.packages', ['ktx-sl', 'ktx-daemon'], /^python\.packages lacks kaelio-ktx$/],
  [
    'ci',
    'runtimeInstaller.uvStrategy',
    'bootstrap',
    /^runtimeInstaller\.uvStrategy is "bootstrap", but the command line does "path-prerequisite"$/,
  ],
  ['smoke', 'runtimeInstaller.bootstrapUv', true, /^runtimeInstaller\.bootstrapUv is true, but/],
  [
    'ready',
    'runtimeInstaller.missingUvBehavior',
    'download',
    /^runtimeInstaller\.missingUvBehavior is "download", but/,
  ],
  // published-package-smoke-required
  [
    'smoke',
    'requiredBeforePublishing',
    ['b', 'c'],
    /^requiredBeforePublishing must be empty in this mode; still open: b; c$/,
  ],
  [
    'smoke',
    'publishedPackageSmoke.packageName',
    null,
    /^publishedPackageSmoke\.packageName must be "@kaelio\/ktx", not null$/,
  ],
  ['smoke', 'publishedPackageSmoke.version', null, /^publishedPackageSmoke\.version must be "0\.1\.0", not null$/],
  ['smoke', 'publishedPackageSmoke.registry', null, /^publishedPackageSmoke\.registry must name a registry/],
  // npm-public-release-ready
  ['ready', 'requiredBeforePublishing', ['b'], /^requiredBeforePublishing must be empty/],
  ['ready', 'npm.publish', false, /^npm\.publish must be true in this mode$/],
  ['ready', 'npm.packages', ['@kaelio/ktx', '@ktx/context'], /^npm\.packages must not list @ktx\/context$/],
  ['ready', 'npm.packages', [], /^npm\.packages lacks @kaelio\/ktx$/],
  ['ready', 'npm.access', undefined, /^npm\.access must be "public", not nothing$/],
  ['ready', 'npm.access', 'restricted', /^npm\.access must be "public", not "restricted"$/],
  ['ready', 'npm.tag', undefined, /^npm\.tag is missing/],
  ...['', '1.x', 'v2', 'x', '3', 'a b', 'a/b', '-a', '*'].map((tag): [string, string, unknown, RegExp] => [
    'ready',
    'npm.tag',
    tag,
    /^npm\.tag is ".*", which npm does not take as a dist-tag$/,
  ]),
  ['ready', 'npm.registry', null, /^npm\.registry must name a registry/],
  ['ready', 'npm.registry', 'registry.example', /^npm\.registry is "registry\.example", which is no https address$/],
  ['ready', 'npm.registry', 'http://registry.example/', /^npm\.registry is "http:.*; it must be https$/],
  [
    'ready',
    'npm.registry',
    'https://user:secret@registry.example/',
    /^npm\.registry must not hold a user name or password$/,
  ],
  ['ready', 'npm.registry', `${REGISTRY}?a=1`, /^npm\.registry .* more than an address and a path$/],
  [
    'ready',
    'publishedPackageSmoke.registry',
    'https://elsewhere.example/',
    /^publishedPackageSmoke\.registry must equal npm\.registry/,
  ],
];

for (const [base, field, value, problem] of ROWS) {
  test(`refuses ${base} with ${field} ${JSON.stringify(value)}`, (t) => {
    const found = problems(changed(bases[base] as object, field, value));
    t.true(
      found.some((one) => problem.test(one)),
      `${problem} is not among ${JSON.stringify(found)}`,
    );
    t.throws(() => parsePolicy(JSON.stringify(changed(bases[base] as object, field, value)), facts), {
      code: 'policy',
    });
  });
}

test('each row above breaks its own rule and no other', (t) => {
  for (const [base, field, value] of ROWS) {
    const fields = new Set(problems(changed(bases[base] as object, field, value)).map((one) => one.split(' ')[0]));
    const alsoCompared = field === 'npm.registry' ? ['publishedPackageSmoke.registry'] : [];
    const others = [...fields].filter((one) => !one?.startsWith(field) && !alsoCompared.includes(one as string));
    t.deepEqual(others, [], `${base} ${field} ${JSON.stringify(value)}`);
  }
});

test('a pre-release is never tagged latest', (t) => {
  const policy = changed(ready, 'publishedPackageSmoke.version', '0.2.0-rc.1');
  t.deepEqual(problems(policy, '0.2.0-rc.1'), ['npm.tag must not be "latest" for the pre-release 0.2.0-rc.1']);
  t.deepEqual(problems(changed(policy, 'npm.tag', 'next'), '0.2.0-rc.1'), []);
});

test('a registry on this machine may be plain http', (t) => {
  const local = 'http://127.0.0.1:4873/';
  t.deepEqual(problems(changed(changed(ready, 'npm.registry', local), 'publishedPackageSmoke.registry', local)), []);
});

test('every violation is told at once, by file and field', (t) => {
  const policy = changed(changed(ci, 'npm.publish', true), 'python.packages', []);
  const error = t.throws(() => parsePolicy(JSON.stringify(policy), facts));
  t.regex(String(error?.message), /release-policy\.json/);
  t.regex(String(error?.message), /npm\.publish must be false/);
  t.regex(String(error?.message), /python\.packages lacks ktx-sl, lacks ktx-daemon, lacks kaelio-ktx/);
});

test('a key given twice is refused', (t) => {
  const text = JSON.stringify(ci).replace('"releaseMode"', '"schemaVersion":1,"releaseMode"');
  t.throws(() => parsePolicy(text, facts), { message: /holds the key "schemaVersion" twice/ });
});
