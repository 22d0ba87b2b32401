/** Both carriers against the real Python: one corpus of requests, equal answers and equal refusals. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import test from 'ava';
import { type Compute, createHttpCompute, createOneShotCompute, isKtxError } from '../src/index.ts';
import { needsPython, workspaceLaunch, workspacePython } from './_support/python.ts';

const TOKEN = 'of-the-tests';
const orders = {
  name: 'orders',
  table: 'shop.orders',
  grain: ['id'],
  columns: [
    { name: 'id', type: 'number' },
    { name: 'größe', type: 'string' },
    { name: 'placed', type: 'time', role: 'time', data_type: 'date' },
  ],
  measures: [{ name: 'n', expr: 'count(id)' }],
};

const REQUESTS: Readonly<Record<string, (compute: Compute) => Promise<unknown>>> = {
  query: (compute) =>
    compute.query({
      sources: [orders],
      query: {
        measures: ['orders.n'],
        dimensions: [{ field: 'orders.placed', granularity: 'month' }],
        include_empty: false,
      },
      dialect: 'postgres',
    }),
  'query with an unknown measure': (compute) =>
    compute.query({ sources: [orders], query: { measures: ['orders.m'] }, dialect: 'sqlite' }),
  'query in an unknown dialect': (compute) =>
    compute.query({ sources: [orders], query: { measures: ['orders.n'] }, dialect: 'cobol' }),
  'query with a key the engine does not know': (compute) =>
    compute.query({ sources: [{ ...orders, usage: {} }], query: { measures: ['orders.n'] }, dialect: 'sqlite' }),
  validate: (compute) => compute.validate({ sources: [orders], dialect: 'duckdb' }),
  'validate a broken measure': (compute) =>
    compute.validate({ sources: [{ ...orders, measures: [{ name: 'n', expr: 'count(' }] }], dialect: 'duckdb' }),
  generateSources: (compute) =>
    compute.generateSources({
      tables: [{ name: 'größe', db: 'shop', columns: [{ name: 'id', type: 'integer', primary_key: true }] }],
      links: [],
      dialect: 'postgres',
    }),
  parseTableIdentifiers: (compute) =>
    compute.parseTableIdentifiers([{ key: 'a', sql_table_name: 'db.sch.t AS x', dialect: 'snowflake' }]),
  validateReadOnly: (compute) => compute.validateReadOnly({ dialect: 'sqlite', sql: 'SELECT 1; -- ok' }),
  'validateReadOnly of a write': (compute) => compute.validateReadOnly({ dialect: 'sqlite', sql: 'DELETE FROM t' }),
  'introspect a forbidden address': (compute) =>
    compute.introspect({ connection_id: 'x', url: 'postgresql://u:hunter2@localhost/d?service=x' }),
};

let child: ChildProcess | undefined;
test.after.always(() => void child?.kill('SIGTERM'));

async function outcome(work: Promise<unknown>): Promise<unknown> {
  try {
    return await work;
  } catch (error) {
    if (!isKtxError(error)) throw error;
    const { status: _, ...advice } = error.details ?? {};
    // Over HTTP a fault of the request's shape names its field first.
    return { refused: error.code, message: error.message.replace(/^url: /, ''), advice };
  }
}

test('one process per call and a daemon answer alike', async (t) => {
  if (!needsPython(t, 'ktx_daemon.app, semantic_layer.engine')) return;
  t.timeout(10 * 60_000);
  const launch = workspaceLaunch({ KTX_DAEMON_TOKEN: TOKEN });
  child = spawn(workspacePython, [...launch.args, 'serve-http', '--port', '0'], {
    cwd: launch.cwd,
    env: launch.env as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const { stdout } = child;
  if (stdout === null) throw new Error('no stdout');
  const port = await new Promise<number>((resolve, reject) => {
    createInterface(stdout).once('line', (line) => resolve(JSON.parse(line).port));
    child?.once('exit', (code) => reject(new Error(`the daemon ended with ${code}`)));
  });
  const http = createHttpCompute({ baseUrl: `http://127.0.0.1:${port}`, token: TOKEN });
  const oneShot = createOneShotCompute(workspaceLaunch());
  for (const [name, ask] of Object.entries(REQUESTS)) {
    const [a, b] = [await outcome(ask(oneShot)), await outcome(ask(http))];
    t.deepEqual(a, b, name);
    const shouldRefuse = /unknown|does not know|forbidden/.test(name);
    t.is(typeof a === 'object' && a !== null && 'refused' in a, shouldRefuse, `${name}: ${JSON.stringify(a)}`);
    t.notRegex(JSON.stringify(a), /hunter2/);
    if (name === 'query with an unknown measure') {
      const repair = { measures: ['orders.n'] };
      t.like(a as object, { advice: { location: '/measures/0', candidates: [{ value: 'orders.n' }], repair } });
    }
  }
  const wrong = await outcome(
    createHttpCompute({ baseUrl: `http://127.0.0.1:${port}`, token: 'other' }).validateReadOnly({
      dialect: 'sqlite',
      sql: 'SELECT 1',
    }),
  );
  t.like(wrong as object, { refused: 'unauthorized' });
});
