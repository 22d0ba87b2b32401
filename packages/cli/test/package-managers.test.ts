/**
 * The tarball under the package managers people use, each a real one taken from the configured registry.
 *
 * The tarball is packed here from today's sources: own code, `package.json`, demo; what the wheel beside them does is
 * tested with npm by `gulp verify`. A manager that cannot be had is skipped out loud, also in CI: the registry of the
 * day decides that, not this repository.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { builtCli } from './_support/world.ts';

const run = promisify(execFile);
const repository = fileURLToPath(new URL('../../..', import.meta.url));
/** Enough for a crowded machine and a slow registry; a hang still ends. */
const PATIENCE = 5 * 60_000;

interface Manager {
  readonly name: string;
  /** What to ask the registry for. */
  readonly wanted: string;
  /** Its program, below the folder it was installed into; run by this Node if it is JavaScript. */
  readonly program: string;
  readonly add: (tarball: string) => readonly string[];
  /** Where it leaves the command, below the project; null: it runs it itself. */
  readonly command: string | null;
}

const bin = 'node_modules/.bin/ktx';
const MANAGERS: readonly Manager[] = [
  {
    name: 'npm',
    wanted: 'npm@12',
    program: 'node_modules/npm/bin/npm-cli.js',
    add: (tarball) => ['install', '--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund', tarball],
    command: bin,
  },
  {
    name: 'pnpm',
    wanted: 'pnpm@10',
    program: 'node_modules/pnpm/bin/pnpm.cjs',
    add: (tarball) => ['add', '--ignore-scripts', tarball],
    command: bin,
  },
  {
    name: 'yarn',
    wanted: 'yarn@1',
    program: 'node_modules/yarn/bin/yarn.js',
    add: (tarball) => ['add', '--ignore-scripts', '--no-lockfile', `file:${tarball}`],
    command: bin,
  },
  {
    // Plug'n'Play: no node_modules, the package stays a zip.
    name: 'yarn berry',
    wanted: '@yarnpkg/cli-dist@4',
    program: 'node_modules/@yarnpkg/cli-dist/bin/yarn.js',
    add: (tarball) => ['add', `@kaelio/ktx@file:${tarball}`],
    command: null,
  },
  {
    // The `bun` package fetches its program in a script; the program itself is a package per platform.
    name: 'bun',
    wanted: `@oven/bun-${process.platform}-${process.arch === 'arm64' ? 'aarch64' : process.arch}@1`,
    program: `node_modules/@oven/bun-${process.platform}-${process.arch === 'arm64' ? 'aarch64' : process.arch}/bin/bun`,
    add: (tarball) => ['add', '--ignore-scripts', tarball],
    command: bin,
  },
];

for (const manager of MANAGERS) {
  test.serial(`${manager.name}: installs without scripts, then --version, demo and sl list work`, async (t) => {
    t.timeout(4 * PATIENCE);
    const dir = await realpath(await mkdtemp(join(tmpdir(), 'ktx-managers-')));
    t.teardown(() => rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }));
    const program = await had(manager, join(dir, 'manager'));
    if (typeof program !== 'string') {
      t.log(`skipped: ${manager.wanted} cannot be had from the registry: ${program.why}`);
      t.pass();
      return;
    }
    const tarball = await packed(join(dir, 'tarball'));
    const project = join(dir, 'project');
    const home = join(dir, 'home');
    await mkdir(project);
    await mkdir(home);
    await writeFile(join(project, 'package.json'), '{"name":"mine","version":"1.0.0","private":true}\n');
    if (manager.command === null) await writeFile(join(project, 'yarn.lock'), '');
    const node = join(process.execPath, '..');
    // No dependency is fetched, so no registry is needed: one that does not answer proves it.
    const env = {
      PATH: [node, '/usr/bin', '/bin'].join(delimiter),
      HOME: home,
      npm_config_registry: 'http://127.0.0.1:9/',
      YARN_ENABLE_SCRIPTS: '0',
      KTX_RUNTIME_ROOT: join(dir, 'root'),
    };
    const options = { cwd: project, env, timeout: PATIENCE };
    const self = /\.c?js$/.test(program) ? [process.execPath, program] : [program];
    const started = async ([file = '', ...args]: readonly string[]): Promise<string> =>
      (await run(file, args, options)).stdout;
    await started([...self, ...manager.add(tarball)]);
    const command = manager.command === null ? [...self, 'ktx'] : [join(project, manager.command)];
    const ktx = async (...args: string[]): Promise<string> => await started([...command, ...args]);
    const { version } = JSON.parse(await readFile(join(repository, 'packages/cli/package.json'), 'utf8'));
    t.is(await ktx('--version'), `@kaelio/ktx ${version}\n`);
    t.regex(await ktx('demo', 'shop'), /The demo project is in /);
    const list = await ktx('sl', 'list', '--project-dir', 'shop');
    t.is(list.trimEnd().split('\n').length, 5, list);
  });
}

/** The program of the manager, or why there is none. */
async function had({ wanted, program }: Manager, folder: string): Promise<string | { readonly why: string }> {
  await mkdir(folder);
  await writeFile(join(folder, 'package.json'), '{"private":true}\n');
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-save', '--no-package-lock', wanted];
  try {
    await run('npm', args, { cwd: folder, timeout: PATIENCE });
    await run(process.execPath, ['-e', `require('fs').accessSync(${JSON.stringify(join(folder, program))})`]);
    return join(folder, program);
  } catch (error) {
    return { why: String((error as { stderr?: string }).stderr || error).slice(0, 300) };
  }
}

async function packed(folder: string): Promise<string> {
  const composed = await builtCli();
  await mkdir(folder);
  await copyFile(join(repository, 'LICENSE'), join(composed, 'LICENSE'));
  await copyFile(join(repository, 'packages/cli/README.md'), join(composed, 'README.md'));
  const { devDependencies: _, ...published } = JSON.parse(
    await readFile(join(repository, 'packages/cli/package.json'), 'utf8'),
  );
  await writeFile(join(composed, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: composed,
    timeout: PATIENCE,
  });
  const [, name = ''] = /"filename":\s*"([^"]+)"/.exec(stdout) ?? [];
  return join(folder, name);
}
