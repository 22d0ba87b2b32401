/**
 * DuckDB in this process: read-only file, no outside access, configuration locked, rows streamed.
 *
 * The library is 70 MB and optional, so it is looked for beside ktx and then in the project.
 */
import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as DuckDB from '@duckdb/node-api';
import { KtxError } from '../errors.ts';
import type { Connection } from '../project/project.ts';
import { databasePath } from './address.ts';
import { cellOf, encodingOf } from './duckdb-values.ts';
import { DEFAULT_TIMEOUT_MS, type Executor, notAQuery, queryFailed, type Structure, timedOut } from './executor.ts';
import { linksOf } from './links.ts';
import { type Cell, settle } from './values.ts';

type Env = Readonly<Record<string, string | undefined>>;

interface Limits {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export function duckdbExecutor(connection: Connection, env: Env): Executor {
  const session = <T>(
    limits: Limits,
    work: (api: typeof DuckDB, db: DuckDB.DuckDBConnection) => Promise<T>,
  ): Promise<T> => withSession(connection, env, limits, work);
  return {
    driver: 'duckdb',
    execute: (sql, { maxRows, ...limits }) => {
      const started = performance.now();
      return session(limits, async (api, db) => {
        const { columns, cells, truncated } = await select(connection, api, db, sql, maxRows);
        return { ...settle(columns, cells), truncated, elapsedMs: Math.round(performance.now() - started) };
      });
    },
    probe: (limits = {}) => {
      const started = performance.now();
      return session(limits, async (_api, db) => {
        const version = (await (await db.run('SELECT version()')).getRows())[0]?.[0];
        return { serverVersion: `DuckDB ${version}`, elapsedMs: Math.round(performance.now() - started) };
      });
    },
    describe: ({ schemas, ...limits } = {}) => session(limits, (_api, db) => structure(db, schemas)),
  };
}

async function select(
  connection: Connection,
  api: typeof DuckDB,
  db: DuckDB.DuckDBConnection,
  sql: string,
  maxRows: number,
) {
  if (/^(?:[\s;]|--[^\n]*|\/\*[\s\S]*?\*\/)*$/.test(sql)) throw notAQuery('there is none');
  // DuckDB would run every statement of the text.
  const statements = await db.extractStatements(sql).catch((error: Error) => {
    throw queryFailed(connection, error.message, error);
  });
  if (statements.count !== 1) throw notAQuery(`there are ${statements.count} statements`);
  const prepared = await statements.prepare(0);
  if (prepared.statementType !== api.StatementType.SELECT) throw notAQuery('it is not a SELECT');
  const result = await prepared.stream();
  const types = result.columnTypes();
  const columns = result.columnNames().map((name, index) => {
    const type = types[index] as DuckDB.DuckDBType;
    return { name, type: String(type).toLowerCase(), encoding: encodingOf(api, type) };
  });
  const cells: Cell[][] = [];
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) break;
    for (const row of chunk.getRows()) {
      cells.push(row.map((value, index) => cellOf(api, value, types[index] as DuckDB.DuckDBType)));
      if (cells.length > maxRows) return { columns, cells: cells.slice(0, maxRows), truncated: true };
    }
  }
  return { columns, cells, truncated: false };
}

async function withSession<T>(
  connection: Connection,
  env: Env,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: Limits,
  work: (api: typeof DuckDB, db: DuckDB.DuckDBConnection) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const path = databasePath(connection, env);
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new KtxError('connection_failed', `Connection '${connection.id}': there is no database file ${path}.`, {
      hint: `Correct path of '${connection.id}' in ktx.yaml; relative paths start at the project.`,
    });
  }
  const api = await duckdb(connection);
  const instance = await api.DuckDBInstance.create(path, {
    access_mode: 'READ_ONLY',
    enable_external_access: 'false',
    lock_configuration: 'true',
  }).catch((error: Error) => {
    throw cannotOpen(connection, path, error);
  });
  const db = await instance.connect();
  const started = performance.now();
  let late = false;
  // An interrupt before the statement runs is lost, so it is repeated until the work has ended.
  const watch = setInterval(() => {
    late ||= performance.now() - started > timeoutMs;
    if (late || signal?.aborted) db.interrupt();
  }, 20);
  try {
    return await work(api, db);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (late) throw timedOut(connection, timeoutMs);
    if (error instanceof KtxError) throw error;
    throw queryFailed(connection, (error as Error).message, error);
  } finally {
    clearInterval(watch);
    db.closeSync();
    instance.closeSync();
  }
}

function cannotOpen(connection: Connection, path: string, error: Error): KtxError {
  const locked = /lock/i.test(error.message);
  return new KtxError(
    'connection_failed',
    `Connection '${connection.id}': DuckDB cannot open ${path}: ${error.message.split('\n')[0]}`,
    {
      hint: locked
        ? 'Another program has the file open for writing; close it there.'
        : 'The file must be a DuckDB database of a version this library reads.',
      cause: error,
    },
  );
}

/** Loads the optional library. */
async function duckdb(connection: Connection): Promise<typeof DuckDB> {
  const name = '@duckdb/node-api';
  try {
    return await import('@duckdb/node-api');
  } catch (error) {
    try {
      const fromProject = createRequire(join(connection.root, 'package.json')).resolve(name);
      const module = (await import(pathToFileURL(fromProject).href)) as { default?: typeof DuckDB } & typeof DuckDB;
      return module.default ?? module;
    } catch {
      throw new KtxError(
        'driver_missing',
        `Connection '${connection.id}' is DuckDB, which needs the package ${name}.`,
        {
          hint: `Install it where ktx is installed, or in the project: npm i ${name}`,
          cause: error,
        },
      );
    }
  }
}

const TABLES = `
  SELECT t.schema_name, t.table_name, t.comment, c.column_name, c.data_type, c.is_nullable, c.comment
  FROM duckdb_tables() t JOIN duckdb_columns() c USING (database_name, schema_name, table_name)
  WHERE t.database_name = current_database() AND NOT t.internal AND NOT t.temporary
  ORDER BY t.schema_name, t.table_name, c.column_index`;

const CONSTRAINTS = `
  SELECT schema_name, table_name, constraint_type, constraint_column_names, referenced_table,
    referenced_column_names, constraint_index
  FROM duckdb_constraints()
  WHERE database_name = current_database() AND constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY', 'UNIQUE')
  ORDER BY schema_name, table_name, constraint_index`;

async function structure(db: DuckDB.DuckDBConnection, schemas: readonly string[] | undefined): Promise<Structure> {
  const wanted = (schema: unknown): boolean => schemas === undefined || schemas.includes(String(schema));
  const columns = (await (await db.run(TABLES)).getRowsJson()).filter((row) => wanted(row[0]));
  const constraints = (await (await db.run(CONSTRAINTS)).getRowsJson()).filter((row) => wanted(row[0]));
  const qualified = (schema: unknown, table: unknown): string =>
    schema === 'main' ? String(table) : `${schema}.${table}`;
  const keys = Map.groupBy(
    constraints.filter((row) => row[2] !== 'FOREIGN KEY'),
    ([schema, table]) => qualified(schema, table),
  );
  const primary = (key: string): string[] =>
    (keys.get(key) ?? []).filter((row) => row[2] === 'PRIMARY KEY').flatMap((row) => row[3] as string[]);
  return {
    tables: [...Map.groupBy(columns, ([schema, table]) => qualified(schema, table))].map(([key, rows]) => {
      const [schema, name, comment] = rows[0] as (string | null)[];
      return {
        name: String(name),
        ...(schema === 'main' ? {} : { db: String(schema) }),
        ...(comment ? { comment } : {}),
        columns: rows.map(([, , , column, type, nullable, remark]) => ({
          name: String(column),
          type: String(type),
          primary_key: primary(key).includes(String(column)),
          nullable: nullable === true && !primary(key).includes(String(column)),
          ...(remark ? { comment: String(remark) } : {}),
        })),
      };
    }),
    links: constraints
      .filter((row) => row[2] === 'FOREIGN KEY')
      .flatMap(([schema, table, , from, target, to, index]) =>
        linksOf({
          from: qualified(schema, table),
          fromColumns: from as string[],
          to: qualified(schema, target),
          toColumns: to as string[],
          name: `fk_${index}`,
          unique: (keys.get(qualified(schema, table)) ?? []).map((row) => row[3] as string[]),
        }),
      ),
  };
}
