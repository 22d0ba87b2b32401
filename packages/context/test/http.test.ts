import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { createHttpCompute, type HttpOptions, type KtxError } from '../src/index.ts';

const request = { sources: [], query: { measures: ['a.b'] }, dialect: 'postgres' };
const good = { sql: 'SELECT 1', dialect: 'postgres', columns: [], plan: {} };

type Seen = { method: string | undefined; url: string | undefined; authorization: string | undefined; body: string };

async function daemon(
  t: ExecutionContext,
  answer: (seen: Seen, response: ServerResponse, count: number) => void,
): Promise<{ baseUrl: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const listener: RequestListener = async (incoming: IncomingMessage, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { method, url, headers } = incoming;
    const one = { method, url, authorization: headers.authorization, body: Buffer.concat(chunks).toString('utf8') };
    seen.push(one);
    answer(one, response, seen.length);
  };
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

function json(response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

async function refused(t: ExecutionContext, options: HttpOptions): Promise<KtxError> {
  return (await t.throwsAsync(createHttpCompute(options).query(request), { name: 'KtxError' })) as KtxError;
}

test('a request carries the token and the body, the answer is checked', async (t) => {
  const { baseUrl, seen } = await daemon(t, (_seen, response) => json(response, 200, good));
  t.deepEqual(await createHttpCompute({ baseUrl, token: 's3' }).query(request), good);
  t.deepEqual(seen, [
    { method: 'POST', url: '/semantic-layer/query', authorization: 'Bearer s3', body: JSON.stringify(request) },
  ]);
});

test('half JSON, an empty body and an empty object are protocol errors', async (t) => {
  for (const body of ['{"sql": "SELECT', '', '{}', '[]']) {
    const { baseUrl } = await daemon(t, (_seen, response) => response.writeHead(200).end(body));
    t.is((await refused(t, { baseUrl })).code, 'protocol_error', body);
  }
});

test("the daemon's code and detail become ours, secrets masked", async (t) => {
  const { baseUrl } = await daemon(t, (_seen, response) =>
    json(response, 400, { detail: 'no column x at postgresql://u:hunter2@h with tok3n', code: 'invalid_query' }),
  );
  const error = await refused(t, { baseUrl, token: 'tok3n' });
  t.is(error.code, 'invalid_query');
  t.is(error.message, 'no column x at postgresql://u:***@h with ***');
  t.deepEqual(error.details, { status: 400 });
  for (const [header, details] of [
    ['{"reason":"not_a_measure","repair":{}}', { status: 400, reason: 'not_a_measure', repair: {} }],
    ['[1]', { status: 400 }],
    ['{', { status: 400 }],
  ] as const) {
    const { baseUrl: advising } = await daemon(t, (_seen, response) =>
      json(response, 400, { detail: 'no', code: 'invalid_query' }, { 'KTX-Error-Details': header }),
    );
    t.deepEqual((await refused(t, { baseUrl: advising })).details, details);
  }
  const { baseUrl: other } = await daemon(t, (_seen, response) =>
    json(response, 422, {
      detail: [{ type: 'x', loc: ['body', 'dialect'], msg: 'Field required' }],
      code: 'invalid_request',
    }),
  );
  t.is((await refused(t, { baseUrl: other })).message, 'body.dialect: Field required');
});

test('a refused token is looked up once more', async (t) => {
  const { baseUrl, seen } = await daemon(t, ({ authorization }, response) =>
    authorization === 'Bearer new'
      ? json(response, 200, good)
      : json(response, 401, { detail: 'no', code: 'unauthorized' }),
  );
  const compute = createHttpCompute({ baseUrl, token: 'old', refresh: async () => ({ baseUrl, token: 'new' }) });
  t.is((await compute.query(request)).sql, 'SELECT 1');
  t.is((await compute.query(request)).sql, 'SELECT 1');
  t.deepEqual(
    seen.map(({ authorization }) => authorization),
    ['Bearer old', 'Bearer new', 'Bearer new'],
  );
  const error = await refused(t, { baseUrl, token: 'old', refresh: async () => ({ baseUrl, token: 'older' }) });
  t.is(error.code, 'unauthorized');
  t.is(seen.length, 5);
});

test('a busy daemon is asked again when it said so, within the time', async (t) => {
  const { baseUrl, seen } = await daemon(t, (_seen, response, count) =>
    count < 3
      ? json(response, 503, { detail: 'busy', code: 'busy' }, { 'retry-after': '0' })
      : json(response, 200, good),
  );
  t.is((await createHttpCompute({ baseUrl }).query(request)).sql, 'SELECT 1');
  t.is(seen.length, 3);
  const { baseUrl: full } = await daemon(t, (_seen, response) =>
    json(response, 503, { detail: 'busy', code: 'busy' }, { 'retry-after': '30' }),
  );
  t.is((await refused(t, { baseUrl: full, timeoutMs: 500 })).code, 'busy');
});

test("a daemon that is gone hands over once, with a note; one of the user's own never does", async (t) => {
  const baseUrl = await closedPort();
  const notes: string[] = [];
  const asked: string[] = [];
  const compute = createHttpCompute({
    baseUrl,
    note: (line) => notes.push(line),
    fallback: async (operation) => {
      asked.push(operation);
      return good;
    },
  });
  await compute.query(request);
  await compute.query(request);
  t.deepEqual(asked, ['query', 'query']);
  t.is(notes.length, 1);
  const error = (await t.throwsAsync(compute.embed({ texts: ['a'] }))) as KtxError;
  t.is(error.code, 'daemon_unreachable', 'embeddings need the daemon');
  t.is((await refused(t, { baseUrl })).code, 'daemon_unreachable');
});

test('a call that may have run is not repeated', async (t) => {
  let connections = 0;
  const server = createTcpServer((socket) => {
    connections++;
    socket.once('data', () => socket.destroy());
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const error = await refused(t, { baseUrl, fallback: async () => t.fail('must not hand over') });
  t.is(error.code, 'connection_lost');
  t.is(connections, 1);
});

test('a body above 16 MiB goes to a process of its own', async (t) => {
  const { baseUrl, seen } = await daemon(t, (_seen, response) => json(response, 200, good));
  let bytes = 0;
  const compute = createHttpCompute({
    baseUrl,
    fallback: async (_operation, body) => {
      bytes = JSON.stringify(body).length;
      return good;
    },
  });
  await compute.query({ ...request, query: { measures: ['x'.repeat(17 * 1024 * 1024)] } });
  t.true(bytes > 16 * 1024 * 1024);
  t.is(seen.length, 0);
});

test('a daemon that never answers is a timeout; an aborted signal is its reason', async (t) => {
  const { baseUrl } = await daemon(t, () => {});
  t.is((await refused(t, { baseUrl, timeoutMs: 300 })).code, 'timeout');
  const controller = new AbortController();
  const reason = new Error('interrupted');
  const pending = createHttpCompute({ baseUrl, signal: controller.signal }).query(request);
  setTimeout(() => controller.abort(reason), 100);
  t.is(await t.throwsAsync(pending), reason);
});

test('an error page of megabytes is cut', async (t) => {
  const { baseUrl } = await daemon(t, (_seen, response) => response.writeHead(500).end('z'.repeat(5_000_000)));
  const error = await refused(t, { baseUrl });
  t.is(error.code, 'http_500');
  t.true(error.message.length < 1000);
});

async function closedPort(): Promise<string> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}
