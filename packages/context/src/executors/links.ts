/** Foreign keys as the links that sources are generated from, a row per pair of columns. */
import type { TableLink } from '../compute/port.ts';

export interface ForeignKey {
  readonly from: string;
  readonly fromColumns: readonly string[];
  readonly to: string;
  readonly toColumns: readonly string[];
  readonly name: string;
  /** Keys of the referencing table: one inside the foreign key makes the relation one to one. */
  readonly unique: readonly (readonly string[])[];
}

export function linksOf({ from, fromColumns, to, toColumns, name, unique }: ForeignKey): TableLink[] {
  const single = unique.some((key) => key.length > 0 && key.every((column) => fromColumns.includes(column)));
  return fromColumns.map((column, index) => ({
    from_table: from,
    from_column: column,
    to_table: to,
    to_column: toColumns[index] ?? '',
    relationship_type: single ? 'one_to_one' : 'many_to_one',
    constraint_name: name,
  }));
}
