/**
 * `ktx sl generate`: a source file per table, from what the database says about itself.
 *
 * The definitions are validated before the first file is written; files that exist are kept unless forced.
 */
import { lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { join, sep } from 'node:path';
import type { CommandContext, Handler } from '../../command.ts';
import { computeFor } from '../../compute.ts';
import {
  type Compute,
  type Connection,
  createExecutor,
  type GenerateResult,
  type IntrospectResult,
  KtxError,
  type Project,
  resolveSecret,
  type Source,
  type Structure,
  type TableDescription,
  type TableLink,
  yamlText,
} from '../../context.ts';
import { chosenConnection, openProject } from '../../project.ts';
import { replaceFile } from '../../replace-file.ts';

interface Options {
  readonly connectionId?: string;
  readonly schema?: readonly string[];
  readonly table?: readonly string[];
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

interface Planned {
  readonly name: string;
  /** Relative to the project, POSIX. */
  readonly path: string;
  readonly action: 'write' | 'replace' | 'keep';
  readonly text: string;
}

export const slGenerate: Handler<Options> = async (context, _positionals, options) => {
  const project = openProject(context);
  const connection = chosenConnection(project, options.connectionId);
  demandReadable(connection);
  const compute = computeFor(context);
  const structure = chosen(await described(context, connection, compute, options.schema), options.table, connection);
  const odd = structure.tables.some(({ name }) => !/^[a-z0-9][a-z0-9_]*$/.test(name));
  const generated = await compute.generateSources({
    ...structure,
    dialect: connection.dialect,
    ...(odd ? { lower_case_names: true } : {}),
  });
  await demandValid(compute, connection, generated);
  for (const warning of generated.warnings ?? []) context.terminal.warn(warning);
  const plan = generated.sources.map((source) => planned(project, connection, source, options.force === true));
  const writes = plan.filter(({ action }) => action !== 'keep');
  if (options.dryRun !== true) {
    context.signal.throwIfAborted();
    for (const { path, text } of writes) writeInside(project, path, text);
  }
  return {
    text: report(plan, options.dryRun === true),
    document: {
      kind: 'generation',
      data: {
        connectionId: connection.id,
        dryRun: options.dryRun === true,
        written: writes.map(({ path }) => path),
        kept: plan.filter(({ action }) => action === 'keep').map(({ path }) => path),
        warnings: generated.warnings ?? [],
      },
      meta: { command: context.command },
    },
  };
};

function demandReadable(connection: Connection): void {
  if (connection.kind.executor !== undefined) return;
  throw new KtxError('unsupported_driver', `ktx cannot read the tables of a ${connection.driver} database yet.`, {
    hint: `Write semantic-layer/${connection.id}/<table>.yaml by hand; "ktx sl validate" checks it.`,
  });
}

async function described(
  context: CommandContext,
  connection: Connection,
  compute: Compute,
  schema: readonly string[] | undefined,
): Promise<Structure> {
  const executor = await createExecutor(connection, { env: context.env });
  const schemas = schema ?? connection.schemas;
  if (executor.describe !== undefined) {
    if (schema !== undefined && connection.kind.executor === 'sqlite') {
      throw new KtxError('usage', 'SQLite databases have no schemas.', { hint: 'Drop --schema.' });
    }
    return executor.describe({ signal: context.signal, ...(schemas === undefined ? {} : { schemas }) });
  }
  const where = { connectionId: connection.id, key: 'url', root: connection.root };
  const answer = await compute.introspect({
    connection_id: connection.id,
    driver: 'postgres',
    url: resolveSecret(connection.address, where, context.env),
    schemas: schemas ?? ['public'],
  });
  for (const warning of warningsOf(answer)) context.terminal.warn(warning);
  return introspected(answer);
}

function warningsOf({ metadata }: IntrospectResult): string[] {
  return Array.isArray(metadata.warnings) ? metadata.warnings.map(String) : [];
}

/** The catalog is left out: a project outlives the name of its database. */
function introspected({ tables }: IntrospectResult): Structure {
  const qualified = (db: string | null | undefined, name: string): string => (db ? `${db}.${name}` : name);
  return {
    tables: tables.map(({ name, db, comment, columns }) => ({
      name,
      ...(db ? { db } : {}),
      ...(comment ? { comment } : {}),
      columns,
    })),
    links: tables.flatMap((table) => {
      const keys = table.columns.filter((column) => column.primary_key === true).map(({ name }) => name);
      const constraints = Map.groupBy(table.foreign_keys, (key) =>
        JSON.stringify([key.constraint_name, key.to_db, key.to_table]),
      );
      return [...constraints.values()].flatMap((pairs) => {
        const columns = pairs.map(({ from_column }) => from_column);
        const single = keys.length > 0 && keys.every((key) => columns.includes(key));
        return pairs.map(({ from_column, to_table, to_column, constraint_name, to_db }) => ({
          from_table: qualified(table.db, table.name),
          from_column,
          to_table: qualified(to_db ?? table.db, to_table),
          to_column,
          relationship_type: single ? 'one_to_one' : 'many_to_one',
          constraint_name,
        }));
      });
    }),
  };
}

/** Tables that match a glob; links between chosen tables only. */
function chosen({ tables, links }: Structure, globs: readonly string[] | undefined, connection: Connection): Structure {
  const patterns = globs?.map(pattern);
  const full = ({ name, db }: TableDescription): string => (db ? `${db}.${name}` : name);
  const kept = tables.filter(
    (table) => patterns === undefined || patterns.some((one) => one.test(table.name) || one.test(full(table))),
  );
  if (kept.length === 0) {
    const known = tables.map(({ name }) => name);
    throw new KtxError(
      'no_tables',
      `No table of '${connection.id}' ${tables.length === 0 ? 'can be seen' : 'matches'}.`,
      {
        hint:
          known.length === 0
            ? 'Check --schema and what the user may read.'
            : `Tables: ${known.slice(0, 20).join(', ')}`,
      },
    );
  }
  const names = new Set(kept.map(full));
  return {
    tables: kept,
    links: links.filter((link: TableLink) => names.has(link.from_table) && names.has(link.to_table)),
  };
}

/** `*` is any run of characters, `?` any one. */
function pattern(glob: string): RegExp {
  const source = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 'is');
}

async function demandValid(compute: Compute, connection: Connection, { sources }: GenerateResult): Promise<void> {
  if (sources.length === 0) return;
  const { valid, errors } = await compute.validate({ sources, dialect: connection.dialect });
  if (valid) return;
  throw new KtxError(
    'invalid_source',
    `The generated sources do not validate; nothing was written: ${errors.join('; ')}`,
    {
      hint: 'Choose other tables with --table, and please report the table definition.',
      details: { errors },
    },
  );
}

function planned(project: Project, connection: Connection, source: Source, force: boolean): Planned {
  const path = `semantic-layer/${connection.id}/${source.name}.yaml`;
  const exists = lstatSync(join(project.root, path), { throwIfNoEntry: false }) !== undefined;
  const text = `# Made by ktx from the table ${String(source.table)}. Yours to edit: it is kept unless you force it.\n${yamlText(compact(source))}`;
  return { name: source.name, path, action: exists ? (force ? 'replace' : 'keep') : 'write', text };
}

/** Empty lists say nothing. */
function compact(source: Source): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(source).filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0)),
  );
}

/** Writes below the project only, whatever links lie there. */
function writeInside(project: Project, path: string, text: string): void {
  const folder = join(project.root, path, '..');
  mkdirSync(folder, { recursive: true });
  const root = realpathSync(project.root);
  if (!`${realpathSync(folder)}${sep}`.startsWith(`${root}${sep}`)) {
    throw new KtxError('unsafe_path', `${folder} leads out of the project.`, {
      hint: 'Replace the link by a directory.',
    });
  }
  replaceFile(join(project.root, path), text);
}

function report(plan: readonly Planned[], dryRun: boolean): string {
  const words = {
    write: dryRun ? 'would write' : 'wrote',
    replace: dryRun ? 'would replace' : 'replaced',
    keep: 'kept',
  };
  const lines = plan.map(({ action, path }) => `${words[action]} ${path}`);
  const kept = plan.filter(({ action }) => action === 'keep').length;
  const changed = plan.length - kept;
  const files = (count: number): string => `${count} file${count === 1 ? '' : 's'}`;
  lines.push(
    `${files(changed)} ${dryRun ? 'would be written' : 'written'}, ${kept} kept${kept > 0 ? ' (--force replaces them)' : ''}`,
  );
  return lines.join('\n');
}
