/** The proof of reproducibility: it holds for the real graph, and says what differs when it does not. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { archiveForm, type MemberForm } from '../tasks/archive-form.ts';
import { createContext } from '../tasks/context.ts';
import { firstDifference } from '../tasks/differences.ts';
import { BuildError } from '../tasks/errors.ts';
import type { Log } from '../tasks/log.ts';
import { folderDifferences, reproduce } from '../tasks/reproduce.ts';
import { checkout } from './_support/checkout.ts';
import { bench, type Good, goodRelease } from './_support/good-release.ts';
import { changed, rearchive } from './_support/rearchive.ts';
import { temporaryTree } from './_support/temporary-tree.ts';

let made: Promise<Good> | undefined;
const good = (t: ExecutionContext) => {
  made ??= goodRelease(t);
  return made;
};

test('the real graph gives the same bytes elsewhere, all but those of a wheel that was changed', async (t) => {
  const copy = await checkout(t, { git: true });
  const { code, output } = await copy.gulp(['artifacts']);
  t.is(code, 0, output);
  const wheel = join(copy.root, 'dist', 'artifacts', WHEEL);
  const form = archiveForm(WHEEL, await readFile(wheel));
  await writeFile(
    wheel,
    rearchive(
      WHEEL,
      changed(form, (all) => fields(all, { mtime: '2024-05-06 07:08:10' })),
    ),
  );
  const said: string[] = [];
  const log: Log = {
    say: (line) => said.push(line),
    warn: (line) => said.push(line),
    child: async (_, lines) => void said.push(...lines),
  };
  const error = await t.throwsAsync(reproduce(createContext(copy.root, { log })), { instanceOf: BuildError });
  t.deepEqual(
    error?.message.split('\n').filter((line) => line.startsWith('    ')),
    [
      `    ${WHEEL}: member semantic_layer/__init__.py: mtime is 2024-05-06 07:08:10 in the first, 2020-02-02 00:00:00 in the second`,
    ],
    said.join('\n'),
  );
});

const WHEEL = 'python/ktx_sl-0.1.0-py3-none-any.whl';
const SDIST = 'python/ktx_sl-0.1.0.tar.gz';
const TARBALL = 'npm/kaelio-ktx-0.1.0.tgz';

const first = (all: MemberForm[], part: Partial<MemberForm>) => [
  { ...(all[0] as MemberForm), ...part },
  ...all.slice(1),
];
const fields = (all: MemberForm[], part: object) => first(all, { fields: { ...all[0]?.fields, ...part } });

const DIFFERENCES: [file: string, name: string, change: (all: MemberForm[]) => MemberForm[], says: RegExp][] = [
  [
    WHEEL,
    'mtime',
    (all) => fields(all, { mtime: '2024-05-06 07:08:10' }),
    /: member semantic_layer\/__init__\.py: mtime is 2020-02-02 00:00:00 in the first, 2024-05-06 07:08:10 in the second$/,
  ],
  [WHEEL, 'mode', (all) => fields(all, { mode: '0100755' }), /__init__\.py: mode is 0100644 in the first, 0100755 in/],
  [
    SDIST,
    'mtime',
    (all) => fields(all, { mtime: 1 }),
    /: member ktx_sl-0\.1\.0\/.*: mtime is 1580601600 in the first, 1 in/,
  ],
  [SDIST, 'owner', (all) => fields(all, { owner: 'me' }), /: owner is {2}in the first, me in the second$/],
  [
    WHEEL,
    'content',
    (all) => first(all, { content: Buffer.concat([all[0]?.content as Buffer, Buffer.from('#')]) }),
    /__init__\.py: from offset \d+ \(line \d+\) on, \d+ and \d+ bytes long$/,
  ],
  [WHEEL, 'a member less', (all) => all.slice(1), /: member semantic_layer\/__init__\.py is only in the first$/],
  [
    WHEEL,
    'a member more',
    (all) => [{ ...(all[0] as MemberForm), name: 'a.py' }, ...all],
    /: member a\.py is only in the second$/,
  ],
  [
    WHEEL,
    'order',
    (all) => [all[1] as MemberForm, all[0] as MemberForm, ...all.slice(2)],
    /: member 1 is .*__init__\.py in the first, .* in the second$/,
  ],
  [WHEEL, 'compression', (all) => all, /compress/],
];

for (const [path, name, change, says] of DIFFERENCES) {
  test(`names the first difference: ${name} of ${path}`, async (t) => {
    const { folder } = await bench(t, await good(t));
    const [one, other] = [await folder(), await folder()];
    t.deepEqual(await folderDifferences(one.path, other.path), []);
    await other.write(path, rearchive(path, changed(archiveForm(path, one.bytes(path)), change)));
    const [said = '', ...more] = await folderDifferences(one.path, other.path);
    t.deepEqual(more, []);
    t.true(said.startsWith(`${path}: `), said);
    t.regex(said, says);
  });
}

test('names what differs inside the wheel inside the tarball', async (t) => {
  const { folder } = await bench(t, await good(t));
  const one = await folder();
  const tarball = archiveForm(TARBALL, one.bytes(TARBALL));
  const inner = changed(tarball, (all) =>
    all.map((member) => {
      if (!member.name.endsWith('.whl')) return member;
      const wheel = archiveForm(member.name, member.content);
      return {
        ...member,
        content: rearchive(
          member.name,
          changed(wheel, (list) => fields(list, { mode: '0100755' })),
        ),
      };
    }),
  );
  t.regex(
    firstDifference(TARBALL, one.bytes(TARBALL), rearchive(TARBALL, inner)) ?? '',
    /^npm\/.*tgz: member package\/assets\/python\/kaelio_ktx-.*\.whl: member ktx_daemon\/__init__\.py: mode is 0100644 /,
  );
});

test('names the key of a manifest, a file that only one has, and the offset in any other', async (t) => {
  const [a, b] = [
    await temporaryTree(t, { 'manifest.json': '{"files":[{"bytes":1}],"a":1}', old: '', text: 'one\ntwo\n' }),
    await temporaryTree(t, { 'manifest.json': '{"files":[{"bytes":2}],"a":1}', fresh: '', text: 'one\ntwO\n' }),
  ];
  t.deepEqual(await folderDifferences(a, b), [
    'fresh: it is only in the second',
    'manifest.json: files.0.bytes is 1 in the first, 2 in the second',
    'old: it is only in the first',
    'text: from offset 6 (line 2) on',
  ]);
  t.is(firstDifference('a.json', Buffer.from('{"a":1}'), Buffer.from('{"a":1}')), undefined);
  t.regex(firstDifference('a.json', Buffer.from('{"a":1}'), Buffer.from('{"a": 1}')) ?? '', /white space/);
});
