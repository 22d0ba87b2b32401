// One contender for a lock, driven over IPC: 'try' → whether it got it, 'held' → whether it still has it, 'release'.
import { acquireNow, type Lock } from '../../src/runtime/lock.ts';

const path = process.argv[2] ?? '';
let lock: Lock | undefined;

process.on('message', async (order) => {
  if (order === 'try') {
    lock = await acquireNow(path);
    process.send?.(lock !== undefined);
  } else if (order === 'held') {
    process.send?.(lock !== undefined && (await lock.held()));
  } else if (order === 'release') {
    await lock?.release();
    lock = undefined;
    process.send?.(true);
  } else {
    process.exit(0);
  }
});
process.send?.('ready');
