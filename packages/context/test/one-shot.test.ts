import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import {
  type Compute,
  createOneShotCompute,
  type KtxError,
  type Launch,
  type OneShotOptions,
  startOneShot,
} from '../src/index.ts';
import { needsPython, workspaceLaunch } from './_support/python.ts';
import { temporaryTree } from './_support/tree.ts';

const fake = fileURLToPath(new URL('_support/fake-python.mjs', import.meta.url));
const request = { sources: [], query: { measures: ['a.b'] }, dialect: 'postgres' };

function launchOf(mode: string, env: Record<string, string> = {}): Launch {
  return { python: process.execPath, args: [fake], cwd: process.cwd(), env: { FAKE_MODE: mode, ...env } };
}

function faulty(mode: string, options: OneShotOptions = {}, env: Record<string, string> = {}): Compute {
  return createOneShotCompute(launchOf(mode, env), options);
}

async function failure(t: ExecutionContext, compute: Compute): Promise<KtxError> {
  return (await t.throwsAsync(compute.query(request), { name: 'KtxError' })) as KtxError;
}

test('the child gets the subcommand, the directory and exactly the environment of the launch', async (t) => {
  const root = temporaryTree(t);
  const record = join(root, 'record.json');
  const compute = createOneShotCompute({
    python: process.execPath,
    args: [fake],
    cwd: root,
    env: { FAKE_RECORD: record },
  });
  await compute.query(request);
  const { argv, cwd, env } = JSON.parse(readFileSync(record, 'utf8'));
  t.deepEqual(argv, ['semantic-query', '--error-format', 'json']);
  t.is(cwd, root);
  t.deepEqual(
    Object.keys(env).filter((key) => !key.startsWith('__')),
    ['FAKE_RECORD'],
  );
});

test('a payload of 20 MB and names in any script come back exactly', async (t) => {
  const big = { ...request, query: { measures: ['größe.総額 😀'], filters: ['x'.repeat(20_000_000)] } };
  const { plan } = await faulty('echo', {}, { LC_ALL: 'C' }).query(big);
  t.deepEqual(plan.echo, big);
});

test('Python itself round-trips a large payload and any script under the C locale', async (t) => {
  if (!needsPython(t, 'ktx_daemon.oneshot')) return;
  const items = Array.from({ length: 100 }, (_, n) => ({
    key: `schlüssel-総-😀-${n}-${'x'.repeat(200_000)}`,
    sql_table_name: `"größe"."表_${n}"`,
    dialect: 'postgres',
  }));
  const { results } = await createOneShotCompute(
    workspaceLaunch({ LC_ALL: 'C', PYTHONIOENCODING: 'cp1252' }),
  ).parseTableIdentifiers(items);
  t.deepEqual(
    items.map(({ key }) => [results[key]?.schema, results[key]?.name]),
    items.map((_item, n) => ['größe', `表_${n}`]),
  );
});

const MALFORMED: readonly (readonly [mode: string, message: RegExp])[] = [
  ['empty', /it is empty/],
  ['object', /sql must be a statement/],
  ['list', /not a JSON object/],
  ['half', /not one JSON document/],
  ['noisy', /not one JSON document[\s\S]*DeprecationWarning: soon/],
  ['empty-sql', /sql must be a statement/],
  ['other-dialect', /'mysql' came back for 'postgres'/],
  ['latin1', /not UTF-8/],
];

for (const [mode, message] of MALFORMED) {
  test(`exit 0 with ${mode} output is a protocol error, never an empty statement`, async (t) => {
    const error = await failure(t, faulty(mode));
    t.is(error.code, 'protocol_error');
    t.regex(error.message, message);
    t.regex(error.hint ?? '', /runtime install --force/);
  });
}

test("Python's code, message and details become ours, whatever it printed before", async (t) => {
  const error = await failure(t, faulty('refuse'));
  t.is(error.code, 'unknown_column');
  t.is(error.message, 'no column x');
  t.deepEqual(error.details, { candidates: ['y'] });
});

test('a child that dies before reading 20 MB of stdin is an error of its own words', async (t) => {
  const compute = faulty('die');
  const error = (await t.throwsAsync(
    compute.query({ ...request, query: { measures: ['x'.repeat(20_000_000)] } }),
  )) as KtxError;
  t.is(error.code, 'runtime_failed');
  t.regex(error.message, /exit code 3.*ModuleNotFoundError: ktx_daemon/);
});

test('a child ended by a signal names it', async (t) => {
  t.regex((await failure(t, faulty('killed'))).message, /SIGSEGV/);
});

test('a hanging child ends at the timeout, with everything it started', async (t) => {
  const root = temporaryTree(t);
  const pid = join(root, 'pid');
  const error = await failure(t, faulty('fork', { timeoutMs: 1500 }, { FAKE_PID: pid }));
  t.is(error.code, 'timeout');
  t.regex(error.hint ?? '', /KTX_COMPUTE_TIMEOUT/);
  t.true(await gone(Number(readFileSync(pid, 'utf8'))));
});

test('an aborted signal ends the child and is the reason', async (t) => {
  const controller = new AbortController();
  const reason = new Error('interrupted');
  const pending = faulty('hang', { signal: controller.signal }).query(request);
  setTimeout(() => controller.abort(reason), 200);
  t.is(await t.throwsAsync(pending), reason);
});

test('a child that prints without end is cut off', async (t) => {
  const error = await failure(t, faulty('flood'));
  t.is(error.code, 'protocol_error');
  t.regex(error.message, /larger than 64 MiB/);
});

test('a child that shouts on stderr is quoted briefly', async (t) => {
  const error = await failure(t, faulty('shout'));
  t.is(error.code, 'runtime_failed');
  t.true(error.message.length < 1000);
});

test('an interpreter that is not there asks for a repair', async (t) => {
  const compute = createOneShotCompute({ python: '/nowhere/python', args: [], cwd: process.cwd(), env: {} });
  const error = await failure(t, compute);
  t.is(error.code, 'runtime_unusable');
  t.regex(error.hint ?? '', /runtime install/);
});

test('a body beyond 64 MiB is refused, and its process ended', async (t) => {
  const record = join(temporaryTree(t), 'record.json');
  const send = await startOneShot(launchOf('hang', { FAKE_RECORD: record }), 'query');
  while (!existsSync(record) || readFileSync(record, 'utf8') === '') await sleep(20);
  const error = (await t.throwsAsync(send({ query: 'x'.repeat(64 * 1024 * 1024) }))) as KtxError;
  t.is(error.code, 'limit_exceeded');
  t.true(await gone(JSON.parse(readFileSync(record, 'utf8')).pid));
});

test('a process started ahead waits for its body, and its time counts from there', async (t) => {
  const send = await startOneShot(launchOf('echo'), 'query', { timeoutMs: 5000 });
  await sleep(5500);
  t.like(await send(request), { plan: { echo: request } });
});

test('a process that could not be started ahead is told with its body', async (t) => {
  const send = await startOneShot({ ...launchOf('echo'), python: '/nowhere/python' }, 'query');
  await sleep(200);
  t.is(((await t.throwsAsync(send(request))) as KtxError).code, 'runtime_unusable');
});

async function gone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 50; tries++) {
    try {
      process.kill(pid, 0);
    } catch {
      return true;
    }
    await sleep(100);
  }
  return false;
}
