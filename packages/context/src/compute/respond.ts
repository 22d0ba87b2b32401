/**
 * What Python answered, checked: a caller of the port gets the promised shape or a `protocol_error`.
 *
 * An empty object that passed as a result would be printed as an empty statement, so nothing is
 * taken on trust.
 */
import { KtxError } from '../errors.ts';
import { isRecord } from '../project/project.ts';
import type {
  Compute,
  EmbedResult,
  Exchange,
  GenerateResult,
  IntrospectResult,
  Operation,
  QueryResult,
  ReadOnlyResult,
  TableIdentifiersResult,
  ValidateResult,
} from './port.ts';

/** The port over a carrier. */
export function computeOver(exchange: Exchange): Compute {
  return {
    query: async (request) => {
      const answer = queryResult(await exchange('query', request));
      if (answer.dialect !== request.dialect) {
        throw protocolError('query', `dialect '${answer.dialect}' came back for '${request.dialect}'`);
      }
      return answer;
    },
    validate: async (request) => validateResult(await exchange('validate', request)),
    generateSources: async (request) => generateResult(await exchange('generateSources', request)),
    parseTableIdentifiers: async (items) => identifiersResult(await exchange('parseTableIdentifiers', { items })),
    validateReadOnly: async (request) => readOnlyResult(await exchange('validateReadOnly', request)),
    introspect: async (request) => introspectResult(await exchange('introspect', request)),
    embed: async (request) => embedResult(await exchange('embed', request), request.texts.length),
  };
}

export function protocolError(operation: Operation, problem: string, excerpts: Record<string, string> = {}): KtxError {
  const shown = Object.entries(excerpts)
    .filter(([, text]) => text.trim() !== '')
    .map(([stream, text]) => `\n${stream}: ${excerpt(text)}`)
    .join('');
  return new KtxError('protocol_error', `The runtime's answer to ${operation} cannot be used: ${problem}.${shown}`, {
    hint: 'Repair the runtime with "ktx runtime install --force"; if it happens again, please report it.',
    details: { operation, ...Object.fromEntries(Object.entries(excerpts).map(([key, text]) => [key, excerpt(text)])) },
  });
}

/** Start and end of a text on one line, without control characters. */
export function excerpt(text: string): string {
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
  return clean.length <= 600 ? clean : `${clean.slice(0, 400)} … ${clean.slice(-180)}`;
}

function queryResult(value: unknown): QueryResult {
  const answer = object('query', value);
  demand('query', typeof answer.sql === 'string' && answer.sql.trim() !== '', 'sql must be a statement');
  demand('query', typeof answer.dialect === 'string' && answer.dialect !== '', 'dialect must be a name');
  demand('query', isRecord(answer.plan), 'plan must be an object');
  const columns = answer.columns;
  demand(
    'query',
    Array.isArray(columns) && columns.every((column) => isRecord(column) && typeof column.name === 'string'),
    'columns must be a list of named columns',
  );
  return answer as unknown as QueryResult;
}

function validateResult(value: unknown): ValidateResult {
  const answer = object('validate', value);
  demand('validate', typeof answer.valid === 'boolean', 'valid must be true or false');
  demand('validate', texts(answer.errors) && texts(answer.warnings), 'errors and warnings must be lists of texts');
  const perSource = answer.per_source_warnings;
  demand(
    'validate',
    isRecord(perSource) && Object.values(perSource).every(texts),
    'per_source_warnings must map to texts',
  );
  demand('validate', answer.valid === ((answer.errors as unknown[]).length === 0), 'valid contradicts errors');
  return answer as unknown as ValidateResult;
}

function generateResult(value: unknown): GenerateResult {
  const answer = object('generateSources', value);
  const sources = answer.sources;
  demand(
    'generateSources',
    Array.isArray(sources) && sources.every((source) => isRecord(source) && typeof source.name === 'string'),
    'sources must be a list of named definitions',
  );
  demand('generateSources', answer.source_count === (sources as unknown[]).length, 'source_count does not fit sources');
  demand('generateSources', answer.warnings == null || texts(answer.warnings), 'warnings must be texts');
  return answer as unknown as GenerateResult;
}

function identifiersResult(value: unknown): TableIdentifiersResult {
  const answer = object('parseTableIdentifiers', value);
  demand(
    'parseTableIdentifiers',
    isRecord(answer.results) &&
      Object.values(answer.results).every((one) => isRecord(one) && typeof one.ok === 'boolean'),
    'results must map keys to verdicts',
  );
  return answer as unknown as TableIdentifiersResult;
}

function readOnlyResult(value: unknown): ReadOnlyResult {
  const answer = object('validateReadOnly', value);
  demand('validateReadOnly', typeof answer.ok === 'boolean', 'ok must be true or false');
  demand('validateReadOnly', answer.error === null || typeof answer.error === 'string', 'error must be a text or null');
  demand('validateReadOnly', answer.ok === (answer.error === null), 'ok contradicts error');
  return answer as unknown as ReadOnlyResult;
}

function introspectResult(value: unknown): IntrospectResult {
  const answer = object('introspect', value);
  demand('introspect', typeof answer.connection_id === 'string', 'connection_id must be a text');
  demand('introspect', isRecord(answer.metadata), 'metadata must be an object');
  const tables = answer.tables;
  demand(
    'introspect',
    Array.isArray(tables) &&
      tables.every(
        (table) =>
          isRecord(table) &&
          typeof table.name === 'string' &&
          Array.isArray(table.columns) &&
          table.columns.every((column) => isRecord(column) && typeof column.name === 'string') &&
          Array.isArray(table.foreign_keys),
      ),
    'tables must be a list of tables with columns and foreign_keys',
  );
  return answer as unknown as IntrospectResult;
}

function embedResult(value: unknown, count: number): EmbedResult {
  const answer = object('embed', value);
  const vectors = answer.embeddings;
  demand(
    'embed',
    Array.isArray(vectors) &&
      vectors.length === count &&
      vectors.every((vector) => Array.isArray(vector) && vector.every((part) => typeof part === 'number')),
    `embeddings must be ${count} lists of numbers`,
  );
  return answer as unknown as EmbedResult;
}

function object(operation: Operation, value: unknown): Record<string, unknown> {
  if (!isRecord(value)) throw protocolError(operation, 'it is not a JSON object');
  return value;
}

function demand(operation: Operation, holds: boolean, problem: string): void {
  if (!holds) throw protocolError(operation, problem);
}

function texts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
