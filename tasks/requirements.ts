/**
 * PEP 508 requirements as values, and their union.
 *
 * Two declarations of one name under one marker become one: extras are merged,
 * specifiers are intersected when one implies the other, and a contradiction
 * stops the build naming both files. Version order is PEP 440's, from
 * `@renovatebot/pep440`.
 */
import { compare, satisfies } from '@renovatebot/pep440';
import { BuildError } from './errors.ts';

export interface Requirement {
  readonly name: string;
  readonly extras: readonly string[];
  readonly specifiers: readonly Specifier[];
  /** Environment marker as written, or the empty string. */
  readonly marker: string;
  /** File that declares it, for messages. */
  readonly from: string;
}

export interface Specifier {
  readonly operator: string;
  readonly version: string;
}

const REQUIREMENT =
  /^\s*(?<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[(?<extras>[^\]]*)\])?\s*(?<rest>[^;@]*?)\s*(?:;\s*(?<marker>.+?))?\s*$/s;
const SPECIFIER = /^(?<operator>===|==|~=|!=|<=|>=|<|>)\s*(?<version>[A-Za-z0-9][^\s,;]*)$/;

/** The PEP 503 form of a distribution name. */
export function normalizedName(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, '-');
}

/** Parse one PEP 508 requirement; direct references (`name @ url`) are refused. */
export function parseRequirement(text: string, from: string): Requirement {
  const groups = REQUIREMENT.exec(text)?.groups;
  const rest = groups?.rest?.replace(/^\((.*)\)$/s, '$1') ?? '';
  const specifiers = groups && splitList(rest).map((part) => SPECIFIER.exec(part)?.groups);
  if (!groups || !specifiers || specifiers.includes(undefined)) {
    throw new BuildError(
      'requirement',
      `${from} holds the requirement ${JSON.stringify(text)}, which is not NAME[EXTRAS] SPECIFIERS ; MARKER`,
      'Write it so; direct references and paths cannot enter a published wheel.',
    );
  }
  return {
    name: normalizedName(groups.name as string),
    extras: splitList(groups.extras ?? '')
      .map(normalizedName)
      .sort(),
    specifiers: specifiers.map((s) => ({ operator: s?.operator as string, version: s?.version as string })),
    marker: (groups.marker ?? '').trim().replace(/\s+/g, ' '),
    from,
  };
}

/** Canonical text: sorted extras and specifiers, `name[extra]>=1,<2 ; marker`. */
export function formatRequirement({ name, extras, specifiers, marker }: Requirement): string {
  const bracket = extras.length > 0 ? `[${extras.join(',')}]` : '';
  return `${name}${bracket}${formatSpecifiers(specifiers)}${marker ? ` ; ${marker}` : ''}`;
}

export function formatSpecifiers(specifiers: readonly Specifier[]): string {
  return specifiers
    .map(({ operator, version }) => `${operator}${version}`)
    .sort((a, b) => (a.replace(/^[<>=!~]+/, '') < b.replace(/^[<>=!~]+/, '') ? -1 : 1))
    .join(',');
}

/** The union of requirements, sorted by name then marker. */
export function mergeRequirements(requirements: readonly Requirement[]): Requirement[] {
  const merged = new Map<string, Requirement>();
  for (const requirement of requirements) {
    const key = `${requirement.name};${requirement.marker}`;
    const earlier = merged.get(key);
    merged.set(key, earlier ? mergeTwo(earlier, requirement) : requirement);
  }
  const all = [...merged.values()];
  for (const one of all) {
    const free = all.find((other) => other.name === one.name && other.marker === '' && one.marker !== '');
    if (free) intersect(one, free); // a marker narrows where it applies; it may not contradict the rest
  }
  return all.sort((a, b) => (formatRequirement(a) < formatRequirement(b) ? -1 : 1));
}

function mergeTwo(a: Requirement, b: Requirement): Requirement {
  return {
    ...a,
    extras: [...new Set([...a.extras, ...b.extras])].sort(),
    specifiers: intersect(a, b),
    from: a.from === b.from ? a.from : `${a.from} and ${b.from}`,
  };
}

/** The specifiers of both, without those that another one implies. */
function intersect(a: Requirement, b: Requirement): Specifier[] {
  const all = [...a.specifiers, ...b.specifiers].filter(
    (one, i, list) => list.findIndex((two) => two.operator === one.operator && two.version === one.version) === i,
  );
  // of two that imply each other (`>=2`, `>=2.0`) the first one stays
  const kept = all.filter(
    (one, i) => !all.some((other, j) => i !== j && implies(other, one) && (j < i || !implies(one, other))),
  );
  if (!satisfiable(kept)) {
    throw new BuildError(
      'contradiction',
      `${a.name} is required as ${formatSpecifiers(a.specifiers)} in ${a.from} and as ${formatSpecifiers(b.specifiers)} in ${b.from}; no version is both`,
      'Change one of the two files.',
    );
  }
  return kept;
}

/** Whether every version that `strong` admits is admitted by `weak`. */
function implies(strong: Specifier, weak: Specifier): boolean {
  const lower = ['>', '>='];
  const upper = ['<', '<='];
  if (strong.operator === '==' && !strong.version.endsWith('*')) {
    return satisfies(strong.version, `${weak.operator}${weak.version}`, { prereleases: true });
  }
  for (const [side, sign] of [
    [lower, 1],
    [upper, -1],
  ] as const) {
    if (side.includes(strong.operator) && side.includes(weak.operator)) {
      const order = compare(strong.version, weak.version) * sign;
      return order > 0 || (order === 0 && strong.operator.length <= weak.operator.length);
    }
  }
  return false;
}

/**
 * Whether some version can satisfy all. The candidates are the bounds, a point
 * release above each and a point before each: enough for the operators of PEP 440,
 * whose sets are unions of intervals ending at bounds.
 */
function satisfiable(specifiers: readonly Specifier[]): boolean {
  if (specifiers.length < 2) return true;
  const range = formatSpecifiers(specifiers);
  const bounds = specifiers.map(({ version }) => version.replace(/\.\*$/, ''));
  const candidates = bounds.flatMap((version) => [version, `${version}.0.1`, `${version}.post1`, ...below(version)]);
  return candidates.some((version) => satisfies(version, range, { prereleases: true }));
}

/** A version just below: `3` gives `2.999999`, `2.9.0` gives `2.8.999999`. */
function below(version: string): string[] {
  const release = /^\d+(\.\d+)*/.exec(version)?.[0].split('.').map(Number) ?? [];
  return release.flatMap((part, i) => {
    if (part === 0) return [];
    return [[...release.slice(0, i), part - 1, 999999].join('.')];
  });
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
