import test from 'ava';
import { policyFacts } from '../tasks/policy.ts';
import { type ReadinessFacts, readiness, readinessText } from '../tasks/readiness.ts';

const COMMIT = 'a'.repeat(40);
const MANIFEST = 'b'.repeat(64);
const REGISTRY = 'https://registry.example/';

const ci = {
  schemaVersion: 1,
  releaseMode: 'ci-artifact-only',
  npm: { publish: false, registry: null, packages: ['@kaelio/ktx', '@ktx/context'] },
  python: { publish: false, repository: null, packages: ['ktx-sl', 'ktx-daemon', 'kaelio-ktx'] },
  publishedPackageSmoke: { packageName: null, version: null, registry: null },
  runtimeInstaller: { uvStrategy: 'path-prerequisite', bootstrapUv: false, missingUvBehavior: 'focused-error' },
  requiredBeforePublishing: ['choose the registry', 'name the owners'],
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

function facts(policy: { releaseMode: string }, changes: Partial<ReadinessFacts> = {}): ReadinessFacts {
  return {
    policyText: JSON.stringify(policy),
    policyFacts: policyFacts('0.1.0'),
    revision: COMMIT,
    release: {
      manifestSha256: MANIFEST,
      releaseMode: policy.releaseMode,
      version: '0.1.0',
      sourceRevision: COMMIT,
      sourceDirty: false,
    },
    verifiedManifest: MANIFEST,
    ...changes,
  };
}

const blocked = (
  one: { requirements: readonly { state: string; subject: string; problem?: string; todo?: string }[] } | null,
) =>
  (one?.requirements ?? [])
    .filter(({ state }) => state === 'blocked')
    .map(({ subject, problem }) => `${subject} ${problem}`);

for (const policy of [ci, smoke, ready]) {
  test(`${policy.releaseMode} is ready when all of it is met`, (t) => {
    const found = readiness(facts(policy));
    t.deepEqual(blocked(found.current), []);
    t.true(found.ready);
    t.is(found.mode as string, policy.releaseMode);
  });
}

test('the next mode is told with all that blocks it, each undecided point alone', (t) => {
  const { ready: now, next } = readiness(facts(ci));
  t.true(now);
  t.is(next?.mode, 'published-package-smoke-required');
  t.deepEqual(blocked(next), [
    'publishedPackageSmoke.packageName must be "@kaelio/ktx", not null',
    'publishedPackageSmoke.version must be "0.1.0", not null',
    'publishedPackageSmoke.registry must name a registry in this mode, not null',
    'requiredBeforePublishing is still undecided',
    'requiredBeforePublishing is still undecided',
    'artifacts it states ci-artifact-only, not published-package-smoke-required',
  ]);
  t.true(next?.requirements.some(({ asks }) => asks === 'choose the registry'));
});

test('the last mode has no next one', (t) => {
  t.is(readiness(facts(ready)).next, null);
  t.is(readiness(facts(smoke)).next?.mode, 'npm-public-release-ready');
});

const release = facts(ready).release as object;
const ROWS: [
  name: string,
  policy: { releaseMode: string },
  changes: Partial<ReadinessFacts>,
  problem: string | undefined,
  todo?: RegExp,
][] = [
  ['nothing is built', ci, { release: undefined }, 'artifacts there is no release folder', /gulp artifacts/],
  [
    'the folder is damaged',
    ci,
    { release: 'manifest.json is no valid JSON' },
    'artifacts manifest.json is no valid JSON',
    /gulp artifacts/,
  ],
  [
    'another version is built',
    ci,
    { release: { ...release, releaseMode: 'ci-artifact-only', version: '0.0.9' } as never },
    'artifacts it holds version 0.0.9, not 0.1.0',
  ],
  [
    'another mode is built',
    ready,
    { release: { ...release, releaseMode: 'ci-artifact-only' } as never },
    'artifacts it states ci-artifact-only, not npm-public-release-ready',
  ],
  ['CI may build outside git', ci, { revision: null }, undefined],
  ['CI need not have verified', ci, { verifiedManifest: undefined }, undefined],
  ['verify was not run', smoke, { verifiedManifest: undefined }, 'verification it was not run', /gulp verify/],
  [
    'verify passed on something else',
    ready,
    { verifiedManifest: 'c'.repeat(64) },
    'verification it passed on other artifacts',
    /gulp verify/,
  ],
  [
    'the commit is unknown',
    ready,
    { release: { ...release, sourceRevision: null } as never },
    'source revision the commit is not known',
  ],
  [
    'there were local changes',
    ready,
    { release: { ...release, sourceDirty: true } as never },
    'source revision the sources differed from their commit',
    /Commit or undo/,
  ],
  [
    'another commit was built',
    ready,
    { revision: 'd'.repeat(40) },
    `source revision it was built from ${COMMIT}, not ${'d'.repeat(40)}`,
    /gulp artifacts/,
  ],
];
for (const [name, policy, changes, problem, todo] of ROWS) {
  test(`${policy.releaseMode}: ${name}`, (t) => {
    const found = readiness(facts(policy, changes));
    t.deepEqual(blocked(found.current), problem === undefined ? [] : [problem]);
    t.is(found.ready, problem === undefined);
    if (todo) t.true(found.current.requirements.some((one) => todo.test(one.todo ?? '')));
  });
}

test('a broken rule of the policy blocks its own mode', (t) => {
  const found = readiness(facts({ ...ci, npm: { ...ci.npm, publish: true } } as never));
  t.false(found.ready);
  t.deepEqual(blocked(found.current), ['npm.publish must be false: in this mode nothing may be published']);
});

test('a policy of the wrong form is reported, not thrown', (t) => {
  const found = readiness(facts({ ...ci, releaseMode: 'soon' }));
  t.false(found.ready);
  t.is(found.mode, null);
  t.regex(readinessText(found), /release-policy\.json cannot be read as a policy\n {2}blocked {2}releaseMode/);
});

test('the report for people says what blocks and what to do', (t) => {
  const text = readinessText(readiness(facts(ci, { release: undefined })));
  t.snapshot(text);
});

test('every blocked requirement says what to do', (t) => {
  for (const policy of [ci, smoke, ready]) {
    const { current, next } = readiness(
      facts(policy, { release: undefined, verifiedManifest: undefined, revision: null }),
    );
    for (const one of [...current.requirements, ...(next?.requirements ?? [])]) {
      t.is(one.state === 'blocked', one.todo !== undefined);
      t.is(one.state === 'blocked', one.problem !== undefined);
    }
  }
});
