import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { demoRows, writeDemoDatabase } from '../src/demo/database.ts';
import { type Daemon, needsDaemon, startDaemon } from './_support/daemon.ts';
import { sandbox } from './_support/project.ts';

const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
const readme = readFileSync(fileURLToPath(new URL('../assets/demo/README.md', import.meta.url)), 'utf8');

let daemon: Daemon | string;
test.before(async () => {
  daemon = await startDaemon();
});
test.after.always(() => {
  if (typeof daemon === 'object') daemon.stop();
});

const TABLE = `customers.region  order_items.revenue  refunds.refunded
east                            19233               417
north                           34968               902
south                           23204               561
west                            13569               255`;

test('the database is the same twice, small, and carries no version of the library', (t) => {
  const { dir } = sandbox(t);
  writeDemoDatabase(join(dir, 'one/a.sqlite'));
  writeDemoDatabase(join(dir, 'two/b.sqlite'));
  const bytes = readFileSync(join(dir, 'one/a.sqlite'));
  t.deepEqual(bytes, readFileSync(join(dir, 'two/b.sqlite')));
  t.deepEqual(readdirSync(join(dir, 'one')), ['a.sqlite']);
  t.true(bytes.length < 200_000);
  t.is(bytes.readUInt16BE(16), 4096, 'page size');
  t.is(bytes.readUInt32BE(96), 3_045_000);
  t.is(bytes.readUInt32BE(24), bytes.readUInt32BE(92), 'the size in the header counts only then');
  const db = new DatabaseSync(join(dir, 'one/a.sqlite'), { readOnly: true });
  t.deepEqual({ ...db.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' });
  t.deepEqual(db.prepare('PRAGMA foreign_key_check').all(), []);
  t.is(db.prepare('PRAGMA freelist_count').get()?.freelist_count, 0);
});

test('the rows follow their formulas', (t) => {
  const rows = demoRows();
  t.deepEqual(
    Object.entries(rows).map(([table, all]) => [table, all.length]),
    [
      ['customers', 120],
      ['products', 12],
      ['orders', 1000],
      ['order_items', 2000],
      ['refunds', 213],
    ],
  );
  t.deepEqual(rows.customers?.[0], [1, 'north', '2025-01-02']);
  t.deepEqual(rows.customers?.[2], [3, 'west', '2025-01-04']);
  t.deepEqual(rows.products?.[11], [12, 'beans', 40]);
  t.deepEqual(rows.orders?.[19], [20, 21, '2025-01-08', 'cancelled']);
  t.deepEqual(rows.orders?.[17], [18, 67, '2025-01-07', 'open']);
  t.deepEqual(rows.orders?.[999], [1000, 41, '2025-12-31', 'cancelled']);
  t.deepEqual(rows.order_items?.slice(0, 2), [
    [1, 1, 6, 2, 22],
    [2, 1, 1, 3, 7],
  ]);
  t.deepEqual(rows.refunds?.slice(0, 2), [
    [1, 7, 12],
    [2, 7, 15],
  ]);
});

test('plain SQL gives the table, and the plain join the wrong one of the README', (t) => {
  const { dir } = sandbox(t);
  writeDemoDatabase(join(dir, 'harbor.sqlite'));
  const db = new DatabaseSync(join(dir, 'harbor.sqlite'), { readOnly: true });
  const perRegion = (table: string, sum: string) =>
    db
      .prepare(
        `SELECT c.region AS region, SUM(${sum}) AS total FROM ${table} AS f JOIN orders AS o ON o.id = f.order_id
         JOIN customers AS c ON c.id = o.customer_id GROUP BY c.region ORDER BY c.region`,
      )
      .all()
      .map(({ region, total }) => [region, total]);
  t.deepEqual(perRegion('order_items', 'f.quantity * f.unit_price'), [
    ['east', 19233],
    ['north', 34968],
    ['south', 23204],
    ['west', 13569],
  ]);
  t.deepEqual(perRegion('refunds', 'f.amount'), [
    ['east', 417],
    ['north', 902],
    ['south', 561],
    ['west', 255],
  ]);
  const [statement, naive] = [...readme.matchAll(/```sql\n([\s\S]*?)\n```/g)].map((match) => match[1] as string);
  t.deepEqual({ ...db.prepare(naive ?? '').all()[0] }, { region: 'east', revenue: 20918, refunded: 891 });
  const shown = db
    .prepare(statement ?? '')
    .all()
    .map((row) => Object.values(row));
  t.deepEqual(
    shown,
    TABLE.split('\n')
      .slice(1)
      .map((line) => line.split(/ +/).map((cell, index) => (index === 0 ? cell : Number(cell)))),
  );
  t.true(readme.includes(TABLE));
});

test('demo makes a project without network or runtime, and names the three commands', async (t) => {
  const { dir, ktx } = sandbox(t);
  const { code, stdout, stderr } = await ktx(['demo']);
  t.is(code, 0);
  t.is(stderr, '');
  t.regex(stdout, /cd ktx-demo && ktx sl list\n.*--format sql\n.*--execute --format table/);
  for (const line of TABLE.split('\n')) t.true(stdout.includes(`  ${line}\n`));
  t.deepEqual(readdirSync(dir), ['ktx-demo']);
  t.deepEqual(readdirSync(join(dir, 'ktx-demo')).sort(), ['README.md', 'data', 'ktx.yaml', 'semantic-layer']);
  const list = await ktx(['sl', 'list'], { cwd: join(dir, 'ktx-demo') });
  t.is(list.code, 0);
  t.is(list.stdout.trim().split('\n').length, 5);
  t.is(list.stdout.split('\n')[0], 'harbor\tcustomers\tcolumns=3\tmeasures=1\tjoins=0');
});

test('under npx the commands begin with npx', async (t) => {
  const { ktx } = sandbox(t);
  const { stdout } = await ktx(['demo'], { env: { npm_command: 'exec' } });
  t.regex(stdout, /npx @kaelio\/ktx sl list/);
});

test('a target that is not empty is left alone; an empty directory is used', async (t) => {
  const { dir, ktx, json } = sandbox(t, { 'full/mine.txt': 'x', file: 'x' });
  mkdirSync(join(dir, 'empty'));
  for (const target of ['full', 'file']) {
    const { code, stdout, stderr } = await ktx(['demo', target]);
    t.is(code, 1);
    t.is(stdout, '');
    t.regex(stderr, /nothing was changed/);
  }
  t.deepEqual(readdirSync(join(dir, 'full')), ['mine.txt']);
  const { document } = await json(['demo', 'empty']);
  t.like(document, { kind: 'demo', data: { path: join(dir, 'empty') }, meta: { command: 'demo' } });
  t.true(readdirSync(join(dir, 'empty')).includes('ktx.yaml'));
  t.deepEqual(
    readdirSync(dir).filter((name) => name.startsWith('.ktx')),
    [],
  );
});

test('the printed commands print what the README shows', async (t) => {
  const running = daemon;
  if (!needsDaemon(t, running)) return;
  const { dir, ktx } = sandbox(t);
  const printed = (await ktx(['demo', 'a b/demo'])).stdout;
  const cwd = join(dir, 'a b/demo');
  const commands = printed
    .split('\n')
    .flatMap((line) =>
      /ktx (sl .*)$/.exec(line)?.[1]?.split(' ') ? [/ktx (sl .*)$/.exec(line)?.[1]?.split(' ') as string[]] : [],
    );
  t.is(commands.length, 3);
  const [list, sql, rows] = await Promise.all(commands.map((args) => ktx(args, { cwd, env: running.env })));
  for (const ran of [list, sql, rows]) t.is(ran?.code, 0, ran?.stderr);
  t.is(rows?.stdout, `${TABLE}\n`);
  const db = new DatabaseSync(join(cwd, 'data/harbor.sqlite'), { readOnly: true });
  t.is(db.prepare(sql?.stdout ?? '').all().length, 4);
  const valid = await ktx(['sl', 'validate'], { cwd, env: running.env });
  t.is(valid.stdout, 'valid: 5 sources of harbor\n');
  t.is(valid.stderr, '');
});

test('init makes a project once and never overwrites', async (t) => {
  const { dir, ktx } = sandbox(t);
  const first = await ktx(['init', 'p']);
  t.is(first.code, 0);
  t.regex(first.stdout, /created ktx\.yaml and semantic-layer\//);
  writeFileSync(join(dir, 'p/ktx.yaml'), '# mine\n');
  const second = await ktx(['init'], { cwd: join(dir, 'p') });
  t.is(second.code, 0);
  t.regex(second.stdout, /nothing was changed/);
  t.is(readFileSync(join(dir, 'p/ktx.yaml'), 'utf8'), '# mine\n');
  mkdirSync(join(dir, 'q'));
  symlinkSync('/nowhere/ktx.yaml', join(dir, 'q/ktx.yaml'));
  t.is((await ktx(['init', 'q'])).code, 0);
  t.deepEqual(readdirSync(join(dir, 'q')).sort(), ['ktx.yaml', 'semantic-layer']);
});
