/**
 * The compute port: everything that is asked of Python, whatever carries the request.
 *
 * Shapes are the daemon's wire contract (snake case, as sent). Each implementation validates what
 * comes back, so a caller never meets a half-formed answer: it gets a value or a `KtxError`.
 */

/** How to start one Python process: `python ...args <subcommand> --error-format json`. */
export interface Launch {
  /** Absolute path of the interpreter. */
  readonly python: string;
  /** Arguments before the subcommand, as `-I -B -X utf8 -m ktx_daemon`. */
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment of the child; nothing is inherited beside it. */
  readonly env: Readonly<Record<string, string>>;
}

/** One source as the engine reads it; see the loader for how it comes to be. */
export type Source = { readonly name: string; readonly [key: string]: unknown };

export interface MeasureRequest {
  readonly expr: string;
  readonly name?: string;
}
export interface DimensionRequest {
  readonly field: string;
  readonly granularity?: string;
}
export interface OrderRequest {
  readonly field: string;
  readonly direction?: 'asc' | 'desc';
  readonly nulls?: 'first' | 'last';
}

export interface SemanticQuery {
  readonly measures: readonly (string | MeasureRequest)[];
  readonly dimensions?: readonly (string | DimensionRequest)[];
  readonly filters?: readonly string[];
  readonly segments?: readonly string[];
  readonly order_by?: readonly (string | OrderRequest)[];
  readonly limit?: number;
  readonly include_empty?: boolean;
  readonly [key: string]: unknown;
}

export interface QueryRequest {
  readonly sources: readonly Source[];
  readonly query: SemanticQuery;
  readonly dialect: string;
}

export interface QueryColumn {
  readonly name: string;
  readonly provenance: string;
  readonly expr: string | null;
  readonly description: string | null;
  readonly granularity: string | null;
}

export interface QueryResult {
  readonly sql: string;
  readonly dialect: string;
  readonly columns: readonly QueryColumn[];
  readonly plan: Readonly<Record<string, unknown>>;
}

export interface ValidateRequest {
  readonly sources: readonly Source[];
  readonly dialect: string;
  readonly recently_touched?: readonly string[];
}

export interface ValidateResult {
  readonly valid: boolean;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  readonly per_source_warnings: Readonly<Record<string, readonly string[]>>;
}

export interface TableColumn {
  readonly name: string;
  readonly type: string;
  readonly primary_key?: boolean;
  readonly nullable?: boolean;
  readonly comment?: string | null;
}
export interface TableDescription {
  readonly name: string;
  readonly catalog?: string | null;
  readonly db?: string | null;
  readonly comment?: string | null;
  readonly columns: readonly TableColumn[];
}
export interface TableLink {
  readonly from_table: string;
  readonly from_column: string;
  readonly to_table: string;
  readonly to_column: string;
  readonly relationship_type: string;
  readonly constraint_name?: string | null;
}

export interface GenerateRequest {
  readonly tables: readonly TableDescription[];
  readonly links: readonly TableLink[];
  readonly dialect: string;
  /** Sources get names that differ by more than case: each is a file. Daemons of 0.1 refuse the key. */
  readonly lower_case_names?: boolean;
}
export interface GenerateResult {
  readonly sources: readonly Source[];
  readonly source_count: number;
  readonly warnings?: readonly string[];
}

export interface TableIdentifierItem {
  readonly key: string;
  readonly sql_table_name: string;
  readonly dialect: string;
}
export interface TableIdentifier {
  readonly ok: boolean;
  readonly catalog: string | null;
  readonly schema: string | null;
  readonly name: string | null;
  readonly canonical_table: string | null;
  readonly reason: string | null;
  readonly detail: string | null;
}
export interface TableIdentifiersResult {
  readonly results: Readonly<Record<string, TableIdentifier>>;
}

export interface ReadOnlyRequest {
  readonly dialect: string;
  readonly sql: string;
}
export interface ReadOnlyResult {
  readonly ok: boolean;
  readonly error: string | null;
}

export interface IntrospectRequest {
  readonly connection_id: string;
  readonly driver?: string;
  readonly url: string;
  readonly schemas?: readonly string[];
  readonly statement_timeout_ms?: number;
  readonly connection_timeout_seconds?: number;
  readonly table_scope?: readonly { catalog?: string | null; db?: string | null; name: string }[] | null;
}
export interface IntrospectedTable extends TableDescription {
  readonly foreign_keys: readonly {
    readonly from_column: string;
    readonly to_table: string;
    readonly to_column: string;
    readonly constraint_name: string | null;
    readonly to_db?: string | null;
  }[];
}
export interface IntrospectResult {
  readonly connection_id: string;
  readonly extracted_at: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tables: readonly IntrospectedTable[];
}

export interface EmbedRequest {
  readonly texts: readonly string[];
}
export interface EmbedResult {
  readonly embeddings: readonly (readonly number[])[];
}

export interface Compute {
  query(request: QueryRequest): Promise<QueryResult>;
  validate(request: ValidateRequest): Promise<ValidateResult>;
  generateSources(request: GenerateRequest): Promise<GenerateResult>;
  parseTableIdentifiers(items: readonly TableIdentifierItem[]): Promise<TableIdentifiersResult>;
  validateReadOnly(request: ReadOnlyRequest): Promise<ReadOnlyResult>;
  introspect(request: IntrospectRequest): Promise<IntrospectResult>;
  embed(request: EmbedRequest): Promise<EmbedResult>;
}

/** Carries one operation's JSON object to Python and brings the (unchecked) answer back. */
export type Exchange = (operation: Operation, body: unknown) => Promise<unknown>;

/** Subcommand of the one-shot form and route of the HTTP form, which answer alike. */
export const OPERATIONS = {
  query: { subcommand: 'semantic-query', route: '/semantic-layer/query' },
  validate: { subcommand: 'semantic-validate', route: '/semantic-layer/validate' },
  generateSources: { subcommand: 'semantic-generate-sources', route: '/semantic-layer/generate-sources' },
  parseTableIdentifiers: { subcommand: 'sql-parse-table-identifier', route: '/sql/parse-table-identifier' },
  validateReadOnly: { subcommand: 'sql-validate-read-only', route: '/sql/validate-read-only' },
  introspect: { subcommand: 'database-introspect', route: '/database/introspect' },
  embed: { subcommand: 'embedding-compute-bulk', route: '/embeddings/compute-bulk' },
} as const;

export type Operation = keyof typeof OPERATIONS;
