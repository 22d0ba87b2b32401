/** The engine's refusals, with what to type instead. */
import type { CommandContext } from '../../command.ts';
import { type Connection, isKtxError, KtxError } from '../../context.ts';
import { placed } from '../../project.ts';
import type { Model } from './needs.ts';
import type { QueryOptions } from './request.ts';

/** The same error with the engine's candidates and repaired query as hint. */
export function explained(
  error: unknown,
  context: CommandContext,
  connection: Connection,
  model: Model,
  options: QueryOptions,
): unknown {
  if (!isKtxError(error) || error.hint !== undefined) return error;
  const query = sent(error.details?.repair);
  const details = query === undefined ? error.details : { ...error.details, repair: query };
  const hints = [
    ...candidates(details?.candidates),
    ...(query === undefined ? [] : repair(query, context, options)),
    ...model.problems.slice(0, 3).map((problem) => `Not loaded: ${placed(problem)}`),
  ];
  const hint = hints.length > 0 ? hints.join('\n') : fallback(error, connection);
  return new KtxError(error.code, error.message, { hint, details, cause: error });
}

const SHOWN = 5;

function candidates(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  const names = value.flatMap((candidate) => {
    const name = typeof candidate === 'string' ? candidate : (candidate as { value?: unknown } | null)?.value;
    return typeof name === 'string' ? [name] : [];
  });
  const rest = names.length > SHOWN ? ', …' : '';
  return names.length === 0 ? [] : [`Did you mean: ${names.slice(0, SHOWN).join(', ')}${rest}`];
}

/** The repaired query as this command line sends it: the engine leaves out what is its own default, not ours. */
function sent(value: unknown): Record<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const query = value as Record<string, unknown>;
  return { ...query, include_empty: query.include_empty !== false };
}

/** The whole command again, with the engine's query in place of the refused one: it works when typed. */
function repair(
  query: Record<string, unknown>,
  { invocation, globals }: CommandContext,
  options: QueryOptions,
): string[] {
  const kept = [
    ...(globals.projectDir === undefined ? [] : [`--project-dir ${shell(globals.projectDir)}`]),
    ...(options.connectionId === undefined ? [] : [`--connection-id ${shell(options.connectionId)}`]),
    ...(options.execute === true ? ['--execute'] : []),
    ...(options.format === undefined ? [] : [`--format ${options.format}`]),
    ...(options.maxRows === undefined ? [] : [`--max-rows ${options.maxRows}`]),
    ...(options.timeout === undefined ? [] : [`--timeout ${options.timeout}`]),
  ];
  const flags = flagsOf(query);
  const command = `${invocation} sl query`;
  return flags === undefined
    ? [`Try: echo ${shell(JSON.stringify(query))} | ${[command, '--query-file -', ...kept].join(' ')}`]
    : [`Try: ${[command, ...flags, ...kept].join(' ')}`];
}

const FLAGGED = ['measures', 'dimensions', 'filters', 'segments', 'order_by', 'limit', 'include_empty'];

/** Undefined for a query that has a part no flag can say. */
function flagsOf(query: Record<string, unknown>): string[] | undefined {
  if (Object.keys(query).some((key) => !FLAGGED.includes(key))) return undefined;
  const parts = [
    each('--measure', query.measures, ['expr', 'ref']),
    each('--dimension', query.dimensions, ['field', 'granularity']),
    each('--filter', query.filters, []),
    each('--segment', query.segments, []),
    each('--order-by', query.order_by, ['field', 'direction']),
  ];
  if (parts.includes(undefined)) return undefined;
  return [
    ...parts.flatMap((part) => part ?? []),
    ...(typeof query.limit === 'number' ? [`--limit ${query.limit}`] : []),
    ...(query.include_empty === true ? ['--include-empty'] : []),
  ];
}

/** An item is a text, or an object whose only members are `keys`: a measure's one, a field with its suffix. */
function each(flag: string, value: unknown, keys: readonly string[]): string[] | undefined {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return undefined;
  const flags: string[] = [];
  for (const item of value) {
    const text = typeof item === 'string' ? item : member(item, keys);
    if (text === undefined) return undefined;
    flags.push(`${flag} ${shell(text)}`);
  }
  return flags;
}

function member(item: unknown, keys: readonly string[]): string | undefined {
  const given = Object.entries((item ?? {}) as object).filter(([, value]) => value !== null);
  if (given.some(([key, value]) => !keys.includes(key) || typeof value !== 'string')) return undefined;
  const texts = keys.flatMap((key) => given.filter(([name]) => name === key).map(([, value]) => value as string));
  return texts.length === 0 ? undefined : texts.join(':');
}

function shell(text: string): string {
  return /^[\w.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function fallback({ code: told, message, details }: KtxError, connection: Connection): string | undefined {
  // The daemon's codes are few; the engine's own says more.
  const code = typeof details?.reason === 'string' ? details.reason : told;
  if (/^(unknown_(source|column|segment)|not_a_measure|ambiguous|hidden_column)$/.test(code) || NAMES.test(message)) {
    return `See what there is: ktx sl list --connection-id ${connection.id}`;
  }
  return /^(invalid_source|invalid_model|undefined_target)$/.test(code)
    ? 'Check the definitions with "ktx sl validate".'
    : undefined;
}

const NAMES = /unknown (source|segment)|does not exist in source|not a pre-defined measure|is ambiguous|is hidden/;
