import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { realTools, realWorld, takeAssets } from './_support/real.ts';
import { alive, until, type World } from './_support/world.ts';

const tools = await realTools();
const real = tools === undefined ? test.serial.skip : test.serial;

const question = [
  ...['sl', 'query', '--measure', 'order_items.revenue', '--measure', 'refunds.refunded'],
  ...['--dimension', 'customers.region', '--order-by', 'customers.region'],
];
const answer = `customers.region  order_items.revenue  refunds.refunded
east                            19233               417
north                           34968               902
south                           23204               561
west                            13569               255
`;

/** The demo's table, through whatever carries the question. */
async function asks(w: World, options: { env?: Record<string, string>; project?: string } = {}): Promise<string> {
  const project = options.project ?? 'shop';
  const ran = await w.ktx([...question, '--execute', '--format', 'table', '--project-dir', project], {
    env: options.env ?? {},
  });
  if (ran.code !== 0) throw new Error(ran.stderr);
  return ran.stdout;
}

real('the journey: demo, a lazy install, the table, the daemon, repair', async (t) => {
  t.timeout(30 * 60_000);
  if (tools === undefined) return t.fail();
  const w = await realWorld(t, tools);
  t.is((await w.ktx(['demo', 'shop'])).code, 0);

  t.like(await w.json(['runtime', 'status']), { code: 1, kind: 'missing' });
  const sql = await w.ktx([...question, '--format', 'sql', '--project-dir', 'shop', '--yes']);
  t.is(sql.code, 0, sql.stderr);
  t.regex(sql.stdout, /^(?:WITH|SELECT)\b/i);
  t.like(await w.json(['runtime', 'status']), { code: 0, kind: 'ready', manifest: { features: ['core'] } });
  t.is(await asks(w), answer);

  // No uv is needed any more, and none is called.
  t.like(await w.json(['runtime', 'install'], { env: { KTX_UV: '/nowhere', PATH: '/nowhere' } }), { kind: 'reused' });

  // Whatever redirects interpreters elsewhere has no effect here.
  await writeFile(join(w.dir, '.python-version'), '3.9\n');
  const hostile = {
    PYTHONPATH: join(w.dir, 'bad'),
    PYTHONHOME: '/bad',
    VIRTUAL_ENV: '/bad',
    CONDA_PREFIX: '/bad',
    LC_ALL: 'C',
  };
  await mkdir(join(w.dir, 'bad'));
  await writeFile(join(w.dir, 'bad', 'json.py'), 'raise SystemExit("hijacked")\n');
  t.is(await asks(w, { env: hostile }), answer);

  const doctor = await w.json<{ ok: boolean; checks: { id: string; status: string }[] }>([
    'runtime',
    'doctor',
    '--deep',
  ]);
  t.true(doctor.ok, JSON.stringify(doctor.checks));

  const started = await w.json<{ kind: string; pid: number; stderr: string }>(['runtime', 'start']);
  t.is(started.kind, 'started');
  t.like(await w.json(['runtime', 'start']), { kind: 'reused', pid: started.pid });
  t.is(await asks(w), answer);
  t.regex(await readFile(started.stderr, 'utf8'), /POST \/semantic-layer\/query 200/);
  t.like(await w.json(['runtime', 'stop']), { kind: 'stopped', pid: started.pid });
  t.false(alive(started.pid));

  // An interpreter that is gone is found and repaired by the next question.
  const [old = ''] = await w.generations();
  await rm(join(w.root, w.version, 'env', old, 'bin', 'python'));
  t.like(await w.json(['runtime', 'status']), { kind: 'broken', reason: 'python-missing' });
  const repaired = await w.ktx([...question, '--format', 'csv', '--execute', '--project-dir', 'shop', '--yes']);
  t.is(repaired.code, 0, repaired.stderr);
  t.true(repaired.stdout.includes('east,19233,417'));

  // kill -9 of ktx while uv installs, and uv goes on: the old runtime answers, the next install sweeps.
  const before = await w.manifest();
  const { child, ended } = w.start(['runtime', 'install', '--force']);
  await until(
    async () => (await readdir(join(w.root, w.version, 'work'))).length > 0 && (await w.generations()).length > 1,
  );
  child.kill('SIGKILL');
  await ended;
  t.deepEqual(await w.manifest(), before);
  t.is(await asks(w), answer);

  // Altered by one digit, the lock asks for a package that no index has.
  await takeAssets(w.pkg, {
    lock: (text) =>
      text
        .replace(
          /(sqlglot==[\s\S]*?sha256:)(.)/g,
          (_, head: string, digit: string) => head + (digit === '0' ? '1' : '0'),
        )
        .replace(/(sqlglot==[^\n]*\n)((?: {4}--hash=sha256:)[0-9a-f]{64})[\s\S]*?(?=\n[a-z])/, '$1$2'),
  });
  const refused = await w.ktx(['runtime', 'install']);
  t.is(refused.code, 1);
  t.regex(refused.stderr, /sqlglot/);
  t.regex(refused.stderr, /sha256:[0-9a-f]{64}/);
  t.regex(refused.stderr, /install-\d{8}T\d{6}Z-[0-9a-f]{8}\.log/);
  t.deepEqual(await w.manifest(), before);
  await takeAssets(w.pkg);
  t.is(await asks(w), answer);
  t.deepEqual(await w.generations(), [before?.generation as string]);
});

real('a warm cache needs no network, in a root with an odd name', async (t) => {
  t.timeout(30 * 60_000);
  if (tools === undefined) return t.fail();
  const w = await realWorld(t, tools);
  t.is((await w.ktx(['demo', 'shop'])).code, 0);
  const env = {
    KTX_RUNTIME_ROOT: join(w.dir, `it's a 'ünïcødé' 🦆 $HOME #1 %41`, 'x'.repeat(120)),
    KTX_OFFLINE: '1',
    HTTPS_PROXY: 'http://127.0.0.1:9',
    HTTP_PROXY: 'http://127.0.0.1:9',
  };
  const ran = await w.ktx(['runtime', 'install'], { env });
  t.is(ran.code, 0, ran.stderr);
  t.is(await asks(w, { env }), answer);
  t.like(await w.json(['runtime', 'start'], { env }), { code: 0, kind: 'started' });
  t.is(await asks(w, { env }), answer);
  t.like(await w.json(['runtime', 'stop'], { env }), { code: 0, kind: 'stopped' });
});

real('no network and a cold cache: one message that says what to set', async (t) => {
  t.timeout(10 * 60_000);
  if (tools === undefined) return t.fail();
  const w = await realWorld(t, tools);
  const env = {
    UV_CACHE_DIR: join(w.dir, 'cold'),
    UV_DEFAULT_INDEX: 'http://127.0.0.1:9/simple',
    UV_INDEX_URL: undefined,
  };
  const ran = await w.ktx(['runtime', 'install'], { env });
  t.is(ran.code, 1);
  t.is(ran.stdout, '');
  for (const text of ['HTTPS_PROXY', 'UV_DEFAULT_INDEX', 'UV_CACHE_DIR', '.log'])
    t.true(ran.stderr.includes(text), ran.stderr);
  t.like(await w.json(['runtime', 'status']), { kind: 'missing' });
});
