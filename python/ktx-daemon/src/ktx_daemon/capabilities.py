"""The table of capabilities: what the daemon can do, once, for the command line and for HTTP.

A capability is one module and one row here. The module is free of FastAPI and of the process model. It has

* a request model, derived from `models.Request`,
* a response model, derived from `models.Response` (read its rule on defaults),
* a handler, a plain function `handler(request) -> response` that may be called from any thread of any
  process, keeps no state between calls and prints nothing.

The handler raises `errors.DaemonError(code, message)` for what a caller did wrong; `code` is a key of
`errors.STATUS`. Any other `ValueError` becomes 400 `rejected`, a `sqlglot` error 400 `invalid_sql`, anything
else 500. Heavy libraries are imported inside the functions that need them, never at module level, except
pydantic, the engine and sqlglot. Texts put into a *successful* response (`errors[]`, `error`, `warnings[]`) go
through `redaction.clean`. Bounds come from `limits`; a time limit on a part of the work (one item of a
batch) from `deadlines.time_limit`; the dialect from `dialects.resolve_dialect`.

A row names

* `command`, the subcommand, and `route`, its POST route;
* `module`, `request`, `response`, `handler`, by name, so that this table imports nothing;
* `kind`: `cpu` runs in a warm worker process, is killed at its deadline, and may crash or exhaust the
  stack without harm; `thread` waits on something else (a socket, a model) in a bounded thread; `process`
  likewise, but the handler starts and kills a process of its own;
* `deadline` in seconds, waiting for a worker included, and `startup`, more seconds until the module has
  answered once in its process;
* `secrets`: top-level request keys whose URL and password must never be shown.

Standard library only: the command line reads it for `--help`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

__all__ = ["BY_COMMAND", "CAPABILITIES", "Capability", "Kind"]

type Kind = Literal["cpu", "thread", "process"]


class Capability(NamedTuple):  # a dataclass would cost `--help` the import of inspect
    command: str
    route: str
    summary: str
    module: str
    request: str
    response: str
    handler: str
    kind: Kind
    deadline: float
    secrets: tuple[str, ...] = ()
    startup: float = 0


CAPABILITIES: tuple[Capability, ...] = (
    Capability(
        "semantic-query",
        "/semantic-layer/query",
        "Compile measures by dimensions to one SQL statement",
        "ktx_daemon.semantic_layer",
        "SemanticQueryRequest",
        "SemanticQueryResponse",
        "query_semantic_layer_response",
        "cpu",
        30,
    ),
    Capability(
        "semantic-validate",
        "/semantic-layer/validate",
        "Check semantic sources",
        "ktx_daemon.semantic_layer",
        "SemanticValidateRequest",
        "SemanticValidateResponse",
        "validate_semantic_layer_response",
        "cpu",
        30,
    ),
    Capability(
        "semantic-generate-sources",
        "/semantic-layer/generate-sources",
        "Draft semantic sources from tables and links",
        "ktx_daemon.source_generation",
        "GenerateSourcesRequest",
        "GenerateSourcesResponse",
        "generate_sources_response",
        "cpu",
        30,
    ),
    Capability(
        "sql-parse-table-identifier",
        "/sql/parse-table-identifier",
        "Split table identifiers into catalog, schema and name",
        "ktx_daemon.sql_analysis",
        "ParseTableIdentifierRequest",
        "ParseTableIdentifierResponse",
        "parse_table_identifier_response",
        "cpu",
        30,
    ),
    Capability(
        "sql-validate-read-only",
        "/sql/validate-read-only",
        "Decide whether SQL only reads",
        "ktx_daemon.sql_analysis",
        "ValidateReadOnlyRequest",
        "ValidateReadOnlyResponse",
        "validate_read_only_response",
        "cpu",
        30,
    ),
    Capability(
        "sql-analyze-batch",
        "/sql/analyze-batch",
        "List tables and columns that statements touch",
        "ktx_daemon.sql_analysis",
        "AnalyzeBatchRequest",
        "AnalyzeBatchResponse",
        "analyze_batch_response",
        "cpu",
        120,
    ),
    Capability(
        "lookml-parse",
        "/lookml/parse",
        "Read LookML into views, joins and measures",
        "ktx_daemon.lookml",
        "ParseLookmlRequest",
        "ParseLookmlResponse",
        "parse_lookml_response",
        "cpu",
        60,
    ),
    Capability(
        "database-introspect",
        "/database/introspect",
        "List tables, columns and foreign keys of a PostgreSQL database",
        "ktx_daemon.database_introspection",
        "DatabaseIntrospectionRequest",
        "DatabaseIntrospectionResponse",
        "introspect_database_response",
        "thread",
        700,  # its own connect and statement timeouts end it sooner
        secrets=("url",),
    ),
    Capability(
        "embedding-compute",
        "/embeddings/compute",
        "Embed one text",
        "ktx_daemon.embeddings",
        "EmbeddingRequest",
        "EmbeddingResponse",
        "compute_embedding_response",
        "thread",
        120,
        startup=600,  # loading the model, downloading it included
    ),
    Capability(
        "embedding-compute-bulk",
        "/embeddings/compute-bulk",
        "Embed up to a hundred texts",
        "ktx_daemon.embeddings",
        "EmbeddingBulkRequest",
        "EmbeddingBulkResponse",
        "compute_embedding_bulk_response",
        "thread",
        120,
        startup=600,
    ),
    Capability(
        "code-execute",
        "/code/execute",
        "Run Python code in a limited child process",
        "ktx_daemon.code_execution",
        "ExecuteCodeRequest",
        "ExecuteCodeResponse",
        "execute_code_response",
        "process",
        100,  # 30 s for the code, the rest for loading its libraries and killing its processes
    ),
)

BY_COMMAND: Mapping[str, Capability] = MappingProxyType({row.command: row for row in CAPABILITIES})
