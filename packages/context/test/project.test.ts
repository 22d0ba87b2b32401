import { join } from 'node:path';
import test from 'ava';
import {
  hasLiteralPassword,
  type KtxError,
  loadProject,
  maskSecret,
  parseProject,
  projectRoot,
  resolveSecret,
  withConnection,
} from '../src/index.ts';
import { temporaryTree } from './_support/tree.ts';

test('the project is named by the flag, the variable, the nearest ancestor, the working directory', (t) => {
  const root = temporaryTree(t, { 'a/ktx.yaml': '', 'a/b/c/x': '', 'other/ktx.yaml': '' });
  const cwd = join(root, 'a/b/c');
  t.is(projectRoot({ cwd }), join(root, 'a'));
  t.is(projectRoot({ cwd, env: { KTX_PROJECT_DIR: '../../../other' } }), join(root, 'other'));
  t.is(projectRoot({ cwd, env: { KTX_PROJECT_DIR: '' } }), join(root, 'a'));
  t.is(projectRoot({ cwd, projectDir: root, env: { KTX_PROJECT_DIR: 'x' } }), root);
  t.is(projectRoot({ cwd: root }), root);
});

test('a missing ktx.yaml says what to do', (t) => {
  const root = temporaryTree(t);
  const error = t.throws<KtxError>(() => loadProject({ cwd: root, projectDir: root }));
  t.is(error.code, 'project_not_found');
  t.regex(error.hint ?? '', /ktx init/);
});

test('paths are relative to the project, references stay as written', (t) => {
  const text = `connections:
  lake: {driver: duckdb, path: data/lake.duckdb}
  far: {driver: sqlite, path: /srv/far.db}
  shop: {driver: PostgreSQL, url: "env:SHOP_URL", schemas: [public, sales]}
  sf: {driver: snowflake}
`;
  const { connections, warnings } = parseProject(text, '/project');
  t.deepEqual(warnings, []);
  t.deepEqual(
    connections.map(({ id, driver, dialect, path, address, schemas }) => ({
      id,
      driver,
      dialect,
      path,
      address,
      schemas,
    })),
    [
      {
        id: 'lake',
        driver: 'duckdb',
        dialect: 'duckdb',
        path: join('/project', 'data/lake.duckdb'),
        address: 'data/lake.duckdb',
        schemas: undefined,
      },
      {
        id: 'far',
        driver: 'sqlite',
        dialect: 'sqlite',
        path: '/srv/far.db',
        address: '/srv/far.db',
        schemas: undefined,
      },
      {
        id: 'shop',
        driver: 'postgresql',
        dialect: 'postgres',
        path: undefined,
        address: 'env:SHOP_URL',
        schemas: ['public', 'sales'],
      },
      { id: 'sf', driver: 'snowflake', dialect: 'snowflake', path: undefined, address: '', schemas: undefined },
    ],
  );
});

test('an older project with project: and readonly: is accepted, unknown keys are warned about with their line', (t) => {
  const { warnings } = parseProject(
    'project: shop\nllm: {}\nconnections:\n  a: {driver: sqlite, path: a.db, readonly: true}\n  b:\n    driver: sqlite\n    path: b.db\n    pool: 3\n',
    '/p',
  );
  t.deepEqual(
    warnings.map(({ line, column, message }) => [line, column, message]),
    [
      [2, 1, "unknown key 'llm' is ignored"],
      [8, 5, "unknown key 'pool' of connection 'b' is ignored"],
    ],
  );
});

const REFUSED: readonly (readonly [name: string, text: string, line: number, message: RegExp])[] = [
  ['a list', '- a\n', 1, /mapping/],
  ['broken YAML', 'connections:\n  a: {driver: sqlite\n', 3, /./],
  ['a repeated key', 'connections: {}\nconnections: {}\n', 2, /unique/i],
  ['a bad id', 'connections:\n  "a b": {driver: sqlite, path: x}\n', 2, /id 'a b'/],
  ['no driver', 'connections:\n  a:\n    path: x\n', 3, /driver must be/],
  ['an unknown driver', 'connections:\n  a:\n    driver: oracle\n', 3, /unknown driver 'oracle'.*sqlite/],
  ['a url for a file database', 'connections:\n  a:\n    driver: sqlite\n    url: x\n', 4, /takes path, not url/],
  ['no address', 'connections:\n  a: {driver: postgres}\n', 2, /needs url/],
  ['a number as path', 'connections:\n  a:\n    driver: sqlite\n    path: 3\n', 4, /non-empty text/],
  ['a text as readonly', 'connections:\n  a: {driver: sqlite, path: x, readonly: "no"}\n', 2, /true or false/],
  ['a text as schemas', 'connections:\n  a: {driver: sqlite, path: x, schemas: y}\n', 2, /list of names/],
];

for (const [name, text, line, message] of REFUSED) {
  test(`ktx.yaml: ${name} is refused with its line`, (t) => {
    const error = t.throws<KtxError>(() => parseProject(text, '/p'));
    t.is(error.code, 'project_invalid');
    t.regex(error.message, message);
    t.is(error.details?.line, line, error.message);
    t.true(error.message.startsWith(`ktx.yaml:${line}:`), error.message);
  });
}

test('secrets come from a variable or a file when they are used', (t) => {
  const root = temporaryTree(t, { 'secret/url': 'postgresql://x\n', empty: '\n' });
  const where = { connectionId: 'shop', key: 'url', root };
  t.is(resolveSecret('env:U', where, { U: 'postgresql://y' }), 'postgresql://y');
  t.is(resolveSecret('file:secret/url', where, {}), 'postgresql://x');
  t.is(resolveSecret('postgresql://z', where, {}), 'postgresql://z');
  for (const text of ['env:U', 'file:nowhere', 'file:empty']) {
    const error = t.throws<KtxError>(() => resolveSecret(text, where, {}));
    t.is(error.code, 'secret_missing');
    t.regex(error.message, /connection 'shop': url/);
  }
});

test('passwords are noticed and never shown', (t) => {
  const literal = ['postgresql://u:hunter2@h/d', 'snowflake://h/d?password=hunter2', 'mysql://u:hun%20ter2@h:1/d'];
  for (const url of literal) {
    t.true(hasLiteralPassword(url), url);
    t.notRegex(maskSecret(url), /hun/, url);
  }
  for (const url of ['env:URL', 'file:url', 'postgresql://u@h/d', 'postgresql://h:5432/d']) {
    t.false(hasLiteralPassword(url), url);
    t.is(maskSecret(url), url);
  }
});

test('a connection is added without touching comments, order or other entries', (t) => {
  const before = `# my project
connections:
  # the shop
  shop:
    driver: postgres   # 17
    url: env:URL
`;
  const after = withConnection(before, '/p', 'lake', { driver: 'duckdb', path: 'data/lake.duckdb' });
  t.is(
    after,
    `${before.replace('driver: postgres   # 17', 'driver: postgres # 17')}  lake:\n    driver: duckdb\n    path: data/lake.duckdb\n`,
  );
  t.is(
    t.throws<KtxError>(() => withConnection(after, '/p', 'lake', { driver: 'sqlite', path: 'x' })).code,
    'connection_exists',
  );
  for (const empty of ['', '# only a comment\n', 'connections: {}\n', 'connections:\n', 'project: x\n']) {
    const added = withConnection(empty, '/p', 'a', { driver: 'sqlite', path: 'a.db' });
    t.deepEqual(
      parseProject(added, '/p').connections.map(({ id }) => id),
      ['a'],
    );
    t.true(added.startsWith(empty.startsWith('#') ? '# only a comment\n' : ''), added);
    t.notRegex(added, /\{/, added);
  }
});
