/** What `gulp check` reads out of the two runners: its counts, and the names it repeats at the end. */
import test from 'ava';
import { failedTest, newTally, readAva, readPytest, settle, tallyLine } from '../tasks/check.ts';

const PYTEST: readonly [string, object | undefined][] = [
  ['10 passed in 4.10s', { passed: 10, failed: 0, skipped: 0 }],
  ['== 3 failed, 10 passed, 1 skipped, 2 errors in 64.1s (0:01:04) ==', { passed: 10, failed: 5, skipped: 1 }],
  ['1 xfailed, 1 xpassed in 0.1s', { passed: 1, failed: 1, skipped: 0 }],
  ['no tests ran in 0.01s', undefined],
  ['12 rows in 3 tables', undefined],
];
for (const [line, counts] of PYTEST) test(`pytest: ${line}`, (t) => t.deepEqual(readPytest(line), counts as never));

const AVA: readonly [string, object | undefined][] = [
  ['  1 test passed', { passed: 1 }],
  ['  1078 tests passed', { passed: 1078 }],
  ['  2 tests failed', { failed: 2 }],
  ['  1 uncaught exception', { failed: 1 }],
  ['  3 tests skipped', { skipped: 3 }],
  ['  1 test todo', { skipped: 1 }],
  ['  ✔ 12 tests passed in the title of a test', { passed: 8 }],
  ['    ℹ ✔ in what a test logs', undefined],
];
for (const [line, counts] of AVA)
  test(`ava: ${line}`, (t) => t.deepEqual(readAva(line, { passed: 7 }), counts as never));

const NAMES: readonly [string, string | undefined][] = [
  ['FAILED python/a/test_b.py::test_c[x y] - assert 1 == 2', 'python/a/test_b.py::test_c[x y] - assert 1 == 2'],
  ['ERROR python/a/test_b.py - ImportError', 'python/a/test_b.py - ImportError'],
  ['  ✘ [fail]: folder › file › a title (1.2s)', 'folder › file › a title (1.2s)'],
  ['  ✔ folder › file › FAILED is in the title', undefined],
  ['the daemon said ERROR once', undefined],
];
for (const [line, name] of NAMES) test(`failed test: ${line}`, (t) => t.is(failedTest(line), name));

const quiet = () => undefined; // the last line of this run is not theirs

test('a log of thousands of lines names every failed test at its end', (t) => {
  const tally = { ...newTally(), passed: 3, failed: 2, failures: ['python/a.py::test_b - why', 'lint'] };
  t.throws(() => settle(tally, quiet), { message: /python\/a\.py::test_b - why\n {2}lint/ });
  t.is(tallyLine(tally), '3 passed, 2 failed');
});

test('a run without a single check fails', (t) => {
  t.throws(() => settle(newTally(), quiet), { message: /no check ran/ });
});
