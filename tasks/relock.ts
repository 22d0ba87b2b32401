/**
 * `npm run lock`: resolve the Python workspace again and write uv.lock without
 * the address of any index or mirror, so that it serves whatever index a user
 * has configured. Hashes keep it as strict as before.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Context } from './context.ts';
import { childEnvironment } from './environment.ts';
import { BuildError } from './errors.ts';

/** A name that RFC 2606 reserves: nothing can ever answer there. */
const NOWHERE = 'https://index.invalid/simple';

export async function relock(context: Context): Promise<void> {
  const { at, ambient } = context;
  const { uv, python } = await context.toolchain();
  const before = await readFile(at.uvLock, 'utf8').catch(() => '');
  const lockWith = (args: readonly string[]) =>
    context.run({
      task: 'uv lock',
      command: uv.path,
      args: ['lock', ...args],
      cwd: at.root,
      env: childEnvironment(ambient, { UV_PYTHON: python.path, UV_PYTHON_DOWNLOADS: 'never' }),
      timeout: 600_000,
    });
  await lockWith([]);
  const text = withoutAddresses(await readFile(at.uvLock, 'utf8'));
  await writeFile(`${at.uvLock}.next`, text);
  await rename(`${at.uvLock}.next`, at.uvLock);
  await lockWith(['--check']);
  context.log.say(text === before ? 'uv.lock is as it was' : 'wrote uv.lock');
}

/** The text of a uv.lock with file names for addresses and a reserved name for each registry. */
export function withoutAddresses(lock: string): string {
  const text = lock
    .replaceAll(/registry = "[^"]*"/g, `registry = "${NOWHERE}"`)
    .replaceAll(/^(sdist = \{ )url = "[^"]*", /gm, '$1')
    .replaceAll(/\{ url = "[^"]*\/([^/"#?]+)(?:[#?][^"]*)?", /g, '{ filename = "$1", ');
  const left = /\b(?:https?|file):\/\/(?!index\.invalid)[^"\s]+/.exec(text)?.[0];
  if (left) {
    throw new BuildError('lock', `uv.lock still names the address ${left}`, 'Take that source out of pyproject.toml.');
  }
  return text;
}
