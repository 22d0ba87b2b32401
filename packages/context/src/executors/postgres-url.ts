/**
 * A PostgreSQL URL as client settings, read strictly.
 *
 * `sslmode` means what it means to libpq: `require` encrypts without checking the certificate,
 * `verify-ca` and `verify-full` check it.
 */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { KtxError } from '../errors.ts';
import type { Connection } from '../project/project.ts';

export interface ClientSettings {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: string;
  readonly database: string;
}

const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

export function clientSettings(connection: Connection, text: string): ClientSettings {
  const url = parsed(connection, text);
  const user = decoded(connection, url.username);
  if (user === '') throw invalid(connection, 'it names no user');
  const password = decoded(connection, url.password);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 5432 : Number(url.port),
    user,
    ...(password === '' ? {} : { password }),
    database: decoded(connection, url.pathname.replace(/^\//, '')) || user,
  };
}

/** What to try in turn: false is plain text. Without `sslmode` nothing is demanded. */
export function encryptionOf(connection: Connection, text: string): (false | ConnectionOptions)[] {
  const { searchParams, hostname } = parsed(connection, text);
  const mode = searchParams.get('sslmode') ?? 'prefer';
  if (!MODES.includes(mode)) throw invalid(connection, `sslmode must be one of ${MODES.join(', ')}`);
  const root = searchParams.get('sslrootcert');
  const trusted = root !== null && root !== 'system' ? { ca: certificate(connection, root) } : {};
  switch (mode) {
    case 'disable':
    case 'allow':
      return [false];
    case 'prefer':
      return [{ rejectUnauthorized: false }, false];
    case 'require':
      return [{ rejectUnauthorized: false }];
    case 'verify-ca':
      return [{ rejectUnauthorized: true, checkServerIdentity: () => undefined, ...trusted }];
    default:
      return [{ rejectUnauthorized: true, servername: hostname, ...trusted }];
  }
}

function parsed(connection: Connection, text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalid(connection, 'it is not a URL');
  }
  if (!/^postgres(ql)?:$/.test(url.protocol)) throw invalid(connection, 'it must begin with postgresql://');
  if (url.hostname === '') throw invalid(connection, 'it names no host');
  return url;
}

function decoded(connection: Connection, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(connection, 'a % in user, password or database must be written %25');
  }
}

function certificate(connection: Connection, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw invalid(connection, `its sslrootcert ${path} cannot be read`);
  }
}

/** Never quotes the URL: it may hold the password. */
function invalid(connection: Connection, problem: string): KtxError {
  return new KtxError('invalid_connection', `The url of connection '${connection.id}' cannot be used: ${problem}.`, {
    hint: 'Write it as postgresql://user:password@host:5432/database, best as env:NAME.',
  });
}
