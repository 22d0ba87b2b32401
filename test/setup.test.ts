import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { LOCK_WITH_A_PACKAGE, realTools, setupWorkspace, type Workspace } from './_support/setup-workspace.ts';

/** A workspace with the real uv on PATH and the real Python told by UV_PYTHON. */
async function withTools(t: ExecutionContext): Promise<Workspace> {
  const [at, tools] = [await setupWorkspace(t), await realTools()];
  await at.link('uv', tools.uv.path);
  at.env.UV_PYTHON = tools.python.path;
  return at;
}

/** Preloaded into Node: writes one line for every child process that is started. */
const TRIPWIRE = `
const child = require('node:child_process');
const { appendFileSync } = require('node:fs');
const { spawn } = child;
child.spawn = (...args) => { appendFileSync(process.env.TRIPWIRE, args[0] + '\\n'); return spawn(...args); };
require('node:module').syncBuiltinESMExports();
`;

const noStack = (t: ExecutionContext, err: string) => t.notRegex(err, /\n\s+at |node:internal|Error:/);

test.serial('sets everything up, says each step in a line, and writes down what it found', async (t) => {
  const at = await withTools(t);
  const tools = await realTools();
  const { code, err } = await at.setUp();
  t.is(code, 0, err);
  const steps = err
    .trim()
    .split('\n')
    .map((line) => /^setup: (\w+( \w+)?)/.exec(line)?.[1]);
  t.deepEqual(steps, ['npm dependencies', 'uv', 'Python', 'Python environment', 'ready']);
  const found = await at.toolchain();
  t.is(found.python.path, tools.python.path);
  t.is(found.uv.path, path.join(at.bin, 'uv'));
  t.is(found.node.path, process.execPath);
  const packages = await readdir(
    path.join(
      at.root,
      '.venv',
      'lib',
      `python${tools.python.version.split('.').slice(0, 2).join('.')}`,
      'site-packages',
    ),
  );
  t.true(packages.includes('one.pth'));
});

test.serial('with nothing to do it starts no child process and changes nothing', async (t) => {
  const at = await withTools(t);
  t.is((await at.setUp()).code, 0);
  const before = await readFile(path.join(at.root, '.tools', 'toolchain.json'));
  await writeFile(path.join(at.home, 'tripwire.cjs'), TRIPWIRE);
  const log = path.join(at.home, 'children');
  const again = await at.setUp([], { NODE_OPTIONS: `--require ${path.join(at.home, 'tripwire.cjs')}`, TRIPWIRE: log });
  t.is(again.code, 0);
  t.regex(again.err, /^setup: ready .*\n$/);
  t.false(existsSync(log));
  t.deepEqual(await readFile(path.join(at.root, '.tools', 'toolchain.json')), before);
  t.deepEqual((await readdir(path.join(at.root, '.tools'))).sort(), ['toolchain.json', 'workspace-requirements.txt']);

  // The tripwire itself works: a tool is a child.
  await at.setUp(['node', '-e', '0'], {
    NODE_OPTIONS: `--require ${path.join(at.home, 'tripwire.cjs')}`,
    TRIPWIRE: log,
  });
  t.is(await readFile(log, 'utf8'), `${process.execPath}\n`);
});

test.serial('runs the tool with its own Node, the Python, and node_modules/.bin first on PATH', async (t) => {
  const at = await withTools(t);
  const { code, out } = await at.setUp(['gulp', 'tell', '--flag', 'a b']);
  t.is(code, 0);
  const told = JSON.parse(out);
  t.deepEqual(told.args, ['tell', '--flag', 'a b']);
  t.is(told.node, process.execPath);
  t.is(told.python, (await realTools()).python.path);
  t.is(told.path, [path.join(at.root, 'node_modules', '.bin'), at.bin].join(path.delimiter));
  const uv = await at.setUp(['uv', '--version']);
  t.regex(uv.out, /^uv \d/);
});

test.serial('ends as the tool ended: exit code, signal, and what the tool makes of a signal', async (t) => {
  const at = await withTools(t);
  t.is((await at.setUp(['gulp', 'exit', '3'])).code, 3);
  t.is((await at.setUp(['gulp', 'die', 'SIGKILL'])).signal, 'SIGKILL');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const run = at.start(['gulp', 'wait', signal]);
    await run.says('waiting');
    run.kill(signal);
    const { code, out } = await run.ended;
    t.is(code, 7);
    t.regex(out, new RegExp(`got ${signal}`));
  }
});

test.serial('an unknown tool is refused with the usage', async (t) => {
  const at = await setupWorkspace(t);
  const { code, err } = await at.setUp(['glup']);
  t.is(code, 1);
  t.is(err, 'setup: unknown tool "glup"\n  Usage: node setup.mjs [gulp|node|uv …arguments]\n');
});

test.serial('a Node that does not fit gives way to the one that the node package brings', async (t) => {
  const at = await withTools(t);
  const manifest = JSON.parse(await readFile(path.join(at.root, 'package.json'), 'utf8'));
  const lock = JSON.parse(await readFile(path.join(at.root, 'package-lock.json'), 'utf8'));
  manifest.engines = lock.packages[''].engines = { node: '>=99' };
  manifest.devDependencies.node = lock.packages[''].devDependencies.node = 'file:vendor/node';
  lock.packages['node_modules/node'] = { resolved: 'vendor/node', link: true };
  lock.packages['vendor/node'] = { name: 'node', version: '99.0.0', dev: true };
  await at.write('package.json', JSON.stringify(manifest));
  await at.write('package-lock.json', JSON.stringify(lock));
  await at.write('vendor/node/package.json', JSON.stringify({ name: 'node', version: '99.0.0' }));
  const missing = await at.setUp();
  t.is(missing.code, 1);
  t.regex(missing.err, /setup: Node [\d.]+ runs this, the graph needs >=99/);
  noStack(t, missing.err);

  await mkdir(path.join(at.root, 'vendor', 'node', 'bin'));
  await symlink(process.execPath, path.join(at.root, 'vendor', 'node', 'bin', 'node'));
  t.is((await at.setUp()).code, 0);
  t.is((await at.toolchain()).node.path, path.join(at.root, 'node_modules', 'node', 'bin', 'node'));
});

test.serial('finds the Python that only a version manager folder holds, past shims that do not start', async (t) => {
  const at = await withTools(t);
  const { python } = await realTools();
  delete at.env.UV_PYTHON;
  const minor = python.version.split('.').slice(0, 2).join('.');
  await at.script(`python${minor}`, 'echo "pyenv: version is not active" >&2; exit 127');
  const versions = path.join(at.home, '.pyenv', 'versions');
  await mkdir(versions, { recursive: true });
  await symlink(path.dirname(path.dirname(python.path)), path.join(versions, python.version));
  const { code, err } = await at.setUp();
  t.is(code, 0, err);
  t.regex(err, /setup: Python: 3\.\d+\.\d+ at .*\(pyenv\)/);
});

/** The user's own settings for pip: index, certificates, proxy. */
const pipSettings = () => {
  const kept = /^(PIP_|SSL_|REQUESTS_CA|CURL_CA|https?_proxy$|no_proxy$)/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => kept.test(name)));
};

test.serial('an old uv on PATH gives way to our own, which pip installs by hash', async (t) => {
  const at = await withTools(t);
  await at.script('uv', 'echo "uv 0.4.30"');
  await at.link('python3', (await realTools()).python.path);
  const requirements = await readFile(path.join(at.root, 'tasks', 'uv-requirements.txt'), 'utf8');
  await at.write('tasks/uv-requirements.txt', requirements.replace(/sha256:[0-9a-f]{60}/g, `sha256:${'0'.repeat(60)}`));
  const refused = await at.setUp([], pipSettings());
  t.is(refused.code, 1);
  t.regex(refused.err, /uv 0\.4\.30; uv>=0\.11\.28 is needed\n[\s\S]*DO NOT MATCH THE HASHES/);
  t.false(existsSync(path.join(at.root, '.tools', 'uv')));

  await at.write('tasks/uv-requirements.txt', requirements);
  const { code, err } = await at.setUp([], pipSettings());
  t.is(code, 0, err);
  t.is((await at.toolchain()).uv.path, path.join(at.root, '.tools', 'uv', 'bin', 'uv'));
  t.regex((await at.setUp(['uv', '--version'])).out, /^uv 0\.13\.9/);
  t.is((await at.setUp()).err.trim().split('\n').length, 1);
});

const FAULTS: {
  readonly name: string;
  readonly prepare: (at: Workspace) => Promise<NodeJS.ProcessEnv | undefined>;
  readonly says: RegExp;
}[] = [
  {
    name: 'no uv, and no pip to get one',
    prepare: async (at) => {
      await rm(path.join(at.bin, 'uv'));
      return undefined;
    },
    says: /^setup: no uv on PATH; uv>=0\.11\.28 is needed\n {2}no Python with a working pip was found\n {2}Set-up could not install it\. Put one on PATH, for example: python3 -m pip install --require-hashes -r tasks\/uv-requirements\.txt$/m,
  },
  {
    name: 'an old uv, and no pip to get a newer one',
    prepare: async (at) => {
      await at.script('uv', 'echo "uv 0.4.30 (61ed2a236 2024-11-04)"');
      return undefined;
    },
    says: /^setup: \S+\/bin\/uv is uv 0\.4\.30; uv>=0\.11\.28 is needed\n {2}no Python with a working pip/m,
  },
  {
    name: 'a uv that does not start',
    prepare: async (at) => {
      await at.script('uv', 'exit 3');
      return undefined;
    },
    says: /^setup: \S+\/bin\/uv ended with exit code 3; uv>=0\.11\.28 is needed/m,
  },
  {
    name: 'no fitting Python',
    prepare: async (at) => {
      delete at.env.UV_PYTHON;
      await at.script('python3', 'exit 127');
      return undefined;
    },
    says: /^setup: no Python that fits >=3\.13\n {2}looked at:\n {4}\S+\/bin\/python3 does not start\n {2}Install CPython 3\.13 or newer and put it on PATH, or let UV_PYTHON name it\.$/m,
  },
  {
    name: 'a UV_PYTHON that names none',
    prepare: async () => ({ UV_PYTHON: '/nowhere/python' }),
    says: /^setup: no Python that fits \/nowhere\/python \(UV_PYTHON\) within >=3\.13\n {2}Unset UV_PYTHON/m,
  },
  {
    name: 'no network for uv',
    prepare: async (at) => {
      await at.write('uv.lock', LOCK_WITH_A_PACKAGE);
      return { UV_DEFAULT_INDEX: 'http://127.0.0.1:9/simple', UV_HTTP_RETRIES: '0' };
    },
    says: /^setup: no network: uv reached no package index while fetching the Python dependencies\n[\s\S]*Check the connection and uv's own index/m,
  },
  {
    name: 'no network for pip',
    prepare: async (at) => {
      await rm(path.join(at.bin, 'uv'));
      await at.link('python3', (await realTools()).python.path);
      return { PIP_CONFIG_FILE: '/dev/null', PIP_INDEX_URL: 'http://127.0.0.1:9/simple', PIP_RETRIES: '1' };
    },
    says: /^setup: no network: pip reached no package index while fetching uv\n/m,
  },
  {
    name: 'no network for npm',
    prepare: async (at) => {
      const lock = JSON.parse(await readFile(path.join(at.root, 'package-lock.json'), 'utf8'));
      const manifest = JSON.parse(await readFile(path.join(at.root, 'package.json'), 'utf8'));
      manifest.devDependencies.nowhere = lock.packages[''].devDependencies.nowhere = '1.0.0';
      lock.packages['node_modules/nowhere'] = { version: '1.0.0', integrity: `sha512-${'A'.repeat(86)}==`, dev: true };
      await at.write('package.json', JSON.stringify(manifest));
      await at.write('package-lock.json', JSON.stringify(lock));
      return { npm_config_registry: 'http://127.0.0.1:9/', npm_config_fetch_retries: '0' };
    },
    says: /^setup: no network: npm reached no package index while fetching the npm dependencies\n/m,
  },
  {
    name: 'npm refusing',
    prepare: async (at) => {
      const manifest = JSON.parse(await readFile(path.join(at.root, 'package.json'), 'utf8'));
      manifest.devDependencies.nowhere = '1.0.0';
      await at.write('package.json', JSON.stringify(manifest));
      return { npm_config_registry: 'http://127.0.0.1:9/', npm_config_offline: 'true' };
    },
    says: /^setup: npm ci ended with exit code 1; its last lines:\n[\s\S]*npm error[\s\S]*\n {2}Mend what npm names above/m,
  },
];

for (const { name, prepare, says } of FAULTS) {
  test.serial(`one focused message for ${name}`, async (t) => {
    const at = await withTools(t);
    const { code, err } = await at.setUp(['gulp'], await prepare(at));
    t.is(code, 1);
    t.regex(err, says);
    t.notRegex(err, /\n\s+at \S+ \(|node:internal/);
  });
}

/** The real uv, stopping for good at one command, until a file goes away. */
async function stoppingUv(at: Workspace, command: string): Promise<string> {
  const { uv } = await realTools();
  const marker = path.join(at.home, 'stopped');
  await at.script(
    'uv',
    `case "$*" in "${command}"*) echo $$ >> "${marker}"; while [ ! -e "${marker}.go" ]; do /bin/sleep 0.05; done;; esac\nexec "${uv.path}" "$@"`,
  );
  return marker;
}

async function appears(file: string): Promise<string> {
  for (;;) {
    if (existsSync(file)) return readFile(file, 'utf8');
    await sleep(20);
  }
}

/** Whether a process runs; one that ended but was not yet waited for does not. */
const lives = (pid: number) => {
  try {
    process.kill(pid, 0);
    return !(existsSync(`/proc/${pid}/stat`) && /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
  } catch {
    return false;
  }
};

for (const command of ['export', 'venv', 'pip sync', 'pip install']) {
  test.serial(`killed at uv ${command}, the next run ends what was left running and mends`, async (t) => {
    const at = await withTools(t);
    const marker = await stoppingUv(at, command);
    const first = at.start();
    const orphan = Number(await appears(marker));
    first.kill('SIGKILL');
    t.is((await first.ended).signal, 'SIGKILL');
    t.true(lives(orphan));
    await at.link('uv', (await realTools()).uv.path);
    const { code, err } = await at.setUp();
    t.is(code, 0, err);
    t.false(lives(orphan));
    t.deepEqual((await readdir(path.join(at.root, '.tools'))).sort(), ['toolchain.json', 'workspace-requirements.txt']);
  });
}

test.serial('of two at once the second waits, says for whom, and has nothing left to do', async (t) => {
  const at = await withTools(t);
  const marker = await stoppingUv(at, 'pip sync');
  const first = at.start();
  await appears(marker);
  const second = at.start(['gulp', 'tell']);
  await second.says(`setup: waiting for the set-up of process ${first.pid} in this checkout`);
  await writeFile(`${marker}.go`, '');
  t.is((await first.ended).code, 0);
  const { code, out, err } = await second.ended;
  t.is(code, 0);
  t.is(err.trim().split('\n').length, 1, err);
  t.is(JSON.parse(out).args[0], 'tell');
  t.is((await readFile(marker, 'utf8')).trim().split('\n').length, 1);
});

test.serial('a signal ends the running step and leaves no lock', async (t) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const at = await withTools(t);
    const marker = await stoppingUv(at, 'pip sync');
    const run = at.start(['gulp']);
    const child = Number(await appears(marker));
    run.kill(signal);
    t.is((await run.ended).signal, signal);
    t.false(lives(child));
    t.false((await readdir(path.join(at.root, '.tools'))).some((name) => name.startsWith('setup.lock')));
  }
});

test.serial('only what changed is done again', async (t) => {
  const at = await withTools(t);
  const steps = async () => {
    const { code, err } = await at.setUp();
    t.is(code, 0, err);
    return err
      .trim()
      .split('\n')
      .map((line) => /^setup: ([^:(]+)/.exec(line)?.[1]?.trim())
      .filter((step) => step !== 'ready');
  };
  t.is((await steps()).length, 4);
  t.deepEqual(await steps(), []);

  const pyproject = await readFile(path.join(at.root, 'pyproject.toml'), 'utf8');
  await at.write('pyproject.toml', `${pyproject}\n# a word\n`);
  t.deepEqual(await steps(), ['Python environment']);

  await rm(path.join(at.root, '.venv', 'bin', 'python'));
  t.deepEqual(await steps(), ['Python environment']);

  await at.script('uv', `exec "${(await realTools()).uv.path}" "$@"`);
  t.deepEqual(await steps(), ['uv']);

  await writeFile(path.join(at.root, '.tools', 'toolchain.json'), '{"schemaVersion": 1,');
  t.deepEqual(await steps(), ['uv', 'Python']);

  await rm(path.join(at.root, 'node_modules', 'gulp'), { recursive: true });
  t.deepEqual(await steps(), ['npm dependencies']);

  // A script in package.json is no dependency: npm has nothing to do.
  const manifest = JSON.parse(await readFile(path.join(at.root, 'package.json'), 'utf8'));
  await at.write('package.json', JSON.stringify({ ...manifest, scripts: { hello: 'true' } }));
  t.deepEqual(await steps(), []);
});

test.serial('a checkout that was moved or copied gets an environment of its own', async (t) => {
  const at = await withTools(t);
  t.is((await at.setUp()).code, 0);
  const moved = `${at.root}-moved`;
  await cp(at.root, moved, { recursive: true, verbatimSymlinks: true });
  const { code, err } = await at.setUp([], {}, moved);
  t.is(code, 0, err);
  t.regex(err, /Python environment: making \.venv/);
  const activate = await readFile(path.join(moved, '.venv', 'bin', 'activate'), 'utf8');
  t.true(activate.includes(path.join(moved, '.venv')));
  t.false(activate.includes(path.join(at.root, '.venv')));
  t.is((await at.setUp()).err.trim().split('\n').length, 1, 'the first one is left alone');
});
