import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { alive, until, type World, world } from './_support/world.ts';

const SOURCE = `name: orders
table: orders
grain: [id]
columns: [{name: id, type: number}]
measures: [{name: n, expr: count(id)}]
`;
const QUERY = ['sl', 'query', '--measure', 'orders.n', '--format', 'sql'];

/** A project, and what each one-shot process wrote when it started: subcommand and pid. */
async function project(t: ExecutionContext, source = SOURCE): Promise<World & { started: () => Promise<string[]> }> {
  const w = await world(t);
  await mkdir(join(w.dir, 'semantic-layer', 'shop'), { recursive: true });
  await writeFile(join(w.dir, 'ktx.yaml'), 'connections:\n  shop: {driver: sqlite, path: shop.db}\n');
  await writeFile(join(w.dir, 'semantic-layer', 'shop', 'orders.yaml'), source);
  const record = join(w.dir, 'started');
  w.env.FAKE_STARTED = record;
  const lines = async (): Promise<string[]> =>
    (await readFile(record, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  return { ...w, started: lines };
}

test('a query that is not executed costs one process', async (t) => {
  const w = await project(t);
  t.is((await w.ktx(['runtime', 'install'])).code, 0);
  const compiled = await w.ktx(QUERY);
  t.is(compiled.stdout, 'SELECT 1\n', compiled.stderr);
  t.deepEqual(
    (await w.started()).map((line) => line.split(' ')[0]),
    ['semantic-query'],
  );
});

test('a model that cannot be used ends the process that was started for it', async (t) => {
  const w = await project(t, SOURCE.replace('grain: [id]', 'grain: []'));
  t.is((await w.ktx(['runtime', 'install'])).code, 0);
  const ran = await w.ktx(QUERY);
  t.is(ran.code, 1);
  t.regex(ran.stderr, /semantic-layer\/shop\/orders\.yaml/);
  for (const line of await w.started()) await until(() => !alive(Number(line.split(' ')[1])));
});

test('a model that cannot be used is told before a runtime is installed', async (t) => {
  const w = await project(t, SOURCE.replace('grain: [id]', 'grain: []'));
  const ran = await w.ktx([...QUERY, '--yes']);
  t.is(ran.code, 1);
  t.regex(ran.stderr, /semantic-layer\/shop\/orders\.yaml/);
  t.deepEqual(await w.calls(), []);
});
