/**
 * Preloaded by NODE_OPTIONS: counts every change of the file system by name and
 * every child start of this process, and before number KTX_TEST_KILL_AT ends the
 * whole process group with SIGKILL. The count is left in KTX_TEST_JOURNAL.
 */
import { ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const at = Number(process.env.KTX_TEST_KILL_AT ?? 0);
const journal = process.env.KTX_TEST_JOURNAL;
const COUNTED = ['rename', 'link', 'unlink', 'rm', 'mkdir', 'cp', 'copyFile', 'writeFile'];
let count = 0;
let busy = false;

function step(name) {
  if (busy) return; // our own journal
  count += 1;
  if (count !== at) return;
  busy = true;
  if (journal) fs.writeFileSync(journal, `${count} ${name}\n`);
  process.kill(-process.pid, 'SIGKILL');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000); // nothing more happens here
}

function watch(owner, name) {
  const original = owner[name];
  owner[name] = function (...args) {
    step(name);
    return original.apply(this, args);
  };
}

for (const name of COUNTED) watch(fs.promises, name);
for (const name of ['renameSync', 'rmSync', 'unlinkSync', 'mkdirSync', 'writeFileSync']) watch(fs, name);
watch(ChildProcess.prototype, 'spawn');
syncBuiltinESMExports();

process.on('exit', () => {
  busy = true;
  if (journal) fs.writeFileSync(journal, `${count} end\n`);
});
