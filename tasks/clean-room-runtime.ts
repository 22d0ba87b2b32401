/**
 * The managed runtime in the clean room, end to end and from the packed tarball:
 * missing, installed by the first question, ready, healthy, served, stopped,
 * pruned. The same commands that a new user types, judged by exit codes and JSON.
 */
import { join } from 'node:path';
import { expect, plan, type Room } from './room.ts';

/** One row a region of the demo project: revenue and refunds, two fact tables. */
const DEMO = [
  ['east', 19233, 417],
  ['north', 34968, 902],
  ['south', 23204, 561],
  ['west', 13569, 255],
];
const QUESTION = [
  ...['--measure', 'order_items.revenue', '--measure', 'refunds.refunded'],
  ...['--dimension', 'customers.region', '--order-by', 'customers.region'],
];

/** `installed` is the folder of the npm package in the room's project. */
export async function checkManagedRuntime(room: Room, installed: string): Promise<void> {
  const { uv, python, node } = await room.context.toolchain();
  const env = { ...room.env, KTX_RUNTIME_ROOT: join(room.root, 'runtime'), KTX_UV: uv.path, KTX_PYTHON: python.path };
  const project = join(room.root, 'project');
  const ktx = async (args: readonly string[], cwd = join(project, 'ktx-demo'), accept: readonly number[] = []) => {
    const command = [join(installed, 'dist', 'bin.js'), ...args, '--json'];
    const printed = await room.context.run(plan(room, 'ktx', node.path, command, { env, cwd, accept, capture: true }));
    return JSON.parse(printed) as Record<string, unknown>;
  };
  const missing = await ktx(['runtime', 'status'], project, [1]);
  expect(missing.kind === 'missing', `runtime status is ${missing.kind} before anything is installed`);

  await ktx(['demo'], project);
  const answer = await ktx(['sl', 'query', ...QUESTION, '--execute', '--yes']);
  expect(JSON.stringify(answer.rows) === JSON.stringify(DEMO), `the demo answers ${JSON.stringify(answer.rows)}`);

  const ready = await ktx(['runtime', 'status']);
  expect(ready.kind === 'ready', `runtime status is ${ready.kind} after the first question`);
  const doctor = await ktx(['runtime', 'doctor']);
  expect(doctor.ok === true, `runtime doctor finds ${JSON.stringify(doctor.checks)}`);

  const started = await ktx(['runtime', 'start']);
  const reused = await ktx(['runtime', 'start']);
  expect(started.pid === reused.pid, `a second start made process ${reused.pid} beside ${started.pid}`);
  const stopped = await ktx(['runtime', 'stop']);
  expect(stopped.kind === 'stopped', `runtime stop says ${stopped.kind}`);
  const pruned = await ktx(['runtime', 'prune', '--yes']);
  expect(JSON.stringify(pruned.removed) === '[]', `runtime prune removed ${JSON.stringify(pruned.removed)}`);
}
