/**
 * What is said to an npm registry: which versions it has, publish this tarball,
 * give that version back. Commands as data, and the account that they use.
 *
 * The registry is always named, also for the package's scope: a scope's registry
 * in the user's npm settings would win over `--registry` otherwise.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from './context.ts';
import { childEnvironment } from './environment.ts';
import { BuildError } from './errors.ts';
import type { Command } from './run.ts';
import type { Toolchain } from './toolchain.ts';

/** A registry, as one run of npm is told of it. */
export interface Registry {
  readonly url: string;
  readonly tools: Toolchain;
  readonly env: Readonly<Record<string, string>>;
  /** A folder of our own, where no project's npm settings lie. */
  readonly work: string;
}

type Run = Context['run'];

const MINUTE = 60_000;
/** The token's variable, as CI systems set it. */
const TOKEN = 'NODE_AUTH_TOKEN';

/**
 * The registry at `url` for the caller's account: the token in NODE_AUTH_TOKEN
 * when it is set, else what the user's own npm settings hold. The token itself
 * is never written: npm reads it from the environment.
 */
export async function openRegistry(
  { ambient, toolchain }: Pick<Context, 'ambient' | 'toolchain'>,
  url: string,
  work: string,
): Promise<Registry> {
  await mkdir(work, { recursive: true });
  const token = ambient[TOKEN];
  const userconfig = join(work, '.npmrc');
  if (token) await writeFile(userconfig, `${accountKey(url)}:_authToken=\${${TOKEN}}\n`, { mode: 0o600 });
  const env = childEnvironment(ambient, {
    npm_config_update_notifier: 'false',
    npm_config_cache: join(work, 'cache'),
    ...(token ? { npm_config_userconfig: userconfig, [TOKEN]: token } : {}),
  });
  return { url, tools: await toolchain(), env, work };
}

/** `//host/path/`: how npm names the account of a registry. */
function accountKey(url: string): string {
  return url.replace(/^https?:/, '').replace(/\/?$/, '/');
}

/** Everything after `npm`: the publish of one tarball. */
export function publishArguments(
  tarball: string,
  name: string,
  { registry, access, tag }: { registry: string | null; access?: string | undefined; tag?: string | undefined },
): string[] {
  return [
    'publish',
    tarball,
    ...(registry === null ? [] : registryArguments(name, registry)),
    ...(access === undefined ? [] : ['--access', access]),
    ...(tag === undefined ? [] : ['--tag', tag]),
    '--ignore-scripts',
  ];
}

function registryArguments(name: string, url: string): string[] {
  const scope = /^@[^/]+/.exec(name)?.[0];
  return ['--registry', url, ...(scope ? [`--${scope}:registry=${url}`] : [])];
}

export function npmCommand({ tools, env, work }: Registry, task: string, args: readonly string[]): Command {
  return {
    task,
    command: tools.node.path,
    args: [tools.npmCli, ...args],
    cwd: work,
    env,
    timeout: 5 * MINUTE,
  };
}

/** The versions that the registry has of a package; none when it does not know the package. */
export async function publishedVersions(run: Run, registry: Registry, name: string): Promise<readonly string[]> {
  const args = ['view', name, 'versions', '--json', ...registryArguments(name, registry.url)];
  try {
    const versions: unknown = JSON.parse(await run({ ...npmCommand(registry, 'npm view', args), capture: true }));
    return [versions].flat().filter((one) => typeof one === 'string');
  } catch (cause) {
    if (/\bE404\b/.test(String(cause))) return [];
    throw new BuildError(
      'registry',
      `${registry.url} does not say which versions of ${name} it has`,
      'Check the address in release-policy.json, the network and the account.',
      { cause },
    );
  }
}

/** Fetch the tarball of a published version into the registry's folder; returns its path. */
export async function fetchPublished(run: Run, registry: Registry, name: string, version: string): Promise<string> {
  const args = ['pack', `${name}@${version}`, '--json', '--ignore-scripts', ...registryArguments(name, registry.url)];
  const printed: unknown = JSON.parse(await run({ ...npmCommand(registry, 'npm pack', args), capture: true }));
  const [packed] = Object.values(printed as object) as { filename?: string }[];
  if (!packed?.filename)
    throw new BuildError('registry', `npm pack named no file for ${name}@${version}`, 'Use npm 10 or newer.');
  return join(registry.work, packed.filename);
}
