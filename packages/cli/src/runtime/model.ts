/**
 * The pinned embedding model: fetched into the generation's work folder, every file checked, placed by one rename.
 *
 * Its folder in `models/` is named by the digest of the pin, so it holds these bytes or does not exist; versions of
 * ktx that pin the same model share it. The fetching itself is the runtime's own Python, which knows the user's
 * proxy and certificates as the rest of the runtime does.
 */
import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type CommandContext, switchedOn } from '../command.ts';
import { CliError } from '../errors.ts';
import type { Step } from '../progress.ts';
import type { Ended } from './child.ts';
import { discard, jsonText, sha256, sha256OfFile } from './files.ts';
import type { RuntimePaths } from './paths.ts';
import { size } from './space.ts';

export interface ModelFile {
  /** Relative to the model, POSIX. */
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface ModelPin {
  /** As the hub knows it: `owner/name`. */
  readonly name: string;
  readonly revision: string;
  readonly files: readonly ModelFile[];
}

/** As the installed manifest names it. */
export interface InstalledModel {
  readonly name: string;
  readonly revision: string;
  /** Below `models/`. */
  readonly folder: string;
}

export function installedModel(pin: ModelPin): InstalledModel {
  const { name, revision, files } = pin;
  const digest = sha256(JSON.stringify([name, revision, files.map((file) => [file.path, file.sha256, file.bytes])]));
  return { name, revision, folder: `${basename(name)}-${digest.slice(0, 12)}` };
}

export function modelDirOf(paths: RuntimePaths, model: Pick<InstalledModel, 'folder'>): string {
  return join(paths.models, model.folder);
}

/** What is wrong with the placed model: `<path> is missing`, `<path> was changed`. With `deep` every byte is read. */
export async function modelFaults(paths: RuntimePaths, pin: ModelPin, deep: boolean): Promise<string[]> {
  const folder = modelDirOf(paths, installedModel(pin));
  const faults: string[] = [];
  for (const file of pin.files) {
    const path = join(folder, file.path);
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile() !== true) faults.push(`${path} is missing`);
    else if (found.size !== file.bytes || (deep && (await sha256OfFile(path)) !== file.sha256))
      faults.push(`${path} was changed`);
  }
  return faults;
}

/** Known before anything is built: without network the model must be here, or where the user says. */
export async function demandModelAtHand(
  { env }: Pick<CommandContext, 'env'>,
  paths: RuntimePaths,
  pin: ModelPin,
  retry: string,
): Promise<void> {
  if (!switchedOn(env.KTX_OFFLINE) || env.KTX_EMBEDDINGS_MODEL_DIR) return;
  if ((await modelFaults(paths, pin, true)).length === 0) return;
  throw offline(paths, pin, retry, `the embedding model ${pin.name} is not in ${paths.models}`);
}

export interface Fetching {
  readonly paths: RuntimePaths;
  readonly pin: ModelPin;
  /** `work/<id>`: what is left there by a crash is swept with it. */
  readonly work: string;
  readonly env: CommandContext['env'];
  readonly retry: string;
  readonly log: string;
  readonly step: Step;
  /** Runs `<python> … -m ktx_daemon.embedding_model` with these arguments. */
  readonly run: (args: readonly string[], onLine: (line: string) => void) => Promise<Ended>;
}

export function modelTitle({ name, files }: ModelPin): string {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return `Fetching the embedding model ${basename(name)} (${size(bytes)})`;
}

/** Makes `models/<folder>` hold the pinned model; says whether it was there already. */
export async function placeModel(fetching: Fetching): Promise<'placed' | 'reused'> {
  const { paths, pin, work, env, step } = fetching;
  if ((await modelFaults(paths, pin, true)).length === 0) return 'reused';
  const fresh = join(work, 'model');
  const list = join(work, 'model.json');
  await writeFile(list, jsonText(pin));
  const title = modelTitle(pin);
  const ended = await fetching.run([list, fresh, ...(switchedOn(env.KTX_OFFLINE) ? ['--offline'] : [])], (line) => {
    const [, done, total] = /^fetched (\d+) of (\d+)$/.exec(line) ?? [];
    if (total !== undefined) step.update(`${title}: ${Math.floor((100 * Number(done)) / Number(total))} %`);
  });
  if (ended.code !== 0 || ended.timedOut) throw failure(fetching, ended);
  await place(fetching, fresh);
  return 'placed';
}

/** A damaged folder of that name is moved aside; one that another version of ktx placed meanwhile is as good. */
async function place({ paths, pin }: Fetching, fresh: string): Promise<void> {
  const target = modelDirOf(paths, installedModel(pin));
  await mkdir(paths.models, { recursive: true });
  await discard(target, paths.trash);
  try {
    await rename(fresh, target);
  } catch (error) {
    if ((await modelFaults(paths, pin, true)).length > 0) throw error;
  }
}

const HINTS: Readonly<Record<string, (fetching: Fetching) => string>> = {
  model_mismatch: ({ retry }) =>
    `The model hub serves other bytes than the ones this ktx was tested with; nothing was installed. Check HF_ENDPOINT. Then run: ${retry}`,
  model_not_found: ({ retry }) =>
    `The model hub, or the mirror in HF_ENDPOINT, does not serve this file. Set HF_ENDPOINT to one that does, or KTX_EMBEDDINGS_MODEL_DIR to a directory that holds the model. Then run: ${retry}`,
  model_unreachable: ({ retry }) =>
    `The model hub could not be reached. Behind a proxy set HTTPS_PROXY, with a mirror set HF_ENDPOINT, with a private certificate set SSL_CERT_FILE; or set KTX_EMBEDDINGS_MODEL_DIR to a directory that holds the model. Then run: ${retry}`,
  model_unwritable: ({ retry }) =>
    `Free some space, or set KTX_RUNTIME_ROOT to a directory on another disk. Then run: ${retry}`,
};

function failure(fetching: Fetching, ended: Ended): CliError {
  const { paths, pin, retry, log } = fetching;
  const [, code = '', problem = ''] =
    ended.tail.map((line) => /^error: (model_\w+): (.*)$/.exec(line)).findLast(Boolean) ?? [];
  if (code === 'model_offline') return offline(paths, pin, retry, problem);
  const how = ended.timedOut
    ? 'it took longer than KTX_INSTALL_TIMEOUT allows and was ended'
    : problem || (ended.spawnError ?? ended.tail.at(-1) ?? `exit code ${ended.code}`);
  const hint = HINTS[code]?.(fetching) ?? `Run again: ${retry}`;
  return new CliError(code || 'install_failed', `could not fetch the embedding model: ${how}`, {
    hint: `${hint}\nThe whole output is in ${log}`,
    details: { exitCode: ended.code, signal: ended.signal, log, tail: ended.tail },
  });
}

function offline(paths: RuntimePaths, pin: ModelPin, retry: string, problem: string): CliError {
  return new CliError('model_offline', `KTX_OFFLINE is set, and ${problem}`, {
    hint: `Unset KTX_OFFLINE, or set KTX_EMBEDDINGS_MODEL_DIR to a directory that holds the model (the folder ${modelDirOf(paths, installedModel(pin))} of a machine that has it). Then run: ${retry}`,
  });
}
