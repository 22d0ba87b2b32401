import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { sandbox } from './_support/project.ts';

const EMPTY = { 'ktx.yaml': '# mine\nconnections: {}\n' };

test('add writes an entry, keeps comments, and sees paths from the project', async (t) => {
  const { dir, ktx } = sandbox(t, { ...EMPTY, 'sub/dir/x': '', 'data/shop.db': '' });
  const added = await ktx(['connection', 'add', 'shop', '--driver', 'sqlite', '--path', '../../data/shop.db'], {
    cwd: join(dir, 'sub/dir'),
  });
  t.is(added.code, 0, added.stderr);
  t.is(added.stderr, '');
  t.is(
    readFileSync(join(dir, 'ktx.yaml'), 'utf8'),
    '# mine\nconnections:\n  shop:\n    driver: sqlite\n    path: data/shop.db\n',
  );
  const later = await ktx(['connection', 'add', 'lake', '--driver', 'duckdb', '--path', 'later.duckdb']);
  t.is(later.code, 0);
  t.regex(later.stderr, /no file .*later\.duckdb yet/);
  const again = await ktx(['connection', 'add', 'shop', '--driver', 'sqlite', '--path', 'x']);
  t.is(again.code, 1);
  t.regex(again.stderr, /already has a connection 'shop'/);
});

test('a literal password warns; lists and documents mask it', async (t) => {
  const { dir, ktx, json } = sandbox(t, EMPTY);
  const added = await ktx(['connection', 'add', 'pg', '--driver', 'postgres', '--url', 'postgresql://u:hunter2@h/d']);
  t.is(added.code, 0);
  t.regex(added.stderr, /warning: .*password of 'pg' in clear/);
  t.notRegex(added.stdout + added.stderr, /hunter2/);
  t.is(
    (await ktx(['connection', 'add', 'safe', '--driver', 'postgres', '--url', 'env:URL'])).stderr.includes("'safe'"),
    false,
  );
  const list = await ktx(['connection', 'list']);
  t.is(list.stdout, 'pg\tpostgres\tpostgresql://u:***@h/d\nsafe\tpostgres\tenv:URL\n');
  t.is(list.stderr, "warning: ktx.yaml holds the password of 'pg' in clear; better is url: env:NAME\n");
  t.is((await ktx(['sl', 'list'])).stderr.includes('password'), false);
  const { document, ran } = await json(['connection', 'list']);
  t.notRegex(ran.stdout, /hunter2/);
  t.like(document, {
    kind: 'list',
    data: {
      items: [
        { id: 'pg', driver: 'postgres', dialect: 'postgres', url: 'postgresql://u:***@h/d' },
        { id: 'safe', url: 'env:URL' },
      ],
    },
  });
  t.regex(readFileSync(join(dir, 'ktx.yaml'), 'utf8'), /hunter2/);
});

const REFUSED: readonly (readonly [args: readonly string[], message: RegExp])[] = [
  [['a', '--driver', 'oracle', '--url', 'x'], /Unknown driver 'oracle'[\s\S]*sqlite/],
  [['a', '--driver', 'sqlite', '--url', 'x'], /takes --path, not --url/],
  [['a', '--driver', 'postgres'], /needs --url[\s\S]*env:DATABASE_URL/],
  [['a b', '--driver', 'sqlite', '--path', 'x'], /connection id 'a b'/],
  [['a'], /--driver/],
];

test('what cannot be added is refused and ktx.yaml stays as it is', async (t) => {
  const { dir, ktx } = sandbox(t, EMPTY);
  for (const [args, message] of REFUSED) {
    const { code, stdout, stderr } = await ktx(['connection', 'add', ...args]);
    t.is(code, 1);
    t.is(stdout, '');
    t.regex(stderr, message);
  }
  t.is(readFileSync(join(dir, 'ktx.yaml'), 'utf8'), EMPTY['ktx.yaml']);
  const nowhere = sandbox(t);
  const lost = await nowhere.ktx(['connection', 'add', 'a', '--driver', 'sqlite', '--path', 'x']);
  t.regex(lost.stderr, /No ktx\.yaml in .*\n\s+Create a project with "ktx init"/);
});

test('test names the connection, the missing file, the missing variable, the driver that cannot run', async (t) => {
  const { ktx, json } = sandbox(t, {
    'ktx.yaml':
      'connections:\n  a: {driver: sqlite, path: a.db}\n  b: {driver: postgres, url: "env:NOPE"}\n  c: {driver: snowflake}\n',
  });
  t.regex((await ktx(['connection', 'test', 'x'])).stderr, /no connection 'x'[\s\S]*a, b, c/);
  t.regex((await ktx(['connection', 'test', 'a'])).stderr, /no database file .*a\.db/);
  t.regex((await ktx(['connection', 'test', 'b'])).stderr, /env:NOPE, but NOPE is not set/);
  const { document } = await json(['connection', 'test', 'c']);
  t.like(document, { kind: 'error', error: { code: 'unsupported_driver' }, meta: { command: 'connection test' } });
});
