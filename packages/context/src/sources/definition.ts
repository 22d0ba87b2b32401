/** A source definition as plain data, in the words of its YAML. */

export interface ColumnDefinition {
  readonly name: string;
  readonly type?: string;
  readonly visibility?: string;
  readonly role?: string;
  readonly description?: string;
  readonly descriptions?: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

export interface JoinDefinition {
  readonly to: string;
  readonly on: string;
  readonly relationship: string;
  readonly [key: string]: unknown;
}

export interface NamedDefinition {
  readonly name: string;
  readonly [key: string]: unknown;
}

export interface Definition {
  readonly name: string;
  readonly description?: string;
  readonly descriptions?: Readonly<Record<string, unknown>>;
  readonly table?: string;
  readonly sql?: string;
  readonly grain: readonly string[];
  readonly columns: readonly ColumnDefinition[];
  readonly joins: readonly JoinDefinition[];
  readonly measures: readonly NamedDefinition[];
  readonly segments: readonly NamedDefinition[];
  readonly [key: string]: unknown;
}
