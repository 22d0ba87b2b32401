/**
 * Executors: one read-only statement, its rows with exact values, nothing changed.
 *
 * The caller has the statement checked first (the port's `validateReadOnly`); an executor is the second
 * fence, a session that cannot write even if the statement could.
 */

import type { TableDescription, TableLink } from '../compute/port.ts';
import { KtxError } from '../errors.ts';
import type { Executable } from '../project/drivers.ts';
import type { Connection } from '../project/project.ts';
import type { Column, Row } from './values.ts';

export interface ExecuteOptions {
  /** Rows returned at most; the statement itself is never rewritten. */
  readonly maxRows: number;
  /** 30 s unless given. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface Execution {
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  /** True if there were more rows than `maxRows`. */
  readonly truncated: boolean;
  readonly elapsedMs: number;
}

export interface Probe {
  readonly serverVersion: string;
  readonly elapsedMs: number;
}

export interface Structure {
  readonly tables: readonly TableDescription[];
  readonly links: readonly TableLink[];
}

export interface Executor {
  readonly driver: Executable;
  /**
   * Throws `not_a_query`, `query_failed`, `timeout`, `connection_failed`, `result_too_large`; the
   * signal's reason if it was aborted.
   */
  execute(sql: string, options: ExecuteOptions): Promise<Execution>;
  /** Connects and asks for the server's version. */
  probe(options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<Probe>;
  /** Tables, keys and foreign keys, for databases read in this process; PostgreSQL is read by Python. */
  describe?(options?: { readonly schemas?: readonly string[]; readonly signal?: AbortSignal }): Promise<Structure>;
}

export const DEFAULT_TIMEOUT_MS = 30_000;

export interface ExecutorOptions {
  /** For `env:` references of the connection. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The executor of a connection; `unsupported_driver` where SQL can only be compiled. */
export async function createExecutor(connection: Connection, options: ExecutorOptions = {}): Promise<Executor> {
  const env = options.env ?? process.env;
  switch (connection.kind.executor) {
    case 'sqlite':
      return (await import('./sqlite.ts')).sqliteExecutor(connection, env);
    case 'duckdb':
      return (await import('./duckdb.ts')).duckdbExecutor(connection, env);
    case 'postgres':
      return (await import('./postgres.ts')).postgresExecutor(connection, env);
    default:
      throw new KtxError(
        'unsupported_driver',
        `Connection '${connection.id}' is ${connection.driver}: ktx writes its SQL but cannot run it.`,
        { hint: 'Print the statement with --format sql and run it with your own client.' },
      );
  }
}

export function queryFailed(connection: Connection, message: string, cause?: unknown): KtxError {
  return new KtxError('query_failed', `${connection.driver} refused the statement: ${message.trim()}`, {
    hint: 'See the statement itself with --format sql.',
    details: { connectionId: connection.id },
    cause,
  });
}

export function timedOut(connection: Connection, timeoutMs: number): KtxError {
  return new KtxError('timeout', `The statement did not finish within ${timeoutMs / 1000} s on '${connection.id}'.`, {
    hint: 'Filter or limit it, or give it longer with --timeout <seconds>.',
    details: { connectionId: connection.id, timeoutMs },
  });
}

export function notAQuery(problem: string): KtxError {
  return new KtxError('not_a_query', `Only one SELECT is run: ${problem}.`, {
    hint: 'ktx never writes; run other statements with your own client.',
  });
}
