/**
 * The demo's database, made from arithmetic: the same bytes on every machine and every Node.
 *
 * The build runs this; `ktx demo` only copies the result. Everything that could differ is pinned: page
 * size, insertion order, one transaction, VACUUM, and the header fields that carry the library's
 * version and its change counter (file format: sqlite.org/fileformat2.html, sections 1.3.7 and 1.3.11).
 */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const SCHEMA = `
  CREATE TABLE customers (id INTEGER PRIMARY KEY, region TEXT NOT NULL, signed_up_on DATE NOT NULL);
  CREATE TABLE products (id INTEGER PRIMARY KEY, category TEXT NOT NULL, price INTEGER NOT NULL);
  CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    ordered_on DATE NOT NULL,
    status TEXT NOT NULL
  );
  CREATE TABLE order_items (
    id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    product_id INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL,
    unit_price INTEGER NOT NULL
  );
  CREATE TABLE refunds (
    id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    amount INTEGER NOT NULL
  );`;

export type Value = string | number;

/** Every row of every table, in insertion order. */
export function demoRows(): Readonly<Record<string, readonly (readonly Value[])[]>> {
  const price = (product: number): number => 4 + 3 * product;
  const customers = upTo(120).map((id) => [id, region((29 * id) % 100), day(id)]);
  const products = upTo(12).map((id) => [id, ['beans', 'gear', 'tea'][id % 3] as string, price(id)]);
  const orders = upTo(1000).map((id) => [id, 1 + ((37 * id) % 120), day(Math.floor((365 * id) / 1001)), status(id)]);
  const items = upTo(1000).flatMap((order) =>
    upTo((order % 3) + 1).map((n) => {
      const product = 1 + ((5 * order + 7 * (n - 1)) % 12);
      return [order, product, 1 + ((order + n - 1) % 3), price(product)];
    }),
  );
  const refunds = upTo(1000)
    .filter((order) => order % 7 === 0)
    .flatMap((order) => upTo((order % 2) + 1).map((n) => [order, 5 + ((order + 3 * (n - 1)) % 11)]));
  return { customers, products, orders, order_items: numbered(items), refunds: numbered(refunds) };
}

/** Writes the database to `path`, replacing it; parent directories are made. */
export function writeDemoDatabase(path: string): void {
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  mkdirSync(dirname(path), { recursive: true });
  const scratch = mkdtempSync(join(dirname(path), '.demo-'));
  try {
    const file = join(scratch, 'database');
    const database = new DatabaseSync(file);
    database.exec('PRAGMA page_size = 4096; PRAGMA auto_vacuum = NONE; PRAGMA encoding = "UTF-8"; BEGIN');
    database.exec(SCHEMA);
    for (const [table, rows] of Object.entries(demoRows())) {
      const marks = rows[0]?.map(() => '?').join(', ');
      const insert = database.prepare(`INSERT INTO ${table} VALUES (${marks})`);
      for (const row of rows) insert.run(...row);
    }
    database.exec('COMMIT; VACUUM');
    database.close();
    writeFileSync(file, normalised(readFileSync(file)));
    renameSync(file, path);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The library that wrote the file leaves its version and how often it wrote. */
function normalised(bytes: Buffer): Buffer {
  const counter = 1;
  bytes.writeUInt32BE(counter, 24); // file change counter
  bytes.writeUInt32BE(counter, 92); // version-valid-for: must equal the counter
  bytes.writeUInt32BE(3_045_000, 96); // SQLITE_VERSION_NUMBER
  return bytes;
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

function numbered(rows: readonly (readonly Value[])[]): Value[][] {
  return rows.map((row, index) => [index + 1, ...row]);
}

/** 2025-01-01 plus `n` days. */
function day(n: number): string {
  return new Date(Date.UTC(2025, 0, 1 + n)).toISOString().slice(0, 10);
}

function region(h: number): string {
  if (h < 40) return 'north';
  if (h < 65) return 'south';
  return h < 85 ? 'east' : 'west';
}

function status(order: number): string {
  if (order % 20 === 0) return 'cancelled';
  return order % 9 === 0 ? 'open' : 'paid';
}
