/** A variable in seconds, decimals allowed; a value that is none is refused by name. */
import type { Environment } from '../command.ts';
import { CliError } from '../errors.ts';

export function seconds(env: Environment, name: string, fallback: number): number {
  const text = env[name]?.trim();
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new CliError('usage', `${name} is ${JSON.stringify(text)}, which is no positive number of seconds`, {
    hint: `Unset it (${fallback} s) or give a number.`,
  });
}
