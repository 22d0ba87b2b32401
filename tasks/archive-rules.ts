/**
 * How our own builders write an archive: fixed times and modes, one order, no
 * member that has no place. An artifact made again by other means, with other
 * times or in another order, is refused even when every digest was made to fit.
 */
import { basename, extname } from 'node:path';
import type { ArchiveForm, Fields, MemberForm } from './archive-form.ts';
import { NPM_PACKAGES, PYTHON_PACKAGES } from './identity.ts';
import type { ArtifactEntry, ArtifactKind } from './manifest.ts';

/** Seconds since 1970 that hatchling and npm write for every member, whatever the day. */
const HATCHLING_TIME = 1_580_601_600;
const NPM_TIME = 499_162_500;

/** What is not as the builder of this kind of artifact writes it; each names the member. */
export function formProblems(entry: ArtifactEntry, form: ArchiveForm): string[] {
  const RULES: Record<ArtifactKind, typeof wheelProblems> = {
    wheel: wheelProblems,
    sdist: sdistProblems,
    tarball: tarballProblems,
  };
  return RULES[entry.artifactKind](entry, form).map((problem) => `${entry.path}: ${problem}`);
}

const modulesOf = (name: string) => {
  const own = PYTHON_PACKAGES.find((one) => one.name === name);
  return own ? [own.module] : PYTHON_PACKAGES.map(({ module }) => module).sort();
};
const baseOf = ({ packageName, packageVersion }: ArtifactEntry) =>
  `${packageName.replaceAll('-', '_')}-${packageVersion}`;

const WHEEL_FIELDS: Fields = {
  'version made by': 0x0314,
  'version needed': 20,
  flags: 0,
  method: 8,
  mtime: '2020-02-02 00:00:00',
  'extra field': '',
  comment: '',
  disk: 0,
  'internal attributes': 0,
  'DOS attributes': 0,
};
/** In this order after the modules; `/` at the end stands for whatever lies below. */
const DIST_INFO = ['METADATA', 'WHEEL', 'entry_points.txt', 'licenses/LICENSE', 'sboms/', 'RECORD'];

function wheelProblems(entry: ArtifactEntry, { members }: ArchiveForm): string[] {
  const info = `${baseOf(entry)}.dist-info/`;
  const order = [...modulesOf(entry.packageName).map((one) => `${one}/`), ...DIST_INFO.map((one) => info + one)];
  const names = members.map(({ name }) => name);
  const record = members.find(({ name }) => name === `${info}RECORD`)?.content.toString('utf8') ?? '';
  const recorded = record.split('\n').filter((line) => line !== '');
  return [
    ...fieldProblems(members, WHEEL_FIELDS),
    ...members.flatMap(({ name, fields }) => {
      const written = name.startsWith(info) && !name.startsWith(`${info}sboms/`);
      return differs(`mode of ${name}`, fields.mode, written ? '0644' : '0100644');
    }),
    ...orderProblems(names, treeOrder(names, order), order),
    ...recorded
      .filter((line, i) => !line.startsWith(`${names[i]},`) && !line.startsWith(`"${names[i]}",`))
      .slice(0, 1)
      .map((line) => `RECORD is in another order than the members, from ${line.split(',')[0]} on`),
  ];
}

const TAR_FIELDS: Fields = {
  mode: '0644',
  uid: 0,
  gid: 0,
  type: '0',
  'link name': '',
  magic: 'ustar\x0000',
  owner: '',
  group: '',
  device: '0,0',
  'unused bytes': '',
};

function sdistProblems(entry: ArtifactEntry, form: ArchiveForm): string[] {
  const root = `${baseOf(entry)}/`;
  const trees = PYTHON_PACKAGES.filter(({ name }) => name === entry.packageName);
  const order = [
    ...trees.map(({ tree, root: top }) => `${root}${tree.slice(top.length + 1)}/`),
    ...['.gitignore', 'LICENSE', 'README.md', 'pyproject.toml', 'PKG-INFO'].map((one) => root + one),
  ];
  const names = form.members.map(({ name }) => name);
  return [
    ...gzipProblems(form, HATCHLING_TIME),
    ...tarProblems(form, { ...TAR_FIELDS, mtime: HATCHLING_TIME }, 20),
    ...orderProblems(names, treeOrder(names, order), order),
  ];
}

function tarballProblems({ packageName }: ArtifactEntry, form: ArchiveForm): string[] {
  const names = form.members.map(({ name }) => name);
  const carrier = NPM_PACKAGES[0]?.name === packageName;
  const order = ['LICENSE', 'README.md', 'package.json', 'dist/', ...(carrier ? ['assets/'] : [])];
  return [
    ...gzipProblems(form, 0),
    ...tarProblems(form, { ...TAR_FIELDS, mtime: NPM_TIME }, 1),
    ...orderProblems(
      names,
      [...names].sort(npmOrder),
      order.map((one) => `package/${one}`),
    ),
  ];
}

/** Both write with the best compression and say that no system is known. */
function gzipProblems({ fields }: ArchiveForm, mtime: number): string[] {
  const expected = { 'gzip mtime': mtime, 'gzip extra flags': 2, 'gzip system': 255 };
  return Object.entries(expected).flatMap(([field, value]) => differs(field, fields[field], value));
}

/** Every member of one writer, and the end of the archive two empty blocks, filled up to `record` blocks. */
function tarProblems({ fields, members }: ArchiveForm, expected: Fields, record: number): string[] {
  const blocks = members.reduce((sum, one) => sum + 1 + Math.ceil(one.content.length / 512) + extendedBlocks(one), 0);
  const end = Math.ceil((blocks + 2) / record) * record - blocks;
  const [first] = members;
  return [
    ...fieldProblems(members, { ...expected, notation: first?.fields.notation ?? '' }),
    ...members.flatMap(({ name, fields: { 'extended header': extended } }) =>
      extended === undefined || /^(\d+ (path|mtime)=[^\n]*\n)+$/.test(String(extended))
        ? []
        : [`the extended header of ${name} says more than its path`],
    ),
    ...differs('number of blocks after the end', fields['blocks after the end'], end),
  ];
}

const extendedBlocks = ({ fields: { 'extended header': text } }: MemberForm) =>
  text === undefined ? 0 : 1 + Math.ceil(Buffer.byteLength(String(text)) / 512);

function fieldProblems(members: readonly MemberForm[], expected: Fields): string[] {
  return members.flatMap(({ name, fields }) =>
    Object.entries(expected).flatMap(([field, value]) => differs(`${field} of ${name}`, fields[field], value)),
  );
}

/** Members out of order, and members that have no place among `places`. */
function orderProblems(names: readonly string[], expected: readonly string[], places: readonly string[]): string[] {
  const first = names.findIndex((name, i) => name !== expected[i]);
  return [
    ...names
      .filter((name) => name.endsWith('/') || placeOf(name, places) === places.length)
      .map((name) => `${name} has no place in it`),
    ...(first < 0 ? [] : [`${names[first]} stands where ${expected[first]} belongs`]),
  ];
}

function placeOf(name: string, places: readonly string[]): number {
  const holds = (place: string) => name === place || (place.endsWith('/') && name.startsWith(place));
  const found = places.findIndex(holds);
  return found < 0 ? places.length : found;
}

/** hatchling's: place by place, in each the files of a folder before its folders, by code unit. */
function treeOrder(names: readonly string[], places: readonly string[]): string[] {
  return [...names].sort((a, b) => placeOf(a, places) - placeOf(b, places) || walkOrder(a.split('/'), b.split('/')));
}

function walkOrder([a = '', ...inA]: string[], [b = '', ...inB]: string[]): number {
  if (a === b && inA.length > 0 && inB.length > 0) return walkOrder(inA, inB);
  const files = Number(inA.length > 0) - Number(inB.length > 0);
  if (files !== 0) return files;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** npm's: by extension, then by file name, then by path, as English sorts them. */
function npmOrder(a: string, b: string): number {
  const parts = (path: string) => [extname(path).toLowerCase(), basename(path).toLowerCase(), path] as const;
  const [of, other] = [parts(a), parts(b)];
  return (
    of[0].localeCompare(other[0], 'en') || of[1].localeCompare(other[1], 'en') || of[2].localeCompare(other[2], 'en')
  );
}

function differs(what: string, found: unknown, expected: unknown): string[] {
  return found === expected ? [] : [`${what} is ${String(found)}, not ${String(expected)} as the builder writes it`];
}
