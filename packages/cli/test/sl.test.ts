import { readFileSync } from 'node:fs';
import test from 'ava';
import { scriptedDaemon } from './_support/daemon.ts';
import { sandbox } from './_support/project.ts';

const ORDERS = `# the orders
name: orders
description: Orders
table: orders
grain: [id]
columns:
  - {name: id, type: number}
  - {name: status, type: string}
  - {name: secret, type: string, visibility: hidden}
measures:
  - {name: order_count, expr: count(id)}
segments:
  - {name: paid, expr: status = 'paid'}
`;
const SHARD = `tables:
  customers:
    table: public.customers
    columns:
      - {name: id, type: int, pk: true}
`;
const PROJECT = {
  'ktx.yaml': 'connections:\n  shop: {driver: sqlite, path: shop.db}\n  lake: {driver: duckdb, path: lake.duckdb}\n',
  'semantic-layer/shop/orders.yaml': ORDERS,
  'semantic-layer/shop/_schema/all.yaml': SHARD,
  'semantic-layer/lake/orders.yaml': ORDERS.replace('# the orders\n', ''),
  'semantic-layer/lake/visits.yaml': ORDERS.replaceAll('orders', 'visits'),
};
const ANSWER = {
  sql: 'SELECT 1 AS order_count',
  dialect: 'sqlite',
  columns: [
    { name: 'orders.order_count', provenance: 'verified', expr: 'count(id)', description: null, granularity: null },
  ],
  plan: { sources_used: ['orders'], limit: 1000 },
};

test('list: one line per source in a pipe, aligned with KTX_OUTPUT=pretty, a document with --json', async (t) => {
  const { ktx, json } = sandbox(t, PROJECT);
  const plain = await ktx(['sl', 'list']);
  t.is(plain.code, 0);
  t.is(plain.stderr, '');
  t.is(
    plain.stdout,
    [
      'shop\tcustomers\tcolumns=1\tmeasures=0\tjoins=0',
      'shop\torders\tcolumns=3\tmeasures=1\tjoins=0',
      'lake\torders\tcolumns=3\tmeasures=1\tjoins=0',
      'lake\tvisits\tcolumns=3\tmeasures=1\tjoins=0',
      '',
    ].join('\n'),
  );
  const pretty = await ktx(['sl', 'list', '--connection-id', 'lake'], { env: { KTX_OUTPUT: 'pretty' } });
  t.regex(pretty.stdout, /^connection {2}source {2}columns {2}joins {2}measures\nlake +orders +3 +0 {2}order_count\n/);
  t.regex(pretty.stdout, /\nvisits {2}id, status\n/);
  t.notRegex(pretty.stdout, /\u001b/);
  const { document } = await json(['sl', 'list', '--connection-id', 'shop']);
  t.deepEqual(document, {
    kind: 'list',
    data: {
      items: [
        {
          connectionId: 'shop',
          name: 'customers',
          path: 'semantic-layer/shop/_schema/all.yaml',
          columnCount: 1,
          measureCount: 0,
          joinCount: 0,
          measures: [],
          dimensions: ['id'],
        },
        {
          connectionId: 'shop',
          name: 'orders',
          path: 'semantic-layer/shop/orders.yaml',
          description: 'Orders',
          columnCount: 3,
          measureCount: 1,
          joinCount: 0,
          measures: ['order_count'],
          dimensions: ['id', 'status'],
        },
      ],
      problems: [],
    },
    meta: { command: 'sl list' },
  } as never);
});

test('the form is --output, then KTX_OUTPUT; a wrong one is named', async (t) => {
  const { ktx } = sandbox(t, PROJECT);
  t.is(JSON.parse((await ktx(['sl', 'list', '--output', 'json'])).stdout).kind, 'list');
  const over = await ktx(['sl', 'list', '--output', 'plain'], { env: { KTX_OUTPUT: 'json' } });
  t.true(over.stdout.startsWith('shop\t'));
  const wrong = await ktx(['sl', 'list'], { env: { KTX_OUTPUT: 'xml' } });
  t.is(wrong.code, 1);
  t.regex(wrong.stderr, /KTX_OUTPUT is 'xml'/);
});

test('read: the bytes of the file, or the composed definition', async (t) => {
  const { ktx, json } = sandbox(t, {
    ...PROJECT,
    'semantic-layer/shop/customers.yaml': 'name: customers\nmeasures: [{name: n, expr: count(id)}]\n',
  });
  t.is((await ktx(['sl', 'read', 'orders', '--connection-id', 'shop'])).stdout, ORDERS);
  const resolved = await ktx(['sl', 'read', 'customers', '--resolved']);
  t.is(resolved.code, 0, resolved.stderr);
  t.regex(resolved.stdout, /table: public\.customers[\s\S]*data_type: int[\s\S]*expr: count\(id\)/);
  const { document } = await json(['sl', 'read', 'visits']);
  t.like(document, {
    kind: 'source',
    data: { connectionId: 'lake', name: 'visits', path: 'semantic-layer/lake/visits.yaml' },
  });
});

test('a name in two connections is ambiguous, one in none lists what there is', async (t) => {
  const { ktx } = sandbox(t, PROJECT);
  const two = await ktx(['sl', 'read', 'orders']);
  t.is(two.code, 1);
  t.regex(two.stderr, /shop, lake[\s\S]*--connection-id shop/);
  const none = await ktx(['sl', 'read', 'order']);
  t.regex(none.stderr, /no source 'order'[\s\S]*customers, orders/);
  const connection = await ktx(['sl', 'query', '--measure', 'orders.order_count']);
  t.regex(connection.stderr, /several connections: shop, lake/);
  const unknown = await ktx(['sl', 'list', '--connection-id', 'pond']);
  t.regex(unknown.stderr, /no connection 'pond'[\s\S]*shop, lake/);
});

test('a bad file costs one source: the rest is listed, a query that needs it names file and line', async (t) => {
  const { ktx, json } = sandbox(t, {
    'ktx.yaml': 'connections:\n  shop: {driver: sqlite, path: shop.db}\n',
    'semantic-layer/shop/orders.yaml': ORDERS,
    'semantic-layer/shop/customers.yaml':
      'name: customers\ntable: customers\ngrain: [id]\ncolumns:\n  - {name: id, type: int}\n',
  });
  const list = await ktx(['sl', 'list']);
  t.is(list.code, 0);
  t.is(list.stdout, 'shop\torders\tcolumns=3\tmeasures=1\tjoins=0\n');
  t.regex(list.stderr, /warning: semantic-layer\/shop\/customers\.yaml:5:22: columns\[0\]\.type must be one of/);
  const { env, asked } = await scriptedDaemon(t, { '/semantic-layer/query': ANSWER });
  const { document, ran } = await json(
    ['sl', 'query', '--measure', 'orders.order_count', '--dimension', 'customers.id'],
    { env },
  );
  t.is(ran.code, 1);
  t.like(document, {
    kind: 'error',
    error: {
      code: 'invalid_source',
      details: { source: 'customers', file: 'semantic-layer/shop/customers.yaml', line: 5, column: 22 },
    },
  });
  t.is(asked.length, 0);
  const fine = await ktx(['sl', 'query', '--measure', 'orders.order_count', '--format', 'sql'], { env });
  t.is(fine.stdout, 'SELECT 1 AS order_count\n');
  t.deepEqual(
    (asked[0]?.body.sources as { name: string }[] | undefined)?.map(({ name }) => name),
    ['orders'],
  );
});

test('validate --shape-only needs no runtime and says what it did not check', async (t) => {
  const { ktx, json } = sandbox(t, PROJECT);
  const all = await ktx(['sl', 'validate', '--all', '--shape-only']);
  t.is(all.code, 0);
  t.is(all.stdout, 'valid: 4 sources of shop, lake (shape only: expressions and joins were not checked)\n');
  const one = await ktx(['sl', 'validate', 'visits', '--shape-only']);
  t.regex(one.stdout, /^valid: source visits of lake/);
  const { document } = await json(['sl', 'validate', 'visits', '--shape-only']);
  t.deepEqual(document, {
    kind: 'validation',
    data: { valid: true, semantic: false, errors: [], warnings: [] },
    meta: { command: 'sl validate' },
  } as never);
});

test("validate places the engine's findings where the item is written", async (t) => {
  const { ktx, json } = sandbox(t, PROJECT);
  const { env, asked } = await scriptedDaemon(t, {
    '/semantic-layer/validate': {
      valid: false,
      errors: [
        "visits.order_count: cannot parse 'count('",
        "source 'orders': segment 'paid' is not boolean",
        'something general',
      ],
      warnings: ['orders: 2 disconnected components'],
      per_source_warnings: { visits: ['stands alone'] },
    },
  });
  const { code, stdout, stderr } = await ktx(['sl', 'validate', '--connection-id', 'lake'], { env });
  t.is(code, 1);
  t.is(stdout, '');
  t.deepEqual(stderr.trimEnd().split('\n'), [
    "error: semantic-layer/lake/visits.yaml:11:5: visits.order_count: cannot parse 'count('",
    "error: semantic-layer/lake/orders.yaml:12:5: source 'orders': segment 'paid' is not boolean",
    'error: semantic-layer/lake:1:1: something general',
    'warning: semantic-layer/lake/orders.yaml:1:1: orders: 2 disconnected components',
    'warning: semantic-layer/lake/visits.yaml:2:1: stands alone',
  ]);
  const { document, ran } = await json(['sl', 'validate', 'visits'], { env });
  t.is(ran.code, 1);
  t.like(document, { data: { valid: false, semantic: true, errors: [{ source: 'visits', line: 11, column: 5 }] } });
  t.deepEqual(asked.at(-1)?.body.recently_touched, ['visits']);
});

test('query: the flags become the query, include_empty is always sent', async (t) => {
  const { ktx } = sandbox(t, PROJECT);
  const { env, asked } = await scriptedDaemon(t, { '/semantic-layer/query': ANSWER });
  const flags = [
    ...['--measure', 'orders.order_count', '--measure', 'sum(orders.id)', '--dimension', 'orders.status'],
    ...['--dimension', 'orders.at:month', '--filter', "orders.status <> 'a:b'", '--segment', 'orders.paid'],
    ...['--order-by', 'orders.order_count:DESC', '--order-by', 'orders.status', '--limit', '0'],
  ];
  const ran = await ktx(['sl', 'query', '--connection-id', 'shop', ...flags], { env });
  t.is(ran.code, 0, ran.stderr);
  t.is(asked[0]?.body.dialect, 'sqlite');
  t.deepEqual(asked[0]?.body.query, {
    measures: ['orders.order_count', 'sum(orders.id)'],
    dimensions: ['orders.status', { field: 'orders.at', granularity: 'month' }],
    filters: ["orders.status <> 'a:b'"],
    segments: ['orders.paid'],
    order_by: [
      { field: 'orders.order_count', direction: 'desc' },
      { field: 'orders.status', direction: 'asc' },
    ],
    limit: 0,
    include_empty: false,
  });
  await ktx(['sl', 'query', '--connection-id', 'shop', '--measure', 'orders.order_count', '--include-empty'], { env });
  t.like(asked[1]?.body.query as object, { include_empty: true });
  const file = JSON.stringify({ measures: ['orders.order_count'], time_zone: 'UTC' });
  const piped = await ktx(['sl', 'query', '--connection-id', 'shop', '--query-file', '-'], { env, input: file });
  t.is(piped.code, 0, piped.stderr);
  t.deepEqual(asked[2]?.body.query, {
    include_empty: false,
    measures: ['orders.order_count'],
    time_zone: 'UTC',
  });
});

test('query: the document of a statement that was not run', async (t) => {
  const { json } = sandbox(t, PROJECT);
  const { env } = await scriptedDaemon(t, { '/semantic-layer/query': ANSWER });
  const { document } = await json(['sl', 'query', '--connection-id', 'shop', '--measure', 'orders.order_count'], {
    env,
  });
  t.deepEqual(document, {
    connectionId: 'shop',
    dialect: 'sqlite',
    sql: 'SELECT 1 AS order_count',
    headers: ['orders.order_count'],
    rows: [],
    totalRows: 0,
    truncated: false,
    columns: [{ name: 'orders.order_count', type: 'number', encoding: null }],
    plan: { sources_used: ['orders'], limit: 1000, execution: { mode: 'compile_only', reason: 'not_requested' } },
  } as never);
});

const USAGE: readonly (readonly [args: readonly string[], message: RegExp])[] = [
  [[], /no measure/],
  [['--measure', 'a.b', '--format', 'sql', '--execute'], /does not run it/],
  [['--measure', 'a.b', '--format', 'table'], /needs --execute/],
  [['--measure', 'a.b', '--format', 'csv'], /needs --execute/],
  [['--measure', 'a.b', '--format', 'xml'], /xml/],
  [['--measure', 'a.b', '--max-rows', '0'], /--max-rows is '0'[\s\S]*1 to 10000/],
  [['--measure', 'a.b', '--max-rows', '10001'], /1 to 10000/],
  [['--measure', 'a.b', '--limit', '-1'], /--limit/],
  [['--measure', 'a.b', '--limit', '1.5'], /--limit is '1\.5'/],
  [['--measure', 'a.b', '--timeout', 'soon'], /--timeout is 'soon'/],
  [['--measure', 'a.b', '--order-by', 'a.b:up'], /'up' is no direction/],
  [['--measure', 'a.b', '--query-file', 'q.json'], /--query-file and --measure/],
  [['--query-file', 'nowhere.json'], /nowhere\.json cannot be read/],
  [['--query-file', 'ktx.yaml'], /cannot be read/],
];

test('query: what cannot be carried out is refused before anything is asked', async (t) => {
  const { ktx } = sandbox(t, PROJECT);
  for (const [args, message] of USAGE) {
    const { code, stdout, stderr } = await ktx(['sl', 'query', '--connection-id', 'shop', ...args]);
    t.is(code, 1, args.join(' '));
    t.is(stdout, '', args.join(' '));
    t.regex(stderr, message);
  }
  const both = await ktx(['sl', 'query', '--measure', 'a.b', '--format', 'sql', '--json']);
  t.is(JSON.parse(both.stdout).error.code, 'usage');
});

test('query: a daemon that answers nonsense is an error and no statement', async (t) => {
  const { ktx } = sandbox(t, PROJECT);
  for (const answer of [{}, [], { ...ANSWER, sql: '' }, { ...ANSWER, dialect: 'mysql' }]) {
    const { env } = await scriptedDaemon(t, { '/semantic-layer/query': answer });
    const { code, stdout, stderr } = await ktx(
      ['sl', 'query', '--connection-id', 'shop', '--measure', 'orders.order_count', '--format', 'sql'],
      { env },
    );
    t.is(code, 1);
    t.is(stdout, '');
    t.regex(stderr, /cannot be used/);
  }
});

test('query: a refusal of the gate sends nothing to the database', async (t) => {
  const { dir, ktx } = sandbox(t, PROJECT);
  const path = `${dir}/shop.db`;
  new (process.getBuiltinModule('node:sqlite').DatabaseSync)(path).exec('CREATE TABLE orders (id INTEGER)');
  const before = readFileSync(path);
  const { env } = await scriptedDaemon(t, {
    '/semantic-layer/query': { ...ANSWER, sql: 'DELETE FROM orders' },
    '/sql/validate-read-only': { ok: false, error: 'SQL contains a read/write operation: Delete' },
  });
  const { code, stdout, stderr } = await ktx(
    ['sl', 'query', '--connection-id', 'shop', '--measure', 'orders.order_count', '--execute'],
    { env },
  );
  t.is(code, 1);
  t.is(stdout, '');
  t.regex(stderr, /was not run: SQL contains a read\/write operation: Delete/);
  t.deepEqual(readFileSync(path), before);
});

test('query: KTX_DAEMON_URL never falls back, KTX_SQL_ANALYSIS_URL takes the SQL routes only', async (t) => {
  const { dir, ktx } = sandbox(t, PROJECT);
  new (process.getBuiltinModule('node:sqlite').DatabaseSync)(`${dir}/shop.db`).exec('CREATE TABLE orders (id INTEGER)');
  const args = [
    'sl',
    'query',
    '--connection-id',
    'shop',
    '--measure',
    'orders.order_count',
    '--execute',
    '--format',
    'csv',
  ];
  const dead = await ktx(args, { env: { KTX_DAEMON_URL: 'http://127.0.0.1:9' } });
  t.is(dead.code, 1);
  t.regex(dead.stderr, /No daemon answers at http:\/\/127\.0\.0\.1:9/);
  const wrong = await ktx(args, { env: { KTX_DAEMON_URL: 'localhost:1' } });
  t.regex(wrong.stderr, /KTX_DAEMON_URL is not an http/);
  const general = await scriptedDaemon(t, { '/semantic-layer/query': ANSWER });
  const sql = await scriptedDaemon(t, { '/sql/validate-read-only': { ok: true, error: null } });
  const ran = await ktx(args, { env: { ...general.env, KTX_SQL_ANALYSIS_URL: sql.env.KTX_DAEMON_URL } });
  t.is(ran.code, 0, ran.stderr);
  t.is(ran.stdout, 'orders.order_count\r\n1\r\n');
  t.deepEqual(
    [general.asked, sql.asked].map((asked) => asked.map(({ route }) => route)),
    [['/semantic-layer/query'], ['/sql/validate-read-only']],
  );
});

test('without a runtime a query says how to get one, and writes nothing', async (t) => {
  const { ktx } = sandbox(t, PROJECT);
  const { code, stdout, stderr } = await ktx([
    'sl',
    'query',
    '--connection-id',
    'shop',
    '--measure',
    'orders.order_count',
    '--no-input',
  ]);
  t.is(code, 1);
  t.is(stdout, '');
  t.true(stderr.trim().length > 0);
});

test('on a terminal lists are tables with a bold head, statements are laid out, rows are a table', async (t) => {
  const { dir, onTerminal } = sandbox(t, PROJECT);
  const list = await onTerminal(['sl', 'list', '--connection-id', 'lake']);
  if (list === undefined) return;
  t.regex(list, /^\u001b\[1mconnection {2}source {2}columns {2}joins {2}measures\u001b\[22m\nlake +orders/);
  t.notRegex((await onTerminal(['sl', 'list'], { env: { NO_COLOR: '1' } })) ?? '', /\u001b/);
  t.regex((await onTerminal(['sl', 'list'], { env: { CI: 'true' } })) ?? '', /^shop\tcustomers\t/);
  const { env } = await scriptedDaemon(t, {
    '/semantic-layer/query': { ...ANSWER, sql: 'SELECT COUNT(id) AS order_count FROM orders' },
    '/sql/validate-read-only': { ok: true, error: null },
  });
  const query = ['sl', 'query', '--connection-id', 'shop', '--measure', 'orders.order_count'];
  t.is(await onTerminal(query, { env }), 'SELECT COUNT(id) AS order_count\nFROM orders\n');
  new (process.getBuiltinModule('node:sqlite').DatabaseSync)(`${dir}/shop.db`).exec('CREATE TABLE orders (id INTEGER)');
  t.is(
    await onTerminal([...query, '--execute'], { env }),
    '\u001b[1morders.order_count\u001b[22m\n                 0\n',
  );
});
