/**
 * Which interpreter the virtual environment is built on.
 *
 * `KTX_PYTHON` alone if set. Else whatever uv finds; before uv is left to download one, a fitting interpreter in the
 * version folders of pyenv, which uv cannot see behind shims of inactive versions.
 */
import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Environment } from '../command.ts';
import { CliError } from '../errors.ts';
import { type Command, type Ended, runChild } from './child.ts';
import { expandHome, home } from './paths.ts';
import { compareReleases, fits } from './platform.ts';

export interface PythonSearch {
  readonly env: Environment;
  readonly cwd: string;
  /** As in the metadata of the wheel: `>=3.13,<3.15`. */
  readonly requires: string;
  readonly childEnv: Readonly<Record<string, string>>;
  /** Runs uv with arguments, logged. */
  readonly uv: (args: readonly string[], env?: Record<string, string>) => Promise<Ended>;
  readonly signal: AbortSignal;
}

/** The value of `uv venv --python`: a path, or the requirement for uv to satisfy. */
export async function pythonRequest(search: PythonSearch): Promise<string> {
  const chosen = search.env.KTX_PYTHON;
  if (chosen !== undefined && chosen !== '')
    return await theChosen(resolve(search.cwd, expandHome(chosen, search.env)), search);
  const found = await search.uv(['python', 'find', '--no-project', '--system', search.requires], {
    UV_PYTHON_DOWNLOADS: 'never',
  });
  if (found.code === 0) return search.requires;
  return (await inPyenv(search)) ?? search.requires;
}

async function theChosen(path: string, search: PythonSearch): Promise<string> {
  const fix = `Point KTX_PYTHON at a Python ${search.requires}, or unset it.`;
  const version = await versionOf(path, search);
  if (version === undefined) {
    throw new CliError('python_unusable', `KTX_PYTHON names ${path}, which does not run as a Python interpreter`, {
      hint: fix,
    });
  }
  if (!fits(version, search.requires)) {
    throw new CliError(
      'python_unusable',
      `KTX_PYTHON names ${path}, which is Python ${version}; the runtime needs ${search.requires}`,
      { hint: fix },
    );
  }
  return path;
}

/** The newest fitting version whose interpreter really starts. */
async function inPyenv(search: PythonSearch): Promise<string | undefined> {
  const root = search.env.PYENV_ROOT || join(home(search.env), '.pyenv');
  const names = await readdir(join(root, 'versions')).catch(() => []);
  const versions = names.filter((name) => /^\d+\.\d+\.\d+$/.test(name) && fits(name, search.requires));
  for (const version of versions.sort(compareReleases).reverse()) {
    const folder = join(root, 'versions', version);
    const python = process.platform === 'win32' ? join(folder, 'python.exe') : join(folder, 'bin', 'python');
    if ((await versionOf(python, search)) === version) return python;
  }
  return undefined;
}

async function versionOf(path: string, { childEnv, cwd, signal }: PythonSearch): Promise<string | undefined> {
  if (
    !(await access(path, constants.X_OK).then(
      () => true,
      () => false,
    ))
  )
    return undefined;
  const ask = "import sys; print('.'.join(map(str, sys.version_info[:3])))";
  const command: Command = { command: path, args: ['-I', '-B', '-c', ask], cwd, env: childEnv };
  const ended = await runChild(command, { timeoutMs: 10_000, signal });
  return ended.code === 0 && /^\d+\.\d+\.\d+\s*$/.test(ended.stdout) ? ended.stdout.trim() : undefined;
}
