/**
 * `ktx sl query`: measures by dimensions become one statement, and its rows if asked.
 *
 * The statement is checked to be read-only before it is sent anywhere, and the database session could not write either.
 */
import type { CommandContext, Handler, Output } from '../../command.ts';
import { computeFor } from '../../compute.ts';
import {
  type Column,
  type Compute,
  type Connection,
  createExecutor,
  type Execution,
  KtxError,
  loadSources,
  type QueryResult,
  type Row,
  type SemanticQuery,
} from '../../context.ts';
import { csv, table } from '../../format.ts';
import { chosenConnection, openProject } from '../../project.ts';
import { laidOut } from '../../sql-layout.ts';
import { type Model, planned } from './needs.ts';
import { explained } from './repair.ts';
import { type Plan, planOf, type QueryOptions, queryOf } from './request.ts';

export const slQuery: Handler<QueryOptions> = async (context, _positionals, options) => {
  const plan = planOf(context, options);
  const query = await queryOf(context, options);
  const project = openProject(context);
  const connection = chosenConnection(project, options.connectionId);
  const executor = plan.execute ? await createExecutor(connection, { env: context.env }) : undefined;
  const compute = computeFor(context);
  await compute.prepare('query', ...(plan.execute ? (['validateReadOnly'] as const) : []));
  const model = planned(loadSources(project, { connectionId: connection.id }), query, connection);
  let answer: QueryResult;
  try {
    answer = await compute.query({ sources: model.sources, query, dialect: connection.dialect });
  } catch (error) {
    throw explained(error, context, connection, model, options);
  }
  for (const warning of model.cautions(answer)) context.terminal.warn(warning);
  if (!context.globals.json) for (const warning of planWarnings(answer)) context.terminal.warn(warning);
  const headers = headersOf(answer);
  if (executor === undefined) {
    const shown = context.terminal.stdoutTty ? laidOut(answer.sql) : answer.sql;
    return compiled(plan, connection, answer, headers, model, shown);
  }
  await demandReadOnly(compute, connection, answer.sql);
  const { maxRows, timeoutMs } = plan;
  const execution = await executor.execute(answer.sql, { maxRows, timeoutMs, signal: context.signal });
  if (execution.columns.length !== headers.length) {
    throw new KtxError(
      'protocol_error',
      `The statement returned ${execution.columns.length} columns instead of ${headers.length}.`,
      {
        hint: 'This is unexpected; please report the query.',
      },
    );
  }
  noteMissingRows(context, execution, query, answer);
  const { paint } = context.terminal;
  return executed(plan, connection, answer, headers, execution, (head) => paint('bold', head));
};

interface Document {
  readonly connectionId: string;
  readonly dialect: string;
  readonly sql: string;
  readonly headers: readonly string[];
  readonly rows: readonly Row[];
  readonly totalRows: number;
  readonly truncated: boolean;
  readonly columns: readonly (Omit<Column, 'encoding'> & { readonly encoding: Column['encoding'] | null })[];
  readonly plan: Readonly<Record<string, unknown>>;
}

function compiled(
  plan: Plan,
  connection: Connection,
  answer: QueryResult,
  headers: readonly string[],
  model: Model,
  shown: string,
): Output {
  const reason = connection.kind.executor === undefined ? 'driver_not_executable' : 'not_requested';
  const document: Document = {
    connectionId: connection.id,
    dialect: answer.dialect,
    sql: answer.sql,
    headers,
    rows: [],
    totalRows: 0,
    truncated: false,
    // Only the database knows how it encodes its values; the model says what they are.
    columns: headers.map((name, index) => ({ name, type: modelType(model, answer, index), encoding: null })),
    plan: { ...answer.plan, execution: { mode: 'compile_only', reason } },
  };
  return { text: plan.format === 'sql' ? shown : JSON.stringify(document, null, 2), document };
}

/** The type a dimension has in the model; measures aggregate, and most give numbers. */
function modelType({ loaded }: Model, { columns }: QueryResult, index: number): string {
  const { name = '', provenance = '' } = columns[index] ?? {};
  if (provenance !== 'dimension') return 'number';
  const dot = name.lastIndexOf('.');
  const source = loaded.find((one) => one.name === name.slice(0, dot));
  return source?.definition.columns.find((column) => column.name === name.slice(dot + 1))?.type ?? 'unknown';
}

function executed(
  plan: Plan,
  connection: Connection,
  answer: QueryResult,
  headers: readonly string[],
  { columns, rows, truncated, elapsedMs }: Execution,
  head: (line: string) => string,
): Output {
  const document: Document = {
    connectionId: connection.id,
    dialect: answer.dialect,
    sql: answer.sql,
    headers,
    rows,
    totalRows: rows.length,
    truncated,
    columns: columns.map(({ type, encoding }, index) => ({ name: headers[index] as string, type, encoding })),
    plan: {
      ...answer.plan,
      execution: {
        mode: 'executed',
        driver: connection.driver,
        maxRows: plan.maxRows,
        rowCount: rows.length,
        elapsedMs,
      },
    },
  };
  if (plan.format === 'csv') return { bytes: Buffer.from(csv(headers, rows)), document };
  if (plan.format === 'table') {
    const text = table(aligned(headers, columns, rows), rows);
    return { text: text.replace(/^.*/, head), document };
  }
  return { text: JSON.stringify(document, null, 2), document };
}

/** Numbers to the right; so are decimals, which travel as text. */
function aligned(headers: readonly string[], columns: readonly Column[], rows: readonly Row[]) {
  return headers.map((header, index) => {
    const cells = rows.map((row) => row[index]).filter((cell) => cell !== null);
    const numeric =
      cells.length > 0 &&
      cells.every((cell) => typeof cell === 'number' || (typeof cell === 'string' && NUMBER.test(cell)));
    const right =
      columns[index]?.encoding === 'number' ||
      (numeric && /int|dec|num|real|double|float/i.test(columns[index]?.type ?? ''));
    return { header, align: right ? 'right' : 'left' } as const;
  });
}

const NUMBER = /^-?\d+(\.\d+)?$/;

/** Semantic names; two granularities of one field are told apart. */
function headersOf({ columns }: QueryResult): string[] {
  const counts = Map.groupBy(columns, ({ name }) => name);
  return columns.map(({ name, granularity }) =>
    (counts.get(name)?.length ?? 0) > 1 && granularity ? `${name}:${granularity}` : name,
  );
}

async function demandReadOnly(compute: Compute, connection: Connection, sql: string): Promise<void> {
  const { ok, error } = await compute.validateReadOnly({ dialect: connection.dialect, sql });
  if (ok) return;
  throw new KtxError('not_read_only', `The statement was not run: ${error}`, {
    hint: 'ktx only reads. See the statement with --format sql.',
    details: { connectionId: connection.id },
  });
}

function planWarnings({ plan }: QueryResult): string[] {
  const warnings = Array.isArray(plan.warnings) ? plan.warnings : [];
  return warnings.flatMap((warning: { message?: unknown } | null) =>
    typeof warning?.message === 'string' ? [warning.message] : [],
  );
}

/** Rows can end at our cap or at the statement's own limit; either way there may be more. */
function noteMissingRows(
  context: CommandContext,
  { rows, truncated }: Execution,
  query: SemanticQuery,
  { plan }: QueryResult,
): void {
  if (truncated) context.terminal.note(`${rows.length} rows shown, there are more: raise --max-rows.`);
  else if (
    query.limit === undefined &&
    typeof plan.limit === 'number' &&
    rows.length === plan.limit &&
    rows.length > 0
  ) {
    context.terminal.note(
      `${rows.length} rows shown, the default limit of the statement: there may be more, raise --limit.`,
    );
  }
}
