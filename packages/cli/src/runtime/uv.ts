/**
 * Finding uv. ktx never fetches it in this release: it is a prerequisite, and the error says how to get it.
 *
 * Order: `KTX_UV`, the managed copy an administrator placed, PATH, the usual folders. Each candidate is asked for its
 * version; the first that answers and is new enough wins.
 */
import { constants } from 'node:fs';
import { access, readdir, readFile, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import type { Environment } from '../command.ts';
import { CliError } from '../errors.ts';
import type { RuntimeInstaller } from './build-info.ts';
import { runChild } from './child.ts';
import { sha256OfFile } from './files.ts';
import { expandHome, home, type RuntimePaths } from './paths.ts';
import { compareReleases } from './platform.ts';
import { uvEnvironment } from './uv-environment.ts';

export interface Uv {
  readonly path: string;
  readonly version: string;
}

export interface Refused {
  readonly path: string;
  /** `is 0.4.0`, `did not answer within 5 s`: completes a sentence that starts with the path. */
  readonly why: string;
  readonly version?: string;
}

export interface UvSearch {
  readonly env: Environment;
  readonly cwd: string;
  readonly paths: RuntimePaths;
  /** Lowest version that will do, as `0.11.28`. */
  readonly minimum: string;
  readonly installer: RuntimeInstaller;
  /** The command to repeat once uv is there. */
  readonly retry: string;
  readonly signal?: AbortSignal;
}

const PROBE_MS = 5_000;

export async function findUv(search: UvSearch): Promise<Uv> {
  demandKnownStrategy(search.installer);
  const chosen = search.env.KTX_UV;
  if (chosen !== undefined && chosen !== '')
    return await theChosen(resolve(search.cwd, expandHome(chosen, search.env)), search);
  const refused: Refused[] = [];
  for (const path of await candidates(search)) {
    const answer = await probe(path, search);
    if ('why' in answer) refused.push(answer);
    else return answer;
  }
  throw unavailable(refused, search);
}

/** The one branch on the release policy: any other value needs code that is not written. */
function demandKnownStrategy({ uvStrategy, bootstrapUv, missingUvBehavior }: RuntimeInstaller): void {
  if (uvStrategy === 'path-prerequisite' && !bootstrapUv && missingUvBehavior === 'focused-error') return;
  throw new Error(
    `the release policy asks for ${uvStrategy}, ${bootstrapUv}, ${missingUvBehavior}: this ktx cannot do that`,
  );
}

async function theChosen(path: string, search: UvSearch): Promise<Uv> {
  if (!(await isExecutable(path))) {
    throw new CliError('uv_unusable', `KTX_UV names ${path}, which is no executable file`, {
      hint: `Point KTX_UV at uv ${search.minimum} or newer, or unset it.`,
    });
  }
  const answer = await probe(path, search);
  if ('why' in answer) {
    throw new CliError(
      'uv_unusable',
      `KTX_UV names ${path}, which ${answer.why}; ktx needs ${search.minimum} or newer`,
      {
        hint: `Point KTX_UV at another uv, or unset it. Then run: ${search.retry}`,
        details: { ...answer, needed: search.minimum },
      },
    );
  }
  return answer;
}

async function probe(path: string, search: UvSearch): Promise<Uv | Refused> {
  const env = uvEnvironment(search.env, search.paths);
  const options = { timeoutMs: PROBE_MS, ...(search.signal === undefined ? {} : { signal: search.signal }) };
  const ended = await runChild({ command: path, args: ['--version'], cwd: search.cwd, env }, options);
  if (ended.timedOut) return { path, why: `did not answer within ${PROBE_MS / 1000} s` };
  if (ended.spawnError !== undefined) return { path, why: `cannot be started (${ended.spawnError})` };
  if (ended.code !== 0) {
    const ending = ended.code === null ? `was ended by ${ended.signal}` : `ended with exit code ${ended.code}`;
    return { path, why: `${ending} when asked for its version` };
  }
  const version = /^uv (\d+\.\d+\.\d+)(?:[^\d.]|$)/.exec(ended.stdout)?.[1];
  if (version === undefined) return { path, why: 'does not say which version of uv it is' };
  return compareReleases(version, search.minimum) < 0 ? { path, why: `is ${version}`, version } : { path, version };
}

async function candidates({ env, paths }: UvSearch): Promise<string[]> {
  const windows = process.platform === 'win32';
  const name = windows ? 'uv.exe' : 'uv';
  const own = home(env);
  const usual = windows
    ? [
        join(own, '.local', 'bin'),
        join(own, '.cargo', 'bin'),
        join(env.LOCALAPPDATA ?? join(own, 'AppData', 'Local'), 'Microsoft', 'WinGet', 'Links'),
        join(own, 'scoop', 'shims'),
      ]
    : [
        join(own, '.local', 'bin'),
        join(own, '.cargo', 'bin'),
        '/opt/homebrew/bin',
        '/usr/local/bin',
        '/home/linuxbrew/.linuxbrew/bin',
      ];
  // A relative entry would run whatever lies in the current directory.
  const onPath = (env.PATH ?? env.Path ?? '').split(delimiter).filter(isAbsolute);
  const found: string[] = await managedCopies(paths, name);
  for (const folder of [...onPath, ...usual]) {
    const path = join(folder, name);
    if (!found.includes(path) && (await isExecutable(path))) found.push(path);
  }
  return found;
}

/** `<root>/uv/<version>/uv`, newest first, each only if its digest file agrees. */
async function managedCopies(paths: RuntimePaths, name: string): Promise<string[]> {
  const versions = await readdir(paths.uv).catch(() => []);
  const found: string[] = [];
  for (const version of versions.sort(compareReleases).reverse()) {
    const path = join(paths.uv, version, name);
    const expected = await readFile(join(paths.uv, version, 'uv.sha256'), 'utf8').catch(() => '');
    const digest = /^[0-9a-f]{64}\b/i.exec(expected.trim())?.[0].toLowerCase();
    if (digest !== undefined && (await isExecutable(path)) && (await sha256OfFile(path)) === digest) found.push(path);
  }
  return found;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

function unavailable(refused: readonly Refused[], { minimum, retry }: UvSearch): CliError {
  const details = { needed: minimum, found: refused };
  const next = `ktx does not fetch uv itself. Install it with: ${installCommand()}\nIf it is installed, put it on PATH or set KTX_UV to it. Then run: ${retry}`;
  if (refused.length === 0) {
    return new CliError('uv_missing', `the runtime is installed with uv ${minimum} or newer, and no uv was found`, {
      hint: next,
      details,
    });
  }
  const list = refused.map(({ path, why }) => `${path} ${why}`).join('; ');
  return new CliError(
    'uv_unusable',
    `the runtime is installed with uv ${minimum} or newer, and none was found: ${list}`,
    { hint: next, details },
  );
}

export function installCommand(platform: NodeJS.Platform = process.platform): string {
  if (platform === 'win32') return 'winget install --id=astral-sh.uv -e';
  if (platform === 'darwin') return 'brew install uv';
  return 'curl -LsSf https://astral.sh/uv/install.sh | sh';
}
