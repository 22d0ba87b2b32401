/**
 * The installed manifest: the commit point of an installation, naming one generation.
 *
 * A generation that no manifest names does not exist for ktx; one that it names is never written to again.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { jsonText, writeAtomically } from './files.ts';
import type { InstalledModel } from './model.ts';
import type { RuntimePaths } from './paths.ts';
import type { Feature } from './types.ts';

export interface InstalledManifest {
  readonly schemaVersion: 1;
  readonly cliVersion: string;
  /** ISO 8601, UTC. */
  readonly installedAt: string;
  readonly asset: {
    readonly schemaVersion: 1;
    readonly distributionName: string;
    readonly normalizedName: string;
    readonly version: string;
    readonly wheel: { readonly file: string; readonly sha256: string; readonly bytes: number };
  };
  /** `core` first, always. */
  readonly features: readonly Feature[];
  readonly python: { readonly executable: string; readonly daemonExecutable: string };
  readonly installLog: string;
  /** Eight hex digits: the folder in `env/`. */
  readonly generation: string;
  readonly lockSha256: string;
  readonly uvVersion: string;
  readonly pythonVersion: string;
  readonly platform: string;
  readonly arch: string;
  readonly libc: string | null;
  /** With local embeddings, where the package pins a model. */
  readonly model?: InstalledModel;
  readonly verified: { readonly at: string; readonly importCheck: boolean };
}

export type Installed =
  | { readonly state: 'absent' }
  | { readonly state: 'corrupt'; readonly why: string }
  | { readonly state: 'present'; readonly manifest: InstalledManifest };

export async function readInstalled(paths: RuntimePaths): Promise<Installed> {
  let text: string;
  try {
    text = await readFile(paths.manifest, 'utf8');
  } catch (error) {
    const code = errnoOf(error);
    return code === 'ENOENT' || code === 'ENOTDIR'
      ? { state: 'absent' }
      : { state: 'corrupt', why: `it cannot be read (${code})` };
  }
  return parseInstalled(text);
}

export function parseInstalled(text: string): Installed {
  if (text.trim() === '') return { state: 'corrupt', why: 'it is empty' };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { state: 'corrupt', why: 'it is not JSON' };
  }
  const why = fault(value);
  return why === undefined ? { state: 'present', manifest: value as InstalledManifest } : { state: 'corrupt', why };
}

/** Whether a file is the manifest of some version of ktx, however old or damaged in the parts. */
export async function isKtxManifest(path: string): Promise<boolean> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown> | null;
    return typeof value?.schemaVersion === 'number' && typeof value.cliVersion === 'string';
  } catch {
    return false;
  }
}

export async function writeInstalled(paths: RuntimePaths, manifest: InstalledManifest): Promise<void> {
  await writeAtomically(paths.manifest, jsonText(manifest));
}

export function envDirOf(paths: RuntimePaths, generation: string): string {
  return join(paths.envs, generation);
}

export function isGeneration(name: unknown): name is string {
  return typeof name === 'string' && /^[0-9a-f]{8}$/.test(name);
}

function fault(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is not an object';
  const at = value as Record<string, unknown>;
  if (at.schemaVersion !== 1) return `its schemaVersion is ${JSON.stringify(at.schemaVersion)}`;
  for (const key of ['cliVersion', 'installedAt', 'installLog', 'lockSha256', 'platform', 'arch']) {
    if (typeof at[key] !== 'string') return `it lacks "${key}"`;
  }
  if (!isGeneration(at.generation)) return 'it names no generation';
  const features = at.features;
  if (
    !Array.isArray(features) ||
    features[0] !== 'core' ||
    !features.every((name) => name === 'core' || name === 'local-embeddings')
  ) {
    return 'its features are not known';
  }
  const wheel = ((at.asset as Record<string, unknown> | undefined)?.wheel ?? {}) as Record<string, unknown>;
  if (typeof wheel.sha256 !== 'string') return 'it lacks "asset.wheel.sha256"';
  const python = (at.python ?? {}) as Record<string, unknown>;
  if (typeof python.executable !== 'string') return 'it lacks "python.executable"';
  const folder = at.model === undefined ? 'none' : (at.model as Record<string, unknown> | null)?.folder;
  return typeof folder === 'string' && /^\w[\w.-]*$/.test(folder) ? undefined : 'it names no folder of its model';
}
