/**
 * Rows of a ledger in flat memory outside the heap.
 *
 * As objects, 100,000 entries would cost 25 MB and, surviving one collection after another, make the heap grow by
 * twice that.
 */
import type { Entry, Ledger } from './ledger.ts';

const ROWS = 1024;

interface Block {
  /** The paths one after another, UTF-8. */
  text: Buffer;
  /** Where in `text` each path ends. */
  readonly ends: Uint32Array;
  readonly sizes: Float64Array;
  /** 32 bytes each. */
  readonly digests: Buffer;
  /** Whether the order of bytes is that of code units. */
  ascii: boolean;
}

/** Collects entries in any order; a path must not be added twice. */
export class LedgerBuilder {
  readonly #rows = new Rows();

  get size(): number {
    return this.#rows.count;
  }

  /** Sum of all sizes. */
  get bytes(): number {
    return this.#rows.bytes;
  }

  /** `sha256`: hex, or 32 bytes. */
  add(path: string, bytes: number, sha256: string | Buffer): void {
    this.#rows.add(path, bytes, sha256);
  }

  build(): Ledger {
    const rows = this.#rows;
    const order = Uint32Array.from({ length: rows.count }, (_, at) => at);
    return new SortedRows(
      order.sort((a, b) => rows.compare(a, b)),
      rows,
    );
  }
}

/** Blocks are never copied to grow, so that what was outgrown does not add to the peak. */
class Rows {
  readonly #blocks: Block[] = [];
  count = 0;
  bytes = 0;

  add(path: string, bytes: number, sha256: string | Buffer): void {
    const row = this.count % ROWS;
    if (row === 0) this.#blocks.push(newBlock());
    const block = this.#blocks.at(-1) as Block;
    const start = row === 0 ? 0 : (block.ends[row - 1] as number);
    while (start + path.length * 3 > block.text.length) block.text = Buffer.concat([block.text], block.text.length * 2);
    const length = block.text.write(path, start);
    if (length !== path.length) block.ascii = false;
    block.ends[row] = start + length;
    block.sizes[row] = bytes;
    if (typeof sha256 === 'string') block.digests.write(sha256, row * 32, 'hex');
    else sha256.copy(block.digests, row * 32);
    this.count += 1;
    this.bytes += bytes;
  }

  path(at: number): string {
    const { text, ends } = this.#block(at);
    return text.toString('utf8', startOf(ends, at % ROWS), ends[at % ROWS]);
  }

  entry(at: number): Entry {
    const { sizes, digests } = this.#block(at);
    const row = at % ROWS;
    return { bytes: sizes[row] as number, sha256: digests.toString('hex', row * 32, row * 32 + 32) };
  }

  /** By code unit, as strings compare. */
  compare(a: number, b: number): number {
    const one = this.#block(a);
    const other = this.#block(b);
    if (!one.ascii || !other.ascii) return this.path(a) < this.path(b) ? -1 : 1;
    let i = startOf(one.ends, a % ROWS);
    let j = startOf(other.ends, b % ROWS);
    const end = one.ends[a % ROWS] as number;
    const otherEnd = other.ends[b % ROWS] as number;
    for (; i < end && j < otherEnd; i++, j++) {
      const difference = (one.text[i] as number) - (other.text[j] as number);
      if (difference !== 0) return difference;
    }
    return end - i - (otherEnd - j);
  }

  #block(at: number): Block {
    return this.#blocks[Math.floor(at / ROWS)] as Block;
  }
}

function startOf(ends: Uint32Array, row: number): number {
  return row === 0 ? 0 : (ends[row - 1] as number);
}

function newBlock(): Block {
  return {
    text: Buffer.allocUnsafeSlow(ROWS * 32),
    ends: new Uint32Array(ROWS),
    sizes: new Float64Array(ROWS),
    digests: Buffer.allocUnsafeSlow(ROWS * 32),
    ascii: true,
  };
}

/** A read-only map that makes an `Entry` when asked for it. `order` lists the rows by path. */
class SortedRows implements Ledger {
  readonly #order: Uint32Array;
  readonly #rows: Rows;

  constructor(order: Uint32Array, rows: Rows) {
    this.#order = order;
    this.#rows = rows;
  }

  get size(): number {
    return this.#order.length;
  }

  get(path: string): Entry | undefined {
    const at = this.#find(path);
    return at === undefined ? undefined : this.#rows.entry(at);
  }

  has(path: string): boolean {
    return this.#find(path) !== undefined;
  }

  forEach(callback: (value: Entry, key: string, map: Ledger) => void, thisArg?: unknown): void {
    for (const [path, entry] of this) callback.call(thisArg, entry, path, this);
  }

  *keys(): MapIterator<string> {
    for (const at of this.#order) yield this.#rows.path(at);
  }

  *values(): MapIterator<Entry> {
    for (const at of this.#order) yield this.#rows.entry(at);
  }

  *entries(): MapIterator<[string, Entry]> {
    for (const at of this.#order) yield [this.#rows.path(at), this.#rows.entry(at)];
  }

  [Symbol.iterator](): MapIterator<[string, Entry]> {
    return this.entries();
  }

  #find(path: string): number | undefined {
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const at = this.#order[middle] as number;
      const found = this.#rows.path(at);
      if (found === path) return at;
      if (found < path) low = middle + 1;
      else high = middle;
    }
    return undefined;
  }
}

/** Whether a ledger lists its entries by path already. */
export function isSorted(ledger: Ledger): boolean {
  return ledger instanceof SortedRows;
}
