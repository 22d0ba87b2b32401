/**
 * The whole job on a copy of this checkout: cold and with nothing to do, against
 * the same job done by a plain serial script with the same tools, and against the
 * longest chain of its own children run alone.
 *
 * The serial script copies the trees with `cp -r`, hashes them with `sha256sum` and
 * runs every child after the other; it makes no manifest, bill of materials or check.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle, importScan, npmPack, uvBuild, uvExport } from '../tasks/commands.ts';
import { NPM_PACKAGES, PYTHON_PACKAGES } from '../tasks/identity.ts';
import { layout } from '../tasks/layout.ts';
import { BUILD_CONSTRAINTS } from '../tasks/locks.ts';
import type { Command } from '../tasks/run.ts';
import { readToolchain } from '../tasks/toolchain.ts';
import { printRows, type Row, summary } from './row.ts';

const RUNS = 3;

/** `root`: a checkout that is set up. */
export async function benchArtifacts(root: string): Promise<Row[]> {
  const base = mkdtempSync(join(tmpdir(), 'ktx-bench-'));
  try {
    const copy = copyCheckout(root, join(base, 'checkout'));
    const tools = await readToolchain(root, process.env);
    const gulp = (...args: string[]) =>
      timed(() =>
        execFileSync(tools.node.path, [join(copy, 'node_modules/gulp/bin/gulp.js'), 'artifacts', ...args], {
          cwd: copy,
          stdio: 'ignore',
        }),
      );
    gulp(); // fills the caches of uv and of the compiler: none of the sides should pay for them
    const children = plannedChildren(copy, tools, base);
    const cold: number[] = [];
    const warm: number[] = [];
    const serial: number[] = [];
    const chain: number[] = [];
    for (let i = 0; i < RUNS; i += 1) {
      cold.push(gulp('--force'));
      warm.push(gulp());
      const copied = timed(() => copyAndHash(copy, base));
      const single = children.map((plan) => ({ task: plan.task, ms: timed(() => runPlan(plan)) }));
      serial.push(single.reduce((sum, { ms }) => sum + ms, copied));
      chain.push(longestChain(single));
    }
    const ratio = (a: readonly number[], b: readonly number[]) => a.map((value, i) => value / (b[i] as number));
    const cores = availableParallelism();
    return [
      summary('artifacts, cold', cold, 'ms'),
      summary('artifacts, cold / its longest chain of children alone', ratio(cold, chain), 'x', 1.15),
      summary(
        `the children spread evenly over ${cores} cores / their longest chain`,
        spread(serial, chain, cores),
        'x',
      ),
      summary('artifacts, cold / the same job by a serial script', ratio(cold, serial), 'x', 0.7),
      summary('artifacts, nothing to do', warm, 'ms', 1000),
      summary('artifacts, nothing to do / the same job by a serial script', ratio(warm, serial), 'x', 0.1),
    ];
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

/** What no order of the children can beat on so few cores. */
function spread(serial: readonly number[], chain: readonly number[], cores: number): number[] {
  return serial.map((ms, i) => Math.max(1, ms / cores / (chain[i] as number)));
}

function copyAndHash(root: string, base: string): void {
  for (const { tree } of PYTHON_PACKAGES) {
    const out = join(base, 'copied');
    const line = 'cp -r "$1" "$2" && find "$2" -type f -exec sha256sum {} + > /dev/null && rm -r "$2"';
    execFileSync('sh', ['-c', line, 'sh', join(root, tree), out]);
  }
}

/** Every child that `artifacts` starts, with the task of the chain it belongs to. */
function plannedChildren(root: string, tools: Awaited<ReturnType<typeof readToolchain>>, base: string): Command[] {
  const at = layout(root);
  const where = { ambient: process.env, tools };
  const constraints = join(at.built.locks, BUILD_CONSTRAINTS);
  const fresh = (name: string) => {
    const folder = join(base, 'children', name);
    mkdirSync(folder, { recursive: true });
    return folder;
  };
  const composed = join(base, 'package');
  cpSync(at.package('cli'), composed, { recursive: true, filter: (path) => !path.includes('node_modules') });
  return [
    ...['core', 'embeddings', 'build'].map((name) =>
      uvExport(where, `locks-${name}`, ['--package', 'ktx-daemon', '--no-dev'], root),
    ),
    importScan(
      process.env,
      at,
      PYTHON_PACKAGES.map(({ module }) => module),
    ),
    uvBuild(where, 'wheel', ['wheel'], at.staging, fresh('wheel'), constraints),
    ...PYTHON_PACKAGES.map(({ name, root: source }) =>
      uvBuild(where, `dists-${name}`, ['sdist', 'wheel'], join(root, source), fresh(name), constraints),
    ),
    ...NPM_PACKAGES.map(({ folder }) => bundle(where, `bundle-${folder}`, at.package(folder), fresh(`npm-${folder}`))),
    ...NPM_PACKAGES.map(({ folder }) =>
      npmPack(where, `pack-${folder}`, composed, fresh(`tar-${folder}`), fresh('npm')),
    ),
  ];
}

/** The slowest way through the graph: locks, then a wheel or a dist; or a bundle; then a tarball. */
function longestChain(times: readonly { task: string; ms: number }[]): number {
  const slowest = (prefix: string) =>
    Math.max(0, ...times.filter(({ task }) => task.startsWith(prefix)).map(({ ms }) => ms));
  const wheel = slowest('locks') + Math.max(slowest('wheel'), slowest('imports')) + slowest('pack');
  const bundles = slowest('bundle') + slowest('pack');
  return Math.max(wheel, bundles, slowest('locks') + slowest('dists'));
}

function runPlan({ task, command, args, cwd, env, input }: Command): void {
  const out = args[args.indexOf('--out') + 1];
  if (task.startsWith('bundle') && out) rmSync(out, { recursive: true, force: true });
  execFileSync(command, args, {
    cwd,
    env,
    input,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'ignore', 'ignore'],
  });
}

function timed(work: () => unknown): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function copyCheckout(root: string, target: string): string {
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  for (const file of files.split('\0').filter((one) => one !== '')) {
    cpSync(join(root, file), join(target, file), { recursive: true });
  }
  execFileSync('cp', ['-al', join(root, 'node_modules'), join(target, 'node_modules')]);
  symlinkSync(join(root, '.venv'), join(target, '.venv'));
  mkdirSync(join(target, '.tools'));
  cpSync(join(root, '.tools', 'toolchain.json'), join(target, '.tools', 'toolchain.json'));
  readFileSync(join(target, 'gulpfile.ts')); // the copy is whole
  return target;
}

if (import.meta.main) printRows(await benchArtifacts(join(import.meta.dirname, '..')));
