import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { createExecutor, createOneShotCompute, type Executor, type KtxError, parseProject } from '../src/index.ts';
import { needsPython, workspaceLaunch } from './_support/python.ts';
import { temporaryTree } from './_support/tree.ts';

const { DatabaseSync } = process.getBuiltinModule('node:sqlite');

const SETUP = `
  CREATE TABLE t (id INTEGER PRIMARY KEY, big INT, x REAL, s TEXT, b BLOB, d DATE, any);
  INSERT INTO t VALUES
    (1, 9223372036854775807, 0.1, 'größe 😀', x'00ff', '2025-01-31', 1),
    (2, -5, 9e999, NULL, NULL, NULL, 'text'),
    (3, NULL, 1e300, '', x'', '2025-02-01', NULL);`;

async function database(
  t: ExecutionContext,
  setup = SETUP,
): Promise<{ root: string; path: string; executor: Executor; digest: () => string }> {
  const root = temporaryTree(t);
  const path = join(root, 'dir with spaces é.db');
  const db = new DatabaseSync(path);
  db.exec(setup);
  db.close();
  const [connection] = parseProject(
    `connections:\n  lite: {driver: sqlite, path: ${JSON.stringify('dir with spaces é.db')}}\n`,
    root,
  ).connections;
  const executor = await createExecutor(connection as NonNullable<typeof connection>);
  return { root, path, executor, digest: () => createHash('sha256').update(readFileSync(path)).digest('hex') };
}

async function failure(t: ExecutionContext, work: Promise<unknown>): Promise<KtxError> {
  return (await t.throwsAsync(work, { name: 'KtxError' })) as KtxError;
}

test('every kind of value comes back exactly', async (t) => {
  const { executor } = await database(t);
  const { columns, rows, truncated } = await executor.execute('SELECT *, id * 1.5 AS f FROM t ORDER BY id', {
    maxRows: 10,
  });
  t.false(truncated);
  t.deepEqual(rows, [
    [1, '9223372036854775807', 0.1, 'größe 😀', '\\x00ff', '2025-01-31', 1, 1.5],
    [2, '-5', 'Infinity', null, null, null, 'text', 3],
    [3, null, 1e300, '', '\\x', '2025-02-01', null, 4.5],
  ]);
  t.deepEqual(
    columns.map(({ name, type, encoding }) => [name, type, encoding]),
    [
      ['id', 'integer', 'number'],
      ['big', 'int', 'string'],
      ['x', 'real', 'number'],
      ['s', 'text', 'string'],
      ['b', 'blob', 'hex'],
      ['d', 'date', 'string'],
      ['any', 'any', 'mixed'],
      ['f', 'real', 'number'],
    ],
  );
});

test('integers are numbers up to 2^53-1, and a column of strings beyond', async (t) => {
  const { executor } = await database(t);
  const sql = 'SELECT * FROM (SELECT 9007199254740991 AS fits, 9007199254740992 AS wide UNION ALL SELECT -1, -1)';
  const { rows, columns } = await executor.execute(sql, { maxRows: 10 });
  t.deepEqual(rows, [
    [9007199254740991, '9007199254740992'],
    [-1, '-1'],
  ]);
  t.deepEqual(
    columns.map(({ encoding }) => encoding),
    ['number', 'string'],
  );
});

test('rows are capped without touching the statement', async (t) => {
  const { executor } = await database(t);
  const two = await executor.execute('SELECT id FROM t ORDER BY id', { maxRows: 2 });
  t.deepEqual(two.rows, [[1], [2]]);
  t.true(two.truncated);
  const three = await executor.execute('SELECT id FROM t ORDER BY id; -- done', { maxRows: 3 });
  t.is(three.rows.length, 3);
  t.false(three.truncated);
});

const WRITES: readonly (readonly [sql: string, code: string])[] = [
  ['DELETE FROM t', 'not_a_query'],
  ['INSERT INTO t (id) VALUES (9) RETURNING id', 'not_a_query'],
  ['WITH x AS (SELECT 1) DELETE FROM t RETURNING id', 'query_failed'],
  ["ATTACH 'other.db' AS o", 'not_a_query'],
  ["VACUUM INTO 'copy.db'", 'not_a_query'],
  ['PRAGMA user_version = 7', 'not_a_query'],
  ['PRAGMA user_version', 'not_a_query'],
  ['SELECT 1; DELETE FROM t', 'not_a_query'],
  ["SELECT 1; ATTACH 'other.db' AS o", 'not_a_query'],
  ['SELECT 1 /* ; */ ; /* x */ SELECT 2', 'not_a_query'],
  ['EXPLAIN SELECT 1', 'not_a_query'],
  ["SELECT load_extension('x')", 'query_failed'],
  ["SELECT writefile('x', 'y')", 'query_failed'],
  ['', 'not_a_query'],
];

test('nothing is written, however it is tried', async (t) => {
  const { root, executor, digest } = await database(t);
  const before = digest();
  for (const [sql, code] of WRITES) t.is((await failure(t, executor.execute(sql, { maxRows: 5 }))).code, code, sql);
  t.is(digest(), before);
  t.deepEqual(readdirSync(root), ['dir with spaces é.db']);
});

test("the daemon's gate refuses the same before anything is sent", async (t) => {
  if (!needsPython(t, 'ktx_daemon.oneshot')) return;
  const compute = createOneShotCompute(workspaceLaunch());
  for (const sql of [
    'DELETE FROM t',
    "ATTACH 'o' AS o",
    'PRAGMA user_version',
    'SELECT 1; DELETE FROM t',
    "SELECT load_extension('x')",
  ]) {
    const { ok, error } = await compute.validateReadOnly({ dialect: 'sqlite', sql });
    t.false(ok, sql);
    t.truthy(error, sql);
  }
  t.deepEqual(await compute.validateReadOnly({ dialect: 'sqlite', sql: 'SELECT 1; -- ok' }), { ok: true, error: null });
});

test('a statement without end is killed at the timeout, or when the signal says so', async (t) => {
  const { executor } = await database(t);
  const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';
  t.is((await failure(t, executor.execute(endless, { maxRows: 1, timeoutMs: 800 }))).code, 'timeout');
  const controller = new AbortController();
  const reason = new Error('interrupted');
  setTimeout(() => controller.abort(reason), 300);
  t.is(await t.throwsAsync(executor.execute(endless, { maxRows: 1, signal: controller.signal })), reason);
});

test('a missing file, a directory and a text file are told apart', async (t) => {
  const root = temporaryTree(t, { 'notes.txt': 'not a database, but long enough to look like a header'.repeat(40) });
  const probe = async (path: string): Promise<KtxError> => {
    const [connection] = parseProject(`connections:\n  lite: {driver: sqlite, path: ${path}}\n`, root).connections;
    return failure(t, (await createExecutor(connection as NonNullable<typeof connection>)).probe());
  };
  t.regex((await probe('nowhere.db')).message, /no database file .*nowhere\.db/);
  t.regex((await probe('.')).message, /no database file/);
  t.regex((await probe('notes.txt')).message, /file is not a database/);
});

test('tables, keys and foreign keys are described', async (t) => {
  const { executor } = await database(
    t,
    `CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
     CREATE TABLE profiles (customer_id INTEGER PRIMARY KEY REFERENCES customers, bio);
     CREATE TABLE lines (a INT, b INT, PRIMARY KEY (b, a));
     CREATE TABLE parts (id INTEGER PRIMARY KEY, la INT, lb INT, up INT REFERENCES parts (id), gone INT REFERENCES nowhere,
       FOREIGN KEY (lb, la) REFERENCES lines);
     CREATE VIEW v AS SELECT 1; CREATE TABLE "odd name" ("a b" TEXT UNIQUE REFERENCES customers (name));`,
  );
  const structure = await executor.describe?.();
  t.snapshot(structure);
});
