import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import test, { type ExecutionContext } from 'ava';
import { createExecutor, type Executor, type KtxError, parseProject } from '../src/index.ts';
import { temporaryTree } from './_support/tree.ts';

async function database(
  t: ExecutionContext,
  setup: string,
): Promise<{ root: string; executor: Executor; digest: () => string }> {
  const root = temporaryTree(t, { 'data.csv': 'a,b\n1,2\n' });
  const path = join(root, 'lake.duckdb');
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  await connection.run(setup);
  connection.closeSync();
  instance.closeSync();
  const [lake] = parseProject('connections:\n  lake: {driver: duckdb, path: lake.duckdb}\n', root).connections;
  const executor = await createExecutor(lake as NonNullable<typeof lake>);
  return { root, executor, digest: () => createHash('sha256').update(readFileSync(path)).digest('hex') };
}

async function failure(t: ExecutionContext, work: Promise<unknown>): Promise<KtxError> {
  return (await t.throwsAsync(work, { name: 'KtxError' })) as KtxError;
}

test('every kind of value comes back exactly', async (t) => {
  const { executor } = await database(t, "CREATE TYPE mood AS ENUM ('ok')");
  const sql = `SELECT 1::TINYINT AS i1, 9007199254740993 AS i8, 170141183460469231731687303715884105727::HUGEINT AS huge,
    1.50::DECIMAL(10,2) AS dec, 0.1::FLOAT AS f4, 0.1::DOUBLE + 0.2::DOUBLE AS f8, 'nan'::DOUBLE AS nan, true AS b,
    'größe 😀' AS s, 'ok'::mood AS e, DATE '2025-01-31' AS d, TIME '10:00:00.5' AS tm,
    TIMESTAMP '2025-01-31 10:00:00.123456' AS ts, TIMESTAMPTZ '2025-01-31 10:00:00.5+02' AS tz,
    TIMESTAMPTZ '1969-12-31 23:59:59.999999+00' AS old, TIMESTAMP_NS '2025-01-31 10:00:00.123456789' AS ns,
    '\\x00\\xFF'::BLOB AS blob, NULL AS nul, '{"n": 9007199254740993}'::JSON AS js, [1, NULL, 3] AS li,
    {'a': 9007199254740993, 'b': [0.1::FLOAT], 'c': DATE '2025-01-01'} AS st, MAP {'k': 1.50} AS ma,
    MAP {1: 'x'} AS mi, '6b1f7b3e-0c6e-4b43-9d5c-7d9b0a3f8f10'::UUID AS u`;
  const { columns, rows } = await executor.execute(sql, { maxRows: 5 });
  const found = Object.fromEntries(columns.map(({ name, encoding }, index) => [name, [encoding, rows[0]?.[index]]]));
  t.deepEqual(found, {
    i1: ['number', 1],
    i8: ['string', '9007199254740993'],
    huge: ['string', '170141183460469231731687303715884105727'],
    dec: ['string', '1.50'],
    f4: ['number', 0.1],
    f8: ['number', 0.30000000000000004],
    nan: ['number', 'NaN'],
    b: ['boolean', true],
    s: ['string', 'größe 😀'],
    e: ['string', 'ok'],
    d: ['string', '2025-01-31'],
    tm: ['string', '10:00:00.5'],
    ts: ['string', '2025-01-31T10:00:00.123456'],
    tz: ['string', '2025-01-31T08:00:00.5+00:00'],
    old: ['string', '1969-12-31T23:59:59.999999+00:00'],
    ns: ['string', '2025-01-31T10:00:00.123456789'],
    blob: ['hex', '\\x00ff'],
    nul: ['number', null],
    js: ['json', { n: '9007199254740993' }],
    li: ['json', [1, null, 3]],
    st: ['json', { a: '9007199254740993', b: [0.1], c: '2025-01-01' }],
    ma: ['json', { k: '1.50' }],
    mi: ['json', [{ key: 1, value: 'x' }]],
    u: ['string', '6b1f7b3e-0c6e-4b43-9d5c-7d9b0a3f8f10'],
  });
  t.is(columns[3]?.type, 'decimal(10,2)');
});

test('rows are capped without touching the statement, across chunks', async (t) => {
  const { executor } = await database(t, 'CREATE TABLE n AS SELECT range AS i FROM range(10000)');
  const capped = await executor.execute('SELECT i FROM n ORDER BY i', { maxRows: 5000 });
  t.is(capped.rows.length, 5000);
  t.deepEqual(capped.rows.at(-1), [4999]);
  t.true(capped.truncated);
  const whole = await executor.execute('SELECT i FROM n', { maxRows: 10000 });
  t.is(whole.rows.length, 10000);
  t.false(whole.truncated);
  t.deepEqual((await executor.execute('SELECT i FROM n WHERE false', { maxRows: 1 })).rows, []);
});

test('nothing is written and nothing outside is read, however it is tried', async (t) => {
  const { root, executor, digest } = await database(t, 'CREATE TABLE kept AS SELECT 1 AS id');
  const before = digest();
  const attempts: readonly (readonly [sql: string, code: string])[] = [
    ['DELETE FROM kept', 'not_a_query'],
    ['SELECT 1; DELETE FROM kept', 'not_a_query'],
    ["COPY kept TO 'out.csv'", 'query_failed'],
    ["ATTACH 'other.duckdb'", 'not_a_query'],
    ['SET enable_external_access = true', 'not_a_query'],
    ['INSTALL httpfs', 'not_a_query'],
    [`SELECT * FROM read_csv('${root}/data.csv')`, 'query_failed'],
    [`SELECT * FROM '${root}/data.csv'`, 'query_failed'],
    [`SELECT * FROM read_text('${root}/data.csv')`, 'query_failed'],
    ['', 'not_a_query'],
    ['SELEC 1', 'query_failed'],
  ];
  for (const [sql, code] of attempts) t.is((await failure(t, executor.execute(sql, { maxRows: 5 }))).code, code, sql);
  t.is(digest(), before);
  t.deepEqual(readdirSync(root).sort(), ['data.csv', 'lake.duckdb']);
});

test('a statement without end is interrupted at the timeout, or when the signal says so', async (t) => {
  const { executor } = await database(t, 'SELECT 1');
  const endless = 'WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT (i + 1) % 1000 FROM r) SELECT count(*) FROM r';
  t.is((await failure(t, executor.execute(endless, { maxRows: 1, timeoutMs: 500 }))).code, 'timeout');
  const controller = new AbortController();
  const reason = new Error('interrupted');
  setTimeout(() => controller.abort(reason), 300);
  t.is(await t.throwsAsync(executor.execute(endless, { maxRows: 1, signal: controller.signal })), reason);
});

test('a file that is missing or something else says so', async (t) => {
  const root = temporaryTree(t, { 'notes.txt': 'no database'.repeat(1000) });
  for (const [path, message] of [
    ['nowhere.duckdb', /no database file/],
    ['notes.txt', /cannot open/],
  ] as const) {
    const [lake] = parseProject(`connections:\n  lake: {driver: duckdb, path: ${path}}\n`, root).connections;
    const error = await failure(t, (await createExecutor(lake as NonNullable<typeof lake>)).probe());
    t.is(error.code, 'connection_failed');
    t.regex(error.message, message);
  }
});

test('tables, keys and foreign keys are described', async (t) => {
  const { executor } = await database(
    t,
    `CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL);
     COMMENT ON TABLE customers IS 'Who buys'; COMMENT ON COLUMN customers.name IS 'Full name';
     CREATE TABLE profiles (customer_id INTEGER PRIMARY KEY REFERENCES customers (id), bio VARCHAR);
     CREATE TABLE lines (a INTEGER, b INTEGER, PRIMARY KEY (b, a));
     CREATE TABLE parts (id INTEGER PRIMARY KEY, la INTEGER, lb INTEGER, FOREIGN KEY (lb, la) REFERENCES lines (b, a));
     CREATE SCHEMA web; CREATE TABLE web.visits (page VARCHAR, seen TIMESTAMPTZ); CREATE VIEW v AS SELECT 1`,
  );
  t.snapshot(await executor.describe?.());
  const web = await executor.describe?.({ schemas: ['web'] });
  t.deepEqual(
    web?.tables.map(({ db, name }) => [db, name]),
    [['web', 'visits']],
  );
});

test('the server version is told', async (t) => {
  const { executor } = await database(t, 'SELECT 1');
  t.regex((await executor.probe()).serverVersion, /^DuckDB v/);
});
