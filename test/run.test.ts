/** Children: streamed under their task's name, bounded, ended as a group, and explained when they fail. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import type { BuildError } from '../tasks/errors.ts';
import { recordingLog } from '../tasks/log.ts';
import { type Command, run } from '../tasks/run.ts';
import { gone } from './_support/processes.ts';
import { temporaryTree } from './_support/temporary-tree.ts';

const never = new AbortController().signal;
const shell = (script: string, more: Partial<Command> = {}): Command => ({
  task: 'child',
  command: '/bin/sh',
  args: ['-c', script],
  cwd: '/',
  env: { PATH: process.env.PATH as string },
  timeout: 20_000,
  ...more,
});

test('output appears line by line under the task, from both streams', async (t) => {
  const log = recordingLog();
  await run(shell('echo one; echo two >&2; printf three'), { log, signal: never });
  t.deepEqual([...log.lines].sort(), ['child | one', 'child | three', 'child | two']);
});

test('captured stdout is returned, stderr still shown', async (t) => {
  const log = recordingLog();
  const input = 'ä\n';
  t.is(await run(shell('cat; echo note >&2', { capture: true, input }), { log, signal: never }), input);
  t.deepEqual(log.lines, ['child | note']);
});

const FAILURES: readonly [string, Command, string, RegExp][] = [
  ['an exit code', shell('echo first; echo last; exit 3'), 'child', /exit code 3[\s\S]*first\n\s+last\n {2}Mend/],
  ['a signal', shell('kill -9 $$'), 'child', /ended by SIGKILL/],
  ['a timeout', shell('sleep 60', { timeout: 100 }), 'child', /longer than 0\.1 s[\s\S]*\n {2}Find what it waited for/],
  [
    'a full disk',
    shell('echo "error: No space left on device (os error 28)"; exit 2'),
    'disk-full',
    /The disk is full that holds \/\S*: \d+ KiB are left\. Free some/,
  ],
  ['no output', shell('exit 1'), 'child', /printed nothing/],
  [
    'no such command',
    { ...shell(''), command: 'no-such-command-here' },
    'missing-command',
    /no-such-command-here is not there/,
  ],
  ['no such folder', shell('', { cwd: '/no/such/folder' }), 'missing-folder', /\/no\/such\/folder, which is not there/],
  [
    'no network',
    shell('echo "error: dns error: failed to lookup address"; exit 2'),
    'no-network',
    /package index could not be reached/,
  ],
];

for (const [name, plan, code, message] of FAILURES) {
  test(`a failure by ${name} says what happened and what to do`, async (t) => {
    const error = await t.throwsAsync<BuildError>(run(plan, { log: recordingLog(), signal: never }));
    t.is(error.code, code);
    t.regex(error.message, message);
    t.false(error.showStack);
  });
}

test('100 MB of output, half of it one line, is passed on in bounded memory', async (t) => {
  let lines = 0;
  let longest = 0;
  const log = {
    ...recordingLog(),
    child: async (_task: string, printed: readonly string[]) => {
      lines += printed.length;
      for (const line of printed) longest = Math.max(longest, line.length);
    },
  };
  const before = process.memoryUsage().rss;
  let peak = before;
  const watching = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 20);
  await run(shell('head -c 50000000 /dev/zero | tr "\\0" x; echo; yes 0123456789 | head -c 50000000'), {
    log,
    signal: never,
  });
  clearInterval(watching);
  t.is(lines, Math.ceil(50_000_000 / 11) + 1);
  t.is(longest, 4096);
  t.true(peak - before < 200 * 1024 * 1024, `grew by ${Math.round((peak - before) / 1024 / 1024)} MB`);
});

test('a child that cannot be noted does not outlive the failure', async (t) => {
  const root = await temporaryTree(t);
  let pid = 0;
  const adopt = (child: number) => {
    pid = child;
    throw new Error('no room to note it');
  };
  const running = run(shell('sleep 300', { cwd: root }), { log: recordingLog(), signal: never, adopt });
  await t.throwsAsync(running, { message: 'no room to note it' });
  await gone(pid);
});

test('an abort ends the whole group, also what ignores SIGTERM and what was left in the background', async (t) => {
  const root = await temporaryTree(t);
  const stop = new AbortController();
  const script = `sleep 300 & echo $! > ${root}/a.new; mv ${root}/a.new ${root}/a; (trap '' TERM; echo $$ > ${root}/b.new; mv ${root}/b.new ${root}/b; sleep 300) & wait`;
  const log = recordingLog();
  const running = run(shell(script), { log, signal: stop.signal });
  for (const name of ['a', 'b']) while (!existsSync(join(root, name))) await sleep(10);
  stop.abort(new Error('stopped'));
  await t.throwsAsync(running, { message: 'stopped' });
  for (const name of ['a', 'b']) {
    const pid = Number(await readFile(join(root, name), 'utf8'));
    await gone(pid);
    t.pass();
  }
});
