import test from 'ava';
import type { ArtifactManifest } from '../tasks/manifest.ts';
import {
  inputDigests,
  type ProvenanceInputs,
  parseProvenance,
  provenance,
  provenanceProblems,
} from '../tasks/provenance.ts';

const COMMIT = 'a'.repeat(40);
const artifact = (path: string, hex: string) => ({
  path,
  ecosystem: 'npm' as const,
  artifactKind: 'tarball' as const,
  packageName: '@kaelio/ktx',
  packageVersion: '0.1.0',
  bytes: 1,
  sha256: hex.repeat(64),
});
const manifest: ArtifactManifest = {
  schemaVersion: 2,
  generatedAt: '2026-01-31T12:00:00Z',
  sourceRevision: COMMIT,
  sourceDirty: false,
  attestations: [],
  packages: [
    {
      ecosystem: 'npm',
      packageName: '@kaelio/ktx',
      packageRoot: 'packages/cli',
      packageVersion: '0.1.0',
      private: true,
      releaseMode: 'ci-artifact-only',
    },
  ],
  files: [artifact('npm/kaelio-ktx-0.1.0.tgz', '1'), artifact('npm/ktx-context-0.1.0.tgz', '2')],
};
const inputs: ProvenanceInputs = {
  manifest,
  version: '0.1.0',
  releaseMode: 'ci-artifact-only',
  inputs: inputDigests({ 'uv.lock': 'u', 'package-lock.json': 'p', 'requirements.lock.txt': 'r' }),
  tools: { uv: '0.13.9', node: '24.21.0', npm: '11.19.1', python: '3.13.0' },
};
const problems = (text: string, changes: Partial<ArtifactManifest> = {}, held = inputs.inputs) =>
  provenanceProblems(parseProvenance(text), { manifest: { ...manifest, ...changes }, inputs: held });

test('an in-toto statement with SLSA provenance over every artifact, lock, tool and the commit', (t) => {
  t.snapshot(provenance(inputs));
  t.deepEqual(problems(provenance(inputs)), []);
});

test('the same whatever the order of inputs and tools', (t) => {
  const turned = (record: Readonly<Record<string, string>>) => Object.fromEntries(Object.entries(record).reverse());
  t.is(provenance({ ...inputs, inputs: turned(inputs.inputs), tools: turned(inputs.tools) }), provenance(inputs));
});

test('a build outside a repository names no commit', (t) => {
  const text = provenance({ ...inputs, manifest: { ...manifest, sourceRevision: null } });
  t.notRegex(text, /gitCommit/);
  t.deepEqual(problems(text, { sourceRevision: null }), []);
  t.deepEqual(problems(text), [
    `sourceRevision is null, expected ${COMMIT}`,
    `the commit of the source is null, expected ${COMMIT}`,
  ]);
});

test('a verifier needs only the inputs that the release holds', (t) => {
  const { 'requirements.lock.txt': lock = '' } = inputs.inputs;
  t.deepEqual(problems(provenance(inputs), {}, { 'requirements.lock.txt': lock }), []);
});

const [first, second] = manifest.files as [ReturnType<typeof artifact>, ReturnType<typeof artifact>];
const DISAGREEMENTS: [name: string, changes: Partial<ArtifactManifest>, problem: string][] = [
  [
    'an artifact changed',
    { files: [{ ...first, sha256: '3'.repeat(64) }, second] },
    `sha256 of ${first.path} is ${'1'.repeat(64)}, expected ${'3'.repeat(64)}`,
  ],
  ['an artifact added', { files: [first, second, artifact('npm/x.tgz', '4')] }, 'does not speak of npm/x.tgz'],
  ['an artifact dropped', { files: [first] }, `speaks of ${second.path}, which is no artifact`],
  [
    'another time',
    { generatedAt: '2026-01-31T12:00:01Z' },
    'generatedAt is 2026-01-31T12:00:00Z, expected 2026-01-31T12:00:01Z',
  ],
  ['a dirty tree', { sourceDirty: true }, 'sourceDirty is false, expected true'],
  [
    'another mode',
    { packages: manifest.packages.map((one) => ({ ...one, releaseMode: 'npm-public-release-ready' })) },
    'releaseMode is ci-artifact-only, expected npm-public-release-ready',
  ],
  [
    'another version',
    { packages: manifest.packages.map((one) => ({ ...one, packageVersion: '0.2.0' })) },
    'version is 0.1.0, expected 0.2.0',
  ],
];
for (const [name, changes, problem] of DISAGREEMENTS) {
  test(`refused against the manifest: ${name}`, (t) => t.deepEqual(problems(provenance(inputs), changes), [problem]));
}

test('refused: a lock other than the one that was built from', (t) => {
  const held = { ...inputs.inputs, 'requirements.lock.txt': '5'.repeat(64) };
  const stated = inputs.inputs['requirements.lock.txt'];
  t.deepEqual(problems(provenance(inputs), {}, held), [
    `sha256 of requirements.lock.txt is ${stated}, expected ${'5'.repeat(64)}`,
  ]);
});

const MALFORMED: [name: string, change: (text: string) => string, problem: RegExp][] = [
  ['no JSON', (text) => text.slice(1), /no valid JSON/],
  ['another statement type', (text) => text.replace('Statement/v1', 'Statement/v2'), /_type is /],
  ['another predicate', (text) => text.replace('provenance/v1', 'provenance/v0.2'), /predicateType is /],
  ['another build type', (text) => text.replace('gulp-artifacts', 'make'), /buildType is /],
  [
    'a digest that is none',
    (text) => text.replace('1'.repeat(64), '1'.repeat(63)),
    /subject\.0\.digest\.sha256 is no sha256/,
  ],
  [
    'an unknown field',
    (text) => text.replace('"builder":', '"by": 1, "builder":'),
    /runDetails\.by is no field of this schema/,
  ],
  [
    'a repeated key',
    (text) => text.replace('"predicateType":', '"_type": "x", "predicateType":'),
    /the key "_type" twice/,
  ],
  ['no subject', (text) => text.replace(/"subject": \[[\s\S]*?\n {2}\]/, '"subject": []'), /subject is empty/],
];
for (const [name, change, problem] of MALFORMED) {
  test(`refused by its form: ${name}`, (t) => {
    const text = change(provenance(inputs));
    t.not(text, provenance(inputs));
    t.throws(() => parseProvenance(text), { message: problem });
  });
}

test('key order and white space do not matter', (t) => {
  const turn = (value: unknown): unknown =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(
          Object.entries(value)
            .reverse()
            .map(([key, inner]) => [key, turn(inner)]),
        )
      : value;
  t.deepEqual(problems(JSON.stringify(turn(JSON.parse(provenance(inputs))))), []);
});

test('an artifact or a dependency said twice is refused', (t) => {
  const statement = parseProvenance(provenance(inputs));
  const { buildDefinition } = statement.predicate;
  statement.subject.push(...statement.subject.slice(0, 1));
  buildDefinition.resolvedDependencies.push(...buildDefinition.resolvedDependencies.slice(-1));
  t.deepEqual(problems(JSON.stringify(statement)), ['speaks of one artifact twice', 'names a dependency twice']);
});
