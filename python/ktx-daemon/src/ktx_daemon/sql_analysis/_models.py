"""What the SQL capabilities receive and answer."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ktx_daemon.models import Request, Response

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
]


class ParseTableIdentifierItem(Request):
    key: str
    sql_table_name: str
    dialect: str


class ParseTableIdentifierRequest(Request):
    items: list[ParseTableIdentifierItem]


class ParsedIdentifier(Response):
    """Either `ok` with the parts as written, unquoted, or not, with a reason; the rest is null."""

    ok: bool
    catalog: str | None
    schema_: str | None = Field(..., alias="schema")
    name: str | None
    canonical_table: str | None
    reason: str | None
    detail: str | None


class ParseTableIdentifierResponse(Response):
    results: dict[str, ParsedIdentifier]


class ValidateReadOnlyRequest(Request):
    dialect: str
    sql: str


class ValidateReadOnlyResponse(Response):
    ok: bool
    error: str | None


class CatalogTable(Request):
    catalog: str | None = None
    db: str | None = None
    name: str
    columns: list[str] = Field(default_factory=list)


class Catalog(Request):
    tables: list[CatalogTable]


class AnalyzeBatchItem(Request):
    id: str
    sql: str


class AnalyzeBatchRequest(Request):
    dialect: str
    items: list[AnalyzeBatchItem]
    catalog: Catalog | None = None
    max_workers: Annotated[int, Field(ge=1, le=32)] | None = None


class TouchedTable(Response):
    catalog: str | None
    db: str | None
    name: str


class BatchResult(Response):
    tables_touched: list[TouchedTable]
    columns_by_clause: dict[str, list[str]]
    error: str | None


class AnalyzeBatchResponse(Response):
    results: dict[str, BatchResult]
