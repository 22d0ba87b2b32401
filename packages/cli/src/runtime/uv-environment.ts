/**
 * The environment of uv: what says where packages come from is kept, what says where they go is not.
 *
 * A user's index, credentials, mirror, cache, certificates and limits count; an active virtual environment, a
 * PYTHONPATH or a UV_PROJECT must not reach into an installation that is none of their business.
 */
import { delimiter } from 'node:path';
import type { Environment } from '../command.ts';
import { switchedOn } from '../command.ts';
import type { RuntimePaths } from './paths.ts';

const DROPPED = /^(?:PYTHON.*|PIP_.*|VIRTUAL_ENV.*|CONDA_.*|LD_PRELOAD|DYLD_.*|__PYVENV_LAUNCHER__)$/i;

/** Settings named in uv's environment reference (docs.astral.sh/uv/reference/environment), by what they are about. */
const KEPT_UV = new RegExp(
  `^UV_(?:${[
    'DEFAULT_INDEX',
    'INDEX',
    'INDEX_URL',
    'EXTRA_INDEX_URL',
    'INDEX_STRATEGY',
    'FIND_LINKS',
    'NO_INDEX',
    'INDEX_.+_(?:USERNAME|PASSWORD)',
    '(?:S3|GCS|AZURE)_ENDPOINT_URL',
    'KEYRING_PROVIDER',
    'CREDENTIALS_DIR',
    'GITHUB_TOKEN',
    'NETRC',
    '(?:PYTHON|PYPY|CPYTHON)_INSTALL_MIRROR',
    'PYTHON_DOWNLOADS_JSON_URL',
    '(?:PYTHON|ASTRAL)_MIRROR.*',
    'ASTRAL_MIRROR_URL',
    'CACHE_DIR',
    'NO_CACHE',
    'PYTHON_CACHE_DIR',
    'NATIVE_TLS',
    'SYSTEM_CERTS',
    'INSECURE_HOST',
    '(?:HTTP|HTTPS|ALL|NO)_PROXY',
    '(?:HTTP|UPLOAD_HTTP|HTTP_CONNECT|REQUEST)_.*TIMEOUT.*',
    'HTTP_TIMEOUT',
    'HTTP_CONNECT_TIMEOUT',
    'LOCK_TIMEOUT',
    'HTTP_RETRIES',
    'CONCURRENT_(?:BUILDS|DOWNLOADS|INSTALLS)',
    'OFFLINE',
    'CONFIG_FILE',
    'PYTHON_DOWNLOADS',
    'PYTHON_PREFERENCE',
    'MANAGED_PYTHON',
    'NO_MANAGED_PYTHON',
  ].join('|')})$`,
);

export function uvEnvironment(env: Environment, paths: RuntimePaths): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || DROPPED.test(name)) continue;
    if (/^UV_/i.test(name) && !KEPT_UV.test(name.toUpperCase())) continue;
    kept[name] = value;
  }
  if (kept.PATH !== undefined) kept.PATH = withoutShims(kept.PATH);
  kept.UV_HTTP_CONNECT_TIMEOUT ??= '8';
  kept.UV_HTTP_RETRIES ??= '2';
  return {
    ...kept,
    UV_PYTHON_INSTALL_DIR: paths.pythons,
    UV_PYTHON_INSTALL_BIN: '0',
    UV_PYTHON_INSTALL_REGISTRY: '0',
    UV_NO_PROGRESS: '1',
  };
}

/** A shim of an inactive pyenv version fails, and uv gives up at it; the versions themselves are looked at by ktx. */
function withoutShims(path: string): string {
  return path
    .split(delimiter)
    .filter((entry) => !/[\\/]\.?pyenv(?:-win)?[\\/]shims[\\/]?$/.test(entry))
    .join(delimiter);
}

/** `KTX_OFFLINE` as uv's own flag. */
export function offlineFlag(env: Environment): string[] {
  return switchedOn(env.KTX_OFFLINE) ? ['--offline'] : [];
}

/** The environment of the runtime's own Python: nothing that redirects an interpreter. */
export function pythonEnvironment(env: Environment): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || /^(?:PYTHON.*|__PYVENV_LAUNCHER__|LD_PRELOAD|DYLD_.*)$/i.test(name)) continue;
    kept[name] = value;
  }
  for (const name of ['NO_PROXY', 'no_proxy']) {
    // httpx and urllib3 stumble over IPv6 ranges in it.
    if (kept[name] !== undefined) kept[name] = withoutIpv6Ranges(kept[name]);
  }
  return kept;
}

function withoutIpv6Ranges(list: string): string {
  return list
    .split(',')
    .filter((entry) => !/^\s*\[?[0-9a-f]*:[0-9a-f:.]*\]?\/\d+\s*$/i.test(entry))
    .join(',');
}
