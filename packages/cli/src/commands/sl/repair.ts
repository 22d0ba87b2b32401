/** The engine's refusals, with what to type instead. */
import type { CommandContext } from '../../command.ts';
import { type Connection, isKtxError, KtxError } from '../../context.ts';
import { placed } from '../../project.ts';
import type { Model } from './needs.ts';

/** The same error with the engine's candidates or repaired query as hint. */
export function explained(error: unknown, context: CommandContext, connection: Connection, model: Model): unknown {
  if (!isKtxError(error) || error.hint !== undefined) return error;
  const hints = [
    ...candidates(error.details?.candidates),
    ...repair(error.details?.repair, context),
    ...model.problems.slice(0, 3).map((problem) => `Not loaded: ${placed(problem)}`),
  ];
  const hint = hints.length > 0 ? hints.join('\n') : fallback(error, connection);
  return new KtxError(error.code, error.message, { hint, details: error.details, cause: error });
}

function candidates(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  const names = value.flatMap((candidate) => {
    const name = typeof candidate === 'string' ? candidate : (candidate as { value?: unknown } | null)?.value;
    return typeof name === 'string' ? [name] : [];
  });
  return names.length === 0 ? [] : [`Did you mean: ${names.slice(0, 5).join(', ')}`];
}

function repair(value: unknown, { invocation }: CommandContext): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const query = value as Record<string, unknown>;
  const flags = [
    ...each('--measure', query.measures, (item) => item.expr ?? item.ref),
    ...each('--dimension', query.dimensions, (item) => [item.field, item.granularity].filter(Boolean).join(':')),
    ...each('--filter', query.filters),
    ...each('--segment', query.segments),
    ...each('--order-by', query.order_by, (item) => [item.field, item.direction].filter(Boolean).join(':')),
  ];
  // What has no flag can only be said in a file.
  const inFile = query.via !== undefined || query.to_many_filters === 'exists' || query.ambiguous_paths === 'warn';
  if (inFile) return [`This works, with --query-file: ${JSON.stringify(query)}`];
  return flags.length === 0
    ? []
    : [
        `This works: ${invocation} sl query ${flags.join(' ')}${query.include_empty === true ? ' --include-empty' : ''}`,
      ];
}

function each(
  flag: string,
  value: unknown,
  text: (item: Record<string, unknown>) => unknown = () => undefined,
): string[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item) => {
    const printed = typeof item === 'string' ? item : text(item as Record<string, unknown>);
    return typeof printed === 'string' ? [`${flag} ${shell(printed)}`] : [];
  });
}

function shell(text: string): string {
  return /^[\w.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function fallback({ code, message }: KtxError, connection: Connection): string | undefined {
  if (/^(unknown_(source|column|segment)|not_a_measure|ambiguous|hidden_column)$/.test(code) || NAMES.test(message)) {
    return `See what there is: ktx sl list --connection-id ${connection.id}`;
  }
  return /^(invalid_source|invalid_model|undefined_target)$/.test(code)
    ? 'Check the definitions with "ktx sl validate".'
    : undefined;
}

const NAMES = /unknown (source|segment)|does not exist in source|not a pre-defined measure|is ambiguous|is hidden/;
