/** What ktx says about a query that the real engine refuses, and that what it says works when typed. */
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { type Daemon, needsDaemon, startDaemon } from './_support/daemon.ts';
import { type Sandbox, sandbox } from './_support/project.ts';
import { builtCli } from './_support/world.ts';

const execute = promisify(execFile);

let daemon: Daemon | string;
test.before(async () => {
  daemon = await startDaemon();
});
test.after.always(() => {
  if (typeof daemon === 'object') daemon.stop();
});

/** The demo, with a daemon that answers. */
async function demo(t: ExecutionContext): Promise<(Sandbox & { env: Record<string, string> }) | undefined> {
  if (!needsDaemon(t, daemon)) return undefined;
  const box = sandbox(t);
  const made = await box.ktx(['demo', 'shop']);
  t.is(made.code, 0, made.stderr);
  return { ...box, env: { ...daemon.env } };
}

interface Row {
  readonly asked: readonly string[];
  readonly says: RegExp;
  /** Of the answer of the command in the `Try:` line. */
  readonly answers: RegExp;
}

const ROWS: readonly Row[] = [
  {
    asked: ['--measure', 'order_items.revenu', '--format', 'sql'],
    says: /Did you mean: order_items\.revenue\b[\s\S]*Try: ktx sl query --measure order_items\.revenue /,
    answers: /^SELECT[\s\S]*AS revenue\b/i,
  },
  {
    asked: [
      '--measure',
      'orders.order_count',
      '--dimension',
      'customers.regoin',
      '--include-empty',
      '--execute',
      '--format',
      'csv',
    ],
    says: /Did you mean: customers\.region\b[\s\S]*Try: .*--dimension customers\.region .*--include-empty .*--execute/,
    answers: /^customers\.region,orders\.order_count\r\neast,/,
  },
  {
    asked: ['--measure', 'orders.order_count', '--filter', "order.status = 'paid'", '--execute', '--format', 'csv'],
    says: /Did you mean: orders\b[\s\S]*Try: .*--filter 'orders\.status = '\\''paid'\\'''/,
    answers: /^orders\.order_count\r\n\d+\r\n$/,
  },
  {
    asked: ['--measure', 'orders.order_count', '--dimension', 'order_items.quantity', '--execute', '--format', 'csv'],
    says: /Try: /,
    answers: /^\S+\r\n/,
  },
];
for (const { asked, says, answers } of ROWS) {
  test(`${asked.slice(0, 4).join(' ')}: the refusal names what there is, and its command works`, async (t) => {
    const box = await demo(t);
    if (box === undefined) return;
    const { dir, env } = box;
    const query = ['sl', 'query', '--project-dir', 'shop', ...asked];
    const ran = await box.ktx(query, { env });
    t.is(ran.code, 1);
    t.is(ran.stdout, '');
    t.regex(ran.stderr, says);
    const [, typed = ''] = /^ {2}Try: (.*)$/m.exec(ran.stderr) ?? [];
    const bin = join(dir, 'bin');
    mkdirSync(bin);
    writeFileSync(
      join(bin, 'ktx'),
      `#!/bin/sh\nexec '${process.execPath}' '${join(await builtCli(), 'dist/bin.js')}' "$@"\n`,
    );
    chmodSync(join(bin, 'ktx'), 0o755);
    const path = [bin, process.env.PATH].join(delimiter);
    const again = await execute('sh', ['-c', typed], { cwd: dir, env: { ...env, PATH: path, HOME: dir } });
    t.regex(again.stdout, answers, typed);
  });
}

test('--json holds candidates and the repaired query in details', async (t) => {
  const box = await demo(t);
  if (box === undefined) return;
  const { json, env } = box;
  const { document, ran } = await json(['sl', 'query', '--project-dir', 'shop', '--measure', 'orders.order_cout'], {
    env,
  });
  t.is(ran.code, 1);
  const { error } = document as { error: { code: string; details: Record<string, unknown> } };
  t.is(error.code, 'invalid_query');
  t.like(error.details, { candidates: [{ value: 'orders.order_count' }] });
  t.deepEqual(error.details.repair, { measures: ['orders.order_count'], include_empty: false });
});
