/**
 * The npm package's bill of materials: the libraries whose code is in the
 * bundle, with the versions, licences and hashes of package-lock.json, and the
 * wheel that it carries.
 *
 * Which libraries those are is told by the notices that the bundle is shipped
 * with, so a verifier with the tarball alone can compare the two.
 */
import { BuildError } from './errors.ts';
import { CARRIER, NPM_PACKAGES, RUNTIME } from './identity.ts';
import { type Component, cycloneDx, npmPurl, pypiPurl, readBill, setProblems } from './sbom.ts';

/** Path in the package, beside the bundle. */
export const NPM_SBOM = 'dist/sbom.cdx.json';

/** Path in the package's `dist`, written by its bundler. */
export const NOTICES = 'THIRD-PARTY-NOTICES.txt';

export interface NpmSbomInputs {
  readonly version: string;
  readonly licence: string;
  /** Text of `dist/THIRD-PARTY-NOTICES.txt`. */
  readonly notices: string;
  /** Text of package-lock.json. */
  readonly packageLock: string;
  readonly wheel: CarriedWheel;
}

export interface CarriedWheel {
  readonly version: string;
  readonly sha256: string;
}

interface LockEntry {
  readonly name?: string;
  readonly version: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

type LockEntries = Readonly<Record<string, LockEntry>>;

export function npmSbom({ version, licence, notices, packageLock, wheel }: NpmSbomInputs): string {
  const entries = (JSON.parse(packageLock) as { packages: LockEntries }).packages;
  const bundled = new Map(bundledLibraries(notices).map((one) => [lockPath(entries, one), one]));
  const purlAt = (path: string) => npmPurl(nameAt(path), (entries[path] as LockEntry).version);
  const neededFrom = (path: string, declared: Readonly<Record<string, string>>) =>
    Object.keys(declared).flatMap((name) => {
      const found = resolved(entries, path, name);
      return found !== undefined && bundled.has(found) ? [purlAt(found)] : [];
    });
  const libraries = [...bundled.keys()].map((path): Component => {
    const { version: locked, license, integrity, dependencies, optionalDependencies } = entries[path] as LockEntry;
    return {
      name: nameAt(path),
      version: locked,
      purl: purlAt(path),
      licence: license,
      scope: 'required',
      hashes: [{ alg: 'SHA-512', content: sha512(path, integrity) }],
      needs: neededFrom(path, { ...dependencies, ...optionalDependencies }),
    };
  });
  const carried: Component = {
    name: RUNTIME.distribution,
    version: wheel.version,
    purl: pypiPurl(RUNTIME.distribution, wheel.version),
    licence,
    scope: 'required',
    hashes: [{ alg: 'SHA-256', content: wheel.sha256 }],
    needs: [],
  };
  const direct = NPM_PACKAGES.flatMap(({ root }) => {
    const { dependencies, devDependencies } = entries[root] ?? { version: '' };
    return neededFrom(root, { ...dependencies, ...devDependencies });
  });
  return cycloneDx(
    { name: CARRIER.name, version, purl: npmPurl(CARRIER.name, version), licence, needs: [carried.purl, ...direct] },
    [...libraries, carried],
  );
}

/** What is wrong with the package's bill, by what its tarball itself holds. */
export function npmSbomProblems(text: string, version: string, notices: string, wheel: CarriedWheel): string[] {
  const bill = readBill(text);
  if (typeof bill === 'string') return [bill];
  const subject = npmPurl(CARRIER.name, version);
  const carried = pypiPurl(RUNTIME.distribution, wheel.version);
  const expected = bundledLibraries(notices).map((one) => npmPurl(one.name, one.version));
  const digest = bill.components.get(carried)?.['SHA-256'];
  return [
    ...(bill.subject === subject ? [] : [`is about ${bill.subject}, not ${subject}`]),
    ...setProblems(bill.components.keys(), [carried, ...expected]),
    ...(digest === undefined || digest === wheel.sha256
      ? []
      : [`states sha256 ${digest} of the wheel, not ${wheel.sha256}`]),
  ];
}

interface Library {
  readonly name: string;
  readonly version: string;
}

/** The libraries of a notices file: its entries begin with a line `name version (licence)`. */
export function bundledLibraries(notices: string): Library[] {
  const heads =
    /(?:^|\n-{80}\n)\n*(?:@kaelio\/ktx contains [^\n]*\n+)?((?:@[\w.~-]+\/)?[\w.~-]+) (\d\S*) \([^\n]*\)\n/g;
  return [...notices.matchAll(heads)].map(([, name, version]) => ({
    name: name as string,
    version: version as string,
  }));
}

/** The entry of the lock that is this library; the shortest path when several are. */
function lockPath(entries: LockEntries, { name, version }: Library): string {
  const found = Object.keys(entries)
    .filter((path) => path.includes('node_modules/') && nameAt(path) === name && entries[path]?.version === version)
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  if (found[0] !== undefined) return found[0];
  throw new BuildError(
    'sbom',
    `the bundle holds ${name} ${version}, which package-lock.json does not have`,
    'Install by the lock (npm ci), then build again.',
  );
}

const nameAt = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

/** Node's own search: the nearest node_modules upwards. */
function resolved(entries: LockEntries, from: string, name: string): string | undefined {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
    const candidate = at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`;
    if (candidate in entries) return candidate;
    if (at === '') return undefined;
  }
}

function sha512(path: string, integrity: string | undefined): string {
  const base64 = /^sha512-(\S+)$/.exec(integrity ?? '')?.[1];
  if (base64) return Buffer.from(base64, 'base64').toString('hex');
  throw new BuildError('sbom', `package-lock.json has no sha512 for ${path}`, 'Make the lock again: npm install.');
}
