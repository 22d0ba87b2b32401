/**
 * The form of `release-policy.json`, schemaVersion 1, and the words of it that
 * the code itself has a say in.
 */
import * as v from 'valibot';

/** From "nothing leaves CI" to "the npm package is public", in order. */
export const RELEASE_MODES = [
  'ci-artifact-only',
  'published-package-smoke-required',
  'npm-public-release-ready',
] as const;

export type ReleaseMode = (typeof RELEASE_MODES)[number];

/** What the command line does about uv; the policy may only say the same. */
export const RUNTIME_INSTALLER = Object.freeze({
  uvStrategy: 'path-prerequisite',
  bootstrapUv: false,
  missingUvBehavior: 'focused-error',
});

/** Every field is known and typed; what the fields may say together is in policy-rules.ts. */
export const POLICY = v.strictObject({
  schemaVersion: v.literal(1, 'must be 1, the only schema known here'),
  releaseMode: v.picklist(RELEASE_MODES, `must be one of ${RELEASE_MODES.join(', ')}`),
  npm: v.strictObject({
    publish: v.boolean(),
    registry: v.nullable(v.string()),
    access: v.optional(v.picklist(['public', 'restricted'], 'must be public or restricted')),
    tag: v.optional(v.string()),
    packages: v.array(v.string()),
  }),
  python: v.strictObject({
    publish: v.boolean(),
    repository: v.nullable(v.string()),
    packages: v.array(v.string()),
  }),
  publishedPackageSmoke: v.strictObject({
    packageName: v.nullable(v.string()),
    version: v.nullable(v.string()),
    registry: v.nullable(v.string()),
  }),
  runtimeInstaller: v.strictObject({
    uvStrategy: v.string(),
    bootstrapUv: v.boolean(),
    missingUvBehavior: v.string(),
  }),
  requiredBeforePublishing: v.array(v.string()),
});

export type Policy = v.InferOutput<typeof POLICY>;

/** What the policy is held against. */
export interface PolicyFacts {
  /** The one version, as npm writes it. */
  readonly version: string;
  /** The one npm package that may become public. */
  readonly publicPackage: string;
  readonly npmPackages: readonly string[];
  readonly pythonPackages: readonly string[];
}
