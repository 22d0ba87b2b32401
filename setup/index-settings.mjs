// @ts-check
// A user whose Python index, proxy or certificates are told to pip alone gets them for uv as well: uv reads
// none of pip's settings. What uv is told itself always wins.

import os from 'node:os';
import path from 'node:path';
import { readText } from './files.mjs';

const UV_INDEX = [
  'UV_DEFAULT_INDEX',
  'UV_INDEX',
  'UV_INDEX_URL',
  'UV_EXTRA_INDEX_URL',
  'UV_NO_INDEX',
  'UV_CONFIG_FILE',
];

/**
 * The environment with pip's settings added under uv's names, where uv has none of its own.
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv}
 */
export function withPipSettings(env) {
  const pip = pipSettings(env);
  /** @type {NodeJS.ProcessEnv} */
  const added = {};
  if (pip['index-url'] && !uvKnowsAnIndex(env)) {
    added.UV_DEFAULT_INDEX = pip['index-url'];
    if (pip['trusted-host'] && !env.UV_INSECURE_HOST) added.UV_INSECURE_HOST = pip['trusted-host'];
  }
  if (pip.cert && !env.SSL_CERT_FILE && !env.SSL_CERT_DIR) added.SSL_CERT_FILE = pip.cert;
  const proxied = ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy'].some((name) => env[name]);
  if (pip.proxy && !proxied) added.ALL_PROXY = pip.proxy.includes('://') ? pip.proxy : `http://${pip.proxy}`;
  return { ...env, ...added };
}

/** @param {NodeJS.ProcessEnv} env */
const home = (env) => env.HOME || env.USERPROFILE || os.homedir();

/** @param {NodeJS.ProcessEnv} env */
const systemConfigs = (env) => (env.XDG_CONFIG_DIRS || '/etc/xdg').split(path.delimiter).filter(Boolean);

/** @param {NodeJS.ProcessEnv} env */
function uvKnowsAnIndex(env) {
  const files = [
    path.join(env.XDG_CONFIG_HOME || path.join(home(env), '.config'), 'uv', 'uv.toml'),
    ...(env.APPDATA ? [path.join(env.APPDATA, 'uv', 'uv.toml')] : []),
    ...systemConfigs(env).map((folder) => path.join(folder, 'uv', 'uv.toml')),
    path.join('/etc', 'uv', 'uv.toml'),
  ];
  return UV_INDEX.some((name) => env[name]) || files.some((file) => /index/.test(readText(file) ?? ''));
}

/**
 * pip's settings by their long names: files from the most general to the user's own, then `PIP_*`.
 * @param {NodeJS.ProcessEnv} env
 * @returns {Record<string, string | undefined>}
 */
function pipSettings(env) {
  const named = env.PIP_CONFIG_FILE;
  const files = [
    path.join('/etc', 'pip.conf'),
    ...systemConfigs(env).map((folder) => path.join(folder, 'pip', 'pip.conf')),
    path.join('/Library', 'Application Support', 'pip', 'pip.conf'),
    path.join(home(env), '.pip', 'pip.conf'),
    path.join(home(env), 'Library', 'Application Support', 'pip', 'pip.conf'),
    path.join(env.XDG_CONFIG_HOME || path.join(home(env), '.config'), 'pip', 'pip.conf'),
    ...(env.APPDATA ? [path.join(env.APPDATA, 'pip', 'pip.ini')] : []),
    ...(named ? [named] : []),
  ];
  /** @type {Record<string, string | undefined>} */
  const settings = {};
  if (named !== os.devNull) for (const file of files) Object.assign(settings, sections(readText(file) ?? ''));
  for (const name of ['index-url', 'trusted-host', 'cert', 'proxy']) {
    const fromEnvironment = env[`PIP_${name.toUpperCase().replace('-', '_')}`];
    if (fromEnvironment) settings[name] = fromEnvironment;
  }
  return settings;
}

/**
 * `[global]`, then `[install]`, of an ini file; values of one line only.
 * @param {string} text
 * @returns {Record<string, string>}
 */
function sections(text) {
  /** @type {Record<string, Record<string, string>>} */
  const found = { global: {}, install: {} };
  let section = '';
  for (const line of text.split(/\r?\n/)) {
    const header = /^\[([^\]]+)\]/.exec(line);
    if (header?.[1]) section = header[1].trim();
    const setting = /^([\w-]+)\s*[=:]\s*(.*?)\s*$/.exec(line);
    const into = found[section];
    if (setting?.[1] && setting[2] && into) into[setting[1].replaceAll('_', '-')] = setting[2];
  }
  return { ...found.global, ...found.install };
}
