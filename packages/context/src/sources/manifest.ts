/**
 * Scanned tables (`_schema/*.yaml`) as source definitions.
 *
 * A shard entry says what the database has: raw types, primary keys, foreign keys. Projection makes
 * the definition that overlays then refine; the raw type survives as `data_type`.
 */
import type { ColumnDefinition, Definition, JoinDefinition } from './definition.ts';

type Json = Record<string, unknown>;

const NUMBER = new Set([
  ...['int', 'integer', 'tinyint', 'smallint', 'mediumint', 'bigint', 'int2', 'int4', 'int8'],
  ...['numeric', 'decimal', 'number', 'float', 'float4', 'float8', 'real', 'double', 'double precision'],
]);
const TIME = new Set([
  'date',
  'datetime',
  'time',
  'timetz',
  'timestamp',
  'timestamptz',
  'timestamp_ntz',
  'timestamp_ltz',
  'timestamp_tz',
  'timestamp with time zone',
  'timestamp without time zone',
]);
const BOOLEAN = new Set(['boolean', 'bool']);

/** The engine's type of a raw database type, any case, parameters cut. */
export function columnType(raw: string): 'number' | 'time' | 'boolean' | 'string' {
  const base = (raw.split('(')[0] ?? '').trim().toLowerCase().split(/\s+/).join(' ');
  if (NUMBER.has(base)) return 'number';
  if (TIME.has(base)) return 'time';
  return BOOLEAN.has(base) ? 'boolean' : 'string';
}

const ORDER = ['user', 'ai', 'dbt', 'db'];

/** The first non-empty description by user, ai, dbt, db, then any other writer. */
export function bestDescription(descriptions: unknown): string | undefined {
  if (typeof descriptions !== 'object' || descriptions === null) return undefined;
  const texts = descriptions as Json;
  for (const key of [...ORDER, ...Object.keys(texts).filter((name) => !ORDER.includes(name))]) {
    const text = texts[key];
    if (typeof text === 'string' && text.trim() !== '') return text;
  }
  return undefined;
}

/** A checked shard entry as the definition of the source `name`. */
export function projectEntry(name: string, entry: Json): Definition {
  const columns = ((entry.columns as Json[] | null | undefined) ?? []).map(projectColumn);
  const keys = ((entry.columns as Json[] | null | undefined) ?? []).filter((column) => column.pk === true);
  const grain = (keys.length > 0 ? keys : columns).map((column) => String(column.name));
  const descriptions = legacyDescriptions(entry);
  return {
    name,
    ...described(descriptions),
    table: String(entry.table),
    grain,
    columns,
    joins: ((entry.joins as Json[] | null | undefined) ?? []).map(projectJoin),
    measures: [],
    segments: [],
    ...present(entry, ['default_time_dimension', 'tags', 'freshness']),
  };
}

function projectColumn(column: Json): ColumnDefinition {
  const type = columnType(String(column.type));
  return {
    name: String(column.name),
    type,
    ...(type === 'time' ? { role: 'time' } : {}),
    ...described(legacyDescriptions(column)),
    data_type: String(column.type),
    ...present(column, ['constraints', 'enum_values', 'tests']),
  };
}

function projectJoin(join: Json): JoinDefinition {
  const { source: _source, ...rest } = join;
  return rest as unknown as JoinDefinition;
}

/** Before `descriptions` there were two keys; they count where the map says nothing. */
function legacyDescriptions(holder: Json): Json | undefined {
  const given = (holder.descriptions as Json | null | undefined) ?? {};
  const merged: Json = { ...given };
  if (merged.user === undefined && holder.description) merged.user = holder.description;
  if (merged.db === undefined && holder.db_description) merged.db = holder.db_description;
  return Object.keys(merged).length === 0 && holder.descriptions == null ? undefined : merged;
}

function described(descriptions: Json | undefined): { description?: string; descriptions?: Json } {
  if (descriptions === undefined) return {};
  const best = bestDescription(descriptions);
  return { ...(best === undefined ? {} : { description: best }), descriptions };
}

function present(holder: Json, keys: readonly string[]): Json {
  return Object.fromEntries(keys.filter((key) => holder[key] != null).map((key) => [key, holder[key]]));
}
