/** Drivers a connection may name, the SQL dialect each speaks, and how it is addressed. */

export type Executable = 'sqlite' | 'duckdb' | 'postgres';

export interface Driver {
  /** The dialect sent to the engine. */
  readonly dialect: string;
  /** What runs its SQL here; the others are for compiling only. */
  readonly executor?: Executable;
  /** The member that says where the database is. */
  readonly address: 'path' | 'url';
}

export const DRIVERS: Readonly<Record<string, Driver>> = {
  sqlite: { dialect: 'sqlite', executor: 'sqlite', address: 'path' },
  duckdb: { dialect: 'duckdb', executor: 'duckdb', address: 'path' },
  postgres: { dialect: 'postgres', executor: 'postgres', address: 'url' },
  postgresql: { dialect: 'postgres', executor: 'postgres', address: 'url' },
  mssql: { dialect: 'tsql', address: 'url' },
  sqlserver: { dialect: 'tsql', address: 'url' },
  bigquery: { dialect: 'bigquery', address: 'url' },
  snowflake: { dialect: 'snowflake', address: 'url' },
  mysql: { dialect: 'mysql', address: 'url' },
  clickhouse: { dialect: 'clickhouse', address: 'url' },
  redshift: { dialect: 'redshift', address: 'url' },
  databricks: { dialect: 'databricks', address: 'url' },
};

export function driverOf(name: string): Driver | undefined {
  const key = name.trim().toLowerCase();
  return Object.hasOwn(DRIVERS, key) ? DRIVERS[key] : undefined;
}
