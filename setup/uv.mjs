// @ts-check
// The uv that builds: the first on PATH when its version fits, else our own, installed by hash through
// whatever pip there is into an ignored folder.

import fs from 'node:fs';
import path from 'node:path';
import { howItEnded, lastLines, noNetwork, run, SetupError, saysNoNetwork } from './child.mjs';
import { places } from './context.mjs';
import { digest, findExecutable, fingerprint, pathFolders, readText, same, writeAtomic } from './files.mjs';
import { pipCandidates } from './python.mjs';
import { fitsPython } from './versions.mjs';

/** @typedef {import('./context.mjs').Context} Context */
/** @typedef {{ path: string, version: string }} Uv */
/** @typedef {{ onPath: import('./files.mjs').Fingerprint | null, used: import('./files.mjs').Fingerprint | null, needed: string }} SeenUv */

/** Generous: a busy machine must not make a good tool look broken. */
const PROBE_MS = 60_000;
const INSTALL_MS = 10 * 60_000;
/** Settings that would send pip elsewhere than `--target`; index, proxy and certificates stay the user's. */
const PIP_ENV = { PIP_USER: '0', PIP_REQUIRE_VIRTUALENV: '0', PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1' };
const PIP_DROPPED = [
  'PIP_TARGET',
  'PIP_PREFIX',
  'PIP_ROOT',
  'PIP_NO_BINARY',
  'PIP_DRY_RUN',
  'PYTHONHOME',
  'PYTHONPATH',
];

/**
 * `[tool.uv] required-version` of the workspace: a specifier set.
 * @param {string} root
 */
export function neededUv(root) {
  const text = readText(path.join(root, 'pyproject.toml')) ?? '';
  const table = /^\[tool\.uv\]\s*$([\s\S]*?)(?=^\[|(?![\s\S]))/m.exec(text)?.[1] ?? '';
  return /^required-version\s*=\s*"([^"]*)"/m.exec(table)?.[1] ?? '>=0';
}

/**
 * The first uv on PATH that is not our own.
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 */
export function uvOnPath(root, env) {
  const own = places(root).uv;
  return findExecutable(
    'uv',
    pathFolders(env).filter((folder) => !folder.startsWith(own)),
  );
}

/** @param {string} root */
export function ownUv(root) {
  const { uv } = places(root);
  return findExecutable('uv', [path.join(uv, 'bin'), path.join(uv, 'Scripts')]);
}

/** @param {string} root */
const ownStamp = (root) => digest([process.platform, process.arch, readText(places(root).uvRequirements) ?? '']);

/** @param {string} root */
const ownIsCurrent = (root) => readText(path.join(places(root).uv, '.ktx-setup')) === ownStamp(root) && !!ownUv(root);

/**
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @param {string} used
 * @returns {SeenUv}
 */
export function seenUv(root, env, used) {
  const onPath = uvOnPath(root, env);
  return { onPath: onPath ? fingerprint(onPath) : null, used: fingerprint(used), needed: neededUv(root) };
}

/**
 * Whether the recorded uv still is what a probe would choose; starts nothing.
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @param {{ uv?: Uv, seen?: { uv?: SeenUv } } | undefined} recorded
 */
export function uvReady(root, env, recorded) {
  if (!recorded?.uv?.path || !same(recorded.seen?.uv, seenUv(root, env, recorded.uv.path))) return false;
  if (recorded.uv.path === recorded.seen?.uv?.onPath?.path) return true;
  return ownIsCurrent(root) && recorded.uv.path === ownUv(root);
}

/**
 * The version an executable says it has, or how it failed to say so.
 * @param {string} file
 * @param {{ root: string, env: NodeJS.ProcessEnv, started?: (pid: number) => void, signal?: AbortSignal }} context
 * @returns {Promise<{ version: string } | { problem: string }>}
 */
export async function probeUv(file, { root, env, started, signal }) {
  const ended = await run(file, ['--version'], {
    cwd: root,
    env,
    timeoutMs: PROBE_MS,
    ...(started && { started }),
    ...(signal && { signal }),
  });
  const version = /^uv (\d+(?:\.\d+)+\S*)/m.exec(ended.stdout)?.[1];
  if (ended.code === 0 && version) return { version };
  if (ended.timedOut) return { problem: `did not answer --version within ${PROBE_MS / 1000} s` };
  return { problem: ended.code === 0 ? 'does not say its version' : howItEnded(ended) };
}

/**
 * The uv to use of those that are there: PATH's when it fits, else our own; or why there is none.
 * @param {{ root: string, env: NodeJS.ProcessEnv, started?: (pid: number) => void, signal?: AbortSignal }} context
 * @returns {Promise<{ uv: Uv, note: string } | { why: SetupError }>}
 */
export async function chooseUv(context) {
  const { root, env } = context;
  const needed = neededUv(root);
  const onPath = uvOnPath(root, env);
  let why = new SetupError('no-uv', `no uv on PATH; uv${needed} is needed`, installHint(root));
  if (onPath) {
    const probed = await probeUv(onPath, context);
    if ('version' in probed && fitsPython(probed.version, needed)) {
      return { uv: { path: onPath, version: probed.version }, note: '' };
    }
    why =
      'version' in probed
        ? new SetupError('old-uv', `${onPath} is uv ${probed.version}; uv${needed} is needed`, installHint(root))
        : new SetupError('broken-uv', `${onPath} ${probed.problem}; uv${needed} is needed`, installHint(root));
  }
  const own = ownIsCurrent(root) ? ownUv(root) : undefined;
  if (!own) return { why };
  const probed = await probeUv(own, context);
  if (!('version' in probed && fitsPython(probed.version, needed))) return { why };
  return { uv: { path: own, version: probed.version }, note: ` (${why.message})` };
}

/**
 * @param {Context} context
 * @returns {Promise<Uv>}
 */
export async function provideUv(context) {
  let chosen = await chooseUv(context);
  if ('why' in chosen) {
    await installOwn(context, chosen.why);
    chosen = await chooseUv(context);
  }
  if ('why' in chosen) throw chosen.why;
  context.say(`uv: ${chosen.uv.version} at ${chosen.uv.path}${chosen.note}`);
  return chosen.uv;
}

/** @param {string} root */
function installHint(root) {
  const requirements = path.relative(root, places(root).uvRequirements);
  return `Set-up could not install it. Put one on PATH, for example: python3 -m pip install --require-hashes -r ${requirements}`;
}

/**
 * @param {Context} context
 * @param {SetupError} why what to say when no pip can do it
 */
async function installOwn({ root, env, say, started }, why) {
  const at = places(root);
  const next = path.join(at.tools, `uv.next-${process.pid}`);
  /** @type {NodeJS.ProcessEnv} */
  const pipEnv = { ...env, ...PIP_ENV };
  for (const name of PIP_DROPPED) delete pipEnv[name];
  const args = ['install', '--require-hashes', '--no-deps', '--only-binary', ':all:', '--target', next];
  args.push('--requirement', at.uvRequirements);
  /** @type {string[]} */
  const tried = [];
  fs.mkdirSync(at.tools, { recursive: true });
  for await (const pip of pipCandidates({ root, env: pipEnv, started })) {
    say(`uv: ${why.message}; installing one by hash with ${[pip.command, ...pip.args].join(' ')}`);
    try {
      const ended = await run(pip.command, [...pip.args, ...args], {
        cwd: root,
        env: pipEnv,
        timeoutMs: INSTALL_MS,
        started,
      });
      if (ended.code === 0 && findExecutable('uv', [path.join(next, 'bin'), path.join(next, 'Scripts')])) {
        writeAtomic(path.join(next, '.ktx-setup'), ownStamp(root));
        fs.rmSync(at.uv, { recursive: true, force: true });
        fs.renameSync(next, at.uv);
        return;
      }
      if (saysNoNetwork(ended.output)) throw noNetwork('pip', 'uv', ended.output);
      tried.push(`  ${[pip.command, ...pip.args].join(' ')} ${howItEnded(ended)}:\n${complaint(ended.output)}`);
    } finally {
      fs.rmSync(next, { recursive: true, force: true });
    }
  }
  const detail = tried.length > 0 ? tried.join('\n') : '  no Python with a working pip was found';
  throw new SetupError(why.code, `${why.message}\n${detail}`, why.hint);
}

/**
 * What pip calls errors, else its last lines.
 * @param {string} output
 */
function complaint(output) {
  const errors = output.split(/\r?\n/).filter((line) => /^ERROR|Expected sha256|Got /.test(line.trim()));
  return errors.length > 0 ? lastLines([...errors.slice(0, 2), ...errors.slice(-1)].join('\n')) : lastLines(output, 4);
}
