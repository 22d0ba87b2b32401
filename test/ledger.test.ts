import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import {
  hashTree,
  type Ledger,
  LedgerBuilder,
  parseLedger,
  safePath,
  serializeLedger,
  treeDigest,
  unsafePathReason,
} from '../tasks/ledger.ts';
import { plant, temporaryTree } from './_support/temporary-tree.ts';

const sha = (text: string) => createHash('sha256').update(text).digest('hex');

function ledgerOf(files: Record<string, string>): Ledger {
  const builder = new LedgerBuilder();
  for (const [path, text] of Object.entries(files)) builder.add(path, Buffer.byteLength(text), sha(text));
  return builder.build();
}

const FILES = { 'b.py': 'b', 'a/z.py': '', 'a.py': 'aa', 'Z.py': 'Z', 'é.py': 'e' };
const SORTED = ['Z.py', 'a.py', 'a/z.py', 'b.py', 'é.py'];

test('a ledger lists its paths by code unit, in whatever order they came', (t) => {
  t.deepEqual([...ledgerOf(FILES).keys()], SORTED);
  const reversed = Object.fromEntries(Object.entries(FILES).reverse());
  t.is(treeDigest(ledgerOf(reversed)), treeDigest(ledgerOf(FILES)));
});

test('a ledger is a map', (t) => {
  const ledger = ledgerOf(FILES);
  const map = new Map(ledger);
  t.is(ledger.size, 5);
  t.deepEqual(ledger.get('a.py'), { bytes: 2, sha256: sha('aa') });
  t.is(ledger.get('nowhere.py'), undefined);
  t.true(ledger.has('a/z.py'));
  t.false(ledger.has('a'));
  t.deepEqual([...ledger.values()], [...map.values()]);
  const seen: string[] = [];
  ledger.forEach((entry, path, all) => {
    t.is(all, ledger);
    seen.push(`${path} ${entry.bytes}`);
  });
  t.is(seen.length, 5);
  t.is(treeDigest(map), treeDigest(ledger));
  t.is(treeDigest(new Map([...map].reverse())), treeDigest(ledger));
});

test('a ledger of many files finds each of them', (t) => {
  const builder = new LedgerBuilder();
  for (let i = 0; i < 5000; i++) builder.add(`p${i % 7}/m${i}.py`, i, sha(String(i)));
  const ledger = builder.build();
  for (let i = 0; i < 5000; i++) t.deepEqual(ledger.get(`p${i % 7}/m${i}.py`), { bytes: i, sha256: sha(String(i)) });
});

test('the digest of a tree is the sha256 of its canonical text', (t) => {
  t.is(treeDigest(ledgerOf(FILES)), sha(serializeLedger(ledgerOf(FILES))));
  t.snapshot(serializeLedger(ledgerOf(FILES)));
  t.snapshot(serializeLedger(new Map()));
});

test('the digest changes with a path, a size and a hash', (t) => {
  const entry = { bytes: 1, sha256: sha('a') };
  const digests = [
    new Map([['a.py', entry]]),
    new Map([['b.py', entry]]),
    new Map([['a.py', { ...entry, bytes: 2 }]]),
    new Map([['a.py', { ...entry, sha256: sha('b') }]]),
    new Map(),
  ].map(treeDigest);
  t.is(new Set(digests).size, digests.length);
});

test('a ledger survives writing and reading', (t) => {
  const text = serializeLedger(ledgerOf(FILES));
  t.is(serializeLedger(parseLedger(text)), text);
  t.is(parseLedger(serializeLedger(new Map())).size, 0);
});

const row = (change: object) => ({ path: 'a.py', bytes: 1, sha256: sha('a'), ...change });
const file = (...files: unknown[]) => JSON.stringify({ schemaVersion: 1, files });

for (const [what, text, message] of [
  ['text that is not JSON', '{', /dist\/ledger\.json is not JSON/],
  ['a list', '[]', /is not a ledger/],
  ['an unknown key', '{"schemaVersion":1,"files":[],"more":1}', /is not a ledger/],
  ['another schema', '{"schemaVersion":2,"files":[]}', /schema version 2, not 1/],
  ['files that are no list', '{"schemaVersion":1,"files":{}}', /no list of files/],
  ['a file without a size', file({ path: 'a.py', sha256: sha('a') }), /exactly path, bytes and sha256/],
  ['a path that is a number', file(row({ path: 7 })), /not a string/],
  ['a negative size', file(row({ bytes: -1 })), /bad size for a\.py/],
  ['a fractional size', file(row({ bytes: 1.5 })), /bad size for a\.py/],
  ['a hash in capitals', file(row({ sha256: sha('a').toUpperCase() })), /bad sha256 for a\.py/],
  ['a short hash', file(row({ sha256: 'ab' })), /bad sha256 for a\.py/],
  ['a path listed twice', file(row({}), row({})), /lists a\.py twice/],
  ['paths out of order', file(row({ path: 'b.py' }), row({})), /lists a\.py out of order/],
  ['a path that leaves the tree', file(row({ path: '../a.py' })), /"\.\.\/a\.py" has a segment \.\./],
] as const) {
  test(`a ledger is refused for ${what}`, (t) => {
    t.throws(() => parseLedger(text, 'dist/ledger.json'), { name: 'BuildError', message });
  });
}

for (const [path, reason] of [
  ['', 'is empty'],
  ['/etc/passwd', 'is absolute'],
  ['../a', 'has a segment ..'],
  ['a/../b', 'has a segment ..'],
  ['a/..', 'has a segment ..'],
  ['./a', 'has a segment .'],
  ['a//b', 'has an empty segment'],
  ['a/', 'has an empty segment'],
  ['a\\b', 'holds a backslash'],
  ['C:/a', 'names a drive'],
  ['c:a', 'names a drive'],
  ['a\0b', 'holds a NUL character'],
] as const) {
  test(`the path ${JSON.stringify(path)} ${reason}`, (t) => {
    t.is(unsafePathReason(path), reason);
    t.throws(() => safePath(path), { code: 'UnsafePath' });
    t.throws(() => serializeLedger(new Map([[path, { bytes: 0, sha256: sha('') }]])), { code: 'UnsafePath' });
  });
}

test('paths that stay inside are safe', (t) => {
  for (const path of ['a', 'a/b.py', '..a/b..', '...', 'a b', 'é', '.hidden']) t.is(safePath(path), path);
});

test('a tree on disk is hashed as it lies there', async (t) => {
  const big = Buffer.alloc(700_001, 'x');
  const root = await temporaryTree(t, { 'a/b.py': 'b', 'a.py': '', 'big.bin': big, empty: null });
  const ledger = await hashTree(root);
  t.deepEqual(
    [...ledger],
    [
      ['a.py', { bytes: 0, sha256: sha('') }],
      ['a/b.py', { bytes: 1, sha256: sha('b') }],
      ['big.bin', { bytes: big.length, sha256: createHash('sha256').update(big).digest('hex') }],
    ],
  );
  await writeFile(join(root, 'a.py'), ' ');
  t.not(treeDigest(await hashTree(root)), treeDigest(ledger));
  await plant(root, { 'a/link.py': { link: 'b.py' } });
  await t.throwsAsync(hashTree(root), { code: 'NotRegular', message: /a\/link\.py is not a regular file/ });
});
