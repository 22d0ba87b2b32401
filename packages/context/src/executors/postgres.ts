/**
 * PostgreSQL through `pg`: one statement in one read-only transaction that is rolled back.
 *
 * The extended protocol admits a single statement; a cursor reads no more rows than are wanted. The
 * session prints values in their exact, portable text form, and we read the text.
 */
import type { Client } from 'pg';
import { KtxError } from '../errors.ts';
import type { Connection } from '../project/project.ts';
import { databaseUrl } from './address.ts';
import { DEFAULT_TIMEOUT_MS, type Executor, queryFailed, timedOut } from './executor.ts';
import { clientSettings, encryptionOf } from './postgres-url.ts';
import { encodingOf, type PgType, reader } from './postgres-values.ts';
import { type Cell, settle } from './values.ts';

type Env = Readonly<Record<string, string | undefined>>;

interface Limits {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const CONNECT_TIMEOUT_MS = 5_000;

export function postgresExecutor(connection: Connection, env: Env): Executor {
  return {
    driver: 'postgres',
    execute: (sql, { maxRows, ...limits }) => {
      const started = performance.now();
      return withClient(connection, env, limits, async (client, timeoutMs) => {
        const result = await select(client, sql, maxRows, timeoutMs);
        return {
          ...settle(result.columns, result.cells),
          truncated: result.truncated,
          elapsedMs: Math.round(performance.now() - started),
        };
      });
    },
    probe: (limits = {}) => {
      const started = performance.now();
      return withClient(connection, env, limits, async (client) => {
        const { rows } = await client.query('SHOW server_version');
        const serverVersion = `PostgreSQL ${String(rows[0]?.server_version)}`;
        return { serverVersion, elapsedMs: Math.round(performance.now() - started) };
      });
    },
  };
}

async function select(client: Client, sql: string, maxRows: number, timeoutMs: number) {
  const { default: Cursor } = await import('pg-cursor');
  await client.query('BEGIN READ ONLY');
  // Whole milliseconds from us, nothing of the user's.
  await client.query(
    `SET LOCAL statement_timeout = ${Math.ceil(timeoutMs)}; SET LOCAL DateStyle = 'ISO, YMD';
     SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'`,
  );
  const text = { getTypeParser: () => (value: string) => value };
  const cursor = client.query(new Cursor(sql, [], { rowMode: 'array', types: text as never }));
  const { fields, texts } = await read(cursor as never, maxRows + 1);
  await cursor.close();
  const types = await typesOf(client, fields);
  await client.query('ROLLBACK');
  const columns = fields.map(({ name }, index) => {
    const type = types[index] as PgType;
    return { name, type: type.name, encoding: encodingOf(type) };
  });
  const readers = types.map(reader);
  const cells: Cell[][] = texts
    .slice(0, maxRows)
    .map((row) =>
      row.map((value, index) => (value === null ? null : (readers[index] as (text: string) => Cell)(value))),
    );
  return { columns, cells, truncated: texts.length > maxRows };
}

interface FieldDescription {
  readonly name: string;
  readonly dataTypeID: number;
  readonly dataTypeModifier: number;
}

type Texts = (string | null)[][];

/** Reads in steps, so that one wide row type does not arrive ten thousand rows at a time. */
async function read(
  cursor: {
    read(count: number, done: (error: Error | null, rows: Texts, result: { fields: FieldDescription[] }) => void): void;
  },
  wanted: number,
): Promise<{ fields: FieldDescription[]; texts: Texts }> {
  const texts: Texts = [];
  let fields: FieldDescription[] = [];
  for (;;) {
    const step = Math.min(1000, wanted - texts.length);
    const rows = await new Promise<Texts>((resolve, reject) => {
      cursor.read(step, (error, found, result) => {
        if (error) return reject(error);
        if (result !== undefined) fields = result.fields;
        resolve(found);
      });
    });
    for (const row of rows) texts.push(row);
    if (rows.length < step || texts.length >= wanted) return { fields, texts };
  }
}

/** What each column's type is called, and what its elements are if it is an array. */
async function typesOf(client: Client, fields: readonly FieldDescription[]): Promise<PgType[]> {
  if (fields.length === 0) return [];
  const { rows } = await client.query(
    `SELECT format_type(f.oid, NULLIF(f.typmod, -1)) AS name, b.oid::int8::text AS oid, b.typcategory AS category,
            e.oid::int8::text AS element
     FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY AS f(oid, typmod, at)
     LEFT JOIN pg_type t ON t.oid = f.oid
     LEFT JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
     LEFT JOIN pg_type e ON e.oid = b.typelem AND b.typcategory = 'A'
     ORDER BY f.at`,
    [fields.map((field) => field.dataTypeID), fields.map((field) => field.dataTypeModifier)],
  );
  return rows.map((row) => ({
    name: String(row.name),
    oid: Number(row.oid),
    ...(row.element === null ? {} : { element: Number(row.element) }),
  }));
}

async function withClient<T>(
  connection: Connection,
  env: Env,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: Limits,
  work: (client: Client, timeoutMs: number) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const { default: pg } = await import('pg');
  const url = databaseUrl(connection, env);
  const client = await connect(pg.Client, connection, url, signal);
  // The server ends the statement; this ends a connection that has gone silent.
  let silent = false;
  const hung = setTimeout(() => {
    silent = true;
    destroy(client);
  }, timeoutMs + CONNECT_TIMEOUT_MS);
  const abort = (): void => destroy(client);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    signal?.throwIfAborted();
    const value = await work(client, timeoutMs);
    await client.end();
    return value;
  } catch (error) {
    destroy(client);
    if (signal?.aborted) throw signal.reason;
    if (error instanceof KtxError) throw error;
    const { code } = error as { code?: string };
    if (silent || code === '57014') throw timedOut(connection, timeoutMs);
    if (code === undefined || !/^[0-9A-Z]{5}$/.test(code)) throw broken(connection, error as Error);
    throw queryFailed(connection, `${(error as Error).message} (SQLSTATE ${code})`, error);
  } finally {
    clearTimeout(hung);
    signal?.removeEventListener('abort', abort);
  }
}

async function connect(
  ClientClass: typeof Client,
  connection: Connection,
  url: string,
  signal: AbortSignal | undefined,
): Promise<Client> {
  const settings = clientSettings(connection, url);
  const attempts = encryptionOf(connection, url);
  let failure: Error | undefined;
  for (const ssl of attempts) {
    const client = new ClientClass({
      ...settings,
      ssl,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      application_name: 'ktx',
      keepAlive: true,
    });
    // After the connection is up, its loss rejects the query that waits for it.
    client.on('error', () => {});
    const abort = (): void => destroy(client);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await client.connect();
      return client;
    } catch (error) {
      destroy(client);
      if (signal?.aborted) throw signal.reason;
      failure = error as Error;
      if (!/does not support SSL/i.test(failure.message)) break;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }
  throw refused(connection, settings, failure as Error);
}

function refused(
  connection: Connection,
  at: { host: string; port: number; database: string; user: string },
  error: Error,
): KtxError {
  const { code } = error as { code?: string };
  const where = `${at.host}:${at.port}/${at.database}`;
  const hint =
    code === '28P01' || code === '28000'
      ? `Check user '${at.user}' and its password in url of '${connection.id}'.`
      : code === '3D000'
        ? `Check the database name in url of '${connection.id}'.`
        : `Check that the server runs and host and port in url of '${connection.id}' are right.`;
  const reason = /timeout expired/.test(error.message)
    ? `no answer within ${CONNECT_TIMEOUT_MS / 1000} s`
    : error.message || code;
  return new KtxError('connection_failed', `Connection '${connection.id}': ${where}: ${reason}.`, {
    hint,
    details: { connectionId: connection.id, ...(code === undefined ? {} : { reason: code }) },
    cause: error,
  });
}

function broken(connection: Connection, error: Error): KtxError {
  return new KtxError('connection_failed', `Connection '${connection.id}' broke off: ${error.message}.`, {
    hint: 'Run the command again; "ktx connection test" shows whether the server answers.',
    cause: error,
  });
}

function destroy(client: Client): void {
  (client as unknown as { connection?: { stream?: { destroy(): void } } }).connection?.stream?.destroy();
}
