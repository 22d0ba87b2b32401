/** DuckDB's values as cells: decimals and dates as text, nested values as JSON. */
import type * as DuckDB from '@duckdb/node-api';
import { type Cell, type Encoding, exactJson, float, float32, hex, isoTimestamp, safe } from './values.ts';

type Api = typeof DuckDB;

export function encodingOf(api: Api, type: DuckDB.DuckDBType): Encoding {
  const ids = api.DuckDBTypeId;
  if (type.alias === 'JSON') return 'json';
  switch (type.typeId) {
    case ids.BOOLEAN:
      return 'boolean';
    case ids.TINYINT:
    case ids.SMALLINT:
    case ids.INTEGER:
    case ids.BIGINT:
    case ids.HUGEINT:
    case ids.UTINYINT:
    case ids.USMALLINT:
    case ids.UINTEGER:
    case ids.UBIGINT:
    case ids.UHUGEINT:
    case ids.BIGNUM:
    case ids.FLOAT:
    case ids.DOUBLE:
      return 'number';
    case ids.BLOB:
      return 'hex';
    case ids.LIST:
    case ids.ARRAY:
    case ids.STRUCT:
    case ids.MAP:
    case ids.UNION:
    case ids.VARIANT:
      return 'json';
    default:
      return 'string';
  }
}

export function cellOf(api: Api, value: DuckDB.DuckDBValue, type: DuckDB.DuckDBType): Cell {
  if (value === null || typeof value === 'boolean') return value;
  const ids = api.DuckDBTypeId;
  if (typeof value === 'string') return type.alias === 'JSON' ? (exactJson(value) as Cell) : value;
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') {
    if (type.typeId === ids.FLOAT) return float32(value);
    return type.typeId === ids.DOUBLE || !Number.isInteger(value) ? value : BigInt(value);
  }
  return nested(api, value, type) as Cell;
}

/** The same inside lists and structs, where a column cannot decide: wide integers are strings one by one. */
function nested(api: Api, value: DuckDB.DuckDBValue, type: DuckDB.DuckDBType | undefined): unknown {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'bigint') return safe(value) ? Number(value) : value.toString();
  if (typeof value === 'number') return float(type?.typeId === api.DuckDBTypeId.FLOAT ? float32(value) : value);
  if (value instanceof api.DuckDBBlobValue) return hex(value.bytes);
  if (value instanceof api.DuckDBTimestampTZValue) return instant(value);
  if (
    value instanceof api.DuckDBTimestampValue ||
    value instanceof api.DuckDBTimestampSecondsValue ||
    value instanceof api.DuckDBTimestampMillisecondsValue ||
    value instanceof api.DuckDBTimestampNanosecondsValue
  ) {
    return isoTimestamp(value.toString());
  }
  if (value instanceof api.DuckDBListValue || value instanceof api.DuckDBArrayValue) {
    const item = (type as { valueType?: DuckDB.DuckDBType } | undefined)?.valueType;
    return value.items.map((one) => nested(api, one, item));
  }
  if (value instanceof api.DuckDBStructValue) {
    const { entryNames, entryTypes } = (type ?? {}) as Partial<DuckDB.DuckDBStructType>;
    return Object.fromEntries(
      Object.entries(value.entries).map(([name, one]) => [
        name,
        nested(api, one, entryTypes?.[entryNames?.indexOf(name) ?? -1]),
      ]),
    );
  }
  if (value instanceof api.DuckDBMapValue) {
    const { keyType, valueType } = (type ?? {}) as Partial<DuckDB.DuckDBMapType>;
    const entries = value.entries.map((entry) => ({
      key: nested(api, entry.key, keyType),
      value: nested(api, entry.value, valueType),
    }));
    const named = entries.every(({ key }) => typeof key === 'string');
    return named ? Object.fromEntries(entries.map(({ key, value: one }) => [key, one])) : entries;
  }
  if (value instanceof api.DuckDBUnionValue) return nested(api, value.value, undefined);
  // Decimals, dates, times, intervals, UUIDs and bits print themselves exactly.
  return String(value);
}

/** A point in time in UTC, to the microsecond as stored; the library would print the machine's zone. */
function instant(value: DuckDB.DuckDBTimestampTZValue): string {
  // Infinities and years that a Date cannot hold keep the library's own text.
  const date = new Date(Number(value.micros / 1000n) - (value.micros % 1000n < 0n ? 1 : 0));
  if (Number.isNaN(date.getTime())) return isoTimestamp(value.toString());
  const micros = ((value.micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const fraction = micros === 0n ? '' : `.${micros.toString().padStart(6, '0').replace(/0+$/, '')}`;
  return `${date.toISOString().replace(/\.\d{3}Z$/, '')}${fraction}+00:00`;
}
