/**
 * Secrets of `ktx.yaml`: `env:NAME` and `file:PATH` are looked up when a connection is used, never
 * when the file is read, so listing connections works without them.
 */
import { readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { KtxError } from '../errors.ts';

/** The value behind a reference, or the text itself. `root` is what a relative `file:` starts from. */
export function resolveSecret(
  text: string,
  where: { readonly connectionId: string; readonly key: string; readonly root: string },
  env: Readonly<Record<string, string | undefined>>,
): string {
  const label = `connection '${where.connectionId}': ${where.key}`;
  if (text.startsWith('env:')) {
    const name = text.slice(4).trim();
    const value = env[name];
    if (value === undefined || value === '') {
      throw new KtxError('secret_missing', `${label} is env:${name}, but ${name} is not set.`, {
        hint: `Set it for this command: export ${name}=…`,
      });
    }
    return value;
  }
  if (text.startsWith('file:') && !text.startsWith('file://')) {
    const given = text.slice(5).trim();
    const path = isAbsolute(given) ? given : join(where.root, given);
    let value: string;
    try {
      value = readFileSync(path, 'utf8').trim();
    } catch (error) {
      throw new KtxError('secret_missing', `${label} is file:${given}, but ${path} cannot be read.`, {
        hint: 'Create the file with the value as its only line, readable by you alone.',
        cause: error,
      });
    }
    if (value === '') {
      throw new KtxError('secret_missing', `${label} is file:${given}, but ${path} is empty.`, {
        hint: 'Write the value into it, as its only line.',
      });
    }
    return value;
  }
  return text;
}

/** True for a URL that carries a password in clear. */
export function hasLiteralPassword(text: string): boolean {
  if (/^(env|file):(?!\/\/)/.test(text)) return false;
  return /^[a-z][a-z0-9+.-]*:\/\/[^/?#@]*:[^/?#@]+@/i.test(text) || SECRET_PARAMETER.test(text);
}

const SECRET_PARAMETER = /([?&;\s]|^)(password|passwd|pwd|token|secret|access_token|private_key)=[^&;\s]+/i;

/** A URL as it may be shown: references stay, passwords become `***`. */
export function maskSecret(text: string): string {
  return text
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)([^/?#]*)@/i, (_all, scheme: string, user: string) => {
      const colon = user.indexOf(':');
      return colon < 0 ? `${scheme}${user}@` : `${scheme}${user.slice(0, colon)}:***@`;
    })
    .replace(new RegExp(SECRET_PARAMETER.source, 'gi'), (_all, before: string, key: string) => `${before}${key}=***`);
}
