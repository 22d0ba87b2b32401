"""SQL inspection: table identifiers, read-only validation, tables and columns of many statements.

Nothing here runs SQL. `read_only_problem` is also the gate for SQL that other capabilities receive or make.
"""

from __future__ import annotations

from ktx_daemon.dialects import resolve_dialect
from ktx_daemon.errors import LimitExceeded
from ktx_daemon.limits import MAX_ITEMS, MAX_TABLES
from ktx_daemon.sql_analysis._batch import analyze_batch
from ktx_daemon.sql_analysis._identifiers import parse_table_identifier, parse_table_identifiers
from ktx_daemon.sql_analysis._models import (
    AnalyzeBatchItem,
    AnalyzeBatchRequest,
    AnalyzeBatchResponse,
    BatchResult,
    Catalog,
    CatalogTable,
    ParsedIdentifier,
    ParseTableIdentifierItem,
    ParseTableIdentifierRequest,
    ParseTableIdentifierResponse,
    TouchedTable,
    ValidateReadOnlyRequest,
    ValidateReadOnlyResponse,
)
from ktx_daemon.sql_analysis._parsing import parse
from ktx_daemon.sql_analysis._read_only import read_only_problem

__all__ = [
    "AnalyzeBatchItem",
    "AnalyzeBatchRequest",
    "AnalyzeBatchResponse",
    "BatchResult",
    "Catalog",
    "CatalogTable",
    "ParseTableIdentifierItem",
    "ParseTableIdentifierRequest",
    "ParseTableIdentifierResponse",
    "ParsedIdentifier",
    "TouchedTable",
    "ValidateReadOnlyRequest",
    "ValidateReadOnlyResponse",
    "analyze_batch_response",
    "parse",
    "parse_table_identifier",
    "parse_table_identifier_response",
    "read_only_problem",
    "validate_read_only_response",
]


def parse_table_identifier_response(request: ParseTableIdentifierRequest) -> ParseTableIdentifierResponse:
    """Split table references into parts; each item is judged alone."""
    _refuse_more_than(MAX_ITEMS, len(request.items), "items")
    return ParseTableIdentifierResponse(results=parse_table_identifiers(request.items))


def validate_read_only_response(request: ValidateReadOnlyRequest) -> ValidateReadOnlyResponse:
    """Decide whether the text is one query that only reads; a refusal is an answer, not an error."""
    problem = read_only_problem(request.sql, resolve_dialect(request.dialect))
    return ValidateReadOnlyResponse(ok=problem is None, error=problem)


def analyze_batch_response(request: AnalyzeBatchRequest) -> AnalyzeBatchResponse:
    """Tables and columns of each statement.

    `max_workers` may only lower parallelism, and one request already runs in a single worker.
    """
    dialect = resolve_dialect(request.dialect)
    _refuse_more_than(MAX_ITEMS, len(request.items), "items")
    tables = None if request.catalog is None else request.catalog.tables
    _refuse_more_than(MAX_TABLES, len(tables or ()), "tables in the catalog")
    return AnalyzeBatchResponse(results=analyze_batch(request.items, dialect, tables))


def _refuse_more_than(bound: int, found: int, what: str) -> None:
    if found > bound:
        raise LimitExceeded(f"{found} {what} are more than the allowed {bound}; split the request")
