/** PostgreSQL's text form of values as cells. */
import { type Cell, type Encoding, exactJson, float, isoTimestamp, safe } from './values.ts';

export interface PgType {
  /** As `format_type` prints it, with parameters. */
  readonly name: string;
  /** Of the base type, for domains. */
  readonly oid: number;
  /** Of the elements, for arrays. */
  readonly element?: number;
}

/** OIDs of built-in types never change. */
const BOOL = 16;
const INTEGERS = new Set([20, 21, 23, 26]);
const FLOATS = new Set([700, 701]);
const BYTEA = 17;
const JSONS = new Set([114, 3802]);
const TIMESTAMPS = new Set([1114, 1184]);

export function encodingOf(type: PgType): Encoding {
  if (type.element !== undefined || JSONS.has(type.oid)) return 'json';
  if (type.oid === BOOL) return 'boolean';
  if (type.oid === BYTEA) return 'hex';
  return INTEGERS.has(type.oid) || FLOATS.has(type.oid) ? 'number' : 'string';
}

export function reader(type: PgType): (text: string) => Cell {
  const { element } = type;
  if (element !== undefined) return (text) => arrayOf(text, scalar(element));
  return scalar(type.oid);
}

function scalar(oid: number): (text: string) => Cell {
  if (oid === BOOL) return (text) => text === 't';
  if (INTEGERS.has(oid)) return (text) => BigInt(text);
  if (FLOATS.has(oid)) return (text) => float(Number(text));
  if (JSONS.has(oid)) return (text) => exactJson(text) as Cell;
  if (TIMESTAMPS.has(oid)) return isoTimestamp;
  return (text) => text;
}

/** `{1,NULL,"a,b",{2}}`, optionally after bounds as `[0:2]=`. */
export function arrayOf(text: string, item: (text: string) => Cell): readonly unknown[] {
  let at = text.indexOf('{');
  const list = (): unknown[] => {
    const items: unknown[] = [];
    at++; // {
    while (text[at] !== '}') {
      if (text[at] === '{') items.push(list());
      else if (text[at] === '"') items.push(inArray(item(quoted())));
      else {
        const start = at;
        while (text[at] !== ',' && text[at] !== '}') at++;
        const word = text.slice(start, at);
        items.push(word === 'NULL' ? null : inArray(item(word)));
      }
      if (text[at] === ',') at++;
    }
    at++; // }
    return items;
  };
  const quoted = (): string => {
    let value = '';
    for (at++; text[at] !== '"'; at++) {
      if (text[at] === '\\') at++;
      value += text[at];
    }
    at++;
    return value;
  };
  return list();
}

function inArray(cell: Cell): unknown {
  if (typeof cell !== 'bigint') return cell;
  return safe(cell) ? Number(cell) : cell.toString();
}
