/**
 * How values cross into JSON without losing anything.
 *
 * Integers are numbers unless one in the column exceeds 2^53-1, then the whole column is strings;
 * decimals are strings as the database prints them; floats round-trip; blobs are `\x` hex.
 */

export type Encoding = 'number' | 'string' | 'boolean' | 'hex' | 'json' | 'mixed';

export interface Column {
  readonly name: string;
  /** The database's own name of the type. */
  readonly type: string;
  readonly encoding: Encoding;
}

export type Row = readonly unknown[];

/** A value before the columns are settled: integers are still bigints. */
export type Cell = null | boolean | string | number | bigint | readonly unknown[] | { readonly [key: string]: unknown };

/** Settles integer columns: `rows` gets JSON values, `encoding` says how to read them. */
export function settle(
  columns: readonly { readonly name: string; readonly type: string; readonly encoding: Encoding }[],
  rows: readonly (readonly Cell[])[],
): { columns: Column[]; rows: Row[] } {
  const wide = columns.map((_column, index) => rows.some((row) => typeof row[index] === 'bigint' && !safe(row[index])));
  return {
    columns: columns.map((column, index) => ({
      name: column.name,
      type: column.type,
      encoding: wide[index] && column.encoding === 'number' ? 'string' : column.encoding,
    })),
    rows: rows.map((row) =>
      row.map((cell, index) => {
        if (typeof cell !== 'bigint') return typeof cell === 'number' ? float(cell) : cell;
        return wide[index] ? cell.toString() : Number(cell);
      }),
    ),
  };
}

export function safe(value: bigint): boolean {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER);
}

/** A float as JSON can say it: `"NaN"`, `"Infinity"`, `"-Infinity"` are strings. */
export function float(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

/** A 32-bit float by its shortest decimal, not by that of the double it widens to. */
export function float32(value: number): number {
  if (!Number.isFinite(value)) return value;
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

export function hex(bytes: Uint8Array): string {
  return `\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`;
}

/** `2025-01-31 10:00:00.5+02` as ISO: `T` between, offsets with minutes; other texts stay. */
export function isoTimestamp(text: string): string {
  return text.replace(
    /^(-?\d{4,}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2}(?:\.\d+)?)(?:([+-]\d{2})(?::?(\d{2}))?)?/,
    (_all, date: string, time: string, hours?: string, minutes?: string) =>
      `${date}T${time}${hours === undefined ? '' : `${hours}:${minutes ?? '00'}`}`,
  );
}

/** JSON text as a value; integers that a number cannot hold become strings. */
export function exactJson(text: string): unknown {
  return JSON.parse(text, function (this: unknown, _key: string, value: unknown, context?: { source?: string }) {
    const source = context?.source;
    if (typeof value !== 'number' || source === undefined) return value;
    return Number.isSafeInteger(value) || !/^-?\d+$/.test(source) ? value : source;
  } as (key: string, value: unknown) => unknown);
}
