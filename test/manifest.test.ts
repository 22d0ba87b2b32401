import test from 'ava';
import { type ArtifactManifest, assetManifest, parseArtifactManifest, parseAssetManifest } from '../tasks/manifest.ts';
import { prettyJson } from '../tasks/strict-json.ts';

const SHA = 'a'.repeat(64);
const FILE = { file: 'x-1.whl', sha256: SHA, bytes: 1 };
const ASSETS = assetManifest({
  distributionName: 'kaelio-ktx',
  normalizedName: 'kaelio_ktx',
  version: '0.1.0',
  wheel: FILE,
  requiresPython: '>=3.13',
  locks: { core: FILE, 'local-embeddings': FILE },
  sourceRevision: null,
});
const ARTIFACTS: ArtifactManifest = {
  schemaVersion: 2,
  generatedAt: '2026-01-02T03:04:05Z',
  sourceRevision: 'b'.repeat(40),
  sourceDirty: false,
  packages: [
    {
      ecosystem: 'npm',
      packageName: 'a',
      packageRoot: 'packages/a',
      packageVersion: '1',
      private: true,
      releaseMode: 'm',
    },
  ],
  attestations: [{ path: 'statement.json', sha256: SHA }],
  files: ['npm/a.tgz', 'python/b.whl'].map((path) => ({
    path,
    ecosystem: 'npm',
    artifactKind: 'tarball',
    packageName: 'a',
    packageVersion: '1',
    bytes: 3,
    sha256: SHA,
  })),
};

test('asset manifest: key order and final newline are fixed', (t) => {
  t.snapshot(prettyJson(ASSETS));
});

test('both manifests survive a round trip, in any key order', (t) => {
  t.deepEqual(parseAssetManifest(prettyJson(ASSETS)), ASSETS);
  t.deepEqual(parseArtifactManifest(prettyJson(ARTIFACTS)), ARTIFACTS);
  const reversed = Object.fromEntries(Object.entries(ARTIFACTS).reverse());
  t.deepEqual(parseArtifactManifest(JSON.stringify(reversed)), ARTIFACTS);
});

const first = (change: object) => ({ ...ARTIFACTS, files: [{ ...ARTIFACTS.files[0], ...change }, ARTIFACTS.files[1]] });
const REFUSED: readonly [string, unknown, RegExp][] = [
  ['an unknown schema', { ...ARTIFACTS, schemaVersion: 3 }, /schemaVersion is not 2/],
  ['a bad date', { ...ARTIFACTS, generatedAt: 'yesterday' }, /generatedAt is no UTC time/],
  [
    'a date that is none',
    { ...ARTIFACTS, generatedAt: '2026-02-30T00:00:00Z' },
    /generatedAt is no date of the calendar/,
  ],
  ['a short revision', { ...ARTIFACTS, sourceRevision: 'abc' }, /sourceRevision is no commit id/],
  ['a bad hash', first({ sha256: 'A'.repeat(64) }), /files\.0\.sha256 is no sha256/],
  ['a negative size', first({ bytes: -1 }), /files\.0\.bytes is negative/],
  ['a broken size', first({ bytes: 1.5 }), /files\.0\.bytes is no whole number/],
  ['a wrong type', first({ packageName: 1 }), /files\.0\.packageName is 1, expected string/],
  ['an unknown kind', first({ artifactKind: 'zip' }), /files\.0\.artifactKind is neither/],
  ['an unknown key of an entry', first({ more: 1 }), /files\.0\.more/],
  ['an unknown key', { ...ARTIFACTS, more: 1 }, /unknown key more/],
  ['a missing key', { ...ARTIFACTS, files: undefined }, /files/],
  ['a repeated entry', { ...ARTIFACTS, files: [ARTIFACTS.files[0], ARTIFACTS.files[0]] }, /lists npm\/a\.tgz twice/],
  ['disordered entries', { ...ARTIFACTS, files: [...ARTIFACTS.files].reverse() }, /files are sorted by path/],
  [
    'a package twice',
    { ...ARTIFACTS, packages: [ARTIFACTS.packages[0], ARTIFACTS.packages[0]] },
    /lists the package a twice/,
  ],
  ['a list for an object', [], /the whole|schemaVersion/],
];

for (const [name, value, message] of REFUSED) {
  test(`artifact manifest: refuses ${name}`, (t) => {
    t.throws(() => parseArtifactManifest(JSON.stringify(value)), { message });
  });
}

test('a repeated key, a comment and a trailing comma are refused', (t) => {
  const text = prettyJson(ARTIFACTS);
  t.throws(() => parseArtifactManifest(text.replace('{', '{"schemaVersion": 2,')), {
    message: /"schemaVersion" twice/,
  });
  t.throws(() => parseArtifactManifest(`${text}// note`), { message: /no valid JSON/ });
  t.throws(() => parseArtifactManifest(text.replace(/\n\}\n$/, ',}')), { message: /no valid JSON/ });
  t.throws(() => parseArtifactManifest(''), { message: /no valid JSON/ });
});

for (const [path, reason] of [
  ['/etc/passwd', 'absolute'],
  ['npm/../x', 'segment ..'],
  ['..', 'segment ..'],
  ['a\\b', 'backslash'],
  ['C:/x', 'names a drive'],
  ['a//b', 'empty segment'],
  ['a/', 'empty segment'],
  ['', 'is empty'],
  ['a\0b', 'NUL'],
] as const) {
  test(`paths: ${JSON.stringify(path)} is refused as ${reason}`, (t) => {
    t.throws(() => parseArtifactManifest(JSON.stringify(first({ path }))), { message: new RegExp(reason) });
  });
}

for (const file of ['../x.whl', '/x.whl', 'a\\x.whl', '', '.hidden']) {
  test(`asset manifest: refuses the file name ${JSON.stringify(file)}`, (t) => {
    t.throws(() => parseAssetManifest(JSON.stringify({ ...ASSETS, wheel: { ...FILE, file } })), {
      message: /wheel\.file/,
    });
  });
}
