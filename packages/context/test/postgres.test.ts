import { randomBytes } from 'node:crypto';
import { connect, createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { Client } from 'pg';
import { createExecutor, type Executor, type KtxError, parseProject } from '../src/index.ts';
import { asOwner, type Server, startPostgres } from './_support/postgres.ts';

let server: Server | string;

test.before(async () => {
  server = await startPostgres();
  if (typeof server === 'string' && process.env.CI) throw new Error(server);
});
test.after.always(async () => {
  if (typeof server === 'object') await server.stop();
});

/** An empty database of the test's own; undefined, and a note, without a server. */
async function database(t: ExecutionContext, setup = ''): Promise<string | undefined> {
  if (typeof server === 'string') {
    t.log(`skipped: ${server}`);
    t.pass();
    return undefined;
  }
  const name = `t_${randomBytes(6).toString('hex')}`;
  await asOwner(server.url, `CREATE DATABASE ${name}`);
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  if (setup !== '') await asOwner(url.href, setup);
  return url.href;
}

function executor(url: string): Promise<Executor> {
  const [connection] = parseProject('connections:\n  pg: {driver: postgres, url: "env:URL"}\n', '/p').connections;
  return createExecutor(connection as NonNullable<typeof connection>, { env: { URL: url } });
}

async function failure(t: ExecutionContext, work: Promise<unknown>): Promise<KtxError> {
  return (await t.throwsAsync(work, { name: 'KtxError' })) as KtxError;
}

test('every kind of value comes back exactly', async (t) => {
  const url = await database(
    t,
    `CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN positive AS int CHECK (value > 0);
     DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET DateStyle = German', current_database()); END $$`,
  );
  if (url === undefined) return;
  const sql = `SELECT 1::int2 AS i2, 9007199254740993::int8 AS i8, 3::positive AS dom,
    1.50::numeric(10,2) AS dec, 'NaN'::numeric AS dnan, 0.1::float4 AS f4, 0.1::float8 + 0.2 AS f8, '-Infinity'::float8 AS inf,
    true AS b, 'größe 😀' AS s, 'ok'::mood AS e, DATE '2025-01-31' AS d, TIME '10:00:00.5' AS tm,
    TIMESTAMP '2025-01-31 10:00:00.123456' AS ts, TIMESTAMPTZ '2025-01-31 10:00:00+02' AS tz,
    interval '1 day 2 hours' AS iv, '\\x00ff'::bytea AS blob, NULL::text AS nul,
    '{"n": 9007199254740993, "f": 0.5}'::jsonb AS js, ARRAY[1, NULL, 3] AS ia, ARRAY['a,b', 'c"d', NULL, 'NULL'] AS ta,
    ARRAY[[1, 2], [3, 4]] AS m, '6b1f7b3e-0c6e-4b43-9d5c-7d9b0a3f8f10'::uuid AS u`;
  const { columns, rows, truncated } = await (await executor(url)).execute(sql, { maxRows: 5 });
  t.false(truncated);
  const found = Object.fromEntries(
    columns.map(({ name, type, encoding }, index) => [name, [type, encoding, rows[0]?.[index]]]),
  );
  t.deepEqual(found, {
    i2: ['smallint', 'number', 1],
    i8: ['bigint', 'string', '9007199254740993'],
    dom: ['integer', 'number', 3],
    dec: ['numeric(10,2)', 'string', '1.50'],
    dnan: ['numeric', 'string', 'NaN'],
    f4: ['real', 'number', 0.1],
    f8: ['double precision', 'number', 0.30000000000000004],
    inf: ['double precision', 'number', '-Infinity'],
    b: ['boolean', 'boolean', true],
    s: ['text', 'string', 'größe 😀'],
    e: ['mood', 'string', 'ok'],
    d: ['date', 'string', '2025-01-31'],
    tm: ['time without time zone', 'string', '10:00:00.5'],
    ts: ['timestamp without time zone', 'string', '2025-01-31T10:00:00.123456'],
    tz: ['timestamp with time zone', 'string', '2025-01-31T08:00:00+00:00'],
    iv: ['interval', 'string', 'P1DT2H'],
    blob: ['bytea', 'hex', '\\x00ff'],
    nul: ['text', 'string', null],
    js: ['jsonb', 'json', { f: 0.5, n: '9007199254740993' }],
    ia: ['integer[]', 'json', [1, null, 3]],
    ta: ['text[]', 'json', ['a,b', 'c"d', null, 'NULL']],
    m: [
      'integer[]',
      'json',
      [
        [1, 2],
        [3, 4],
      ],
    ],
    u: ['uuid', 'string', '6b1f7b3e-0c6e-4b43-9d5c-7d9b0a3f8f10'],
  });
});

test('one wide integer makes its whole column strings, and only that one', async (t) => {
  const url = await database(t);
  if (url === undefined) return;
  const sql = 'SELECT * FROM (VALUES (1::int8, 1::int8), (9223372036854775807, 2), (NULL, NULL)) AS v(wide, small)';
  const { columns, rows } = await (await executor(url)).execute(sql, { maxRows: 10 });
  t.deepEqual(rows, [
    ['1', 1],
    ['9223372036854775807', 2],
    [null, null],
  ]);
  t.deepEqual(
    columns.map(({ encoding }) => encoding),
    ['string', 'number'],
  );
});

test('rows are capped without touching the statement', async (t) => {
  const url = await database(t);
  if (url === undefined) return;
  const run = async (maxRows: number) =>
    (await executor(url)).execute('SELECT n FROM generate_series(1, 2500) AS n ORDER BY n', { maxRows });
  const capped = await run(2499);
  t.is(capped.rows.length, 2499);
  t.true(capped.truncated);
  const whole = await run(2500);
  t.is(whole.rows.length, 2500);
  t.false(whole.truncated);
  t.is(whole.rows.at(-1)?.[0], 2500);
  const none = await (await executor(url)).execute('SELECT 1 AS n WHERE false', { maxRows: 1 });
  t.deepEqual(none.rows, []);
  t.is(none.columns[0]?.name, 'n');
});

test('nothing is written, however it is tried', async (t) => {
  const url = await database(t, 'CREATE TABLE kept (id int); INSERT INTO kept VALUES (1); CREATE SEQUENCE s');
  if (url === undefined) return;
  const before = await count(url);
  const attempts = [
    'INSERT INTO kept VALUES (2) RETURNING id',
    'WITH gone AS (DELETE FROM kept RETURNING id) SELECT * FROM gone',
    "SELECT nextval('s')",
    'SELECT 1; DELETE FROM kept',
    'SELECT 1; COMMIT; DELETE FROM kept',
    'CREATE TABLE new AS SELECT 1',
    'DROP TABLE kept',
  ];
  for (const sql of attempts) {
    const error = await failure(t, (await executor(url)).execute(sql, { maxRows: 10 }));
    t.is(error.code, 'query_failed', sql);
  }
  t.deepEqual(await count(url), before);
});

async function count(url: string): Promise<unknown> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(
    "SELECT (SELECT array_agg(id) FROM kept) AS ids, (SELECT last_value FROM s) AS seq, (SELECT count(*) FROM pg_class WHERE relname = 'new') AS made",
  );
  await client.end();
  return rows;
}

test('a statement that takes too long ends, on the server too', async (t) => {
  const url = await database(t);
  if (url === undefined) return;
  const error = await failure(t, (await executor(url)).execute('SELECT pg_sleep(30)', { maxRows: 1, timeoutMs: 400 }));
  t.is(error.code, 'timeout');
  const controller = new AbortController();
  const reason = new Error('interrupted');
  setTimeout(() => controller.abort(reason), 300);
  const pending = (await executor(url)).execute('SELECT pg_sleep(5)', { maxRows: 1, signal: controller.signal });
  t.is(await t.throwsAsync(pending), reason);
});

test('a refused statement keeps the words and the code of the server', async (t) => {
  const url = await database(t);
  if (url === undefined) return;
  const error = await failure(t, (await executor(url)).execute('SELECT nope FROM nowhere', { maxRows: 1 }));
  t.is(error.code, 'query_failed');
  t.regex(error.message, /relation "nowhere" does not exist \(SQLSTATE 42P01\)/);
});

test('the server version is told', async (t) => {
  const url = await database(t);
  if (url === undefined) return;
  t.regex((await (await executor(url)).probe()).serverVersion, /^PostgreSQL \d+/);
});

test('wrong credentials, databases, ports and silent servers are told apart, without the password', async (t) => {
  const url = await database(t);
  if (url === undefined) return;
  const changed = (change: (one: URL) => void): string => {
    const one = new URL(url);
    change(one);
    return one.href;
  };
  const cases: readonly [string, RegExp][] = [
    [
      changed((one) => {
        one.password = 'hunter2';
      }),
      /password authentication failed/,
    ],
    [
      changed((one) => {
        one.pathname = '/nowhere';
      }),
      /database "nowhere" does not exist/,
    ],
    [
      changed((one) => {
        one.port = '1';
      }),
      /ECONNREFUSED/,
    ],
    [
      changed((one) => {
        one.search = '?sslmode=require';
      }),
      /SSL/,
    ],
  ];
  for (const [address, message] of cases) {
    const error = await failure(t, (await executor(address)).probe());
    t.is(error.code, 'connection_failed');
    t.regex(error.message, message);
    t.notRegex(`${error.message}${error.hint}${JSON.stringify(error.details)}`, /hunter2|p@ss/);
  }
});

test('a port that accepts and says nothing fails within the connect time', async (t) => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => silent.close());
  const { port } = silent.address() as { port: number };
  const error = await failure(
    t,
    (await executor(`postgresql://u:hunter2@127.0.0.1:${port}/d?sslmode=disable`)).probe(),
  );
  t.is(error.code, 'connection_failed');
  t.regex(error.message, /no answer within 5 s/);
});

test('a server that goes silent in the middle is a timeout', async (t) => {
  const url = await database(t);
  if (url === undefined) return;
  const target = new URL(url);
  // Passes everything on until the statement comes, then nothing comes back.
  const proxy = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    let deaf = false;
    near.on('data', (chunk) => {
      deaf ||= chunk.includes('SELECT 7');
      far.write(chunk);
    });
    far.on('data', (chunk) => {
      if (!deaf) near.write(chunk);
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => {});
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  t.teardown(() => proxy.close());
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.port = String((proxy.address() as { port: number }).port);
  const error = await failure(t, (await executor(through.href)).execute('SELECT 7', { maxRows: 1, timeoutMs: 500 }));
  t.is(error.code, 'timeout');
});

for (const [name, url] of [
  ['no URL', 'host=localhost password=hunter2'],
  ['another scheme', 'mysql://u:hunter2@h/d'],
  ['no host', 'postgresql:///d?password=hunter2'],
  ['no user', 'postgresql://h/d'],
  ['a bad sslmode', 'postgresql://u:hunter2@h/d?sslmode=maybe'],
  ['a bare percent', 'postgresql://u:hunter2%@h/d'],
] as const) {
  test(`an address with ${name} is refused without showing it`, async (t) => {
    const error = await failure(t, (await executor(url)).probe());
    t.is(error.code, 'invalid_connection');
    t.notRegex(`${error.message}${error.hint}`, /hunter2/);
  });
}
