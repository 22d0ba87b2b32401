/**
 * The embedding model as an installation step: a real HTTP server that misbehaves, the workspace's real Python that
 * fetches, and a fake uv around them. No model hub is asked.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { workspacePython } from '../../context/test/_support/python.ts';
import { installedModel, type ModelPin } from '../src/runtime/model.ts';
import { type Ran, type RunOptions, sha256, until, type World, world, writeAssets } from './_support/world.ts';

const NAME = 'owner/all-small';
const REVISION = 'c'.repeat(40);
const FILES: Readonly<Record<string, Buffer>> = {
  '1_Pooling/config.json': Buffer.from('{"pooling_mode_mean_tokens": true}\n'),
  'config.json': Buffer.from('{}\n'),
  'model.safetensors': Buffer.alloc(300_000, 'weights '),
};
const pin: ModelPin = {
  name: NAME,
  revision: REVISION,
  files: Object.entries(FILES).map(([path, content]) => ({ path, sha256: sha256(content), bytes: content.length })),
};
const { folder } = installedModel(pin);
const WEIGHTS = `/${NAME}/resolve/${REVISION}/model.safetensors`;

const there = existsSync(workspacePython);
const modelTest = there ? test : test.skip;
if (!there) {
  if (process.env.CI) throw new Error('the embedding model cannot be tested: the workspace has no .venv');
  console.error('skipped: the embedding model, as the workspace has no .venv');
}

type Answer = (request: IncomingMessage, response: ServerResponse, content: Buffer) => void;

interface Hub {
  readonly url: string;
  /** Paths that were asked for, in order. */
  readonly asked: string[];
}

/** Serves the pinned files as the hub does; `weights` answers for the largest. */
async function hub(t: ExecutionContext, weights?: Answer): Promise<Hub> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    const content = FILES[path.replace(`/${NAME}/resolve/${REVISION}/`, '')];
    if (content === undefined) return response.writeHead(404).end('Entry not found');
    if (path === WEIGHTS && weights !== undefined) return weights(request, response, content);
    return response.writeHead(200, { 'content-length': content.length }).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

/** A package that pins the model, installed with core alone. */
async function pinned(t: ExecutionContext): Promise<World> {
  const w = await world(t);
  await writeAssets(w.pkg, { manifest: (manifest) => ({ ...manifest, model: pin }) });
  const ran = await w.ktx(['runtime', 'install']);
  t.is(ran.code, 0, ran.stderr);
  return w;
}

const install = ['runtime', 'install', '--feature', 'local-embeddings'];

function from(url: string, env: Record<string, string> = {}): RunOptions {
  return { env: { HF_ENDPOINT: url, REAL_PYTHON: workspacePython, NO_PROXY: '127.0.0.1', ...env } };
}

async function placed(w: World): Promise<string[]> {
  return (await readdir(join(w.root, 'models')).catch(() => [])).sort();
}

/** Exit 1, one message with a fix, and the runtime of before as it was. */
async function refused(t: ExecutionContext, w: World, ran: Ran, ...texts: RegExp[]): Promise<void> {
  t.is(ran.code, 1, ran.stderr);
  t.is(ran.stdout, '');
  for (const text of [...texts, /ktx runtime install --yes --feature local-embeddings/]) t.regex(ran.stderr, text);
  t.deepEqual(await placed(w), []);
  t.deepEqual(await readdir(join(w.root, w.version, 'work')), []);
  t.like(await w.json(['runtime', 'status']), { kind: 'ready', manifest: { features: ['core'] } });
  t.is((await w.generations()).length, 1);
}

modelTest('local embeddings bring the pinned model, once; the daemon is told where it is', async (t) => {
  const w = await pinned(t);
  const { url, asked } = await hub(t);
  const ran = await w.ktx(install, from(url));
  t.is(ran.code, 0, ran.stderr);
  t.regex(ran.stderr, /^Fetching the embedding model all-small \(\d+ kB\)$/m);
  const target = join(w.root, 'models', folder);
  for (const [path, content] of Object.entries(FILES)) t.deepEqual(await readFile(join(target, path)), content, path);
  t.like(await w.manifest(), { model: { name: NAME, revision: REVISION, folder } });
  t.is(asked.length, 3);

  const again = await w.json([...install, '--force'], from('http://127.0.0.1:9'));
  t.like(again, { code: 0, kind: 'installed' });
  t.is(asked.length, 3, 'present and intact: nothing is asked');

  await writeFile(join(target, 'model.safetensors'), Buffer.alloc(300_000, 'damaged '));
  t.like(await w.json(['runtime', 'doctor', '--deep']), { ok: false });
  t.is((await w.ktx([...install, '--force'], from(url))).code, 0);
  t.deepEqual(await readFile(join(target, 'model.safetensors')), FILES['model.safetensors']);

  const daemon = await w.json<{ stderr: string }>(['runtime', 'start'], from(url));
  t.true((await readFile(daemon.stderr, 'utf8')).includes(`model ${target} offline 1`));
  await w.ktx(['runtime', 'stop']);

  await rm(target, { recursive: true });
  t.like(await w.json(['runtime', 'install']), { kind: 'reused' }, 'core needs no model');
  t.is((await w.ktx(install, from(url))).code, 0);
  t.deepEqual(await placed(w), [folder]);
});

const FAULTS: readonly { name: string; weights: Answer; code: string; says: RegExp }[] = [
  {
    name: 'other bytes of the same size',
    weights: (_request, response, content) => response.end(Buffer.alloc(content.length, 'x')),
    code: 'model_mismatch',
    says: /model\.safetensors has sha256 [0-9a-f]{64} where [0-9a-f]{64} is pinned/,
  },
  {
    name: 'more bytes, without end',
    weights: (_request, response) => {
      const more = (): void =>
        void (response.destroyed || response.write(Buffer.alloc(65_536), () => setImmediate(more)));
      more();
    },
    code: 'model_mismatch',
    says: /model\.safetensors is larger than the pinned 300000 bytes/,
  },
  {
    name: 'a cut connection',
    weights: (_request, response, content) => {
      response
        .writeHead(200, { 'content-length': content.length })
        .write(content.subarray(0, 1000), () => response.destroy());
    },
    code: 'model_unreachable',
    says: /model\.safetensors: /,
  },
  {
    name: '404',
    weights: (_request, response) => response.writeHead(404).end(),
    code: 'model_not_found',
    says: /model\.safetensors answered 404/,
  },
  {
    name: 'a server that stalls',
    weights: (_request, response, content) => {
      response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 1000));
    },
    code: 'model_unreachable',
    says: /timed out/i,
  },
];
for (const { name, weights, code, says } of FAULTS) {
  modelTest(`${name}: ${code}, nothing is left, core stays`, async (t) => {
    const w = await pinned(t);
    const { url } = await hub(t, weights);
    const options = from(url, { HF_HUB_DOWNLOAD_TIMEOUT: '2' });
    await refused(t, w, await w.ktx(install, options), says, /HF_ENDPOINT/, /install-\d{8}T\d{6}Z-[0-9a-f]{8}\.log/);
    t.like(await w.json<{ error: object }>(install, options), { error: { code } });
  });
}

modelTest('no network: one message that says what to set', async (t) => {
  const w = await pinned(t);
  await refused(t, w, await w.ktx(install, from('http://127.0.0.1:9')), /could not be reached/, /HTTPS_PROXY/);
});

modelTest('what is cut once is fetched again, slowly and over a redirect', async (t) => {
  const w = await pinned(t);
  let tries = 0;
  const { url, asked } = await hub(t, (request, response, content) => {
    tries += 1;
    if (tries === 1) return response.destroy();
    if (tries === 2) return response.writeHead(302, { location: `http://${request.headers.host}${WEIGHTS}` }).end();
    response.writeHead(200, { 'content-length': content.length });
    for (let part = 0; part < 5; part++)
      setTimeout(() => response.write(content.subarray(part * 60_000, (part + 1) * 60_000)), part * 300);
    return undefined;
  });
  const ran = await w.ktx(install, from(url));
  t.is(ran.code, 0, ran.stderr);
  t.is(asked.filter((path) => path === WEIGHTS).length, 3);
  t.deepEqual(await placed(w), [folder]);
});

modelTest('KTX_OFFLINE is told before anything is built; a directory with the model serves', async (t) => {
  const w = await pinned(t);
  const calls = (await w.calls()).length;
  const ran = await w.ktx(install, from('http://127.0.0.1:9', { KTX_OFFLINE: '1' }));
  await refused(t, w, ran, /KTX_OFFLINE is set/, /KTX_EMBEDDINGS_MODEL_DIR/);
  t.is((await w.calls()).length, calls);
  const mine = join(w.dir, 'mine');
  for (const [path, content] of Object.entries(FILES)) {
    await mkdir(dirname(join(mine, path)), { recursive: true });
    await writeFile(join(mine, path), content);
  }
  const options = from('http://127.0.0.1:9', { KTX_OFFLINE: '1', KTX_EMBEDDINGS_MODEL_DIR: mine });
  await writeFile(join(mine, 'config.json'), '[]\n');
  await refused(t, w, await w.ktx(install, options), /KTX_OFFLINE is set, and config\.json of owner\/all-small/);
  await writeFile(join(mine, 'config.json'), FILES['config.json'] ?? '');
  t.is((await w.ktx(install, options)).code, 0);
  t.deepEqual(await placed(w), [folder]);
});

modelTest('ended while it fetches: 130, nothing is left', async (t) => {
  const w = await pinned(t);
  const { url, asked } = await hub(t, (_request, response, content) => {
    response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 1000));
  });
  const { child, ended } = w.start(install, from(url));
  await until(() => asked.includes(WEIGHTS));
  child.kill('SIGINT');
  t.is((await ended).code, 130);
  t.deepEqual(await placed(w), []);
  t.deepEqual(await readdir(join(w.root, w.version, 'work')), []);
  t.like(await w.json(['runtime', 'status']), { kind: 'ready', manifest: { features: ['core'] } });
});

const PINS: readonly [string, unknown][] = [
  ['files/../..', { ...pin, files: [{ ...pin.files[0], path: '../../evil' }] }],
  ['an absolute path', { ...pin, files: [{ ...pin.files[0], path: '/evil' }] }],
  ['a backslash', { ...pin, files: [{ ...pin.files[0], path: 'a\\b' }] }],
  ['no files', { ...pin, files: [] }],
  ['a branch for a revision', { ...pin, revision: 'main' }],
  ['a name with an address in it', { ...pin, name: 'https://evil.example/x' }],
  ['a short hash', { ...pin, files: [{ ...pin.files[0], sha256: 'ab' }] }],
  ['text', 'all-small'],
];
test('a damaged pin is told by what is wrong with it', async (t) => {
  const w = await world(t);
  for (const [name, model] of PINS) {
    await writeAssets(w.pkg, { manifest: (manifest) => ({ ...manifest, model }) });
    const ran = await w.ktx(['runtime', 'install']);
    t.is(ran.code, 1, name);
    t.regex(ran.stderr, /manifest\.json (?:has a bad|names) .*model/, name);
  }
});
