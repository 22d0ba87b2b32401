/**
 * The graph: this file is the diagram, `tasks/` is what the boxes do.
 *
 *   artifacts = manifest <- pack <- assets <- wheel <- stage <- locks
 *                        |       `- bundle
 *                        `- dists <- locks
 *
 * Every box is a step keyed by the content of its inputs (`tasks/step.ts`), so a
 * task can be run alone: what it stands on is kept when nothing changed.
 */
import gulp, { type TaskFunction } from 'gulp';
import { buildInfo, assets as placeAssets } from './tasks/assets.ts';
import { bench } from './tasks/bench.ts';
import { boxes, finished } from './tasks/boxes.ts';
import { bundles } from './tasks/bundles.ts';
import { counted, lint, newTally, settle, tests, types } from './tasks/check.ts';
import { clean } from './tasks/clean.ts';
import { abortOnSignals, createContext } from './tasks/context.ts';
import { dists as buildDists } from './tasks/dists.ts';
import { describeFlags, flagsOrExit } from './tasks/flags.ts';
import { printGraph } from './tasks/graph.ts';
import { imports as scanImports } from './tasks/imports.ts';
import { locks as exportLocks } from './tasks/locks.ts';
import { pack as packAll } from './tasks/pack.ts';
import { plan } from './tasks/plan.ts';
import { publish } from './tasks/publish.ts';
import { release } from './tasks/release.ts';
import { relock } from './tasks/relock.ts';
import { reportReadiness } from './tasks/report-readiness.ts';
import { reproduce } from './tasks/reproduce.ts';
import { smoke } from './tasks/smoke.ts';
import { stage as stageSources } from './tasks/stage.ts';
import { drawTimings } from './tasks/timings.ts';
import { verify as verifyRelease } from './tasks/verify.ts';
import { watchSources } from './tasks/watch-task.ts';
import { wheel as buildWheel } from './tasks/wheel.ts';

const { series, parallel, task } = gulp;
const signal = abortOnSignals();
const context = createContext(import.meta.dirname, { flags: flagsOrExit(process.argv.slice(2)), signal });
drawTimings(context);
const { step, named } = boxes(context);
const tally = newTally();
const BUILD = ['--force', '--explain', '--timings'];

const locks = define('locks', 'Export the hash-pinned requirement locks', [], step('locks', exportLocks));
const stage = define(
  'stage',
  'Stream both Python packages into the staging tree',
  [],
  series(locks, step('stage sources', stageSources)),
);
const imports = step('scan imports', scanImports);
const wheelOnly = step('build wheel', buildWheel);
const wheel = define(
  'wheel',
  'Build the runtime wheel and hold it against the ledger',
  [],
  series(stage, parallel(imports, wheelOnly)),
);
const eachDist = step('build dists', buildDists);
const dists = define('dists', 'Build wheel and sdist of each Python package', [], series(locks, eachDist));
const bundle = define('bundle', 'Bundle the TypeScript of the npm packages', [], step('bundle', bundles));
const place = step('place assets', placeAssets);
const assets = define('assets', 'Place wheel, locks and manifest in the npm package', [], series(wheel, place));
const npmPack = series(step('write build info', buildInfo), step('npm pack', packAll));
const pack = define('pack', 'Pack the npm packages', [], series(parallel(assets, bundle), npmPack));
const assemble = step('assemble release', release);
const manifest = define(
  'manifest',
  'Assemble the release folder under one checksummed manifest',
  [],
  series(parallel(pack, dists), assemble),
);
const artifacts = define('artifacts', 'The whole job: from sources to a release folder', BUILD, series(manifest));
task('default', artifacts);

const release_ = ['--release <dir>', '--no-clean-room', '--keep'];
define('verify', 'Check a release folder and try it in a clean room', release_, step('verify', verifyRelease));
define(
  'check',
  'Types, lint and tests of both languages, artifacts and verify',
  [],
  series(
    step('types', (given) => counted(given, tally, 'types', types)),
    step('lint', (given) => counted(given, tally, 'lint', lint)),
    step('build', (given) => counted(given, tally, 'artifacts', () => finished(artifacts))),
    step('build again', (given) => counted(given, tally, 'reproduce', reproduce)),
    step('tests', (given) => tests(given, tally)),
    step('verify release', (given) => counted(given, tally, 'verify', verifyRelease)),
    step('readiness report', (given) => counted(given, tally, 'readiness', reportReadiness)),
    step('settle', async () => settle(tally)),
  ),
);
define('watch', 'Stage once, then after every change of the Python sources', ['--wheel'], named('watch', watchSources));
define('readiness', 'Say what blocks a release, now and in the next mode', ['--json'], named('ready', reportReadiness));
define('bench', 'Measure, print ratios, write dist/bench.json', [], named('bench', bench));
define(
  'publish',
  'Show what npm would be sent; with --yes and every guard met, send it',
  ['--yes', '--json'],
  step('send', publish),
);
define('smoke', 'Install the published version and try it in a clean room', ['--keep'], step('try', smoke));
define('plan', 'Print what would be built, and touch nothing', ['--json'], named('plan', plan));
const mermaid = named('graph', async () => printGraph(gulp));
define('graph', 'Print the task graph as Mermaid', [], mermaid);
define('clean', 'Remove everything that the graph wrote', [], step('clean', clean));
define('lock', 'Resolve the Python workspace again and write uv.lock', [], step('lock', relock));

/** Register a task; the registered wrapper keeps its name inside series(). */
function define(name: string, description: string, flags: readonly string[], fn: TaskFunction): TaskFunction {
  task(name, Object.assign(fn, { description, flags: describeFlags(flags) }));
  return task(name) as TaskFunction;
}
