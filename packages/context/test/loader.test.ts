import { execFileSync } from 'node:child_process';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { loadProject, loadSources, type Problem, type Sources } from '../src/index.ts';
import { corpus } from './_support/corpus.ts';
import { needsPython, workspacePython } from './_support/python.ts';
import { temporaryTree } from './_support/tree.ts';

const CONFIG = 'connections:\n  shop: {driver: sqlite, path: shop.db}\n';

function load(t: ExecutionContext, files: Readonly<Record<string, string>>): Sources & { root: string } {
  const under = Object.fromEntries(Object.entries(files).map(([path, text]) => [`semantic-layer/shop/${path}`, text]));
  const root = temporaryTree(t, { 'ktx.yaml': CONFIG, ...under });
  return { root, ...loadSources(loadProject({ cwd: root, projectDir: root })) };
}

function shown(problems: readonly Problem[]): string[] {
  return problems.map(
    ({ severity, file, line, column, message, source }) =>
      `${severity} ${file.replace('semantic-layer/shop/', '')}:${line}:${column} ${source ?? '-'}: ${message}`,
  );
}

const ORDERS = 'name: orders\ntable: orders\ngrain: [id]\ncolumns:\n  - {name: id, type: number}\n';

test('the corpus loads alike in TypeScript and in Python', (t) => {
  if (!needsPython(t, 'semantic_layer.loader')) return;
  const root = temporaryTree(t, corpus);
  const { sources, problems } = loadSources(loadProject({ cwd: root, projectDir: root }));
  t.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  );
  const program = `
import json, sys
from semantic_layer.loader import SourceLoader
from semantic_layer.models import SourceDefinition
ours = [SourceDefinition.model_validate(one).model_dump(mode="json") for one in json.load(sys.stdin)]
theirs = [one.model_dump(mode="json") for one in SourceLoader(sys.argv[1]).load_all().values()]
json.dump({"ours": ours, "theirs": theirs}, sys.stdout)
`;
  const output = execFileSync(
    workspacePython,
    ['-I', '-B', '-X', 'utf8', '-c', program, join(root, 'semantic-layer/shop')],
    { input: JSON.stringify(sources.map(({ definition }) => definition)), encoding: 'utf8' },
  );
  const { ours, theirs } = JSON.parse(output);
  t.deepEqual(ours, theirs);
  t.is(ours.length, 5);
});

test('the corpus composes as written', (t) => {
  const root = temporaryTree(t, corpus);
  const { sources, problems } = loadSources(loadProject({ cwd: root, projectDir: root }));
  t.snapshot(sources.map(({ name, path, kind, definition }) => ({ name, path, kind, definition })));
  t.deepEqual(shown(problems), [
    'warning skipped.yml:1:1 -: only *.yaml is read; rename the file',
    'warning notes.yaml:1:1 -: no name, so the file is skipped',
  ]);
});

test('the key `on` is a text, and so are yes, no and off', (t) => {
  const { sources } = load(t, {
    'orders.yaml': `${ORDERS}joins:\n  - to: orders\n    on: id = id\n    relationship: one_to_one\n    alias: off\nsegments: [{name: yes, expr: "true"}]\n`,
  });
  t.deepEqual(sources[0]?.definition.joins, [
    { to: 'orders', on: 'id = id', relationship: 'one_to_one', alias: 'off' },
  ]);
  t.is(sources[0]?.definition.segments[0]?.name, 'yes');
});

test('a bad file is a problem with its place, the rest loads', (t) => {
  const { sources, problems } = load(t, {
    'orders.yaml': ORDERS,
    'broken.yaml': 'name: broken\ntable: [\n',
    'customers.yaml':
      'name: customers\ntable: customers\ngrain: []\ncolumns:\n  - name: id\n    type: int\nmeasurs: []\n',
    'both.yaml': 'name: both\ntable: a\nsql: SELECT 1\ngrain: [x]\ncolumns: []\n',
    'twice.yaml': ORDERS,
    'dup.yaml': 'name: dup\nname: dup\n',
    'ghost.yaml': 'name: ghost\nmeasures: []\n',
    'spaced.yaml': ORDERS.replace('name: orders', 'name: my orders'),
  });
  t.deepEqual(
    sources.map(({ name }) => name),
    ['orders'],
  );
  t.deepEqual(shown(problems), [
    "error both.yaml:3:6 both: 'table' and 'sql' are mutually exclusive; keep one",
    'error broken.yaml:3:1 broken: Flow sequence in block collection must be sufficiently indented and end with a ]',
    "error customers.yaml:7:1 customers: unknown key 'measurs' in source; did you mean 'measures'?",
    'error customers.yaml:6:11 customers: columns[0].type must be one of string, number, time, boolean, not "int"',
    'error customers.yaml:3:8 customers: grain must be non-empty; name the columns of its key',
    'error dup.yaml:2:1 dup: Map keys must be unique',
    "error spaced.yaml:1:7 my orders: source name 'my orders' may hold letters, digits and _ only",
    "error twice.yaml:1:7 orders: Duplicate source name 'orders'",
    "error ghost.yaml:1:7 ghost: 'ghost' has neither table nor sql, and _schema/ has no table of that name to refine",
  ]);
});

test('an overlay may not say what the scan owns', (t) => {
  const shard = `tables:
  orders:
    table: o
    columns:
      - {name: id, type: int, pk: true}
      - {name: total, type: numeric}
`;
  const overlay = `name: orders
description: no
exclude_columns: [total]
columns:
  - {name: id, type: number, expr: "1"}
  - {name: extra, type: number}
  - {name: other, expr: "2", description: no}
column_overrides:
  - {name: nope, type: number}
  - {name: total, expr: "3"}
`;
  const { sources, problems } = load(t, { '_schema/a.yaml': shard, 'orders.yaml': overlay });
  t.deepEqual(
    sources[0]?.definition.columns.map(({ name }) => name),
    ['id', 'total'],
  );
  t.deepEqual(shown(problems), [
    "error orders.yaml:2:1 orders: Invalid overlay 'orders': 'description' is not allowed in an overlay; use 'descriptions:'",
    "error orders.yaml:5:6 orders: Invalid overlay 'orders': column 'id' is in the manifest; move it to 'column_overrides:'",
    "error orders.yaml:6:5 orders: Invalid overlay 'orders': column 'extra' needs 'expr': an overlay adds computed columns only",
    "error orders.yaml:7:30 orders: Invalid overlay 'orders': column 'other': 'description' is not allowed; use 'descriptions:'",
    "error orders.yaml:7:5 orders: Invalid overlay 'orders': column 'other' needs 'type': an overlay adds computed columns only",
    "error orders.yaml:9:18 orders: Invalid overlay 'orders': Column override 'nope': 'type' is not allowed",
    "error orders.yaml:9:6 orders: Invalid overlay 'orders': Column override 'nope': no such column in the manifest",
    "error orders.yaml:10:19 orders: Invalid overlay 'orders': Column override 'total': 'expr' is not allowed",
    "error orders.yaml:10:6 orders: Invalid overlay 'orders': Column override 'total': conflict with exclude_columns",
  ]);
});

test('a bad shard entry costs one table, not the shard', (t) => {
  const { sources, problems } = load(t, {
    '_schema/a.yaml': `tables:
  good: {table: g, columns: [{name: id, type: int}]}
  bad: {columns: []}
  bare: {table: b}
`,
    '_schema/b.yaml': 'tables:\n  good: {table: again, columns: [{name: id, type: int}]}\n',
    '_schema/c.yaml': 'tables: 3\n',
  });
  t.deepEqual(
    sources.map(({ name, definition }) => [name, definition.table]),
    [['good', 'g']],
  );
  t.deepEqual(shown(problems), [
    'error _schema/a.yaml:3:8 bad: source needs table'.replace('source', 'entry'),
    "error _schema/a.yaml:4:3 bare: 'bare' has no columns, so no grain",
    "error _schema/b.yaml:2:3 good: Duplicate source name 'good'",
    'error _schema/c.yaml:1:9 -: tables must map names to entries',
  ]);
});

test('a join to nothing is a problem of its line; the join is left out', (t) => {
  const { sources, problems } = load(t, {
    'orders.yaml': `${ORDERS}joins:\n  - {to: nowhere, on: id = nowhere.id, relationship: many_to_one}\n  - {to: broken, on: id = broken.id, relationship: many_to_one}\n`,
    'broken.yaml': 'name: broken\ntable: {\n',
  });
  t.deepEqual(sources[0]?.definition.joins, []);
  t.deepEqual(shown(problems).slice(1), [
    "error orders.yaml:7:5 orders: source 'orders': join target 'nowhere' is not defined",
  ]);
});

test('links out of the project are not followed', (t) => {
  const outside = temporaryTree(t, { 'secret.yaml': ORDERS, 'folder/x.yaml': ORDERS });
  const { root } = load(t, { 'orders.yaml': ORDERS });
  const folder = join(root, 'semantic-layer/shop');
  symlinkSync(join(outside, 'secret.yaml'), join(folder, 'link.yaml'));
  symlinkSync(join(outside, 'folder'), join(folder, 'linked'));
  symlinkSync(join(folder, 'nowhere.yaml'), join(folder, 'dangling.yaml'));
  const { sources, problems } = loadSources(loadProject({ cwd: root, projectDir: root }));
  t.deepEqual(
    sources.map(({ path }) => path),
    ['semantic-layer/shop/orders.yaml'],
  );
  t.deepEqual(
    problems.map(({ file, message }) => [file.split('/').at(-1), message]),
    [
      ['dangling.yaml', 'the link leads nowhere'],
      ['link.yaml', 'the link leads out of the project, so it is not read'],
      ['linked', 'the link leads out of the project, so it is not read'],
    ],
  );
  rmSync(join(folder, 'linked'));
});

test('a folder of sources that lies elsewhere is not read', (t) => {
  const outside = temporaryTree(t, { 'orders.yaml': ORDERS });
  const root = temporaryTree(t, { 'ktx.yaml': CONFIG, 'semantic-layer/x': '' });
  symlinkSync(outside, join(root, 'semantic-layer/shop'));
  const { sources, problems } = loadSources(loadProject({ cwd: root, projectDir: root }));
  t.deepEqual(sources, []);
  t.regex(problems[0]?.message ?? '', /leads out of the project/);
});

test('a file that is no UTF-8, nested without end, or a bomb of aliases is a problem', (t) => {
  const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefghi'
    .split('')
    .map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghi'[index]}`).join(', ')}]`)
    .join('\n')}\n`;
  const { root, problems } = load(t, { 'deep.yaml': '['.repeat(30_000), 'bomb.yaml': bomb });
  t.deepEqual(
    problems.map(({ source, message }) => [source, /alias/i.test(message) || message]),
    [
      ['bomb', true],
      ['deep', 'nested too deeply'],
    ],
  );
  writeFileSync(join(root, 'semantic-layer/shop/latin.yaml'), Buffer.from('name: gr\xf6\xdfe\n', 'latin1'));
  const again = loadSources(loadProject({ cwd: root, projectDir: root }));
  t.is(again.problems.find(({ source }) => source === 'latin')?.message, 'the file is not UTF-8');
});

test('a folder without a connection is mentioned', (t) => {
  const root = temporaryTree(t, { 'ktx.yaml': CONFIG, 'semantic-layer/shopp/orders.yaml': ORDERS });
  const { sources, problems } = loadSources(loadProject({ cwd: root, projectDir: root }));
  t.is(sources.length, 0);
  t.regex(problems[0]?.message ?? '', /no connection 'shopp'/);
});

test('a source knows where its items are written, overlay before shard', (t) => {
  const root = temporaryTree(t, corpus);
  const { sources } = loadSources(loadProject({ cwd: root, projectDir: root }));
  const at = (source: string, item?: string): string => {
    const { file, line, column } = sources.find(({ name }) => name === source)?.locate(item) ?? {
      file: '',
      line: 0,
      column: 0,
    };
    return `${file.replace('semantic-layer/shop/', '')}:${line}:${column}`;
  };
  t.is(at('customers', 'customer_count'), 'customers.yaml:11:5');
  t.is(at('customers', 'born'), '_schema/sales.yaml:9:9');
  t.is(at('orders', 'sold_in'), 'deep/er/orders.yaml:10:5');
  t.is(at('visits'), '_schema/web.yaml:3:3');
  t.is(at('regions', 'nothing'), 'regions.yaml:2:1');
});
