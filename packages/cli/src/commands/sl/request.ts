/** The command line of `ktx sl query` as the query that is sent. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { CommandContext } from '../../command.ts';
import type { SemanticQuery } from '../../context.ts';
import { messageOf, usageError } from '../../errors.ts';

export interface QueryOptions {
  readonly connectionId?: string;
  readonly measure?: readonly string[];
  readonly dimension?: readonly string[];
  readonly filter?: readonly string[];
  readonly segment?: readonly string[];
  readonly orderBy?: readonly string[];
  readonly limit?: string;
  readonly includeEmpty?: boolean;
  readonly queryFile?: string;
  readonly format?: string;
  readonly execute?: boolean;
  readonly maxRows?: string;
  readonly timeout?: string;
}

export type Format = 'json' | 'sql' | 'table' | 'csv';

export interface Plan {
  readonly format: Format;
  readonly execute: boolean;
  readonly maxRows: number;
  readonly timeoutMs: number;
}

/** What is to be done with the statement. */
export function planOf({ globals, terminal }: CommandContext, options: QueryOptions): Plan {
  const { execute = false } = options;
  const format = (options.format ?? (globals.json ? 'json' : implied(terminal.stdoutTty, execute))) as Format;
  if (globals.json && format !== 'json') {
    throw usageError(`--json and --format ${format} contradict each other.`, 'Give one of them.');
  }
  if (format === 'sql' && execute) {
    throw usageError(
      '--format sql prints the statement and does not run it.',
      'Drop --execute, or choose --format table.',
    );
  }
  if ((format === 'table' || format === 'csv') && !execute) {
    throw usageError(`--format ${format} shows rows, so it needs --execute.`, 'Add --execute, or choose --format sql.');
  }
  const maxRows = whole('--max-rows', options.maxRows, 1000, 1, 10_000);
  const timeout = whole('--timeout', options.timeout, 30, 1, 86_400);
  return { format, execute, maxRows, timeoutMs: timeout * 1000 };
}

function implied(tty: boolean, execute: boolean): Format {
  if (!tty) return 'json';
  return execute ? 'table' : 'sql';
}

export async function queryOf(context: CommandContext, options: QueryOptions): Promise<SemanticQuery> {
  const query =
    options.queryFile === undefined ? fromFlags(options) : await fromFile(context, options.queryFile, options);
  if (!Array.isArray(query.measures) || query.measures.length === 0) {
    throw usageError('The query has no measure.', 'Add --measure <source.measure>; "ktx sl list" shows them.');
  }
  return query;
}

function fromFlags(options: QueryOptions): SemanticQuery {
  const {
    measure = [],
    dimension = [],
    filter = [],
    segment = [],
    orderBy = [],
    limit,
    includeEmpty = false,
  } = options;
  return {
    measures: measure,
    ...(dimension.length === 0 ? {} : { dimensions: dimension.map(dimensionOf) }),
    ...(filter.length === 0 ? {} : { filters: filter }),
    ...(segment.length === 0 ? {} : { segments: segment }),
    ...(orderBy.length === 0 ? {} : { order_by: orderBy.map(orderOf) }),
    ...(limit === undefined ? {} : { limit: whole('--limit', limit, 0, 0, Number.MAX_SAFE_INTEGER) }),
    include_empty: includeEmpty,
  };
}

const FLAGS = ['measure', 'dimension', 'filter', 'segment', 'orderBy', 'limit', 'includeEmpty'] as const;

async function fromFile(context: CommandContext, path: string, options: QueryOptions): Promise<SemanticQuery> {
  const given = FLAGS.find((flag) => options[flag] !== undefined);
  if (given !== undefined) {
    const flag = given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw usageError(
      `--query-file and --${flag} both say what to ask.`,
      'Write all of the query into the file, or none of it.',
    );
  }
  const label = path === '-' ? 'stdin' : path;
  let value: unknown;
  try {
    const bytes = path === '-' ? await stdin() : readFileSync(resolve(context.cwd, path));
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw usageError(
      `The query in ${label} cannot be read: ${messageOf(error)}`,
      'It must be one JSON object, as {"measures": ["orders.order_count"]}.',
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw usageError(
      `The query in ${label} is not a JSON object.`,
      'Write it as {"measures": ["orders.order_count"]}.',
    );
  }
  return { include_empty: false, ...(value as SemanticQuery) };
}

async function stdin(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** `orders.ordered_on:month`; a colon inside an expression is not followed by one bare word. */
function dimensionOf(text: string): string | { field: string; granularity: string } {
  const match = /^(.*[^:]):([A-Za-z_]+)$/s.exec(text);
  return match === null ? text : { field: match[1] as string, granularity: match[2] as string };
}

function orderOf(text: string): { field: string; direction: 'asc' | 'desc' } {
  const match = /^(.*[^:]):([A-Za-z_]*)$/s.exec(text);
  if (match === null) return { field: text, direction: 'asc' };
  const direction = (match[2] as string).toLowerCase();
  if (direction === 'asc' || direction === 'desc') return { field: match[1] as string, direction };
  throw usageError(`--order-by ${text}: '${match[2]}' is no direction.`, 'End it with :asc or :desc, or with nothing.');
}

function whole(flag: string, text: string | undefined, fallback: number, least: number, most: number): number {
  if (text === undefined) return fallback;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) {
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    throw usageError(`${flag} is '${text}'.`, `Give a whole number ${range}.`);
  }
  return value;
}
