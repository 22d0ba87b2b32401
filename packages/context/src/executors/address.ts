/** Where a connection's database is, references resolved at the moment of use. */
import { isAbsolute, join } from 'node:path';
import type { Connection } from '../project/project.ts';
import { resolveSecret } from '../project/secrets.ts';

type Env = Readonly<Record<string, string | undefined>>;

export function databasePath(connection: Connection, env: Env): string {
  if (connection.path !== undefined) return connection.path;
  const path = resolveSecret(
    connection.address,
    { connectionId: connection.id, key: 'path', root: connection.root },
    env,
  );
  return isAbsolute(path) ? path : join(connection.root, path);
}

export function databaseUrl(connection: Connection, env: Env): string {
  return resolveSecret(connection.address, { connectionId: connection.id, key: 'url', root: connection.root }, env);
}
