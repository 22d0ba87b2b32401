/**
 * The wheel's bill of materials (`dist-info/sboms/`, PEP 770): everything that
 * an install from the shipped locks brings, and what needs what.
 *
 * The components are those of the locks; the edges are uv.lock's. The digests of
 * both locks stand in it, so a verifier with the release alone can hold it
 * against the locks beside the wheel.
 */
import { parse as parseToml } from 'smol-toml';
import { sha256 } from './digest.ts';
import { PYTHON_PACKAGES, RUNTIME } from './identity.ts';
import type { Feature } from './locks.ts';
import { normalizedName } from './requirements.ts';
import { type Component, cycloneDx, pypiPurl, readBill, setProblems } from './sbom.ts';

export interface WheelSbomInputs {
  /** PEP 440 version of the wheel. */
  readonly version: string;
  /** SPDX expression. */
  readonly licence: string;
  readonly uvLock: string;
  /** Texts of the two requirement locks. */
  readonly locks: Readonly<Record<Feature, string>>;
}

interface Locked {
  readonly name: string;
  readonly version: string;
  readonly marker: string | undefined;
}

interface LockPackage {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: readonly Edge[];
  readonly 'optional-dependencies'?: Readonly<Record<string, readonly Edge[]>>;
}

interface Edge {
  readonly name: string;
  /** Only where the lock holds several versions of one name. */
  readonly version?: string;
  readonly extra?: readonly string[];
}

export function wheelSbom({ version, licence, uvLock, locks }: WheelSbomInputs): string {
  const core = new Set(lockedPackages(locks.core).map(purlOf));
  const all = new Map(
    [...lockedPackages(locks['local-embeddings']), ...lockedPackages(locks.core)].map((one) => [purlOf(one), one]),
  );
  const { package: packages = [] } = parseToml(uvLock) as unknown as { package?: readonly LockPackage[] };
  const needs = edges(packages, new Set(all.keys()));
  const components = [...all].map(
    ([purl, { name, version: locked, marker }]): Component => ({
      name,
      version: locked,
      purl,
      scope: core.has(purl) ? 'required' : 'optional',
      ...(marker !== undefined && { properties: [{ name: `${RUNTIME.distribution}:marker`, value: marker }] }),
      needs: needs(name, locked),
    }),
  );
  const own = PYTHON_PACKAGES.flatMap(({ name }) => packages.filter((one) => one.name === name));
  return cycloneDx(
    {
      name: RUNTIME.distribution,
      version,
      purl: pypiPurl(RUNTIME.distribution, version),
      type: 'library',
      licence,
      properties: lockProperties(locks),
      needs: own.flatMap(({ name, version: ours }) => needs(name, ours)),
    },
    components,
  );
}

/** What is wrong with a wheel's bill, by what a release itself holds. */
export function wheelSbomProblems(text: string, version: string, locks: Readonly<Record<Feature, string>>): string[] {
  const bill = readBill(text);
  if (typeof bill === 'string') return [bill];
  const subject = pypiPurl(RUNTIME.distribution, version);
  const expected = [...lockedPackages(locks.core), ...lockedPackages(locks['local-embeddings'])].map(purlOf);
  return [
    ...(bill.subject === subject ? [] : [`is about ${bill.subject}, not ${subject}`]),
    ...lockProperties(locks)
      .filter(({ name, value }) => bill.properties[name] !== value)
      .map(({ name, value }) => `states ${name} ${bill.properties[name] ?? 'not at all'}, not ${value}`),
    ...setProblems(bill.components.keys(), expected),
  ];
}

const purlOf = ({ name, version }: Locked) => pypiPurl(name, version);

function lockProperties(locks: Readonly<Record<Feature, string>>) {
  return (['core', 'local-embeddings'] as const).map((feature) => ({
    name: `${RUNTIME.distribution}:lock:${feature}:sha256`,
    value: sha256(locks[feature]),
  }));
}

/** The pinned requirements of a lock as uv exports it: `name==version ; marker \`. */
export function lockedPackages(lock: string): Locked[] {
  const pinned = /^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)(?: ; ([^\\\n]+?))? *\\?$/gm;
  return [...lock.matchAll(pinned)].map(([, name, version, marker]) => ({
    name: normalizedName(name as string),
    version: version as string,
    marker,
  }));
}

/**
 * Who needs whom, among `known` package URLs. An extra counts as asked for when
 * anything in the lock asks for it; a workspace member is looked through.
 */
function edges(
  packages: readonly LockPackage[],
  known: ReadonlySet<string>,
): (name: string, version: string) => string[] {
  const asked = new Map<string, Set<string>>(PYTHON_PACKAGES.map(({ name }) => [name, new Set(['local-embeddings'])]));
  const everyEdge = packages
    .flatMap((one) => [one.dependencies ?? [], ...Object.values(one['optional-dependencies'] ?? {})])
    .flat();
  for (const { name, extra = [] } of everyEdge) {
    const extras = asked.get(name) ?? new Set();
    for (const one of extra) extras.add(one);
    asked.set(name, extras);
  }
  const members = new Set(PYTHON_PACKAGES.map(({ name }) => name));
  return (name, version) => {
    const entry = packages.find((one) => one.name === name && one.version === version);
    const extras = Object.entries(entry?.['optional-dependencies'] ?? {}).filter(([extra]) =>
      asked.get(name)?.has(extra),
    );
    const found = [...(entry?.dependencies ?? []), ...extras.flatMap(([, list]) => list)].filter(
      (edge) => !members.has(edge.name),
    );
    return found
      .flatMap((edge) =>
        packages.filter((one) => one.name === edge.name && (edge.version ?? one.version) === one.version),
      )
      .map((one) => pypiPurl(normalizedName(one.name), one.version))
      .filter((purl) => known.has(purl));
  };
}
