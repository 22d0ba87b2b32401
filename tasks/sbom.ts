/**
 * CycloneDX 1.6 bills of materials: the parts that the wheel's and the npm
 * package's have in common, written so that equal inputs give equal bytes.
 *
 * No time, no machine and no tool that merely happened to be there enters; the
 * serial number is made from the content.
 */
import { createHash } from 'node:crypto';
import { prettyJson } from './strict-json.ts';

export interface Hash {
  readonly alg: 'SHA-256' | 'SHA-512';
  /** Lower-case hex. */
  readonly content: string;
}

export interface Property {
  readonly name: string;
  readonly value: string;
}

export interface Component {
  readonly name: string;
  readonly version: string;
  /** Package URL; also the reference that edges use. */
  readonly purl: string;
  readonly type?: 'library' | 'application';
  /** SPDX identifier or expression. */
  readonly licence?: string | undefined;
  /** `optional` is what a user has to ask for. */
  readonly scope?: 'required' | 'optional';
  readonly hashes?: readonly Hash[];
  readonly properties?: readonly Property[];
  /** Package URLs of what it needs, in any order. */
  readonly needs: readonly string[];
}

/** The text of the bill of materials of `subject`, made of `components`, each package URL once. */
export function cycloneDx(subject: Component, components: readonly Component[]): string {
  const sorted = [...components].sort(byPurl);
  const content = {
    metadata: { component: written({ type: 'application', ...subject }) },
    components: sorted.map(written),
    dependencies: [subject, ...sorted].map(({ purl, needs }) => ({ ref: purl, dependsOn: [...new Set(needs)].sort() })),
  };
  return prettyJson({
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${contentUuid(JSON.stringify(content))}`,
    version: 1,
    ...content,
  });
}

/** `pkg:npm/%40clack/prompts@1.9.0`; the version's own special characters are escaped. */
export function npmPurl(name: string, version: string): string {
  return `pkg:npm/${name.replace('@', '%40')}@${encodeURIComponent(version)}`;
}

/** `pkg:pypi/ktx-sl@0.1.0`; `name` in its normalised form. */
export function pypiPurl(name: string, version: string): string {
  return `pkg:pypi/${name}@${encodeURIComponent(version)}`;
}

function written({ name, version, purl, type = 'library', licence, scope, hashes, properties }: Component) {
  return {
    type,
    'bom-ref': purl,
    name,
    version,
    ...(scope && { scope }),
    ...(hashes && { hashes }),
    ...(licence && { licenses: [isExpression(licence) ? { expression: licence } : { license: { id: licence } }] }),
    purl,
    ...(properties && { properties }),
  };
}

const isExpression = (licence: string) => /\s|[()]/.test(licence);

function byPurl(a: Component, b: Component): number {
  if (a.purl === b.purl) return 0;
  return a.purl < b.purl ? -1 : 1;
}

/** A UUID (RFC 9562, version 8: by own rules) of the first bits of a sha256. */
function contentUuid(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** What a verifier needs of a bill that it did not write. */
export interface ReadBill {
  readonly subject: string;
  readonly properties: Readonly<Record<string, string>>;
  /** Package URL to hashes, by algorithm. */
  readonly components: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

/** Read a bill that `cycloneDx` wrote; returns what is wrong when it did not write this text. */
export function readBill(text: string): ReadBill | string {
  type Written = { purl?: string; hashes?: Hash[]; properties?: Property[] };
  let bill: {
    metadata?: { component?: Written };
    components?: Written[];
    dependencies?: { ref: string }[];
    serialNumber?: string;
  };
  try {
    bill = JSON.parse(text);
  } catch {
    return 'is no JSON';
  }
  const { metadata, components, dependencies } = bill;
  const subject = metadata?.component;
  if (!subject?.purl || !components || !dependencies) return 'is no bill of materials';
  const serial = `urn:uuid:${contentUuid(JSON.stringify({ metadata, components, dependencies }))}`;
  if (bill.serialNumber !== serial) return 'has a serial number that is not that of its content';
  const refs = new Set([subject.purl, ...components.map(({ purl }) => purl)]);
  const dangling = dependencies.find(({ ref }) => !refs.has(ref));
  if (dangling) return `speaks of ${dangling.ref}, which it does not list`;
  return {
    subject: subject.purl,
    properties: Object.fromEntries((subject.properties ?? []).map(({ name, value }) => [name, value])),
    components: new Map(
      components.map(({ purl = '', hashes = [] }) => [
        purl,
        Object.fromEntries(hashes.map(({ alg, content }) => [alg, content])),
      ]),
    ),
  };
}

/** What one bill lists beyond `expected`, and what it lacks. */
export function setProblems(listed: Iterable<string>, expected: Iterable<string>): string[] {
  const [has, wants] = [new Set(listed), new Set(expected)];
  return [
    ...[...wants].filter((one) => !has.has(one)).map((one) => `lacks ${one}`),
    ...[...has].filter((one) => !wants.has(one)).map((one) => `lists ${one}, which is not in it`),
  ].sort();
}
