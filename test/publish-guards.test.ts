import test from 'ava';
import { blocking, guards, type PublishFacts } from '../tasks/publish-guards.ts';

const COMMIT = 'a'.repeat(40);
const DIGEST = 'b'.repeat(64);
const MANIFEST = 'c'.repeat(64);
const REGISTRY = 'https://registry.example/';

const facts: PublishFacts = {
  confirmed: true,
  policy: {
    releaseMode: 'npm-public-release-ready',
    npm: { publish: true, registry: REGISTRY, access: 'public', tag: 'latest', packages: ['@kaelio/ktx'] },
    python: { publish: false, repository: null, packages: ['ktx-sl', 'ktx-daemon', 'kaelio-ktx'] },
  },
  publicPackage: '@kaelio/ktx',
  version: '0.1.0',
  revision: { id: COMMIT, dirty: false },
  expectedRevision: undefined,
  release: {
    manifestSha256: MANIFEST,
    sourceRevision: COMMIT,
    sourceDirty: false,
    releaseMode: 'npm-public-release-ready',
  },
  tarball: {
    path: 'npm/kaelio-ktx-0.1.0.tgz',
    ecosystem: 'npm',
    listedSha256: DIGEST,
    sha256: DIGEST,
    packageJson: { name: '@kaelio/ktx', version: '0.1.0' },
  },
  verifiedManifest: MANIFEST,
  published: ['0.0.9'],
};
const { policy, release, tarball, revision } = facts;
const npm = (changes: Partial<PublishFacts['policy']['npm']>) => ({
  policy: { ...policy, npm: { ...policy.npm, ...changes } },
});
const packageJson = (changes: object) => ({
  tarball: { ...tarball, packageJson: { ...tarball.packageJson, ...changes } },
});

test('nothing blocks when everything holds', (t) => {
  t.deepEqual(blocking(facts), []);
  t.deepEqual(blocking({ ...facts, expectedRevision: COMMIT, published: [] }), []);
});

const ROWS: [guard: string, changes: Partial<PublishFacts>, problem: RegExp][] = [
  ['confirmation', { confirmed: false }, /^this is a dry run$/],
  [
    'mode',
    {
      policy: { ...policy, releaseMode: 'ci-artifact-only' },
      release: { ...release, releaseMode: 'ci-artifact-only' },
    },
    /mode is ci-artifact-only, not npm-public-release-ready/,
  ],
  [
    'mode',
    {
      policy: { ...policy, releaseMode: 'published-package-smoke-required' },
      release: { ...release, releaseMode: 'published-package-smoke-required' },
    },
    /mode is published-package-smoke-required/,
  ],
  ['permission', npm({ publish: false }), /does not allow to publish/],
  ['permission', npm({ packages: [] }), /does not list @kaelio\/ktx/],
  [
    'permission',
    { policy: { ...policy, python: { ...policy.python, publish: true } } },
    /Python packages, which never are/,
  ],
  ['registry', npm({ registry: null }), /names no npm registry/],
  ['access', npm({ access: undefined }), /does not say that access is public/],
  ['access', npm({ access: 'restricted' }), /does not say that access is public/],
  ['dist-tag', npm({ tag: undefined }), /dist-tag is missing/],
  ['dist-tag', npm({ tag: '1.x' }), /npm does not take/],
  [
    'dist-tag',
    { version: '0.1.0-rc.1', ...packageJson({ version: '0.1.0-rc.1' }) },
    /"latest" for the pre-release 0\.1\.0-rc\.1/,
  ],
  ['clean tree', { revision: { ...revision, dirty: true } }, /checkout differs from its commit/],
  ['clean tree', { release: { ...release, sourceDirty: true } }, /built from sources that differed/],
  [
    'revision',
    { revision: { id: 'd'.repeat(40), dirty: false } },
    new RegExp(`built from ${COMMIT}, the checkout is at d{40}`),
  ],
  ['revision', { revision: { id: null, dirty: false } }, /not known/],
  ['revision', { release: { ...release, sourceRevision: null } }, /not known/],
  ['revision', { expectedRevision: 'e'.repeat(40) }, /e{40} is expected \(KTX_EXPECTED_SOURCE_REVISION\)/],
  [
    'mode of the artifacts',
    { release: { ...release, releaseMode: 'ci-artifact-only' } },
    /built in mode ci-artifact-only/,
  ],
  ['digest', { tarball: { ...tarball, sha256: 'f'.repeat(64) } }, /has the sha256 f{64}, its manifest says b{64}/],
  ['verification', { verifiedManifest: undefined }, /verify has not passed/],
  ['verification', { verifiedManifest: 'f'.repeat(64) }, /verify passed on other artifacts/],
  ['package', packageJson({ name: '@ktx/context' }), /is the package @ktx\/context/],
  ['package', packageJson({ version: '0.2.0' }), /has the version 0\.2\.0, not 0\.1\.0/],
  ['package', packageJson({ private: true }), /marked private/],
  ['package', packageJson({ publishConfig: { registry: 'https://elsewhere.example' } }), /publishConfig/],
  [
    'package',
    { tarball: { ...tarball, ecosystem: 'python', path: 'python/kaelio_ktx-0.1.0-py3-none-any.whl' } },
    /no npm package; Python is never published/,
  ],
  ['new version', { published: ['0.0.9', '0.1.0'] }, /0\.1\.0 is already published/],
  ['new version', { published: undefined }, /did not say which versions/],
];

for (const [row, [guard, changes, problem]] of ROWS.entries()) {
  test(`${row + 1}. ${guard} alone blocks: ${problem.source}`, (t) => {
    const blocked = blocking({ ...facts, ...changes });
    t.deepEqual(
      blocked.map(({ name }) => name),
      [guard],
    );
    t.regex(String(blocked[0]?.problem), problem);
    t.truthy(blocked[0]?.todo);
  });
}

test('every guard has a row above', (t) => {
  t.deepEqual(new Set(ROWS.map(([guard]) => guard)), new Set(guards(facts).map(({ name }) => name)));
});

test('all that blocks is told at once', (t) => {
  const blocked = blocking({ ...facts, confirmed: false, verifiedManifest: undefined, published: ['0.1.0'] });
  t.deepEqual(
    blocked.map(({ name }) => name),
    ['confirmation', 'verification', 'new version'],
  );
});
