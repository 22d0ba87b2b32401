/**
 * The workspace's own interpreter, with both Python packages editable.
 *
 * Without it the tests that need it are skipped out loud; in CI that is a failure.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { Launch } from '../../src/index.ts';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', '..');
export const workspacePython = join(root, '.venv', process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');

const importable = new Map<string, boolean>();

/** True if `module` can be imported; else the test is passed over with a note. */
export function needsPython(t: ExecutionContext, module: string): boolean {
  if (!importable.has(module)) importable.set(module, canImport(module));
  if (importable.get(module)) return true;
  const reason = `skipped: ${module} cannot be imported by the interpreter of the workspace (.venv)`;
  if (process.env.CI) t.fail(reason);
  else t.pass();
  t.log(reason);
  return false;
}

function canImport(module: string): boolean {
  if (!existsSync(workspacePython)) return false;
  try {
    execFileSync(workspacePython, ['-I', '-B', '-c', `import ${module}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The one-shot launch of the workspace's daemon. */
export function workspaceLaunch(env: Readonly<Record<string, string>> = {}): Launch {
  return { python: workspacePython, args: ['-I', '-B', '-X', 'utf8', '-m', 'ktx_daemon'], cwd: root, env };
}
