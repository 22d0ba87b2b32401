import { execFile } from 'node:child_process';
import { access, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { alive, type World, world } from './_support/world.ts';

const run = promisify(execFile);
const driver = fileURLToPath(new URL('_support/person.py', import.meta.url));
const python = await pythonWithPty();

async function pythonWithPty(): Promise<string | undefined> {
  const own = fileURLToPath(new URL('../../../.venv/bin/python', import.meta.url));
  for (const candidate of [own, 'python3']) {
    const found = await run(candidate, ['-c', 'import pty']).then(
      () => true,
      () => false,
    );
    if (found) return candidate;
  }
  if (process.env.CI) throw new Error('no Python with the pty module: the prompts cannot be tested');
  return undefined;
}

const onTerminal = python === undefined ? test.skip : test;
if (python === undefined) console.error('skipped: prompts and Ctrl-C on a terminal, as no python3 with pty is here');

interface Played {
  readonly output: string;
  readonly code: number | null;
  readonly matched: number;
}

async function play(
  w: World,
  args: readonly string[],
  steps: { expect: string; send: string }[],
  more: Record<string, string> = {},
): Promise<Played> {
  const plan = {
    argv: [process.execPath, join(w.pkg, 'dist', 'bin.js'), ...args],
    env: { ...w.env, TERM: 'xterm-256color', ...more },
    cwd: w.dir,
    steps,
    limit: 240,
  };
  const { stdout } = await run(python ?? '', [driver, JSON.stringify(plan)], { maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(stdout) as Played;
}

/** A project in which a query needs the runtime. */
async function project(t: ExecutionContext): Promise<World> {
  const w = await world(t);
  const ran = await w.ktx(['demo', 'shop']);
  t.is(ran.code, 0, ran.stderr);
  return w;
}

const query = ['sl', 'query', '--project-dir', 'shop', '--measure', 'orders.order_count'];
const sqlQuery = [...query, '--format', 'sql'];

onTerminal('asked once with size and directory; Enter installs', async (t) => {
  const w = await project(t);
  const { output, matched } = await play(w, sqlQuery, [{ expect: 'Yes', send: '\r' }]);
  t.is(matched, 1, output);
  const plain = output.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '').replaceAll(/\s*│?\s*\r?\n\s*│?\s*/g, '');
  t.regex(plain, /Install the runtime now\? \(about \d+ MB to download, \d+ MB on disk/);
  t.true(plain.replaceAll(/\s/g, '').includes(w.root.replaceAll(/\s/g, '')), plain);
  t.truthy(await w.manifest());
});

onTerminal('declined: exit 1, and nothing under the root', async (t) => {
  const w = await project(t);
  const { output, code } = await play(w, sqlQuery, [{ expect: 'Yes', send: 'n' }]);
  t.is(code, 1, output);
  t.regex(output, /declined/);
  await t.throwsAsync(access(w.root));
});

onTerminal('Ctrl-C at the question: 130, and nothing under the root', async (t) => {
  const w = await project(t);
  const { output, code } = await play(w, sqlQuery, [{ expect: 'Yes', send: '\u0003' }]);
  t.is(code, 130, output);
  await t.throwsAsync(access(w.root));
});

onTerminal('Ctrl-C during an installation ends its whole group with 130', async (t) => {
  const w = await world(t);
  const { output, code } = await play(w, ['runtime', 'install'], [{ expect: 'Installing packages', send: '\u0003' }], {
    FAKE_UV_FAULT: JSON.stringify({ sync: { hang: true } }),
  });
  t.is(code, 130, output);
  t.true(output.endsWith('\u001b[?25h') || output.includes('\u001b[?25h'), 'the cursor is back');
  for (const { pid } of await w.calls()) if (pid > 0) t.false(alive(pid));
  t.deepEqual(await w.generations(), []);
});

onTerminal('a spinner turns on a terminal', async (t) => {
  const w = await world(t);
  const { output, code } = await play(w, ['runtime', 'install'], []);
  t.is(code, 0, output);
  t.regex(output, /[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/);
  t.regex(output, /✔/);
});

onTerminal('NO_COLOR leaves the spinner and takes the colour', async (t) => {
  const w = await world(t);
  const { output } = await play(w, ['runtime', 'install'], [], { NO_COLOR: '1' });
  t.notRegex(output, /\u001b\[\d+m/);
});

test('without a terminal: a line each, no escape', async (t) => {
  const w = await world(t);
  const { stderr, stdout } = await w.ktx(['runtime', 'install']);
  t.notRegex(stderr + stdout, /\u001b/);
  t.deepEqual(stderr.trim().split('\n').slice(0, 4), [
    'Checking',
    'Preparing the interpreter',
    'Installing packages',
    'Verifying',
  ]);
  const quiet = await w.ktx(['runtime', 'install', '--force', '--no-progress']);
  t.is(quiet.stderr, '');
});

test('without a terminal a query fails at once, in one line with the command', async (t) => {
  const w = await project(t);
  for (const extra of [[], ['--no-input']]) {
    const ran = await w.ktx([...sqlQuery, ...extra]);
    t.is(ran.code, 1);
    t.is(ran.stdout, '');
    t.is(ran.stderr.trim().split('\n').length, 1, ran.stderr);
    t.true(ran.stderr.includes('ktx runtime install --yes') && ran.stderr.includes(w.root), ran.stderr);
  }
  const document = await w.json<{ kind: string; error: { code: string }; meta: { command: string } }>([
    ...query,
    '--no-input',
  ]);
  t.like(document, { code: 1, kind: 'error', error: { code: 'runtime_required' }, meta: { command: 'sl query' } });
  const npx = await w.ktx(sqlQuery, { env: { npm_command: 'exec' } });
  t.true(npx.stderr.includes('npx @kaelio/ktx runtime install --yes'), npx.stderr);
  await t.throwsAsync(access(w.root));
});

test('KTX_SKIP_RUNTIME_INSTALL beats --yes', async (t) => {
  const w = await project(t);
  const document = await w.json<{ error: { code: string } }>([...query, '--yes'], {
    env: { KTX_SKIP_RUNTIME_INSTALL: '1' },
  });
  t.like(document, { code: 1, error: { code: 'runtime_required' } });
});

test('a broken runtime is named, and repaired under --yes', async (t) => {
  const w = await project(t);
  t.is((await w.ktx(['runtime', 'install'])).code, 0);
  const [old = ''] = await w.generations();
  await rm(join(w.root, w.version, 'env', old, 'bin', 'python'));
  const refused = await w.ktx([...sqlQuery, '--no-input']);
  t.regex(refused.stderr, /python-missing/);
  await w.ktx([...sqlQuery, '--yes']);
  t.is((await w.json(['runtime', 'status'])).kind, 'ready');
  t.false((await w.generations()).includes(old));
});
