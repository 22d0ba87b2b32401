/** The commands on real databases with the real daemon: generate, query, run, and change nothing. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import test, { type ExecutionContext } from 'ava';
import { asOwner, type Server, startPostgres } from '../../context/test/_support/postgres.ts';
import { type Daemon, needsDaemon, startDaemon } from './_support/daemon.ts';
import { type Sandbox, sandbox } from './_support/project.ts';

const { DatabaseSync } = process.getBuiltinModule('node:sqlite');

let daemon: Daemon | string;
let server: Server | string;
test.before(async () => {
  daemon = await startDaemon();
  server = typeof daemon === 'string' ? 'no daemon' : await startPostgres();
  if (typeof server === 'string' && process.env.CI) throw new Error(server);
});
test.after.always(async () => {
  if (typeof daemon === 'object') daemon.stop();
  if (typeof server === 'object') await server.stop();
});

const modules = fileURLToPath(new URL('../../../node_modules', import.meta.url));

const SCHEMA = `
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, joined DATE);
  CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers (id), amount DECIMAL(12, 2), big BIGINT);
  INSERT INTO customers VALUES (1, 'Ada', '2025-01-31'), (2, 'Größe 😀', NULL);
  INSERT INTO orders VALUES (1, 1, 1.50, 9007199254740993), (2, 1, 2.25, 1), (3, 2, NULL, NULL);`;

interface Made {
  readonly connection: string;
  readonly env?: Readonly<Record<string, string>>;
}

const DATABASES: Readonly<Record<string, (box: Sandbox) => Promise<Made | string>>> = {
  sqlite: async ({ dir }) => {
    new DatabaseSync(join(dir, 'shop.db')).exec(SCHEMA);
    return { connection: '{driver: sqlite, path: shop.db}' };
  },
  duckdb: async ({ dir }) => {
    const instance = await DuckDBInstance.create(join(dir, 'shop.duckdb'));
    const connection = await instance.connect();
    await connection.run(SCHEMA);
    connection.closeSync();
    instance.closeSync();
    // As `npm i @duckdb/node-api` in the project would leave it.
    mkdirSync(join(dir, 'node_modules'));
    symlinkSync(join(modules, '@duckdb'), join(dir, 'node_modules/@duckdb'));
    return { connection: '{driver: duckdb, path: shop.duckdb}' };
  },
  postgres: async () => {
    if (typeof server === 'string') return server;
    const name = `t_${randomBytes(6).toString('hex')}`;
    await asOwner(server.url, `CREATE DATABASE ${name}`);
    const url = new URL(server.url);
    url.pathname = `/${name}`;
    await asOwner(url.href, SCHEMA);
    return { connection: '{driver: postgres, url: "env:SHOP_URL"}', env: { SHOP_URL: url.href } };
  },
};

async function project(
  t: ExecutionContext,
  driver: string,
): Promise<(Sandbox & { env: Record<string, string> }) | undefined> {
  const running = daemon;
  if (!needsDaemon(t, running)) return undefined;
  const box = sandbox(t);
  const made = await (DATABASES[driver] as (box: Sandbox) => Promise<Made | string>)(box);
  if (typeof made === 'string') {
    t.log(`skipped: ${made}`);
    t.pass();
    return undefined;
  }
  writeFileSync(join(box.dir, 'ktx.yaml'), `connections:\n  shop: ${made.connection}\n`);
  return { ...box, env: { ...running.env, ...made.env } };
}

for (const driver of Object.keys(DATABASES)) {
  test(`${driver}: sources are generated, validate, and answer exactly`, async (t) => {
    const box = await project(t, driver);
    if (box === undefined) return;
    const { dir, env, ktx, json } = box;
    const dry = await ktx(['sl', 'generate', '--dry-run'], { env });
    t.is(dry.code, 0, dry.stderr);
    t.regex(dry.stdout, /would write semantic-layer\/shop\/customers\.yaml/);
    t.false(readdirSync(dir).includes('semantic-layer'));
    const made = await ktx(['sl', 'generate'], { env });
    t.is(made.code, 0, made.stderr);
    t.deepEqual(readdirSync(join(dir, 'semantic-layer/shop')), ['customers.yaml', 'orders.yaml']);
    const valid = await ktx(['sl', 'validate'], { env });
    t.is(valid.code, 0, valid.stderr);
    t.is(valid.stdout, 'valid: 2 sources of shop\n');
    const query = ['sl', 'query', '--measure', 'sum(orders.amount)', '--measure', 'orders.record_count'];
    const by = ['--dimension', 'customers.name', '--order-by', 'customers.name', '--execute'];
    const table = await ktx([...query, ...by, '--format', 'csv'], { env });
    t.is(table.code, 0, table.stderr);
    const [, ...rows] = table.stdout.trimEnd().split('\r\n');
    t.deepEqual(rows, ['Ada,3.75,2', 'Größe 😀,,1']);
    const { document, ran } = await json(['sl', 'query', '--measure', 'max(orders.big)', '--execute'], { env });
    t.is(ran.code, 0, ran.stderr);
    t.like(document, { rows: [['9007199254740993']], totalRows: 1, truncated: false });
    t.like(document, {
      columns: [{ encoding: 'string' }],
      plan: { execution: { mode: 'executed', driver, maxRows: 1000, rowCount: 1 } },
    });
    const tested = await ktx(['connection', 'test', 'shop'], { env });
    t.regex(tested.stdout, /^shop: (SQLite|DuckDB v|PostgreSQL )\S* ?\d.*, \d+ ms\n$/);
  });

  test(`${driver}: files of people are kept unless forced`, async (t) => {
    const box = await project(t, driver);
    if (box === undefined) return;
    const { dir, env, ktx, json } = box;
    const mine = join(dir, 'semantic-layer/shop/orders.yaml');
    mkdirSync(join(dir, 'semantic-layer/shop'), { recursive: true });
    writeFileSync(mine, '# mine\n');
    const { document } = await json(['sl', 'generate', '--table', 'ord*', '--table', 'cust?mers'], { env });
    t.like(document, {
      data: {
        written: ['semantic-layer/shop/customers.yaml'],
        kept: ['semantic-layer/shop/orders.yaml'],
        dryRun: false,
      },
    });
    t.is(readFileSync(mine, 'utf8'), '# mine\n');
    const forced = await ktx(['sl', 'generate', '--force', '--table', 'orders'], { env });
    t.regex(forced.stdout, /replaced semantic-layer\/shop\/orders\.yaml/);
    t.regex(readFileSync(mine, 'utf8'), /name: orders/);
    const none = await ktx(['sl', 'generate', '--table', 'nope*'], { env });
    t.is(none.code, 1);
    t.regex(none.stderr, /matches[\s\S]*customers/);
  });

  test(`${driver}: no flag of a query changes the database`, async (t) => {
    const box = await project(t, driver);
    if (box === undefined) return;
    const { dir, env, ktx } = box;
    t.is((await ktx(['sl', 'generate'], { env })).code, 0);
    const before = digests(dir);
    const attempts = [
      ['--filter', 'orders.id = 1; DELETE FROM orders'],
      ['--filter', 'orders.id = 1) UNION SELECT 1 --'],
      ['--filter', 'orders.id IN (SELECT 1)'],
      ['--filter', "load_extension('x') IS NULL"],
      ['--filter', 'pg_sleep(1) IS NULL'],
      ['--segment', "orders.x; ATTACH 'y' AS z"],
      ['--dimension', 'customers.name; PRAGMA user_version = 7'],
      ['--order-by', 'orders.record_count; DROP TABLE orders'],
    ];
    for (const attempt of attempts) {
      const ran = await ktx(['sl', 'query', '--measure', 'orders.record_count', ...attempt, '--execute'], { env });
      t.is(ran.code, 1, attempt.join(' '));
      t.is(ran.stdout, '', attempt.join(' '));
      t.is(ran.stderr.split('\n')[0]?.startsWith('error: '), true, ran.stderr);
    }
    t.deepEqual(digests(dir), before);
    const after = await ktx(['sl', 'query', '--measure', 'orders.record_count', '--execute', '--format', 'csv'], {
      env,
    });
    t.is(after.stdout, 'orders.record_count\r\n3\r\n');
  });

  test(`${driver}: rows end at --max-rows, and it is said`, async (t) => {
    const box = await project(t, driver);
    if (box === undefined) return;
    const { env, ktx, json } = box;
    t.is((await ktx(['sl', 'generate'], { env })).code, 0);
    const query = ['sl', 'query', '--measure', 'orders.record_count', '--dimension', 'orders.id', '--execute'];
    const { document } = await json([...query, '--max-rows', '2'], { env });
    t.like(document, { totalRows: 2, truncated: true });
    const csv = await ktx([...query, '--max-rows', '2', '--format', 'csv'], { env });
    t.regex(csv.stderr, /2 rows shown, there are more: raise --max-rows/);
    const whole = await json([...query, '--max-rows', '3'], { env });
    t.like(whole.document, { totalRows: 3, truncated: false });
  });
}

const ODD_NAMES = `
  CREATE SCHEMA "Sales";
  CREATE TABLE orders (id INTEGER PRIMARY KEY, n INTEGER);
  CREATE TABLE "Orders" ("Id" INTEGER PRIMARY KEY, "Placed On" DATE, status TEXT);
  CREATE TABLE "Sales"."Orders" ("Id" INTEGER PRIMARY KEY);
  CREATE TABLE "Order Items" (id INTEGER PRIMARY KEY, "Order" INTEGER REFERENCES "Orders" ("Id"), "Unit Price" NUMERIC(10, 2));
  CREATE TABLE "order" (id INTEGER PRIMARY KEY, "group" TEXT);
  CREATE TABLE _log (id INTEGER PRIMARY KEY, at TIMESTAMP);
  CREATE TABLE "Größe" (id INTEGER PRIMARY KEY, "höhe" INTEGER);
  INSERT INTO "Orders" VALUES (1, '2025-01-31', 'paid'), (2, '2025-02-01', 'open');
  INSERT INTO "Order Items" VALUES (1, 1, 2.50), (2, 1, 3.00), (3, 2, 4.00);
  INSERT INTO "order" VALUES (1, 'x'); INSERT INTO orders VALUES (1, 7); INSERT INTO "Größe" VALUES (1, 7);`;
const ODD_QUERIES: readonly (readonly [args: readonly string[], rows: readonly string[]])[] = [
  [
    ['--measure', 'sum(order_items."Unit Price")', '--dimension', 'public_orders.status'],
    ['open,4.00', 'paid,5.50'],
  ],
  [
    ['--measure', 'public_orders.record_count', '--dimension', 'public_orders.Placed On:month'],
    ['2025-01-01,1', '2025-02-01,1'],
  ],
  [['--measure', 'orders.total_n'], ['7']],
  [['--measure', 'sales_orders.record_count'], ['0']],
  [['--measure', 'order.record_count', '--dimension', 'order.group'], ['x,1']],
  [['--measure', 'gr__e.record_count', '--dimension', 'gr__e.höhe'], ['7,1']],
  [['--measure', 'log.record_count'], ['0']],
];

test('postgres: tables of any name become sources that differ by more than case, and answer', async (t) => {
  const box = await project(t, 'postgres');
  if (box === undefined) return;
  const { dir, env, ktx } = box;
  await asOwner(env.SHOP_URL as string, `DROP TABLE orders, customers; ${ODD_NAMES}`);
  const made = await ktx(['sl', 'generate', '--schema', 'public', '--schema', 'Sales'], { env });
  t.is(made.code, 0, made.stderr);
  const names = ['gr__e', 'log', 'order', 'order_items', 'orders', 'public_orders', 'sales_orders'];
  t.deepEqual(
    readdirSync(join(dir, 'semantic-layer/shop')).sort(),
    names.map((name) => `${name}.yaml`),
  );
  const valid = await ktx(['sl', 'validate'], { env });
  t.is(valid.stdout, 'valid: 7 sources of shop\n', valid.stderr);
  const list = await ktx(['sl', 'list'], { env });
  t.is(list.stderr, '', 'no name is complained of');
  for (const [args, rows] of ODD_QUERIES) {
    const ran = await ktx(['sl', 'query', ...args, '--execute', '--format', 'csv'], { env });
    t.is(ran.code, 0, `${args.join(' ')}: ${ran.stderr}`);
    t.deepEqual(ran.stdout.trimEnd().split('\r\n').slice(1).sort(), rows, args.join(' '));
  }
});

test('duckdb: without its package the connection names the line to type', async (t) => {
  const { ktx } = sandbox(t, {
    'ktx.yaml': 'connections:\n  lake: {driver: duckdb, path: a.duckdb}\n',
    'a.duckdb': 'x',
  });
  const { code, stdout, stderr } = await ktx(['connection', 'test', 'lake']);
  t.is(code, 1);
  t.is(stdout, '');
  t.regex(stderr, /npm i @duckdb\/node-api/);
});

function digests(dir: string): Record<string, string> {
  const files = readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map(({ name }) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(dir, name)))
        .digest('hex'),
    ]),
  );
}
