/** Preloaded by NODE_OPTIONS: appends a line to KTX_TEST_CHILDREN for each child process that this one starts. */

import { ChildProcess } from 'node:child_process';
import { appendFileSync } from 'node:fs';

const journal = process.env.KTX_TEST_CHILDREN;
const { spawn } = ChildProcess.prototype;
ChildProcess.prototype.spawn = function (options) {
  if (journal) appendFileSync(journal, `${options.args.join(' ')}\n`);
  return spawn.call(this, options);
};
