/** SQLite through a child Node that can be killed: a statement cannot be interrupted in its own thread. */
import { statSync } from 'node:fs';
import { runChild } from '../compute/child.ts';
import { excerpt } from '../compute/respond.ts';
import { KtxError } from '../errors.ts';
import type { Connection } from '../project/project.ts';
import { databasePath } from './address.ts';
import { DEFAULT_TIMEOUT_MS, type Executor, notAQuery, queryFailed, type Structure, timedOut } from './executor.ts';
import { linksOf } from './links.ts';
import {
  type SqliteCell,
  type SqliteRequest,
  type SqliteResponse,
  type SqliteTable,
  sqliteChild,
} from './sqlite-child.ts';
import { type Cell, type Encoding, settle } from './values.ts';

const MAX_OUTPUT = 256 * 1024 * 1024;

/** What a Node needs to start and SQLite to sort on disk; NODE_OPTIONS is the user's for other programs. */
const PASSED_ON = ['SystemRoot', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'TMPDIR', 'TMP', 'TEMP', 'SQLITE_TMPDIR'];

interface Limits {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export function sqliteExecutor(connection: Connection, env: Readonly<Record<string, string | undefined>>): Executor {
  const ask = async (request: Omit<SqliteRequest, 'path'>, limits: Limits): Promise<SqliteResponse> => {
    const path = databasePath(connection, env);
    if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) {
      throw new KtxError('connection_failed', `Connection '${connection.id}': there is no database file ${path}.`, {
        hint: `Correct path of '${connection.id}' in ktx.yaml; relative paths start at the project.`,
      });
    }
    return exchange(connection, { ...request, path }, limits);
  };
  return {
    driver: 'sqlite',
    execute: async (sql, { maxRows, timeoutMs, signal }) => {
      const started = performance.now();
      const response = await ask({ operation: 'execute', sql, maxRows }, { timeoutMs, signal });
      if (!('rows' in response)) throw unexpected(connection, 'no rows');
      const truncated = response.rows.length > maxRows;
      const rows = response.rows.slice(0, maxRows).map((row) => row.map(decoded));
      const columns = response.columns.map(({ name, type }, index) => {
        const kinds = new Set(rows.flatMap((row) => kindOf(row[index] as Cell)));
        return { name, type: (type ?? storage(kinds)).toLowerCase(), encoding: encodingOf(kinds, type) };
      });
      return {
        ...settle(columns, rows.map(withoutBlobs)),
        truncated,
        elapsedMs: Math.round(performance.now() - started),
      };
    },
    probe: async (limits = {}) => {
      const started = performance.now();
      const response = await ask({ operation: 'probe' }, limits);
      if (!('version' in response)) throw unexpected(connection, 'no version');
      return { serverVersion: `SQLite ${response.version}`, elapsedMs: Math.round(performance.now() - started) };
    },
    describe: async (limits = {}) => {
      const response = await ask({ operation: 'describe' }, limits);
      if (!('tables' in response)) throw unexpected(connection, 'no tables');
      return structure(response.tables);
    },
  };
}

async function exchange(connection: Connection, request: SqliteRequest, limits: Limits): Promise<SqliteResponse> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = limits;
  const result = await runChild(
    {
      command: process.execPath,
      args: ['--no-warnings', '-e', `(${sqliteChild.toString()})()`],
      env: Object.fromEntries(PASSED_ON.map((name) => [name, process.env[name]])),
    },
    Buffer.from(JSON.stringify(request)),
    { timeoutMs, maxOutput: MAX_OUTPUT, signal },
  );
  if (result.ended === 'timeout') throw timedOut(connection, timeoutMs);
  if (result.ended === 'output') throw tooLarge();
  if (result.exitCode !== 0) {
    throw queryFailed(
      connection,
      `its process ended with ${result.exitSignal ?? `exit code ${result.exitCode}`}. ${excerpt(result.stderr)}`,
    );
  }
  const response = JSON.parse(result.stdout.toString('utf8')) as SqliteResponse;
  if (!('error' in response)) return response;
  const { code, message } = response.error;
  if (code === 'not_a_query') throw notAQuery(message);
  if (code === 'query_failed') throw queryFailed(connection, message);
  throw new KtxError('connection_failed', `Connection '${connection.id}': ${request.path}: ${message}.`, {
    hint: 'The file must be a readable SQLite database.',
  });
}

function tooLarge(): KtxError {
  return new KtxError('result_too_large', 'The rows are larger than 256 MiB.', {
    hint: 'Ask for fewer rows (--max-rows) or fewer columns.',
  });
}

function unexpected(connection: Connection, problem: string): KtxError {
  return queryFailed(connection, `its process answered with ${problem}`);
}

class Blob {
  readonly hex: string;
  constructor(hex: string) {
    this.hex = hex;
  }
}

function decoded(value: SqliteCell): Cell | Blob {
  if (value === null || typeof value !== 'object') return value;
  if ('i' in value) return BigInt(value.i);
  return 'f' in value ? Number(value.f) : new Blob(value.b);
}

function withoutBlobs(row: readonly (Cell | Blob)[]): Cell[] {
  return row.map((cell) => (cell instanceof Blob ? `\\x${cell.hex}` : cell));
}

type Kind = 'integer' | 'real' | 'text' | 'blob';

/** SQLite types values, not columns; one that is null has no say. */
function kindOf(cell: Cell | Blob): Kind[] {
  if (cell === null) return [];
  if (cell instanceof Blob) return ['blob'];
  if (typeof cell === 'bigint') return ['integer'];
  return [typeof cell === 'number' ? 'real' : 'text'];
}

function storage(kinds: ReadonlySet<Kind>): string {
  if (kinds.size === 0) return 'null';
  if (kinds.size === 1) return [...kinds][0] as string;
  return [...kinds].every((kind) => kind === 'integer' || kind === 'real') ? 'numeric' : 'any';
}

function encodingOf(kinds: ReadonlySet<Kind>, declared: string | null): Encoding {
  const encodings = new Set(
    [...kinds].map((kind) => ({ integer: 'number', real: 'number', text: 'string', blob: 'hex' })[kind]),
  );
  if (encodings.size > 1) return 'mixed';
  const only = [...encodings][0] as Encoding | undefined;
  return only ?? (/int|real|floa|doub|num|dec/i.test(declared ?? '') ? 'number' : 'string');
}

function structure(tables: readonly SqliteTable[]): Structure {
  const keyOf = (table: SqliteTable | undefined): string[] =>
    (table?.columns ?? [])
      .filter(({ pk }) => pk > 0)
      .sort((a, b) => a.pk - b.pk)
      .map(({ name }) => name);
  const byName = new Map(tables.map((table) => [table.name.toLowerCase(), table]));
  return {
    tables: tables.map((table) => ({
      name: table.name,
      columns: table.columns.map(({ name, type, pk, notnull }) => ({
        name,
        // A column may be declared without a type; it can hold anything.
        type: type === '' ? 'text' : type,
        primary_key: pk > 0,
        nullable: notnull === 0 && pk === 0,
      })),
    })),
    links: tables.flatMap((table) => {
      const constraints = Map.groupBy(table.foreignKeys, ({ id }) => id);
      return [...constraints].flatMap(([id, rows]) => {
        const target = byName.get((rows[0]?.table ?? '').toLowerCase());
        if (target === undefined) return [];
        // Without named columns the key of the other table is meant.
        const to = rows.map((row, index) => row.to ?? keyOf(target)[index] ?? '');
        const from = rows.map((row) => row.from);
        const unique = [keyOf(table), ...table.unique];
        return linksOf({
          from: table.name,
          fromColumns: from,
          to: target.name,
          toColumns: to,
          name: `fk_${id}`,
          unique,
        });
      });
    }),
  };
}
