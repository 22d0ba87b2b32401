/**
 * What must hold before anything is published. Each guard blocks alone, with its
 * own message; all of them are asked, so one run tells all that is missing. Pure.
 */
import { distTag } from './policy-rules.ts';
import type { Policy } from './policy-schema.ts';

export interface PublishFacts {
  /** `--yes` was given. */
  readonly confirmed: boolean;
  readonly policy: Pick<Policy, 'releaseMode' | 'npm' | 'python'>;
  readonly publicPackage: string;
  /** The one version of the repository. */
  readonly version: string;
  /** The checkout: its commit, and whether it differs from it. */
  readonly revision: { readonly id: string | null; readonly dirty: boolean };
  /** KTX_EXPECTED_SOURCE_REVISION, when set. */
  readonly expectedRevision: string | undefined;
  readonly release: {
    readonly manifestSha256: string;
    readonly sourceRevision: string | null;
    readonly sourceDirty: boolean;
    readonly releaseMode: string;
  };
  /** The artifact to send, by its manifest entry, its bytes and the package.json in it. */
  readonly tarball: {
    readonly path: string;
    readonly ecosystem: string;
    readonly listedSha256: string;
    readonly sha256: string;
    readonly packageJson: Readonly<Record<string, unknown>>;
  };
  /** sha256 of the manifest that the whole of verify last passed on. */
  readonly verifiedManifest: string | undefined;
  /** Versions on the registry; undefined when it was not asked or did not answer. */
  readonly published: readonly string[] | undefined;
}

export interface Guard {
  readonly name: string;
  /** Undefined when it lets pass. */
  readonly problem?: string;
  readonly todo?: string;
}

type Check = (facts: PublishFacts) => readonly [problem: string, todo: string] | undefined;

const GUARDS: Readonly<Record<string, Check>> = {
  confirmation: ({ confirmed }) => (confirmed ? undefined : ['this is a dry run', 'Add --yes to publish.']),

  mode: ({ policy: { releaseMode } }) =>
    releaseMode === 'npm-public-release-ready'
      ? undefined
      : [`the release mode is ${releaseMode}, not npm-public-release-ready`, 'See what is open: gulp readiness'],

  permission: ({ policy: { npm, python }, publicPackage }) => {
    const todo = 'Change release-policy.json.';
    if (python.publish) return ['the policy would publish Python packages, which never are', todo];
    if (!npm.publish) return ['the policy does not allow to publish to npm', todo];
    return npm.packages.includes(publicPackage) ? undefined : [`the policy does not list ${publicPackage}`, todo];
  },

  registry: ({ policy: { npm } }) =>
    npm.registry === null ? ['the policy names no npm registry', 'Name it in release-policy.json.'] : undefined,

  access: ({ policy: { npm } }) =>
    npm.access === 'public'
      ? undefined
      : ['the policy does not say that access is public', 'Say so in release-policy.json.'],

  'dist-tag': ({ policy: { npm }, version }) => {
    const problem = distTag(npm.tag, version);
    return problem === undefined ? undefined : [`the dist-tag ${problem}`, 'Change npm.tag in release-policy.json.'];
  },

  'clean tree': ({ revision, release }) => {
    if (revision.dirty) return ['the checkout differs from its commit', 'Commit or undo the changes.'];
    return release.sourceDirty
      ? ['the artifacts were built from sources that differed from their commit', 'Build again: gulp artifacts']
      : undefined;
  },

  revision: ({ revision, release, expectedRevision }) => {
    if (release.sourceRevision === null || revision.id === null) {
      return ['the commit of the artifacts is not known', 'Build and publish from a git checkout.'];
    }
    if (release.sourceRevision !== revision.id) {
      const problem = `the artifacts were built from ${release.sourceRevision}, the checkout is at ${revision.id}`;
      return [problem, 'Check out that commit, or build again: gulp artifacts'];
    }
    return expectedRevision && expectedRevision !== revision.id
      ? [`${expectedRevision} is expected (KTX_EXPECTED_SOURCE_REVISION), not ${revision.id}`, 'Check out that commit.']
      : undefined;
  },

  'mode of the artifacts': ({ release, policy }) =>
    release.releaseMode === policy.releaseMode
      ? undefined
      : [`the artifacts were built in mode ${release.releaseMode}`, 'Build again: gulp artifacts'],

  digest: ({ tarball: { path, listedSha256, sha256 } }) =>
    sha256 === listedSha256
      ? undefined
      : [
          `${path} has the sha256 ${sha256}, its manifest says ${listedSha256}`,
          'Do not publish it. Build again: gulp artifacts --force',
        ],

  verification: ({ release, verifiedManifest }) => {
    if (verifiedManifest === release.manifestSha256) return undefined;
    return [verifiedManifest ? 'verify passed on other artifacts' : 'verify has not passed', 'Run: gulp verify'];
  },

  package: ({ tarball: { path, ecosystem, packageJson }, publicPackage, version }) => {
    const todo = 'Change packages/cli/package.json and build again.';
    if (ecosystem !== 'npm' || !path.endsWith('.tgz'))
      return [`${path} is no npm package; Python is never published`, todo];
    if (packageJson.name !== publicPackage)
      return [`${path} is the package ${packageJson.name}, not ${publicPackage}`, todo];
    if (packageJson.version !== version)
      return [`${path} has the version ${packageJson.version}, not ${version}`, todo];
    if (packageJson.private) return [`${path} is marked private`, todo];
    return packageJson.publishConfig
      ? [`${path} brings a publishConfig, which would overrule the policy`, todo]
      : undefined;
  },

  'new version': ({ published, version, policy: { npm } }) => {
    if (npm.registry === null) return undefined; // said above
    if (published === undefined)
      return [`${npm.registry} did not say which versions it has`, 'Check network, address and account.'];
    return published.includes(version)
      ? [
          `${version} is already published; a published version never changes`,
          'Raise the version in packages/cli/package.json.',
        ]
      : undefined;
  },
};

/** Every guard, in the order in which a person would ask. */
export function guards(facts: PublishFacts): Guard[] {
  return Object.entries(GUARDS).map(([name, check]) => {
    const [problem, todo] = check(facts) ?? [];
    return problem === undefined || todo === undefined ? { name } : { name, problem, todo };
  });
}

/** The guards that block. */
export function blocking(facts: PublishFacts): Guard[] {
  return guards(facts).filter(({ problem }) => problem !== undefined);
}
