/**
 * Overlays: what people say about a scanned table, laid over what the scan found.
 *
 * An overlay may refine and add, never redefine: the table, its raw types and its column names
 * belong to the scan, so both can change without overwriting one another.
 */
import type { ColumnDefinition, Definition, JoinDefinition, NamedDefinition } from './definition.ts';
import { bestDescription } from './manifest.ts';
import type { ShapeProblem } from './shape.ts';

type Json = Record<string, unknown>;

/** What the overlay may not say about this entry; empty if it can be applied. */
export function overlayConflicts(base: Definition, overlay: Json): readonly ShapeProblem[] {
  const found: ShapeProblem[] = [];
  const refuse = (message: string, path: ShapeProblem['path']): void => {
    found.push({ message, path, key: typeof path.at(-1) === 'string' });
  };
  for (const key of ['table', 'sql', 'description']) {
    if (overlay[key] != null)
      refuse(`'${key}' is not allowed in an overlay${key === 'description' ? "; use 'descriptions:'" : ''}`, [key]);
  }
  const known = new Set(base.columns.map((column) => column.name));
  const excluded = new Set(texts(overlay.exclude_columns));
  for (const [index, column] of records(overlay.columns).entries()) {
    const at = ['columns', index];
    const name = String(column.name);
    if (known.has(name)) {
      refuse(`column '${name}' is in the manifest; move it to 'column_overrides:'`, [...at, 'name']);
      continue;
    }
    if (column.description != null)
      refuse(`column '${name}': 'description' is not allowed; use 'descriptions:'`, [...at, 'description']);
    for (const key of ['expr', 'type']) {
      if (!column[key]) refuse(`column '${name}' needs '${key}': an overlay adds computed columns only`, at);
    }
  }
  for (const [index, override] of records(overlay.column_overrides).entries()) {
    const at = ['column_overrides', index];
    const name = String(override.name);
    for (const key of ['description', 'type', 'expr']) {
      if (override[key] != null) refuse(`Column override '${name}': '${key}' is not allowed`, [...at, key]);
    }
    if (!known.has(name)) refuse(`Column override '${name}': no such column in the manifest`, [...at, 'name']);
    if (excluded.has(name)) refuse(`Column override '${name}': conflict with exclude_columns`, [...at, 'name']);
  }
  return found;
}

/** The definition refined by a conflict-free overlay, in the order the format prescribes. */
export function applyOverlay(base: Definition, overlay: Json): Definition {
  const excluded = new Set(texts(overlay.exclude_columns));
  const overrides = new Map(records(overlay.column_overrides).map((entry) => [String(entry.name), entry]));
  const columns: ColumnDefinition[] = base.columns
    .filter((column) => !excluded.has(column.name))
    .map((column) => overridden(column, overrides.get(column.name)));
  columns.push(...records(overlay.columns).map((column) => redescribed(column as ColumnDefinition)));
  const disabled = new Set(texts(overlay.disable_joins).map(normalised));
  const joins: JoinDefinition[] = base.joins.filter((join) => !disabled.has(normalised(join.on)));
  const seen = new Set(joins.map(joinKey));
  for (const join of records(overlay.joins) as unknown as JoinDefinition[]) {
    if (seen.has(joinKey(join))) continue;
    seen.add(joinKey(join));
    joins.push(join);
  }
  const merged: Definition = {
    ...base,
    ...(overlay.descriptions == null
      ? {}
      : { descriptions: { ...base.descriptions, ...(overlay.descriptions as Json) } }),
    columns,
    joins,
    ...(overlay.measures == null ? {} : { measures: overlay.measures as NamedDefinition[] }),
    ...(overlay.segments == null ? {} : { segments: overlay.segments as NamedDefinition[] }),
    ...(overlay.grain == null ? {} : { grain: texts(overlay.grain) }),
    ...Object.fromEntries(
      ['default_time_dimension', 'tags', 'freshness']
        .filter((key) => overlay[key] != null)
        .map((key) => [key, overlay[key]]),
    ),
  };
  return overlay.descriptions == null ? merged : redescribed(merged);
}

function overridden(column: ColumnDefinition, override: Json | undefined): ColumnDefinition {
  if (override === undefined) return column;
  const descriptions = { ...column.descriptions, ...((override.descriptions as Json | null | undefined) ?? {}) };
  const { descriptions: _given, ...rest } = override;
  const merged = { ...column, ...rest } as ColumnDefinition;
  return Object.keys(descriptions).length === 0 ? merged : redescribed({ ...merged, descriptions });
}

/** The one-line description follows from the map, whenever there is one. */
function redescribed<T extends { readonly descriptions?: unknown; readonly description?: string }>(holder: T): T {
  const best = bestDescription(holder.descriptions);
  if (best !== undefined) return { ...holder, description: best };
  const { description: _outdated, ...rest } = holder;
  return holder.descriptions === undefined ? holder : (rest as T);
}

function joinKey(join: JoinDefinition): string {
  return JSON.stringify([join.to, normalised(join.on)]);
}

function normalised(text: string): string {
  return text.trim().split(/\s+/).join(' ');
}

function records(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
