/**
 * A project: the directory with `ktx.yaml`, and the connections it names.
 *
 * Reading is all that happens here. Keys we do not know are warned about (older releases wrote
 * more); values we cannot use stop the command and name the line.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { KtxError } from '../errors.ts';
import { type Path, parseYaml, type YamlFile } from '../yaml.ts';
import { DRIVERS, type Driver, driverOf } from './drivers.ts';

export const PROJECT_FILE = 'ktx.yaml';

export interface Connection {
  readonly id: string;
  /** As written, lower case. */
  readonly driver: string;
  readonly dialect: string;
  readonly kind: Driver;
  /** Absolute; file databases only. */
  readonly path?: string;
  /** The path or the URL as written, references unresolved. */
  readonly address: string;
  readonly schemas?: readonly string[];
  /** The project directory, for relative references. */
  readonly root: string;
}

export interface Warning {
  readonly message: string;
  /** Relative to the project, POSIX. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface Project {
  readonly root: string;
  readonly file: string;
  readonly connections: readonly Connection[];
  readonly warnings: readonly Warning[];
}

export interface ProjectLocation {
  /** `--project-dir`. */
  readonly projectDir?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** The flag, `KTX_PROJECT_DIR`, the nearest ancestor holding `ktx.yaml`, the working directory. */
export function projectRoot({ projectDir, env = {}, cwd }: ProjectLocation): string {
  const given = projectDir ?? (env.KTX_PROJECT_DIR || undefined);
  if (given !== undefined) return resolve(cwd, given);
  for (let at = resolve(cwd); ; at = dirname(at)) {
    if (isFile(join(at, PROJECT_FILE))) return at;
    if (dirname(at) === at) return resolve(cwd);
  }
}

/**
 * Reads `ktx.yaml` of the project that `location` names.
 *
 * Throws `project_not_found` without the file and `project_invalid` naming file, line and column.
 */
export function loadProject(location: ProjectLocation): Project {
  const root = projectRoot(location);
  const file = join(root, PROJECT_FILE);
  const named = location.projectDir !== undefined || Boolean(location.env?.KTX_PROJECT_DIR);
  return parseProject(readProject(root, file, named), root);
}

function readProject(root: string, file: string, named: boolean): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR') {
      throw new KtxError(
        'project_not_found',
        `No ${PROJECT_FILE} in ${root}${named ? '' : ' or a directory above it'}.`,
        {
          hint: 'Create a project with "ktx init", try "ktx demo", or point --project-dir at one.',
        },
      );
    }
    throw new KtxError('project_unreadable', `${file} cannot be read: ${(error as Error).message}`, {
      hint: 'Make the file readable, or point --project-dir at another project.',
      cause: error,
    });
  }
}

const TOP_KEYS = ['project', 'connections'];
const CONNECTION_KEYS = ['driver', 'path', 'url', 'schemas', 'readonly'];
const CONNECTION_ID = /^[a-zA-Z0-9][a-zA-Z0-9_-]*$/;

/** Parses the text of a `ktx.yaml` that stands in `root`. */
export function parseProject(text: string, root: string): Project {
  const yaml = parseYaml(text);
  const warnings: Warning[] = [];
  const first = yaml.problems[0];
  if (first !== undefined) throw invalid(first.message, first);
  const value = yaml.value ?? {};
  if (!isRecord(value)) throw invalid('expected a mapping with the key connections', yaml.position([]));
  for (const key of Object.keys(value)) {
    if (!TOP_KEYS.includes(key)) warnings.push(warning(`unknown key '${key}' is ignored`, yaml, [key]));
  }
  const connections = value.connections ?? {};
  if (!isRecord(connections)) throw invalid('connections must map ids to settings', yaml.position(['connections']));
  return {
    root,
    file: join(root, PROJECT_FILE),
    connections: Object.entries(connections).map(([id, entry]) => connection(id, entry, { yaml, root, warnings })),
    warnings,
  };
}

interface Reading {
  readonly yaml: YamlFile;
  readonly root: string;
  readonly warnings: Warning[];
}

function connection(id: string, entry: unknown, { yaml, root, warnings }: Reading): Connection {
  const path = ['connections', id];
  if (!CONNECTION_ID.test(id)) {
    throw invalid(
      `connection id '${id}' must start with a letter or digit and hold only letters, digits, _ and -`,
      yaml.keyPosition(path),
    );
  }
  if (!isRecord(entry)) throw invalid(`connection '${id}' must be a mapping with driver`, yaml.position(path));
  for (const key of Object.keys(entry)) {
    if (!CONNECTION_KEYS.includes(key)) {
      warnings.push(warning(`unknown key '${key}' of connection '${id}' is ignored`, yaml, [...path, key]));
    }
  }
  const fail = (key: string, problem: string): KtxError =>
    invalid(`connection '${id}': ${problem}`, yaml.position([...path, key]));
  if (typeof entry.driver !== 'string')
    throw fail('driver', `driver must be one of ${Object.keys(DRIVERS).join(', ')}`);
  const kind = driverOf(entry.driver);
  if (kind === undefined) {
    throw fail('driver', `unknown driver '${entry.driver}'; use one of ${Object.keys(DRIVERS).join(', ')}`);
  }
  for (const key of ['path', 'url'] as const) {
    if (entry[key] !== undefined && (typeof entry[key] !== 'string' || entry[key].trim() === '')) {
      throw fail(key, `${key} must be a non-empty text`);
    }
  }
  const address = entry[kind.address] as string | undefined;
  const other = kind.address === 'path' ? 'url' : 'path';
  if (entry[other] !== undefined) throw fail(other, `driver ${entry.driver} takes ${kind.address}, not ${other}`);
  // Dialects that are only compiled for need no address.
  if (address === undefined && kind.executor !== undefined) {
    throw fail('driver', `driver ${entry.driver} needs ${kind.address}`);
  }
  if (entry.readonly !== undefined && typeof entry.readonly !== 'boolean') {
    throw fail('readonly', 'readonly must be true or false');
  }
  if (entry.readonly === false) {
    warnings.push(
      warning(`readonly: false of connection '${id}' has no effect: ktx never writes`, yaml, [...path, 'readonly']),
    );
  }
  if (entry.schemas !== undefined && !isTexts(entry.schemas)) {
    throw fail('schemas', 'schemas must be a list of names');
  }
  return {
    id,
    driver: entry.driver.trim().toLowerCase(),
    dialect: kind.dialect,
    kind,
    address: address ?? '',
    ...(kind.address === 'path' && address !== undefined && !isReference(address)
      ? { path: isAbsolute(address) ? address : join(root, address) }
      : {}),
    ...(entry.schemas === undefined ? {} : { schemas: entry.schemas as readonly string[] }),
    root,
  };
}

function isReference(text: string): boolean {
  return /^(env|file):(?!\/\/)/.test(text);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string' && item !== '');
}

function invalid(problem: string, at: { line: number; column: number }): KtxError {
  return new KtxError('project_invalid', `${PROJECT_FILE}:${at.line}:${at.column}: ${problem}.`, {
    hint: `Correct line ${at.line} of ${PROJECT_FILE}.`,
    details: { file: PROJECT_FILE, line: at.line, column: at.column },
  });
}

function warning(message: string, yaml: YamlFile, path: Path): Warning {
  return { message, file: PROJECT_FILE, ...yaml.keyPosition(path) };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
