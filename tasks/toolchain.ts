/**
 * The tools that set-up found, read from its record and checked again where the caller's world may differ.
 *
 * The record is trusted only as far as what it names is unchanged: a uv put first on PATH since then, an
 * interpreter that was upgraded or removed, are noticed without starting anything while nothing changed.
 */

import * as v from 'valibot';
import { SetupError } from '../setup/child.mjs';
import { places } from '../setup/context.mjs';
import { readText, same } from '../setup/files.mjs';
import { pythonReady } from '../setup/python.mjs';
import { chooseUv, seenUv } from '../setup/uv.mjs';
import { BuildError } from './errors.ts';

const tool = v.object({ path: v.pipe(v.string(), v.minLength(1)), version: v.pipe(v.string(), v.minLength(1)) });
const seenFile = v.nullable(v.object({ path: v.string(), size: v.number(), mtimeMs: v.number(), ino: v.number() }));
const record = v.object({
  schemaVersion: v.literal(1),
  node: tool,
  npmCli: v.string(),
  npmVersion: v.string(),
  uv: tool,
  python: tool,
  seen: v.object({
    uv: v.object({ onPath: seenFile, used: seenFile, needed: v.string() }),
    python: v.object({ used: seenFile, asked: v.string(), needed: v.string() }),
  }),
});

/** Absolute paths and versions of what the graph starts. */
export interface Toolchain {
  readonly node: Tool;
  /** npm's entry script, to be run by `node`. */
  readonly npmCli: string;
  readonly npmVersion: string;
  readonly uv: Tool;
  /** A base interpreter, never a virtual environment's. */
  readonly python: Tool;
}

export interface Tool {
  readonly path: string;
  readonly version: string;
}

const HINT = 'Run: npm run setup';

/**
 * The toolchain of a checkout for an environment.
 *
 * Throws `BuildError` with code `toolchain-missing`, `toolchain-stale`, `no-uv`, `old-uv` or `broken-uv`.
 */
export async function readToolchain(root: string, env: NodeJS.ProcessEnv, signal?: AbortSignal): Promise<Toolchain> {
  const recorded = parseToolchain(readText(places(root).toolchain));
  if (!pythonReady(root, env, recorded)) {
    throw new BuildError('toolchain-stale', `${recorded.python.path} is no longer the Python to use`, HINT);
  }
  const { node, npmCli, npmVersion, python } = recorded;
  return Object.freeze({ node, npmCli, npmVersion, uv: await currentUv(root, env, recorded, signal), python });
}

/** The recorded toolchain of a `toolchain.json`; `undefined` stands for a file that is not there. */
export function parseToolchain(text: string | undefined): v.InferOutput<typeof record> {
  if (text === undefined) throw new BuildError('toolchain-missing', 'this checkout is not set up', HINT);
  try {
    return v.parse(record, JSON.parse(text));
  } catch (cause) {
    throw new BuildError('toolchain-stale', 'the record of the set-up cannot be read', HINT, { cause });
  }
}

async function currentUv(
  root: string,
  env: NodeJS.ProcessEnv,
  recorded: v.InferOutput<typeof record>,
  signal: AbortSignal | undefined,
): Promise<Tool> {
  const now = seenUv(root, env, recorded.uv.path);
  // Leaving PATH is no reason to change: what was chosen is started by its path.
  const unchanged = same(now.used, recorded.seen.uv.used) && now.needed === recorded.seen.uv.needed;
  const { onPath, used } = recorded.seen.uv;
  const sameOnPath = now.onPath === null || same(now.onPath, onPath) || same(now.onPath, used);
  if (unchanged && now.used && sameOnPath) return recorded.uv;
  try {
    const chosen = await chooseUv({ root, env, ...(signal && { signal }) });
    if ('uv' in chosen) return chosen.uv;
    throw chosen.why;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    throw new BuildError(error.code, error.message, HINT, { cause: error });
  }
}
