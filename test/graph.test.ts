/** The registered tasks, as gulp shows them, and the picture of them in the README. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { FLAGS, nearest, readFlags } from '../tasks/flags.ts';
import { mermaid, type TreeNode } from '../tasks/graph.ts';
import { repository } from './_support/checkout.ts';

const gulp = async (...args: string[]) => {
  const bin = join(repository, 'node_modules', 'gulp', 'bin', 'gulp.js');
  const run = promisify(execFile)(process.execPath, [bin, ...args], {
    cwd: repository,
    env: { ...process.env, FORCE_COLOR: '0' },
  });
  return run.catch((error) => error as { stdout: string; stderr: string });
};

test('every public task has a description, and the top level has no anonymous one', async (t) => {
  const { stdout } = await gulp('--tasks', '--tasks-depth', '1', '--sort-tasks');
  const lines = stdout.split('\n').flatMap((line) => /^[├└]─[─┬] (.*)$/.exec(line)?.[1] ?? []);
  t.true(lines.length > 10, stdout);
  for (const line of lines) if (!line.startsWith('default')) t.regex(line, /^[a-z]+(:[a-z]+)? +[A-Z]\w+/);
  t.snapshot(lines);
});

test('the README shows the graph as it is registered', async (t) => {
  const { stdout } = await gulp('graph');
  t.true(stdout.startsWith('flowchart LR\n'), stdout);
  const readme = await readFile(join(repository, 'README.md'), 'utf8');
  t.true(readme.includes(stdout), `README.md does not hold:\n${stdout}`);
});

test('a misspelt flag is refused with the one that was meant, before anything runs', async (t) => {
  const { stdout, stderr } = await gulp('plan', '--forse');
  t.regex(stdout + stderr, /there is no flag --forse\n\s+Did you mean --force\?/);
  t.notRegex(stdout + stderr, /at .*\.ts:\d+/);
});

test('flags are read as they are declared', (t) => {
  t.like(readFlags(['wheel', '--force', '--no-clean-room', '--release', 'x']), {
    force: true,
    cleanRoom: false,
    release: 'x',
  });
  t.like(readFlags([]), { force: false, cleanRoom: true, release: undefined });
  t.notThrows(() =>
    readFlags(['--tasks', '--no-color', ...Object.keys(FLAGS).map((flag) => flag.split(' ')[0] as string)]),
  );
  t.is(nearest('explian', ['explain', 'force']), 'explain');
  t.is(nearest('zzzzzz', ['explain', 'force']), undefined);
});

const leaf = (label: string): TreeNode => ({ label });
const branch = (label: string, ...nodes: TreeNode[]): TreeNode => ({ label, nodes });

test('mermaid: series are arrows, parallels fan out and in', (t) => {
  const tree = {
    nodes: [
      branch(
        'all',
        branch('<series>', branch('<parallel>', leaf('a'), branch('<series>', leaf('b'), leaf('c'))), leaf('d')),
      ),
    ],
  };
  t.is(mermaid(tree, 'all'), 'flowchart LR\n  b --> c\n  a --> d\n  c --> d\n  d --> all([all])\n');
});
