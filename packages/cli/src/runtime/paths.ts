/**
 * Every path of the managed runtime, from one root and one CLI version. Pure but for the environment handed in.
 *
 * Layout: `locks/`, `<cliVersion>/{manifest.json,env,work,logs,daemon}`, `uv/`, `python/`, `models/`, `.trash/`.
 */
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import type { Environment } from '../command.ts';
import { CliError } from '../errors.ts';
import { packageRoot } from '../package-root.ts';
import { cliVersion } from '../version.ts';

export interface RuntimePaths {
  readonly cliVersion: string;
  readonly root: string;
  readonly marker: string;
  readonly locks: string;
  readonly installLock: string;
  readonly versionDir: string;
  readonly manifest: string;
  readonly envs: string;
  readonly work: string;
  readonly logs: string;
  readonly latestLog: string;
  readonly daemonDir: string;
  readonly uv: string;
  readonly pythons: string;
  readonly models: string;
  readonly trash: string;
  readonly assets: string;
  readonly assetManifest: string;
}

export interface Place {
  readonly env: Environment;
  readonly cwd: string;
  readonly platform?: NodeJS.Platform;
}

export function runtimePaths(place: Place, version: string = cliVersion()): RuntimePaths {
  const root = runtimeRoot(place);
  const versionDir = join(root, version);
  const assets = join(packageRoot, 'assets', 'python');
  return {
    cliVersion: version,
    root,
    marker: join(root, '.ktx-runtime-root'),
    locks: join(root, 'locks'),
    installLock: join(root, 'locks', `${version}.json`),
    versionDir,
    manifest: join(versionDir, 'manifest.json'),
    envs: join(versionDir, 'env'),
    work: join(versionDir, 'work'),
    logs: join(versionDir, 'logs'),
    latestLog: join(versionDir, 'logs', 'install.log'),
    daemonDir: join(versionDir, 'daemon'),
    uv: join(root, 'uv'),
    pythons: join(root, 'python'),
    models: join(root, 'models'),
    trash: join(root, '.trash'),
    assets,
    assetManifest: join(assets, 'manifest.json'),
  };
}

/** The effective root: `KTX_RUNTIME_ROOT`, else the data directory of this operating system. */
export function runtimeRoot({ env, cwd, platform = process.platform }: Place): string {
  const asked = env.KTX_RUNTIME_ROOT;
  if (asked !== undefined && asked !== '') return resolve(cwd, expandHome(asked, env));
  if (platform === 'win32') {
    const local = env.LOCALAPPDATA;
    return join(
      local !== undefined && local !== '' ? local : join(home(env), 'AppData', 'Local'),
      'Kaelio',
      'KTX',
      'runtime',
    );
  }
  if (platform === 'darwin') return join(home(env), 'Library', 'Application Support', 'kaelio', 'ktx', 'runtime');
  return join(xdg(env.XDG_DATA_HOME, join(home(env), '.local', 'share')), 'kaelio', 'ktx', 'runtime');
}

/** `${XDG_STATE_HOME:-~/.local/state}/kaelio/ktx`: where a read-only root keeps its daemon state. */
export function stateHome(env: Environment): string {
  return join(xdg(env.XDG_STATE_HOME, join(home(env), '.local', 'state')), 'kaelio', 'ktx');
}

export function expandHome(path: string, env: Environment): string {
  return path === '~' || path.startsWith('~/') || path.startsWith('~\\') ? join(home(env), path.slice(1)) : path;
}

export function home(env: Environment): string {
  const found = env.HOME || env.USERPROFILE;
  if (found !== undefined && isAbsolute(found)) return found;
  try {
    return homedir();
  } catch (cause) {
    throw new CliError('no_home', 'the home directory of this user is unknown', {
      hint: 'Set HOME, or KTX_RUNTIME_ROOT to a directory for the runtime.',
      cause,
    });
  }
}

/** The XDG standard says that a relative value is to be ignored. */
function xdg(value: string | undefined, fallback: string): string {
  return value !== undefined && isAbsolute(value) ? value : fallback;
}

/** The interpreter of one generation. */
export function pythonOf(envDir: string, platform: NodeJS.Platform = process.platform): string {
  return platform === 'win32' ? join(envDir, 'Scripts', 'python.exe') : join(envDir, 'bin', 'python');
}

/** The console script of one generation; ktx itself never starts it. */
export function daemonScriptOf(envDir: string, platform: NodeJS.Platform = process.platform): string {
  return platform === 'win32' ? join(envDir, 'Scripts', 'ktx-daemon.exe') : join(envDir, 'bin', 'ktx-daemon');
}
