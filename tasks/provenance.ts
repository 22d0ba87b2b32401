/**
 * The provenance of a release folder: an unsigned in-toto statement (v1) with
 * SLSA provenance (v1) that says which artifacts were made from which commit,
 * locks and tools.
 *
 * Nobody vouches for it by a signature; its worth is that every claim about an
 * artifact, a shipped lock or the revision can be derived again from the release,
 * and that the artifact manifest holds its digest. No time and no machine is in
 * it: equal inputs and tool versions give equal bytes.
 */
import * as v from 'valibot';
import { sha256 } from './digest.ts';
import { BuildError } from './errors.ts';
import type { ArtifactManifest } from './manifest.ts';
import { parseStrict, prettyJson } from './strict-json.ts';

/** Beside the artifact manifest. */
export const PROVENANCE_FILE = 'provenance.intoto.json';

const STATEMENT = 'https://in-toto.io/Statement/v1';
const PREDICATE = 'https://slsa.dev/provenance/v1';
const BUILD_TYPE = 'urn:kaelio-ktx:build:gulp-artifacts:v1';
const BUILDER = 'urn:kaelio-ktx:builder:gulp:v1';

/** What the statement says of the build, beyond the artifacts. */
export interface ProvenanceInputs {
  readonly manifest: Pick<ArtifactManifest, 'generatedAt' | 'sourceRevision' | 'sourceDirty' | 'packages' | 'files'>;
  /** npm version of the release. */
  readonly version: string;
  readonly releaseMode: string;
  /** Input files that decide what is built, by path: locks, policy, requirements. sha256 of each. */
  readonly inputs: Readonly<Record<string, string>>;
  /** Versions by tool: node, npm, uv, python. */
  readonly tools: Readonly<Record<string, string>>;
}

const digest = v.strictObject({ sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'is no sha256')) });
const text = v.pipe(v.string(), v.minLength(1, 'is empty'));
const SCHEMA = v.strictObject({
  _type: v.literal(STATEMENT),
  subject: v.pipe(v.array(v.strictObject({ name: text, digest })), v.minLength(1, 'is empty')),
  predicateType: v.literal(PREDICATE),
  predicate: v.strictObject({
    buildDefinition: v.strictObject({
      buildType: v.literal(BUILD_TYPE),
      externalParameters: v.strictObject({
        version: text,
        releaseMode: text,
        /** Names of the packages that may leave as they are. */
        published: v.array(text),
        sourceRevision: v.nullable(text),
      }),
      internalParameters: v.strictObject({ generatedAt: text, sourceDirty: v.boolean() }),
      resolvedDependencies: v.array(
        v.union([
          v.strictObject({ name: v.literal('source'), digest: v.strictObject({ gitCommit: text }) }),
          v.strictObject({ name: text, digest }),
        ]),
      ),
    }),
    runDetails: v.strictObject({
      builder: v.strictObject({ id: v.literal(BUILDER), version: v.record(v.string(), text) }),
    }),
  }),
});

export type Provenance = v.InferOutput<typeof SCHEMA>;

/** The text of the statement. */
export function provenance({ manifest, version, releaseMode, inputs, tools }: ProvenanceInputs): string {
  const { sourceRevision, generatedAt, sourceDirty } = manifest;
  const statement: Provenance = {
    _type: STATEMENT,
    subject: subjectsOf(manifest),
    predicateType: PREDICATE,
    predicate: {
      buildDefinition: {
        buildType: BUILD_TYPE,
        externalParameters: { version, releaseMode, published: publishedOf(manifest), sourceRevision },
        internalParameters: { generatedAt, sourceDirty },
        resolvedDependencies: [
          ...(sourceRevision === null ? [] : [{ name: 'source' as const, digest: { gitCommit: sourceRevision } }]),
          ...sortedEntries(inputs).map(([name, hex]) => ({ name, digest: { sha256: hex } })),
        ],
      },
      runDetails: { builder: { id: BUILDER, version: Object.fromEntries(sortedEntries(tools)) } },
    },
  };
  return prettyJson(statement);
}

/** Parse a statement of this form; throws BuildError `provenance`. */
export function parseProvenance(content: string, name = PROVENANCE_FILE): Provenance {
  const parsed = v.safeParse(SCHEMA, parseStrict(content, name));
  if (parsed.success) return parsed.output;
  const problems = parsed.issues.map((issue) => `${v.getDotPath(issue) ?? 'the whole'} ${complaint(issue)}`);
  throw new BuildError('provenance', `${name}: ${problems.join('; ')}`, 'Build it again with `gulp artifacts`.');
}

/**
 * What a statement says that the release does not bear out.
 *
 * `inputs` are those of the build's input files that the release itself holds,
 * by the same names: sha256 of each.
 */
export function provenanceProblems(
  statement: Provenance,
  { manifest, inputs }: Pick<ProvenanceInputs, 'manifest' | 'inputs'>,
): string[] {
  const { buildDefinition, runDetails } = statement.predicate;
  const { version, releaseMode, published, sourceRevision } = buildDefinition.externalParameters;
  const { generatedAt, sourceDirty } = buildDefinition.internalParameters;
  const dependencies = buildDefinition.resolvedDependencies;
  const stated = new Map(dependencies.map(({ name, digest: of }) => [name, Object.values(of)[0] as string]));
  const carrier = manifest.packages.find(({ ecosystem }) => ecosystem === 'npm');
  return [
    ...subjectProblems(statement.subject, manifest),
    ...differs('version', version, carrier?.packageVersion),
    ...differs('releaseMode', releaseMode, carrier?.releaseMode),
    ...differs('the list of published packages', published.join() || 'empty', publishedOf(manifest).join() || 'empty'),
    ...differs('sourceRevision', sourceRevision, manifest.sourceRevision),
    ...differs('generatedAt', generatedAt, manifest.generatedAt),
    ...differs('sourceDirty', sourceDirty, manifest.sourceDirty),
    ...differs('the commit of the source', stated.get('source') ?? null, manifest.sourceRevision),
    ...sortedEntries(inputs).flatMap(([name, hex]) => differs(`sha256 of ${name}`, stated.get(name), hex)),
    ...(stated.size === dependencies.length ? [] : ['names a dependency twice']),
    ...(Object.keys(runDetails.builder.version).length > 0 ? [] : ['names no tool']),
  ];
}

function publishedOf({ packages }: Pick<ArtifactManifest, 'packages'>): string[] {
  return packages.filter((one) => !one.private).map(({ packageName }) => packageName);
}

function subjectsOf({ files }: Pick<ArtifactManifest, 'files'>): Provenance['subject'] {
  return files.map(({ path, sha256: hex }) => ({ name: path, digest: { sha256: hex } }));
}

function subjectProblems(subjects: Provenance['subject'], manifest: Pick<ArtifactManifest, 'files'>): string[] {
  const stated = new Map(subjects.map(({ name, digest: of }) => [name, of.sha256]));
  const listed = new Set(manifest.files.map(({ path }) => path));
  return [
    ...manifest.files.flatMap(({ path, sha256: hex }) => {
      if (!stated.has(path)) return [`does not speak of ${path}`];
      return differs(`sha256 of ${path}`, stated.get(path), hex);
    }),
    ...[...stated.keys()].filter((name) => !listed.has(name)).map((name) => `speaks of ${name}, which is no artifact`),
    ...(stated.size === subjects.length ? [] : ['speaks of one artifact twice']),
  ];
}

function differs(what: string, found: unknown, expected: unknown): string[] {
  return found === expected ? [] : [`${what} is ${String(found)}, expected ${String(expected)}`];
}

/** sha256 of the text of each input, for `inputs`. */
export function inputDigests(texts: Readonly<Record<string, string | Buffer>>): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).map(([name, content]) => [name, sha256(content)]));
}

function sortedEntries(record: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}

function complaint(issue: v.BaseIssue<unknown>): string {
  if (issue.message.startsWith('is ')) return issue.message;
  return issue.expected === 'never' ? 'is no field of this schema' : `is ${issue.received}, expected ${issue.expected}`;
}
