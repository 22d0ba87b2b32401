/**
 * How gulp-cli starts and speaks here.
 *
 * Node strips types itself; listing '.ts' stops gulp-cli from searching for a
 * transpiler, which prints ten lines, or breaks where one lies in node_modules.
 */
import Module from 'node:module';
import { join } from 'node:path';

// compiled and stripped sources are kept by content: half a second less for a run that has nothing to do
Module.enableCompileCache?.(join(import.meta.dirname, 'node_modules', '.cache', 'node'));

Module._extensions['.ts'] ??= Module._extensions['.js'];

// gulp-cli leaves by process.exit, and what a pipe has not taken by then is lost, which is the last message: so a pipe,
// like a terminal, makes who writes to it wait
for (const stream of [process.stdout, process.stderr]) stream._handle?.setBlocking?.(true);

export const flags = { compactTasks: true };

const args = process.argv.slice(2);
/** Tasks whose standard output is a result for a program or a file. */
const quiet = args.includes('--json') || args.some((one) => ['plan', 'graph', 'readiness'].includes(one));

const CHATTER = ['GULPFILE', 'CWD_CHANGED', 'TASK_START', 'TASK_STOP'].map((name) => Symbol.for(`GULP_CLI_${name}`));

/** False hides a line of gulp's own. */
export function message(data) {
  return quiet && CHATTER.includes(data.tag) ? false : undefined;
}
