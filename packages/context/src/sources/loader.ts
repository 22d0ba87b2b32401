/**
 * The one loader of source definitions, used by every command.
 *
 * A file that cannot be used becomes a problem with its place, and everything else still loads.
 * Order: shards of scanned tables, then the other files by path; a file with `table` or `sql` is a
 * source of its own, one without is an overlay on a scanned table.
 */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { isRecord, type Project } from '../project/project.ts';
import { type Path, type Position, parseYaml, type YamlFile } from '../yaml.ts';
import type { Definition } from './definition.ts';
import { type Found, yamlFiles } from './files.ts';
import { bestDescription, projectEntry } from './manifest.ts';
import { applyOverlay, overlayConflicts } from './overlay.ts';
import { entryProblems, overlayProblems, type ShapeProblem, sourceProblems } from './shape.ts';

export const SOURCES_FOLDER = 'semantic-layer';

export interface Problem extends Position {
  readonly severity: 'error' | 'warning';
  readonly connectionId: string;
  /** The source that is missing or incomplete because of it, where one can be told. */
  readonly source?: string;
  /** Relative to the project, POSIX. */
  readonly file: string;
  readonly message: string;
}

export interface LoadedSource {
  readonly connectionId: string;
  readonly name: string;
  /** Its own file or overlay, else the shard it was scanned into; relative to the project, POSIX. */
  readonly path: string;
  readonly kind: 'standalone' | 'scanned';
  readonly definition: Definition;
  /** Where an item of the source is written, for messages about it. */
  locate(item?: string): Position & { readonly file: string };
}

export interface Sources {
  /** By connection, then in load order. */
  readonly sources: readonly LoadedSource[];
  readonly problems: readonly Problem[];
}

/** Loads `semantic-layer/<connection>/` of every connection, or of one. */
export function loadSources(project: Project, options: { readonly connectionId?: string } = {}): Sources {
  const loaded = project.connections
    .filter(({ id }) => options.connectionId === undefined || id === options.connectionId)
    .map(({ id }) => new ConnectionLoader(project.root, id).load());
  return {
    sources: loaded.flatMap((part) => part.sources),
    problems: [
      ...loaded.flatMap((part) => part.problems),
      ...(options.connectionId === undefined ? strayFolders(project) : []),
    ],
  };
}

/** Folders that no connection claims: most likely a renamed or misspelt id. */
function strayFolders(project: Project): Problem[] {
  const folder = join(project.root, SOURCES_FOLDER);
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .filter((entry) => !project.connections.some(({ id }) => id === entry.name))
    .map((entry) => ({
      severity: 'warning',
      connectionId: entry.name,
      file: `${SOURCES_FOLDER}/${entry.name}`,
      line: 1,
      column: 1,
      message: `ktx.yaml has no connection '${entry.name}', so this folder is not read`,
    }));
}

const STRIPPED = ['usage', 'source_type', 'inherits_columns_from'];
const REFERABLE = /^[A-Za-z0-9_]+$/;
const CONVENTIONAL = /^[a-z0-9][a-z0-9_]*$/;

interface Origin {
  readonly file: string;
  readonly yaml: YamlFile;
  readonly base: Path;
}

interface Entry {
  definition: Definition;
  readonly kind: 'standalone' | 'scanned';
  /** Most specific first: overlays before the shard. */
  readonly origins: Origin[];
}

class ConnectionLoader {
  readonly #root: string;
  readonly #id: string;
  readonly #folder: string;
  readonly #entries = new Map<string, Entry>();
  /** Names whose definition was given but could not be used. */
  readonly #failed = new Set<string>();
  readonly #problems: Problem[] = [];

  constructor(root: string, id: string) {
    this.#root = root;
    this.#id = id;
    this.#folder = `${SOURCES_FOLDER}/${id}`;
  }

  load(): Sources {
    const folder = join(this.#root, this.#folder);
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return { sources: [], problems: [] };
    const { files, skipped } = this.#found(folder);
    for (const { path, reason, severity } of skipped)
      this.#report(`${this.#folder}/${path}`, { line: 1, column: 1 }, reason, { severity });
    const shards = files.filter((path) => /^_schema\/[^/]+$/.test(path));
    for (const path of shards) this.#readShard(path);
    const others = files.filter((path) => !shards.includes(path));
    const overlays = others.flatMap((path) => this.#readFile(path) ?? []);
    for (const overlay of overlays) this.#overlay(overlay);
    this.#checkTargets();
    const sources = [...this.#entries].map(([name, entry]) => this.#loaded(name, entry));
    return { sources, problems: this.#problems };
  }

  /** Nothing, and a problem, for a folder that lies elsewhere or cannot be read. */
  #found(folder: string): Found {
    let problem = 'the link leads out of the project, so the folder is not read';
    try {
      if (`${realpathSync(folder)}${sep}`.startsWith(`${realpathSync(this.#root)}${sep}`)) return yamlFiles(folder);
    } catch (error) {
      problem = `cannot be read: ${(error as Error).message}`;
    }
    this.#report(this.#folder, { line: 1, column: 1 }, problem);
    return { files: [], skipped: [] };
  }

  #readShard(path: string): void {
    const parsed = this.#parse(path);
    if (parsed === undefined || !isRecord(parsed.yaml.value)) return;
    const { file, yaml } = parsed;
    const tables = (yaml.value as Record<string, unknown>).tables;
    if (!isRecord(tables)) {
      if (tables !== undefined) this.#report(file, yaml.position(['tables']), 'tables must map names to entries');
      return;
    }
    for (const [name, entry] of Object.entries(tables)) {
      const base = ['tables', name];
      const origin = { file, yaml, base };
      if (!this.#nameable(name, origin, yaml.keyPosition(base))) continue;
      if (this.#entries.has(name)) {
        this.#report(file, yaml.keyPosition(base), `Duplicate source name '${name}'`, { source: name });
        continue;
      }
      if (this.#refused(entryProblems(entry), origin, name)) continue;
      const definition = projectEntry(name, entry as Record<string, unknown>);
      // A scanned table without columns or key has no grain; nothing can be asked of it.
      if (definition.grain.length === 0) {
        this.#fail(origin, yaml.keyPosition(base), `'${name}' has no columns, so no grain`, name);
        continue;
      }
      this.#entries.set(name, { definition, kind: 'scanned', origins: [origin] });
    }
  }

  /** Takes a source in, or gives the overlay back: overlays wait until all entries are known. */
  #readFile(path: string): (Origin & { name: string; value: Record<string, unknown> }) | undefined {
    const parsed = this.#parse(path);
    if (parsed === undefined || !isRecord(parsed.yaml.value)) return undefined;
    const { file, yaml } = parsed;
    const origin: Origin = { file, yaml, base: [] };
    const value = without(yaml.value as Record<string, unknown>, STRIPPED);
    if (isBlank(value.name)) {
      this.#report(file, { line: 1, column: 1 }, 'no name, so the file is skipped', { severity: 'warning' });
      return undefined;
    }
    const name = String(value.name);
    if (!this.#nameable(name, origin, yaml.position(['name']))) return undefined;
    if (value.table == null && value.sql == null) return { ...origin, name, value };
    if (this.#entries.has(name)) {
      this.#report(file, yaml.position(['name']), `Duplicate source name '${name}'`, { source: name });
      return undefined;
    }
    if (this.#refused(sourceProblems(value), origin, name)) return undefined;
    this.#entries.set(name, { definition: complete(value), kind: 'standalone', origins: [origin] });
    return undefined;
  }

  #overlay({ name, value, ...origin }: Origin & { name: string; value: Record<string, unknown> }): void {
    const { file, yaml } = origin;
    if (this.#refused(overlayProblems(value), origin, name)) return;
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.kind !== 'scanned') {
      if (this.#failed.has(name)) return; // the entry's own problem says it already
      this.#report(
        file,
        yaml.position(['name']),
        `'${name}' has neither table nor sql, and _schema/ has no table of that name to refine`,
        { source: name },
      );
      this.#failed.add(name);
      return;
    }
    const conflicts = overlayConflicts(entry.definition, value).map((problem) => ({
      ...problem,
      message: `Invalid overlay '${name}': ${problem.message}`,
    }));
    if (this.#refused(conflicts, origin, name)) return;
    const merged = applyOverlay(entry.definition, value);
    const faults = sourceProblems(merged).map(({ message }) => ({
      message: `Invalid overlay '${name}': ${message}`,
      path: ['name'],
    }));
    if (this.#refused(faults, origin, name)) return;
    entry.definition = withoutNulls(merged);
    entry.origins.unshift(origin);
  }

  /** Drops joins to sources that are not there, so the rest of the model still answers. */
  #checkTargets(): void {
    for (const [name, entry] of this.#entries) {
      const missing = entry.definition.joins.filter(({ to }) => !this.#entries.has(to));
      if (missing.length === 0) continue;
      for (const { to } of missing) {
        // A target that failed to load has its own problem.
        if (this.#failed.has(to)) continue;
        const { file, ...position } = place(entry, to);
        this.#report(file, position, `source '${name}': join target '${to}' is not defined`, { source: name });
      }
      const joins = entry.definition.joins.filter(({ to }) => this.#entries.has(to));
      entry.definition = { ...entry.definition, joins };
    }
  }

  #parse(path: string): { file: string; yaml: YamlFile } | undefined {
    const file = `${this.#folder}/${path}`;
    let text: string;
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(join(this.#root, file)));
    } catch (error) {
      const reason =
        error instanceof TypeError ? 'the file is not UTF-8' : `cannot be read: ${(error as Error).message}`;
      this.#unreadable(file, { line: 1, column: 1 }, reason, path);
      return undefined;
    }
    const yaml = parseYaml(text);
    for (const problem of yaml.problems.slice(0, 1)) this.#unreadable(file, problem, problem.message, path);
    return yaml.problems.length === 0 ? { file, yaml } : undefined;
  }

  /** Nothing in the file can be trusted; by convention it defines the source it is named after. */
  #unreadable(file: string, position: Position, message: string, path: string): void {
    const name = path.replace(/^.*\//, '').replace(/\.yaml$/, '');
    const shard = path.startsWith('_schema/');
    if (!shard) this.#failed.add(name);
    this.#report(file, position, message, shard ? {} : { source: name });
  }

  #nameable(name: string, origin: Origin, position: Position): boolean {
    if (!REFERABLE.test(name)) {
      this.#fail(origin, position, `source name '${name}' may hold letters, digits and _ only`, name);
      return false;
    }
    if (!CONVENTIONAL.test(name)) {
      this.#report(origin.file, position, `source name '${name}' should be lower-case`, { severity: 'warning' });
    }
    return true;
  }

  #refused(problems: readonly ShapeProblem[], origin: Origin, name: string): boolean {
    for (const { message, path, key } of problems) {
      const full = [...origin.base, ...path];
      const position = key === true ? origin.yaml.keyPosition(full) : origin.yaml.position(full);
      this.#fail(origin, position, message, name);
    }
    return problems.length > 0;
  }

  #fail(origin: Origin, position: Position, message: string, source: string): void {
    if (!this.#entries.has(source)) this.#failed.add(source);
    this.#report(origin.file, position, message, { source });
  }

  #report(
    file: string,
    { line, column }: Position,
    message: string,
    options: { severity?: 'error' | 'warning'; source?: string } = {},
  ): void {
    const { severity = 'error', source } = options;
    this.#problems.push({
      severity,
      connectionId: this.#id,
      ...(source === undefined ? {} : { source }),
      file,
      line,
      column,
      message,
    });
  }

  #loaded(name: string, entry: Entry): LoadedSource {
    return {
      connectionId: this.#id,
      name,
      path: (entry.origins[0] as Origin).file,
      kind: entry.kind,
      definition: entry.definition,
      locate: (item) => place(entry, item),
    };
  }
}

const SECTIONS = ['measures', 'segments', 'columns', 'column_overrides', 'joins'];

/** The first file that mentions `item` by name, alias or target; else the head of the definition. */
function place(entry: Entry, item?: string): Position & { file: string } {
  if (item !== undefined) {
    for (const { file, yaml, base } of entry.origins) {
      const root = at(yaml.value, base);
      for (const section of SECTIONS) {
        const items = isRecord(root) ? root[section] : undefined;
        if (!Array.isArray(items)) continue;
        const index = items.findIndex(
          (one) => isRecord(one) && (one.name === item || one.alias === item || one.to === item),
        );
        if (index >= 0) return { file, ...yaml.position([...base, section, index]) };
      }
    }
  }
  const { file, yaml, base } = entry.origins[0] as Origin;
  return { file, ...yaml.keyPosition(base.length === 0 ? ['name'] : base) };
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((node, step) => (isRecord(node) ? node[step] : undefined), value);
}

/** Null says the same as a missing key, and is not worth printing. */
function withoutNulls(definition: Definition): Definition {
  const kept = (value: object): object =>
    Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null));
  return { ...kept(definition), columns: definition.columns.map(kept) } as unknown as Definition;
}

/** What says nothing: null, false, 0, the empty text, list or mapping. */
function isBlank(value: unknown): boolean {
  return !value || (typeof value === 'object' && Object.keys(value).length === 0);
}

/** A checked standalone definition with the empty lists that may be left out. */
function complete(value: Record<string, unknown>): Definition {
  const given = Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null));
  const description = given.description ?? bestDescription(given.descriptions);
  return {
    ...given,
    ...(description === undefined ? {} : { description }),
    joins: given.joins ?? [],
    measures: given.measures ?? [],
    segments: given.segments ?? [],
  } as unknown as Definition;
}

function without(value: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
}
