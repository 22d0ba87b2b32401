/**
 * The proof that the release is reproducible: the same sources, copied to
 * another place and built there from nothing under everything that should not
 * matter, give the same bytes of every artifact and of both JSON files beside
 * them. What differs first is named.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyCheckout, shareRepository } from './checkout-copy.ts';
import type { Context } from './context.ts';
import { firstDifference } from './differences.ts';
import { hashFiles } from './digest.ts';
import { BuildError } from './errors.ts';
import { headCommit } from './revision.ts';
import type { Command } from './run.ts';

/** Settings that leak into a build that lets them. */
export const UNLIKE: Readonly<Record<string, string>> = {
  TZ: 'Pacific/Kiritimati',
  LANG: 'tr_TR.UTF-8',
  LC_ALL: 'C',
  PYTHONPATH: '/nowhere',
  PYTHONHASHSEED: '7',
  PYTHONOPTIMIZE: '2',
  PIP_NO_BINARY: ':all:',
  PIP_CONSTRAINT: '/nowhere',
  UV_LINK_MODE: 'symlink',
  UV_NO_BUILD_ISOLATION: '1',
  UV_COMPILE_BYTECODE: '1',
  UV_EXCLUDE_NEWER: '2015-01-01',
  UV_BUILD_CONSTRAINT: '/nowhere',
  HATCH_BUILD_HOOKS_ENABLE: '1',
  HATCH_METADATA_CLASSIFIERS_NO_VERIFY: '1',
  NPM_CONFIG_PACK_DESTINATION: '/nowhere',
  NPM_CONFIG_UMASK: '0077',
  NPM_CONFIG_IGNORE_SCRIPTS: 'false',
  npm_config_json: 'false',
};

/** Build the sources of this checkout elsewhere and compare with `dist/artifacts`. */
export async function reproduce(context: Context): Promise<void> {
  const { at, log } = context;
  const base = await mkdtemp(join(tmpdir(), 'ktx-reproduce-'));
  try {
    const root = join(base, 'an odd näme');
    await copyCheckout(at.root, root, { unlike: true });
    if (await headCommit(at.root)) await shareRepository(at.root, root);
    await context.run(await buildThere(context, root));
    const problems = await folderDifferences(at.release, join(root, 'dist', 'artifacts'));
    if (problems.length > 0) throw notReproduced(problems);
    log.say('built again elsewhere, under other conditions: the same bytes');
  } finally {
    await rm(base, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Each file of two release folders that differs, with its first difference. */
export async function folderDifferences(first: string, second: string): Promise<string[]> {
  const [a, b] = [await hashFiles(first), await hashFiles(second)];
  const paths = Object.keys({ ...a, ...b }).sort();
  const problems = paths.map(async (path) => {
    if (a[path] === b[path]) return [];
    if (!(path in b)) return [`${path}: it is only in the first`];
    if (!(path in a)) return [`${path}: it is only in the second`];
    const [one, other] = [await readFile(join(first, path)), await readFile(join(second, path))];
    return [firstDifference(path, one, other) ?? `${path}: it is no regular file`];
  });
  return (await Promise.all(problems)).flat();
}

/**
 * The real graph in a process of its own. Its SOURCE_DATE_EPOCH is the time of
 * the commit: the manifest says that anyhow, and an archive that followed it shows.
 */
async function buildThere({ ambient, toolchain, revision }: Context, root: string): Promise<Command> {
  const { node } = await toolchain();
  const { CI: _ci, ...own } = Object.fromEntries(
    Object.entries(ambient).filter((one): one is [string, string] => one[1] !== undefined),
  );
  const gulp = [node.path, join(root, 'node_modules', 'gulp', 'bin', 'gulp.js'), 'artifacts'];
  const [command, ...args] =
    process.platform === 'win32' ? gulp : ['/bin/sh', '-c', 'umask 077; exec "$@"', 'sh', ...gulp];
  return {
    task: 'again',
    command: command as string,
    args,
    cwd: root,
    env: { ...own, ...UNLIKE, SOURCE_DATE_EPOCH: String((await revision()).time), NO_COLOR: '1' },
    timeout: 20 * 60_000,
    hint: 'The build fails elsewhere: it depends on this checkout or on a setting of this machine.',
  };
}

function notReproduced(problems: readonly string[]): BuildError {
  return new BuildError(
    'reproduce',
    `the same sources gave other bytes (first: dist/artifacts, second: a copy of the checkout):\n${problems
      .map((one) => `    ${one}`)
      .join('\n')}`,
    'Find what lets the conditions of a build into that place, and fix it there.',
  );
}
