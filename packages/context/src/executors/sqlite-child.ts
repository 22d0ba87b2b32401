/**
 * The program of the SQLite child, as one self-contained function: its text is handed to `node -e`.
 *
 * SQLite runs in the thread that calls it and Node cannot interrupt it, so it gets a process that can
 * be killed. Nothing outside the function may be referred to.
 */

export interface SqliteRequest {
  readonly operation: 'execute' | 'probe' | 'describe';
  readonly path: string;
  readonly sql?: string;
  readonly maxRows?: number;
}

/** Integers as `{i}`, non-finite floats as `{f}`, blobs as `{b}` (hex). */
export type SqliteCell = null | string | number | { i: string } | { f: string } | { b: string };

export interface SqliteTable {
  readonly name: string;
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly pk: number;
    readonly notnull: number;
  }[];
  readonly foreignKeys: readonly { id: number; table: string; from: string; to: string | null }[];
  /** Column lists that hold no two equal rows. */
  readonly unique: readonly (readonly string[])[];
}

export type SqliteResponse =
  | { readonly error: { readonly code: 'not_a_query' | 'query_failed' | 'open_failed'; readonly message: string } }
  | {
      readonly columns: readonly { readonly name: string; readonly type: string | null }[];
      readonly rows: readonly (readonly SqliteCell[])[];
    }
  | { readonly version: string }
  | { readonly tables: readonly SqliteTable[] };

export function sqliteChild(): void {
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  const { readFileSync } = process.getBuiltinModule('node:fs');
  const request = JSON.parse(readFileSync(0, 'utf8')) as SqliteRequest;

  const answer = (response: SqliteResponse): void => {
    process.stdout.write(JSON.stringify(response));
  };
  const cell = (value: unknown): SqliteCell => {
    if (typeof value === 'bigint') return { i: value.toString() };
    if (typeof value === 'number') return Number.isFinite(value) ? value : { f: String(value) };
    if (value instanceof Uint8Array) return { b: Buffer.from(value).toString('hex') };
    return value as null | string;
  };
  const withoutComments = (sql: string): string => sql.replace(/--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g, ' ').trim();

  const open = () => {
    const database = new DatabaseSync(request.path, { readOnly: true, allowExtension: false });
    // Read-only alone still lets VACUUM INTO write a copy somewhere.
    database.exec('PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA busy_timeout = 5000');
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
    return database;
  };
  type Database = ReturnType<typeof open>;

  const execute = (database: Database, sql: string, maxRows: number): SqliteResponse => {
    const refuse = (message: string): SqliteResponse => ({ error: { code: 'not_a_query', message } });
    if (!/^(?:select|with|values|\()/i.test(withoutComments(sql))) return refuse('it does not begin with SELECT');
    const statement = database.prepare(sql);
    // What follows the first statement would be dropped without a word.
    if (/[^\s;]/.test(withoutComments(sql.slice(statement.sourceSQL.length))))
      return refuse('there is a second statement');
    const columns = statement.columns();
    if (columns.length === 0) return refuse('it returns no rows');
    statement.setReadBigInts(true);
    statement.setReturnArrays(true);
    const rows: SqliteCell[][] = [];
    for (const row of statement.iterate() as Iterable<unknown>) {
      rows.push((row as unknown[]).map(cell));
      if (rows.length > maxRows) break;
    }
    return { columns: columns.map(({ name, type }) => ({ name, type })), rows };
  };

  const describe = (database: Database): SqliteResponse => {
    const all = (sql: string, ...values: string[]) => database.prepare(sql).all(...values) as { name: string }[];
    const names = all(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    );
    const tables = names.map(({ name }) => ({
      name,
      columns: all('SELECT name, type, pk, "notnull" FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid', name),
      foreignKeys: all('SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq', name),
      unique: all('SELECT name FROM pragma_index_list(?) WHERE "unique" = 1 AND partial = 0', name).map((index) =>
        all('SELECT name FROM pragma_index_info(?) ORDER BY seqno', index.name as string).map((column) => column.name),
      ),
    }));
    return { tables: tables as unknown as SqliteTable[] };
  };

  const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));
  let database: Database;
  try {
    database = open();
  } catch (error) {
    answer({ error: { code: 'open_failed', message: message(error) } });
    return;
  }
  try {
    if (request.operation === 'execute') answer(execute(database, request.sql ?? '', request.maxRows ?? 0));
    else if (request.operation === 'describe') answer(describe(database));
    else answer({ version: String((database.prepare('SELECT sqlite_version() AS v').get() as { v: string }).v) });
  } catch (error) {
    answer({ error: { code: 'query_failed', message: message(error) } });
  } finally {
    database.close();
  }
}
