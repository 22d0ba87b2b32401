/**
 * The two manifests that the outside reads, as values: the asset manifest
 * beside the wheel (schemaVersion 1) and the artifact manifest over a release
 * folder (schemaVersion 2).
 *
 * Both are built here and parsed here. A parser refuses a wrong type, an unknown
 * schema, a bad date, a bad hash, an unsafe path, a repeated or disordered entry,
 * each with its own message; the order of keys within an object never matters.
 */
import * as v from 'valibot';
import { BuildError } from './errors.ts';
import { UV_MINIMUM } from './identity.ts';
import { unsafePathReason } from './ledger.ts';
import { parseStrict } from './strict-json.ts';

export interface FileEntry {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** The embedding model that local embeddings use: one revision, file by file. */
export interface ModelPin {
  readonly name: string;
  readonly revision: string;
  readonly files: readonly { readonly path: string; readonly sha256: string; readonly bytes: number }[];
}

export interface AssetManifest {
  readonly schemaVersion: 1;
  readonly distributionName: string;
  readonly normalizedName: string;
  readonly version: string;
  readonly wheel: FileEntry;
  readonly requiresPython: string;
  readonly locks: { readonly core: FileEntry; readonly 'local-embeddings': FileEntry };
  readonly uv: { readonly minimum: string };
  readonly sourceRevision: string | null;
  readonly model?: ModelPin;
}

export type ArtifactKind = 'tarball' | 'wheel' | 'sdist';
export type Ecosystem = 'npm' | 'python';

export interface PackageEntry {
  readonly ecosystem: Ecosystem;
  readonly packageName: string;
  readonly packageRoot: string;
  readonly packageVersion: string;
  readonly private: boolean;
  readonly releaseMode: string;
}

export interface ArtifactEntry {
  readonly path: string;
  readonly ecosystem: Ecosystem;
  readonly artifactKind: ArtifactKind;
  readonly packageName: string;
  readonly packageVersion: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface ArtifactManifest {
  readonly schemaVersion: 2;
  readonly generatedAt: string;
  readonly sourceRevision: string | null;
  /** Whether the sources differed from that revision. */
  readonly sourceDirty: boolean;
  readonly packages: readonly PackageEntry[];
  readonly files: readonly ArtifactEntry[];
  /** Statements about the artifacts, beside them. sha256 of the canonical JSON: white space does not count. */
  readonly attestations: readonly { readonly path: string; readonly sha256: string }[];
}

const sha = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'is no sha256 of 64 lower-case hex digits'));
const bytes = v.pipe(v.number(), v.integer('is no whole number of bytes'), v.minValue(0, 'is negative'));
const basename = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'is no bare file name'));
const file = v.object({ file: basename, sha256: sha, bytes });
const revision = v.nullable(
  v.pipe(v.string(), v.regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/, 'is no commit id of 40 or 64 hex digits')),
);
const safePath = v.pipe(
  v.string(),
  v.check(
    (path) => unsafePathReason(path) === undefined,
    (issue) => `is a path that ${unsafePathReason(String(issue.input))}`,
  ),
);
const date = v.pipe(
  v.string(),
  v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/, 'is no UTC time of the form 2026-01-31T12:00:00Z'),
  v.check((text) => !Number.isNaN(Date.parse(text)) && sameDay(text), 'is no date of the calendar'),
);

const MODEL = v.strictObject({
  name: v.pipe(v.string(), v.regex(/^[\w.-]+\/[\w.-]+$/, 'is no name of the form owner/model')),
  revision: v.pipe(v.string(), v.regex(/^[0-9a-f]{40}$/, 'is no commit id of 40 hex digits')),
  files: v.pipe(v.array(v.strictObject({ path: safePath, sha256: sha, bytes })), v.minLength(1, 'is empty')),
});

const ASSET = v.object({
  schemaVersion: v.literal(1, 'is not 1, the only schema known here'),
  distributionName: v.string(),
  normalizedName: v.string(),
  version: v.string(),
  wheel: file,
  requiresPython: v.string(),
  locks: v.object({ core: file, 'local-embeddings': file }),
  uv: v.object({ minimum: v.string() }),
  sourceRevision: revision,
  model: v.exactOptional(MODEL),
});

const ECOSYSTEM = v.picklist(['npm', 'python'], 'is neither npm nor python');
const ARTIFACTS = v.object({
  schemaVersion: v.literal(2, 'is not 2, the only schema known here'),
  generatedAt: date,
  sourceRevision: revision,
  sourceDirty: v.boolean(),
  packages: v.array(
    v.strictObject({
      ecosystem: ECOSYSTEM,
      packageName: v.string(),
      packageRoot: safePath,
      packageVersion: v.string(),
      private: v.boolean(),
      releaseMode: v.string(),
    }),
  ),
  attestations: v.array(v.strictObject({ path: safePath, sha256: sha })),
  files: v.array(
    v.strictObject({
      path: safePath,
      ecosystem: ECOSYSTEM,
      artifactKind: v.picklist(['tarball', 'wheel', 'sdist'], 'is neither tarball, wheel nor sdist'),
      packageName: v.string(),
      packageVersion: v.string(),
      bytes,
      sha256: sha,
    }),
  ),
});

/** The asset manifest in its fixed key order. */
export function assetManifest(parts: Omit<AssetManifest, 'schemaVersion' | 'uv'>): AssetManifest {
  const { distributionName, normalizedName, version, wheel, requiresPython, locks, sourceRevision, model } = parts;
  return {
    schemaVersion: 1,
    distributionName,
    normalizedName,
    version,
    wheel,
    requiresPython,
    locks: { core: locks.core, 'local-embeddings': locks['local-embeddings'] },
    uv: { minimum: UV_MINIMUM },
    sourceRevision,
    ...(model === undefined ? {} : { model }),
  };
}

/** The committed pin. */
export function parseModelPin(text: string, name = 'embedding-model.json'): ModelPin {
  const pin = checked(MODEL, text, name);
  const late = pin.files.find((file, i, files) => i > 0 && (files[i - 1]?.path ?? '') >= file.path);
  if (late !== undefined) refuse(name, `lists ${late.path} out of order; files are sorted by path, each once`);
  return pin;
}

export function parseAssetManifest(text: string, name = 'manifest.json'): AssetManifest {
  return checked(ASSET, text, name);
}

export function parseArtifactManifest(text: string, name = 'manifest.json'): ArtifactManifest {
  const manifest = checked(ARTIFACTS, text, name);
  const keys = Object.keys(JSON.parse(text) as object);
  const extra = keys.find((key) => !(key in ARTIFACTS.entries));
  if (extra) refuse(name, `has the unknown key ${extra}`);
  manifest.files.forEach(({ path }, i, files) => {
    const before = files[i - 1]?.path;
    if (before === path) refuse(name, `lists ${path} twice`);
    if (before !== undefined && before > path) refuse(name, `lists ${path} after ${before}; files are sorted by path`);
  });
  const names = manifest.packages.map(({ packageName }) => packageName);
  const twice = names.find((one, i) => names.indexOf(one) !== i);
  if (twice) refuse(name, `lists the package ${twice} twice`);
  return manifest;
}

function checked<T extends v.GenericSchema>(schema: T, text: string, name: string): v.InferOutput<T> {
  const result = v.safeParse(schema, parseStrict(text, name));
  if (result.success) return result.output;
  const problems = result.issues.map((issue) => {
    const where = v.getDotPath(issue) ?? 'the whole';
    const what = /^is /.test(issue.message) ? issue.message : `is ${issue.received}, expected ${issue.expected}`;
    return `${where} ${what}`;
  });
  return refuse(name, problems.join('; '));
}

function refuse(name: string, problem: string): never {
  throw new BuildError(
    'manifest',
    `${name}: ${problem}`,
    'Build it again with `gulp artifacts`; it is never edited by hand.',
  );
}

/** Dates roll over silently in JavaScript: 30 February becomes 2 March. */
function sameDay(text: string): boolean {
  return new Date(Date.parse(text)).toISOString().slice(0, 10) === text.slice(0, 10);
}
