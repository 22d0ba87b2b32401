/**
 * A good release folder with one thing changed, hundreds of times: each change is
 * refused, by what `gulp verify --no-clean-room` asks, with a message that names
 * the thing. Key order and white space of the two JSON files are no change.
 */
import { mkdir, rename, symlink } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { archiveForm, type MemberForm } from '../tasks/archive-form.ts';
import { sha256 } from '../tasks/digest.ts';
import { BuildError } from '../tasks/errors.ts';
import type { Provenance } from '../tasks/provenance.ts';
import { prettyJson } from '../tasks/strict-json.ts';
import { bench, type Folder, type Good, goodRelease, MANIFEST, PROVENANCE, verified } from './_support/good-release.ts';
import { changed, rearchive } from './_support/rearchive.ts';

let made: Promise<Good> | undefined;
const good = (t: ExecutionContext) => {
  made ??= goodRelease(t);
  return made;
};

interface Mutation {
  readonly name: string;
  readonly change: (folder: Folder) => Promise<unknown>;
  /** What the message must name: any one of these. */
  readonly names: readonly string[];
}

/** Make each change in a folder of its own; every one must be refused by name. */
async function allRefused(t: ExecutionContext, mutations: (folder: Folder) => readonly Mutation[]): Promise<void> {
  const { folder } = await bench(t, await good(t));
  const untouched = await folder();
  await verified(untouched.path);
  const all = mutations(untouched);
  for (const { name, change, names } of all) {
    const one = await folder();
    await change(one);
    const error: unknown = await verified(one.path).then(
      () => undefined,
      (thrown) => thrown,
    );
    if (!(error instanceof BuildError)) {
      t.fail(`${name} was ${error === undefined ? 'accepted' : `refused by a crash: ${(error as Error).stack}`}`);
    } else if (!names.some((word) => error.message.includes(word))) {
      t.fail(`${name}: the message names none of ${names.join(', ')}:\n${error.message}`);
    }
  }
  t.log(`${all.length} changes`);
  t.pass();
}

const artifacts = ({ good: files }: Folder) => [...files.keys()].filter((path) => path.includes('/')).sort();
const everything = ({ good: files }: Folder) => [...files.keys()].sort();

const flip = (path: string, offset: number, bit: number): Mutation['change'] => {
  return async (folder) => {
    const bytes = folder.bytes(path);
    bytes[offset] = (bytes[offset] as number) ^ (1 << bit);
    await folder.write(path, bytes);
  };
};

test('one bit of an artifact', (t) =>
  allRefused(t, (folder) =>
    artifacts(folder).flatMap((path) => {
      const { length } = folder.bytes(path);
      const inside = [0.1, 0.25, 0.5, 0.75, 0.9].map((part) => Math.floor(length * part));
      return [0, 1, 4, 9, ...inside, length - 20, length - 5, length - 1].map((offset, i) => ({
        name: `bit ${i % 8} at ${offset} of ${path}`,
        change: flip(path, offset, i % 8),
        names: [path],
      }));
    }),
  ));

for (const path of [MANIFEST, PROVENANCE]) {
  test(`one bit of ${path}`, (t) =>
    allRefused(t, (folder) => {
      const { length } = folder.bytes(path);
      return Array.from({ length: 160 }, (_, i) => Math.floor((i * length) / 160) + (i % 3)).map((offset, i) => ({
        name: `bit ${i % 8} at ${offset} of ${path}: …${folder.bytes(path).toString('utf8', Math.max(0, offset - 9), offset + 9)}…`,
        change: flip(path, offset, i % 8),
        names: [
          path,
          PROVENANCE,
          ...artifacts(folder),
          ...folder.manifest.packages.map(({ packageName }) => packageName),
          'the package',
        ],
      }));
    }));
}

type Path = readonly (string | number)[];
interface Leaf {
  readonly path: Path;
  readonly value: unknown;
}

function leaves(value: unknown, path: Path = []): Leaf[] {
  if (value === null || typeof value !== 'object') return [{ path, value }];
  const entries: [string | number, unknown][] = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return entries.flatMap(([key, inner]) => leaves(inner, [...path, key]));
}

const get = (value: unknown, path: Path) =>
  path.reduce((inner, key) => (inner as Record<string | number, unknown>)[key], value);

function withValue<T>(value: T, path: Path, changedTo: unknown): T {
  const copy = structuredClone(value);
  const holder = get(copy, path.slice(0, -1)) as Record<string | number, unknown>;
  const key = path.at(-1) as string | number;
  if (changedTo !== undefined) holder[key] = changedTo;
  else if (Array.isArray(holder)) holder.splice(Number(key), 1);
  else delete holder[key];
  return copy;
}

const WORDS: Readonly<Record<string, readonly string[]>> = {
  npm: ['python'],
  python: ['npm'],
  tarball: ['wheel', 'sdist'],
  wheel: ['sdist', 'tarball'],
  sdist: ['wheel'],
  'ci-artifact-only': ['npm-public-release-ready', 'published-package-smoke-required', ''],
  '@kaelio/ktx': ['@ktx/context', '@kaelio/ktx2', 'kaelio-ktx'],
  'ktx-sl': ['ktx-daemon', 'ktx_sl'],
  'packages/cli': ['packages/context', '../packages/cli', '/packages/cli', 'packages\\cli', 'packages//cli'],
};

/** Other values that the field could well have. */
function plausible(value: unknown): unknown[] {
  if (typeof value === 'boolean') return [!value, null, String(value)];
  if (typeof value === 'number') return [value + 1, value - 1, -value, value + 0.5, String(value)];
  if (value === null) return ['a'.repeat(40), 0];
  const text = String(value);
  const common: unknown[] = [7, null, `${text} `];
  if (WORDS[text]) return [...common, ...WORDS[text]];
  if (/^\d{4}-/.test(text))
    return [...common, '2020-02-02T00:00:00Z', '2026-02-30T00:00:00Z', text.replace('Z', '.000Z'), text.slice(0, 10)];
  if (/^[0-9a-f]{40,64}$/.test(text))
    return [
      ...common,
      text.replace(/^./, text.startsWith('0') ? '1' : '0'),
      text.toUpperCase().replace(/^./, 'A'),
      text.slice(1),
    ];
  if (/^\d+\.\d+\.\d+/.test(text)) return [...common, '0.2.0', '0.1.0-rc.1', `${text}rc1`];
  if (/\//.test(text)) return [...common, `../${text}`, `/${text}`, text.replace('/', '\\'), `C:${text}`, `${text}\0`];
  return [...common, `${text}x`];
}

/** One field dropped, or with another value; one key more; by the tables above. */
function fieldMutations(document: object, write: (folder: Folder, value: unknown) => Promise<unknown>, file: string) {
  const objects = [[], ...leaves(document).map(({ path }) => path.slice(0, -1))].filter(
    (path, i, all) => all.findIndex((one) => one.join() === path.join()) === i && !Array.isArray(get(document, path)),
  );
  const words = (path: Path) => {
    const above = path.map((_, i) => get(document, path.slice(0, i)) as { path?: string; packageName?: string });
    return [file, ...path.map(String), ...above.flatMap((one) => [one?.path ?? file, one?.packageName ?? file])];
  };
  return [
    ...leaves(document).flatMap(({ path, value }) =>
      [undefined, ...plausible(value)].map((other) => ({
        name: `${path.join('.')} of ${file}: ${other === undefined ? 'dropped' : JSON.stringify(other)}`,
        change: (folder: Folder) => write(folder, withValue(document, path, other)),
        names: words(path),
      })),
    ),
    ...objects.map((path) => ({
      name: `a key more in ${path.join('.') || 'the whole'} of ${file}`,
      change: (folder: Folder) => write(folder, withValue(document, [...path, 'more'], 'x')),
      names: ['more', ...words(path)],
    })),
  ];
}

test('one field of the manifest', (t) =>
  allRefused(t, ({ manifest }) => fieldMutations(manifest, (folder, value) => folder.writeManifest(value), MANIFEST)));

test('one field of the provenance', (t) =>
  allRefused(t, ({ provenance }) =>
    fieldMutations(provenance, (folder, value) => folder.write(PROVENANCE, prettyJson(value)), PROVENANCE),
  ));

/** A claim that something else in the release bears out, and the manifest holds the digest of the changed statement. */
test('one field of the provenance, attested again', (t) =>
  allRefused(t, ({ provenance }) => {
    const unwitnessed = /builder\.version|resolvedDependencies\.\d+\.digest\.sha256|resolvedDependencies\.\d+\.name/;
    const shipped = provenance.predicate.buildDefinition.resolvedDependencies.flatMap(({ name }, i) =>
      /^requirements\.|^source$/.test(name) ? [`predicate.buildDefinition.resolvedDependencies.${i}.`] : [],
    );
    return leaves(provenance)
      .filter(({ path }) => !unwitnessed.test(path.join('.')) || shipped.some((one) => path.join('.').startsWith(one)))
      .flatMap(({ path, value }) =>
        [undefined, ...plausible(value)].map((other) => ({
          name: `${path.join('.')}: ${other === undefined ? 'dropped' : JSON.stringify(other)}`,
          change: (folder: Folder) => folder.writeProvenance(withValue(provenance, path, other) as Provenance),
          names: [PROVENANCE, 'provenance', ...path.map(String)],
        })),
      );
  }));

test('a file renamed, dropped, added, cut, longer, or no file at all', (t) =>
  allRefused(t, (folder) => [
    ...everything(folder).flatMap((path): Mutation[] => [
      {
        name: `${path} renamed`,
        change: (one) => rename(one.at(path), one.at(`${path}.old`)),
        names: [path],
      },
      {
        name: `${path} renamed in case`,
        change: (one) => rename(one.at(path), one.at(path.replace(/[^/]*$/, (name) => name.toUpperCase()))),
        names: [path],
      },
      { name: `${path} dropped`, change: (one) => one.remove(path), names: [path] },
      { name: `${path} emptied`, change: (one) => one.write(path, ''), names: [path] },
      { name: `${path} cut`, change: (one) => one.write(path, one.bytes(path).subarray(0, -3)), names: [path] },
      {
        name: `${path} with a byte more`,
        change: (one) => one.write(path, Buffer.concat([one.bytes(path), Buffer.from('x')])),
        names: [path],
      },
      {
        name: `${path} twice`,
        change: (one) => one.write(path.replace(/(\.\w+)$/, ' (1)$1'), one.bytes(path)),
        names: [path.replace(/(\.\w+)$/, ' (1)$1')],
      },
      {
        name: `${path} as a link to its bytes`,
        change: async (one) => {
          const elsewhere = `${one.path}.kept`;
          await rename(one.at(path), elsewhere);
          await symlink(elsewhere, one.at(path));
        },
        names: [path],
      },
      {
        name: `${path} as a link to nothing`,
        change: async (one) => {
          await one.remove(path);
          await symlink('nowhere', one.at(path));
        },
        names: [path],
      },
      {
        name: `${path} as an empty folder`,
        change: async (one) => {
          await one.remove(path);
          await mkdir(one.at(path));
        },
        names: [path],
      },
      {
        name: `${path} inside a folder of its name`,
        change: async (one) => {
          await one.remove(path);
          await one.write(`${path}/${path.split('/').pop()}`, one.bytes(path));
        },
        names: [path],
      },
    ]),
    ...['note.txt', '.gitignore', 'npm/.npmrc', 'python/extra-1.0-py3-none-any.whl', 'a/b/c', 'manifest.json.bak'].map(
      (path) => ({
        name: `${path} added`,
        change: (one: Folder) => one.write(path, 'x'),
        names: [path],
      }),
    ),
    ...['empty', 'npm/empty', 'python/a/b', '.git'].map((path) => ({
      name: `the empty folder ${path} added`,
      change: (one: Folder) => mkdir(one.at(path), { recursive: true }),
      names: [`${path}/`, path.split('/', 2).join('/')],
    })),
    ...['npm', 'python'].map((path) => ({
      name: `the folder ${path} as a link`,
      change: async (one: Folder) => {
        await rename(one.at(path), `${one.path}.${path}`);
        await symlink(`${one.path}.${path}`, one.at(path));
      },
      names: [path],
    })),
  ]));

test('two files swapped', (t) =>
  allRefused(t, (folder) => {
    const paths = everything(folder);
    return paths.flatMap((a, i) =>
      paths.slice(i + 1).map((b) => ({
        name: `${a} and ${b} swapped`,
        change: async (one: Folder) => {
          await one.write(a, one.bytes(b));
          await one.write(b, one.bytes(a));
        },
        names: [a, b],
      })),
    );
  }));

test('the lists of the manifest: order, repetition, another target', (t) =>
  allRefused(t, ({ manifest }) => {
    const { files, packages, attestations } = manifest;
    const swapped = <T>(list: readonly T[], i: number, j: number) => {
      const copy = [...list];
      [copy[i], copy[j]] = [list[j] as T, list[i] as T];
      return copy;
    };
    const rows: [string, object, string[]][] = [
      ...files
        .slice(1)
        .map(({ path }, i): [string, object, string[]] => [
          `${path} one place up`,
          { files: swapped(files, i, i + 1) },
          [path],
        ]),
      ...packages
        .slice(1)
        .map(({ packageName }, i): [string, object, string[]] => [
          `${packageName} one place up`,
          { packages: swapped(packages, i, i + 1) },
          [packageName],
        ]),
      ...files.flatMap((entry, i): [string, object, string[]][] => [
        [`${entry.path} twice`, { files: files.toSpliced(i, 0, entry) }, [entry.path]],
        [`${entry.path} dropped`, { files: files.toSpliced(i, 1) }, [entry.path]],
      ]),
      ...packages.flatMap((entry, i): [string, object, string[]][] => [
        [`${entry.packageName} twice`, { packages: packages.toSpliced(i, 0, entry) }, [entry.packageName]],
        [`${entry.packageName} dropped`, { packages: packages.toSpliced(i, 1) }, [entry.packageName]],
      ]),
      ...files.flatMap((entry, i) =>
        files.flatMap((other, j): [string, object, string[]][] => {
          if (i === j) return [];
          const { sha256: digest, bytes, path } = other;
          return [
            [
              `the digest of ${path} for ${entry.path}`,
              { files: files.with(i, { ...entry, sha256: digest, bytes }) },
              [entry.path],
            ],
            [
              `${entry.path} named ${path}`,
              { files: files.with(i, { ...entry, path, sha256: digest, bytes }) },
              [entry.path, path],
            ],
          ];
        }),
      ),
      ['no files', { files: [] }, ['npm/', 'artifact']],
      ['no packages', { packages: [] }, ['package']],
      ['no attestation', { attestations: [] }, ['attestations', PROVENANCE]],
      ['two attestations', { attestations: [...attestations, ...attestations] }, ['attestations']],
      ['a list that is none', { files: { 0: files[0] } }, ['files']],
    ];
    return rows.map(([name, change, names]) => ({
      name,
      names,
      change: (folder: Folder) => folder.writeManifest({ ...manifest, ...change }),
    }));
  }));

test('a key said twice, a comment, a trailing comma, bytes that are no JSON', (t) =>
  allRefused(t, (folder) =>
    [MANIFEST, PROVENANCE].flatMap((path) => {
      const text = String(folder.bytes(path));
      const keys = [...text.matchAll(/^ *("\w+": (?:"[^"]*"|\d+|true|false|null)),?$/gm)];
      const at = (match: RegExpMatchArray) => match.index as number;
      return [
        ...keys
          .filter((_, i) => i % 3 === 0)
          .map((match): [string, string] => [
            `${match[1]} twice`,
            `${text.slice(0, at(match))}${match[1]},\n${text.slice(at(match))}`,
          ]),
        ['a comment', text.replace('{', '{ // built\n')],
        ['a trailing comma', text.replace(/\n}\n$/, ',\n}\n')],
        ['a byte order mark', `\ufeff${text}`],
        ['a second document', `${text}{}`],
        ['an array around', `[${text}]`],
        ['nothing', ''],
        ['null', 'null'],
      ].map(([name, content]) => ({
        name: `${name} in ${path}`,
        change: (one: Folder) => one.write(path, content as string),
        names: [path],
      }));
    }),
  ));

const WHEEL = /\.whl$/;
const SDIST = /\.tar\.gz$/;

/** Ways to write an archive again so that its members hold the same bytes. */
const FORMS: [name: string, of: RegExp, change: (members: MemberForm[]) => MemberForm[]][] = [
  ['other times', /./, (all) => all.map((one) => field(one, { mtime: later(one) }))],
  ['the time of one member', /./, (all) => all.with(3, field(all[3], { mtime: later(all[3] as MemberForm) }))],
  ['an executable member', /./, (all) => all.with(0, field(all[0], { mode: WHEEL_MODE(all[0] as MemberForm) }))],
  ['two members in another order', /./, (all) => all.with(0, all[1] as MemberForm).with(1, all[0] as MemberForm)],
  ['the members backwards', /./, (all) => all.reverse()],
  ['a stored member', WHEEL, (all) => all.with(2, field(all[2], { method: 0 }))],
  ['all members stored', WHEEL, (all) => all.map((one) => field(one, { method: 0 }))],
  ['a comment on a member', WHEEL, (all) => all.with(2, field(all[2], { comment: '6869' }))],
  ['an extra field', WHEEL, (all) => all.with(2, field(all[2], { 'extra field': 'fecafeca' }))],
  ['another system', WHEEL, (all) => all.map((one) => field(one, { 'version made by': 20 }))],
  ['the flag of UTF-8', WHEEL, (all) => all.map((one) => field(one, { flags: 0x800 }))],
  ['text attributes', WHEEL, (all) => all.with(0, field(all[0], { 'internal attributes': 1 }))],
  ['a folder', WHEEL, (all) => [{ ...(all[0] as MemberForm), name: 'a/', content: Buffer.alloc(0) }, ...all]],
  ['an owner', /z$/, (all) => all.map((one) => field(one, { owner: 'builder' }))],
  ['a user id', /z$/, (all) => all.with(0, field(all[0], { uid: 1000 }))],
  ['a group id', SDIST, (all) => all.with(0, field(all[0], { gid: 1000 }))],
  [
    'a folder',
    /z$/,
    (all) => [{ ...field(all[0], { type: '5' }), name: 'package/a/', content: Buffer.alloc(0) }, ...all],
  ],
  [
    'a link',
    /z$/,
    (all) => all.with(1, { ...field(all[1], { type: '2', 'link name': 'x' }), content: Buffer.alloc(0) }),
  ],
];

const field = (member: MemberForm | undefined, fields: object): MemberForm => {
  const { fields: own, ...rest } = member as MemberForm;
  return { ...rest, fields: { ...own, ...fields } };
};
const later = ({ fields }: MemberForm) =>
  typeof fields.mtime === 'number' ? fields.mtime + 86_400 : '2024-05-06 07:08:10';
const WHEEL_MODE = ({ fields }: MemberForm) => String(fields.mode).replace('644', '755');

test('an artifact written again with the same members, all digests made to fit', (t) =>
  allRefused(t, (folder) =>
    artifacts(folder).flatMap((path) => {
      const form = archiveForm(path, folder.bytes(path));
      const again = (name: string, bytes: Buffer): Mutation => ({
        name: `${path} with ${name}`,
        change: (one) => one.replaceArtifact(path, bytes, { everywhere: true }),
        names: [path, path.split('/').pop() as string],
      });
      const whole: [string, RegExp, Buffer][] = [
        ['a byte before', WHEEL, Buffer.concat([Buffer.from('#'), folder.bytes(path)])],
        ['a byte after', /./, Buffer.concat([folder.bytes(path), Buffer.from([0])])],
        ['another gzip time', /z$/, rearchive(path, gzip(form, { 'gzip mtime': 1 }))],
        ['another gzip system', /z$/, rearchive(path, gzip(form, { 'gzip system': 3 }))],
        ['another level of compression said', /z$/, rearchive(path, gzip(form, { 'gzip extra flags': 4 }))],
        ['more empty blocks', /z$/, rearchive(path, gzip(form, { 'blocks after the end': 40 }))],
        ['no end', /z$/, rearchive(path, gzip(form, { 'blocks after the end': 0 }))],
      ];
      return [
        ...FORMS.filter(([, of]) => of.test(path)).map(([name, , change]) =>
          again(name, rearchive(path, changed(form, change))),
        ),
        ...whole.filter(([, of]) => of.test(path)).map(([name, , bytes]) => again(name, bytes)),
      ];
    }),
  ));

const gzip = (form: ReturnType<typeof archiveForm>, fields: object) => ({
  ...form,
  fields: { ...form.fields, ...fields },
});

/** Ways to change what an archive holds. */
const MEMBERS: [name: string, change: (all: MemberForm[], i: number) => MemberForm[]][] = [
  ['a byte changed in', (all, i) => all.with(i, { ...(all[i] as MemberForm), content: spoiled(all[i] as MemberForm) })],
  ['dropped', (all, i) => all.toSpliced(i, 1)],
  ['renamed', (all, i) => all.with(i, { ...(all[i] as MemberForm), name: `${all[i]?.name}x` })],
  ['a copy beside', (all, i) => all.toSpliced(i, 0, { ...(all[i] as MemberForm), name: `${all[i]?.name}2` })],
  ['twice', (all, i) => all.toSpliced(i, 0, all[i] as MemberForm)],
  ['outside', (all, i) => all.with(i, { ...(all[i] as MemberForm), name: `../${all[i]?.name}` })],
];

const spoiled = ({ content }: MemberForm) => {
  const copy = content.length === 0 ? Buffer.from('#') : Buffer.from(content);
  copy[copy.length - 1] = (copy.at(-1) as number) ^ 1;
  return copy;
};

function memberMutations(folder: Folder, { everywhere }: { everywhere: boolean }): Mutation[] {
  return artifacts(folder).flatMap((path) => {
    const form = archiveForm(path, folder.bytes(path));
    const count = form.members.length;
    const picks = new Set([0, Math.floor(count / 2), count - 2, count - 1]);
    return MEMBERS.flatMap(([name, change]) =>
      [...picks].map((i) => ({
        name: `${form.members[i]?.name} in ${path}: ${name}`,
        change: (one: Folder) =>
          one.replaceArtifact(
            path,
            rearchive(
              path,
              changed(form, (all) => change(all, i)),
            ),
            { everywhere },
          ),
        names: [path, path.split('/').pop() as string, String(form.members[i]?.name)],
      })),
    );
  });
}

test('one member of an artifact, the manifest made to fit', (t) =>
  allRefused(t, (folder) => memberMutations(folder, { everywhere: false })));

test('one member of a Python artifact, all digests made to fit', (t) =>
  allRefused(t, (folder) =>
    memberMutations(folder, { everywhere: true }).filter(
      // what only one artifact holds has its one witness in the digests that were made to fit
      ({ name }) =>
        name.includes(' in python/') && !/(\.gitignore|pyproject\.toml|README\.md) in .*: a byte/.test(name),
    ),
  ));

test('an artifact compressed anew, the manifest made to fit', (t) =>
  allRefused(t, (folder) =>
    artifacts(folder).map((path) => ({
      name: path,
      change: (one: Folder) => one.replaceArtifact(path, rearchive(path, archiveForm(path, one.bytes(path)))),
      names: [path],
    })),
  ));

test('the writer of these tests is not what is refused', async (t) => {
  const { folder } = await bench(t, await good(t));
  const untouched = await folder();
  for (const path of artifacts(untouched).filter((one) => /ktx_(sl|daemon)|context/.test(one))) {
    const again = await folder();
    await again.replaceArtifact(path, rearchive(path, archiveForm(path, again.bytes(path))), { everywhere: true });
    await t.notThrowsAsync(verified(again.path), path);
  }
});

const reversed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  );
};
const SAME: [name: string, rewrite: (value: unknown, text: string) => string][] = [
  ['keys in another order', (value) => JSON.stringify(reversed(value), null, 2)],
  ['no white space', (value) => JSON.stringify(value)],
  ['tabs and two lines at the end', (value) => `${JSON.stringify(value, null, '\t')}\n\n`],
  ['CRLF', (_, text) => text.replaceAll('\n', '\r\n')],
  ['escaped letters', (_, text) => text.replaceAll('python', '\\u0070ython')],
];

for (const [name, rewrite] of SAME) {
  test(`no change: ${name}`, async (t) => {
    const { folder } = await bench(t, await good(t));
    const one = await folder();
    for (const path of [MANIFEST, PROVENANCE]) {
      const text = String(one.bytes(path));
      const again = rewrite(JSON.parse(text), text);
      t.not(sha256(again), sha256(text));
      await one.write(path, again);
    }
    await t.notThrowsAsync(verified(one.path));
  });
}
