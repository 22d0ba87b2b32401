/**
 * `ktx sl validate`: the loader's problems with their places, then what the engine finds.
 *
 * Without the runtime (`--shape-only`) expressions and joins stay unchecked, and the result says so.
 */
import type { CommandContext, Handler } from '../../command.ts';
import { computeFor } from '../../compute.ts';
import {
  type Compute,
  type Connection,
  type LoadedSource,
  loadSources,
  type Project,
  type Sources,
} from '../../context.ts';
import { usageError } from '../../errors.ts';
import { chosenConnection, missingSource, openProject, placed } from '../../project.ts';

interface Options {
  readonly connectionId?: string;
  readonly all?: boolean;
  readonly shapeOnly?: boolean;
}

interface Finding {
  readonly connectionId: string;
  readonly source?: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

interface Findings {
  readonly errors: readonly Finding[];
  readonly warnings: readonly Finding[];
  /** Sources looked at. */
  readonly count: number;
}

export const slValidate: Handler<Options> = async (context, [name], options) => {
  const { shapeOnly = false } = options;
  const project = openProject(context);
  const connections = connectionsOf(project, name, options);
  const compute = shapeOnly ? undefined : computeFor(context);
  await compute?.prepare('validate');
  const parts: Findings[] = [];
  for (const connection of connections) parts.push(await checked(project, connection, name, compute));
  const errors = parts.flatMap((part) => part.errors);
  const warnings = parts.flatMap((part) => part.warnings);
  const valid = errors.length === 0;
  const document = {
    kind: 'validation',
    data: { valid, semantic: !shapeOnly, errors, warnings },
    meta: { command: context.command },
  };
  if (context.globals.json) return { document, exitCode: valid ? 0 : 1 };
  show(context, errors, warnings);
  if (!valid) return { document, exitCode: 1 };
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  return { text: verdict(name, count, connections, shapeOnly), document };
};

function connectionsOf(
  project: Project,
  name: string | undefined,
  { connectionId, all = false }: Options,
): readonly Connection[] {
  if (all) {
    if (connectionId !== undefined || name !== undefined) {
      throw usageError('--all checks everything.', 'Drop --all, or drop the source and --connection-id.');
    }
    return project.connections;
  }
  if (connectionId !== undefined || name === undefined) return [chosenConnection(project, connectionId)];
  const sources = loadSources(project);
  const holders = project.connections.filter(({ id }) => holds(sources, id, name));
  const [only, ...others] = holders;
  if (only === undefined) throw missingSource(sources, name);
  if (others.length === 0) return [only];
  throw usageError(
    `Several connections have a source '${name}': ${holders.map(({ id }) => id).join(', ')}.`,
    `Choose one: --connection-id ${only.id}`,
  );
}

function holds({ sources, problems }: Sources, id: string, name: string): boolean {
  return (
    sources.some((source) => source.connectionId === id && source.name === name) ||
    problems.some((problem) => problem.connectionId === id && problem.source === name)
  );
}

async function checked(
  project: Project,
  connection: Connection,
  name: string | undefined,
  compute: Compute | undefined,
): Promise<Findings> {
  const loaded = loadSources(project, { connectionId: connection.id });
  if (name !== undefined && !holds(loaded, connection.id, name)) throw missingSource(loaded, name);
  const findings = await semantic(connection, loaded.sources, name, compute);
  const relevant = ({ source }: { readonly source?: string }): boolean => name === undefined || source === name;
  const own = loaded.problems.map(({ severity, ...finding }) => ({ severity, finding }));
  return {
    errors: [
      ...own.filter(({ severity }) => severity === 'error').map(({ finding }) => finding),
      ...findings.errors,
    ].filter(relevant),
    warnings: [
      ...own.filter(({ severity }) => severity === 'warning').map(({ finding }) => finding),
      ...findings.warnings,
    ].filter(relevant),
    count: name === undefined ? loaded.sources.length : 1,
  };
}

async function semantic(
  connection: Connection,
  sources: readonly LoadedSource[],
  name: string | undefined,
  compute: Compute | undefined,
): Promise<{ errors: Finding[]; warnings: Finding[] }> {
  if (compute === undefined || sources.length === 0) return { errors: [], warnings: [] };
  const result = await compute.validate({
    sources: sources.map(({ definition }) => definition),
    dialect: connection.dialect,
    ...(name === undefined ? {} : { recently_touched: [name] }),
  });
  const find = (message: string, named?: string): Finding => located(connection, sources, message, named);
  const perSource = Object.entries(result.per_source_warnings).flatMap(([source, messages]) =>
    messages.map((message) => find(message, source)),
  );
  return {
    errors: result.errors.map((message) => find(message)),
    warnings: [...result.warnings.map((message) => find(message)), ...perSource],
  };
}

/** The engine names `source.item`; the loader knows where that is written. */
function located(connection: Connection, sources: readonly LoadedSource[], message: string, named?: string): Finding {
  const words = [...message.matchAll(/[A-Za-z0-9_]+/g)];
  const byName = new Map(sources.map((source) => [source.name, source]));
  const at = words.findIndex(([word]) => (named === undefined ? byName.has(word) : word === named));
  const source = byName.get(named ?? words[at]?.[0] ?? '');
  if (source === undefined) {
    return { connectionId: connection.id, file: `semantic-layer/${connection.id}`, line: 1, column: 1, message };
  }
  const next = words[at + 1];
  const end = (words[at]?.index ?? 0) + (words[at]?.[0].length ?? 0);
  const item = next !== undefined && message.slice(end, next.index) === '.' ? next[0] : quotedItem(source, message);
  return { connectionId: connection.id, source: source.name, ...source.locate(item), message };
}

/** `measure 'x'`, `join to 'y'`: a quoted word that is an item of the source. */
function quotedItem({ definition }: LoadedSource, message: string): string | undefined {
  const items = [...definition.measures, ...definition.segments, ...definition.columns].map(({ name }) => name);
  const targets = definition.joins.map(({ to }) => to);
  return [...message.matchAll(/['"`]([A-Za-z0-9_]+)['"`]/g)]
    .map((match) => match[1] as string)
    .find((word) => items.includes(word) || targets.includes(word));
}

function show({ terminal }: CommandContext, errors: readonly Finding[], warnings: readonly Finding[]): void {
  for (const error of errors) terminal.note(`${terminal.paintNote('red', 'error:')} ${placed(error)}`);
  for (const warning of warnings) terminal.warn(placed(warning));
}

function verdict(
  name: string | undefined,
  count: number,
  connections: readonly Connection[],
  shapeOnly: boolean,
): string {
  const ids = connections.map(({ id }) => id).join(', ');
  const what =
    name === undefined
      ? `${count} source${count === 1 ? '' : 's'} of ${ids}`
      : `source ${name} of ${connections[0]?.id}`;
  return `valid: ${what}${shapeOnly ? ' (shape only: expressions and joins were not checked)' : ''}`;
}
