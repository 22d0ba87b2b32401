/**
 * The rules of the release policy beyond its form, one row each.
 *
 * A check returns what is wrong, reading on from the field's name, or nothing.
 * No check looks at `releaseMode`: the row's modes say where it holds, so that a
 * rule can be asked about a mode that the policy is not in yet.
 */
import { type Policy, type PolicyFacts, RELEASE_MODES, type ReleaseMode, RUNTIME_INSTALLER } from './policy-schema.ts';

export interface PolicyRule {
  readonly field: string;
  readonly modes: readonly ReleaseMode[];
  /** What the rule wants, as a reader of the readiness report would say it. */
  readonly asks: string;
  readonly check: (policy: Policy, facts: PolicyFacts) => string | undefined;
}

const ANY = RELEASE_MODES;
const CI_ONLY = RELEASE_MODES.slice(0, 1);
const BEFORE_PUBLIC = RELEASE_MODES.slice(0, 2);
const AFTER_CI = RELEASE_MODES.slice(1);
const PUBLIC = RELEASE_MODES.slice(2);

export const RULES: readonly PolicyRule[] = [
  {
    field: 'npm.publish',
    modes: CI_ONLY,
    asks: 'nothing is published to npm',
    check: ({ npm }) => (npm.publish ? 'must be false: in this mode nothing may be published' : undefined),
  },
  {
    field: 'npm.publish',
    modes: PUBLIC,
    asks: 'the npm package is meant to be published',
    check: ({ npm }) => (npm.publish ? undefined : 'must be true in this mode'),
  },
  {
    field: 'npm.registry',
    modes: CI_ONLY,
    asks: 'no npm registry is named',
    check: ({ npm }) => nothing(npm.registry),
  },
  {
    field: 'npm.registry',
    modes: PUBLIC,
    asks: 'the npm registry is chosen',
    check: ({ npm }) => registry(npm.registry),
  },
  {
    field: 'npm.access',
    modes: PUBLIC,
    asks: 'the scoped package is public',
    check: ({ npm }) => (npm.access === 'public' ? undefined : `must be "public", not ${shown(npm.access)}`),
  },
  {
    field: 'npm.tag',
    modes: PUBLIC,
    asks: 'the dist-tag is legal and fits the version',
    check: ({ npm }, { version }) => distTag(npm.tag, version),
  },
  {
    field: 'npm.packages',
    modes: BEFORE_PUBLIC,
    asks: 'the npm packages are those of the repository',
    check: ({ npm }, { npmPackages }) => sameSet(npm.packages, npmPackages),
  },
  {
    field: 'npm.packages',
    modes: PUBLIC,
    asks: 'only the public npm package is listed',
    check: ({ npm }, { publicPackage }) => sameSet(npm.packages, [publicPackage]),
  },
  {
    field: 'python.publish',
    modes: ANY,
    asks: 'Python packages are never published',
    check: ({ python }) =>
      python.publish ? 'must be false: users get the Python packages inside the npm package only' : undefined,
  },
  {
    field: 'python.repository',
    modes: ANY,
    asks: 'no Python repository is named',
    check: ({ python }) => nothing(python.repository),
  },
  {
    field: 'python.packages',
    modes: ANY,
    asks: 'the Python packages are those of the repository',
    check: ({ python }, { pythonPackages }) => sameSet(python.packages, pythonPackages),
  },
  {
    field: 'publishedPackageSmoke.packageName',
    modes: CI_ONLY,
    asks: 'no published package is tested that is not ours',
    check: ({ publishedPackageSmoke: { packageName } }, { publicPackage }) =>
      packageName === null ? undefined : exactly(packageName, publicPackage),
  },
  {
    field: 'publishedPackageSmoke.packageName',
    modes: AFTER_CI,
    asks: 'the published package to test is named',
    check: ({ publishedPackageSmoke: { packageName } }, { publicPackage }) => exactly(packageName, publicPackage),
  },
  {
    field: 'publishedPackageSmoke.version',
    modes: CI_ONLY,
    asks: 'no other version than this one is tested',
    check: ({ publishedPackageSmoke: smoke }, { version }) =>
      smoke.version === null ? undefined : exactly(smoke.version, version),
  },
  {
    field: 'publishedPackageSmoke.version',
    modes: AFTER_CI,
    asks: 'the published version to test is this one',
    check: ({ publishedPackageSmoke: smoke }, { version }) => exactly(smoke.version, version),
  },
  {
    field: 'publishedPackageSmoke.registry',
    modes: CI_ONLY,
    asks: 'no registry to test from is named',
    check: ({ publishedPackageSmoke: smoke }) => nothing(smoke.registry),
  },
  {
    field: 'publishedPackageSmoke.registry',
    modes: AFTER_CI,
    asks: 'the registry to test from is chosen',
    check: ({ publishedPackageSmoke: smoke }) => registry(smoke.registry),
  },
  {
    field: 'publishedPackageSmoke.registry',
    modes: PUBLIC,
    asks: 'what is tested comes from where it was published',
    check: ({ publishedPackageSmoke: smoke, npm }) =>
      smoke.registry === npm.registry ? undefined : `must equal npm.registry, ${shown(npm.registry)}`,
  },
  ...installerRules(),
  {
    field: 'requiredBeforePublishing',
    modes: CI_ONLY,
    asks: 'what is undecided is listed',
    check: ({ requiredBeforePublishing: open }) =>
      open.length > 0
        ? undefined
        : 'must list what is still undecided in this mode; with nothing open, change releaseMode',
  },
  {
    field: 'requiredBeforePublishing',
    modes: AFTER_CI,
    asks: 'nothing is left undecided',
    check: ({ requiredBeforePublishing: open }) =>
      open.length === 0 ? undefined : `must be empty in this mode; still open: ${open.join('; ')}`,
  },
  {
    field: 'requiredBeforePublishing',
    modes: ANY,
    asks: 'each undecided point is said once',
    check: ({ requiredBeforePublishing: open }) => {
      const twice = open.find((one, i) => open.indexOf(one) !== i);
      if (twice !== undefined) return `lists ${shown(twice)} twice`;
      return open.some((one) => one.trim() === '') ? 'holds an empty text' : undefined;
    },
  },
];

function installerRules(): PolicyRule[] {
  return (Object.keys(RUNTIME_INSTALLER) as (keyof typeof RUNTIME_INSTALLER)[]).map((key) => ({
    field: `runtimeInstaller.${key}`,
    modes: ANY,
    asks: `${key} is what the command line does`,
    check: ({ runtimeInstaller }) =>
      runtimeInstaller[key] === RUNTIME_INSTALLER[key]
        ? undefined
        : `is ${shown(runtimeInstaller[key])}, but the command line does ${shown(RUNTIME_INSTALLER[key])}`,
  }));
}

/** Why a text may not be a dist-tag of this version; npm reads `1.x`, `v2` or `x` as version ranges. */
export function distTag(tag: string | undefined, version: string): string | undefined {
  if (tag === undefined) return 'is missing: a published version needs its dist-tag';
  const isRange = /^(v?\d|[x*]$|[x*]\.)/i.test(tag);
  if (!/^[a-z][a-z0-9._-]*$/i.test(tag) || isRange) return `is ${shown(tag)}, which npm does not take as a dist-tag`;
  if (tag === 'latest' && version.includes('-')) return `must not be "latest" for the pre-release ${version}`;
  return undefined;
}

/** Why a text may not be a registry: https, or plain http on this machine alone, and never with a password. */
function registry(text: string | null): string | undefined {
  if (text === null) return 'must name a registry in this mode, not null';
  const url = URL.parse(text);
  if (!url || !['https:', 'http:'].includes(url.protocol)) return `is ${shown(text)}, which is no https address`;
  if (url.username || url.password) return 'must not hold a user name or password';
  const loopback = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (url.protocol === 'http:' && !loopback) return `is ${shown(text)}; it must be https`;
  return url.search || url.hash ? `is ${shown(text)}, which has more than an address and a path` : undefined;
}

function nothing(value: string | null): string | undefined {
  return value === null ? undefined : `must be null in this mode, not ${shown(value)}`;
}

function exactly(value: string | null, wanted: string): string | undefined {
  return value === wanted ? undefined : `must be ${shown(wanted)}, not ${shown(value)}`;
}

function sameSet(listed: readonly string[], wanted: readonly string[]): string | undefined {
  const twice = listed.filter((one, i) => listed.indexOf(one) !== i).map((one) => `lists ${one} twice`);
  const missing = wanted.filter((one) => !listed.includes(one)).map((one) => `lacks ${one}`);
  const extra = listed.filter((one) => !wanted.includes(one)).map((one) => `must not list ${one}`);
  const problems = [...twice, ...missing, ...extra];
  return problems.length > 0 ? problems.join(', ') : undefined;
}

function shown(value: string | boolean | null | undefined): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
