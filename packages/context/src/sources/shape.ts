/**
 * The shape of a source definition, checked without Python.
 *
 * It says the same as the engine's models: a source refuses unknown keys, nested definitions ignore
 * them, one of `table` and `sql` is given, `grain` is not empty. Expressions are not parsed here.
 */
import { isRecord } from '../project/project.ts';
import type { Path } from '../yaml.ts';

export interface ShapeProblem {
  readonly message: string;
  readonly path: Path;
  /** True to point at the key instead of its value. */
  readonly key?: boolean;
}

type Report = (problem: ShapeProblem) => void;
type Check = (value: unknown, path: Path, report: Report) => void;

interface Field {
  readonly check: Check;
  readonly required?: boolean;
  /** Null means absent unless this is set. */
  readonly notNull?: boolean;
}

const text: Check = (value, path, report) => {
  if (typeof value !== 'string') report({ message: `${label(path)} must be a text, not ${kindOf(value)}`, path });
};

const filled: Check = (value, path, report) => {
  if (typeof value !== 'string' || value === '') report({ message: `${label(path)} must be a non-empty text`, path });
};

function oneOf(...values: readonly string[]): Check {
  return (value, path, report) => {
    if (typeof value === 'string' && values.includes(value)) return;
    report({ message: `${label(path)} must be one of ${values.join(', ')}, not ${shown(value)}`, path });
  };
}

function list(item: Check): Check {
  return (value, path, report) => {
    if (!Array.isArray(value)) report({ message: `${label(path)} must be a list, not ${kindOf(value)}`, path });
    else for (const [index, entry] of value.entries()) item(entry, [...path, index], report);
  };
}

function mapping(item: Check): Check {
  return (value, path, report) => {
    if (!isRecord(value)) report({ message: `${label(path)} must be a mapping, not ${kindOf(value)}`, path });
    else for (const [key, entry] of Object.entries(value)) item(entry, [...path, key], report);
  };
}

const anything: Check = () => {};
const flag: Check = (value, path, report) => {
  if (typeof value !== 'boolean') report({ message: `${label(path)} must be true or false`, path });
};
const orNull =
  (check: Check): Check =>
  (value, path, report) => {
    if (value !== null) check(value, path, report);
  };

function record(fields: Readonly<Record<string, Field>>, unknown: 'refuse' | 'ignore', what: string): Check {
  return (value, path, report) => {
    if (!isRecord(value)) {
      report({ message: `${label(path) || what} must be a mapping, not ${kindOf(value)}`, path });
      return;
    }
    if (unknown === 'refuse') {
      for (const key of Object.keys(value)) {
        if (!Object.hasOwn(fields, key)) {
          report({ message: unknownKey(key, Object.keys(fields), what), path: [...path, key], key: true });
        }
      }
    }
    for (const [key, field] of Object.entries(fields)) {
      const given = value[key];
      if (given === undefined || (given === null && field.notNull !== true)) {
        if (field.required === true) report({ message: `${label(path) || what} needs ${key}`, path });
      } else field.check(given, [...path, key], report);
    }
  };
}

const optional = (check: Check): Field => ({ check });
const required = (check: Check): Field => ({ check, required: true });
/** Absent is fine, null is not: the engine's models have a default, not a null. */
const defaulted = (check: Check): Field => ({ check, notNull: true });

export const TYPES = ['string', 'number', 'time', 'boolean'];
const RELATIONSHIPS = ['many_to_one', 'one_to_many', 'one_to_one'];
const texts = list(text);
const descriptions = mapping(orNull(text));
const constraint = record({ not_null: optional(flag), unique: optional(flag) }, 'ignore', 'constraint');
const test = record(
  { name: required(text), package: required(text), kwargs: optional(mapping(anything)) },
  'ignore',
  'test',
);
const tests = record(
  { dbt: optional(list(test)), dbt_by_package: optional(mapping(list(anything))) },
  'ignore',
  'tests',
);

const COLUMN_DETAILS = {
  descriptions: optional(descriptions),
  constraints: optional(mapping(constraint)),
  enum_values: optional(mapping(list(anything))),
  tests: optional(tests),
};

const column = record(
  {
    name: required(filled),
    type: required(oneOf(...TYPES)),
    visibility: defaulted(oneOf('public', 'internal', 'hidden')),
    role: defaulted(oneOf('default', 'time')),
    description: optional(text),
    expr: optional(text),
    natural_granularity: optional(text),
    data_type: optional(text),
    ...COLUMN_DETAILS,
  },
  'ignore',
  'column',
);
const measure = record(
  {
    name: required(filled),
    expr: required(filled),
    filter: optional(text),
    segments: defaulted(texts),
    description: optional(text),
  },
  'ignore',
  'measure',
);
const segment = record(
  { name: required(filled), expr: required(filled), description: optional(text) },
  'ignore',
  'segment',
);
const join = record(
  {
    to: required(text),
    on: required(text),
    relationship: required(oneOf(...RELATIONSHIPS)),
    alias: optional(text),
  },
  'ignore',
  'join',
);

const EXTRAS = {
  default_time_dimension: optional(record({ dbt: optional(text) }, 'ignore', 'default_time_dimension')),
  tags: optional(mapping(list(anything))),
  freshness: optional(mapping(record({ loaded_at_field: optional(text) }, 'ignore', 'freshness'))),
};

const SOURCE: Readonly<Record<string, Field>> = {
  name: required(filled),
  description: optional(text),
  descriptions: optional(descriptions),
  table: optional(text),
  sql: optional(text),
  grain: required(texts),
  columns: required(list(column)),
  joins: defaulted(list(join)),
  measures: defaulted(list(measure)),
  segments: defaulted(list(segment)),
  ...EXTRAS,
};

const source = record(SOURCE, 'refuse', 'source');

/** Problems of a standalone definition, in document order of its keys. */
export function sourceProblems(value: unknown): readonly ShapeProblem[] {
  const found = collect(source, value);
  if (isRecord(value)) {
    if (value.table && value.sql)
      found.push({ message: "'table' and 'sql' are mutually exclusive; keep one", path: ['sql'] });
    else if (!value.table && !value.sql)
      found.push({ message: "exactly one of 'table' and 'sql' must be given", path: [] });
    if (Array.isArray(value.grain) && value.grain.length === 0) {
      found.push({ message: 'grain must be non-empty; name the columns of its key', path: ['grain'] });
    }
  }
  return found;
}

const override = record({ name: required(filled), ...COLUMN_DETAILS }, 'ignore', 'column override');
const addition = record({ name: required(filled) }, 'ignore', 'column');

/** Members of an overlay; what they may not hold depends on the entry and is checked with it. */
const OVERLAY: Readonly<Record<string, Field>> = {
  ...SOURCE,
  grain: optional(texts),
  columns: optional(list(addition)),
  joins: optional(list(join)),
  measures: optional(list(measure)),
  segments: optional(list(segment)),
  exclude_columns: optional(texts),
  column_overrides: optional(list(override)),
  disable_joins: optional(texts),
};

const overlay = record(OVERLAY, 'refuse', 'overlay');

export function overlayProblems(value: unknown): readonly ShapeProblem[] {
  return collect(overlay, value);
}

const manifestColumn = record(
  {
    name: required(filled),
    type: required(text),
    pk: defaulted(flag),
    nullable: defaulted(flag),
    description: optional(text),
    db_description: optional(text),
    ...COLUMN_DETAILS,
  },
  'ignore',
  'column',
);
const manifestJoin = record(
  {
    to: required(text),
    on: required(text),
    relationship: required(oneOf(...RELATIONSHIPS)),
    alias: optional(text),
    source: defaulted(oneOf('formal', 'inferred', 'manual')),
  },
  'ignore',
  'join',
);
const entry = record(
  {
    table: required(filled),
    description: optional(text),
    db_description: optional(text),
    descriptions: optional(descriptions),
    columns: defaulted(list(manifestColumn)),
    joins: defaulted(list(manifestJoin)),
    ...EXTRAS,
  },
  'ignore',
  'entry',
);

export function entryProblems(value: unknown): readonly ShapeProblem[] {
  return collect(entry, value);
}

function collect(check: Check, value: unknown): ShapeProblem[] {
  const found: ShapeProblem[] = [];
  check(value, [], (problem) => found.push(problem));
  return found;
}

/** `measures[1].expr`; empty for the root. */
function label(path: Path): string {
  return path.map((step, index) => (typeof step === 'number' ? `[${step}]` : index === 0 ? step : `.${step}`)).join('');
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a mapping' : `the ${typeof value} ${shown(value)}`;
}

function shown(value: unknown): string {
  const printed = JSON.stringify(value) ?? String(value);
  return printed.length > 60 ? `${printed.slice(0, 57)}…` : printed;
}

function unknownKey(key: string, known: readonly string[], what: string): string {
  const near = nearest(key, known);
  return `unknown key '${key}' in ${what}${near === undefined ? `; known: ${known.join(', ')}` : `; did you mean '${near}'?`}`;
}

/** The known name within two edits, if there is one. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.min(2, Math.floor(name.length / 2)) ? best.candidate : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
