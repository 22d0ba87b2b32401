"""What introspection receives and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ktx_daemon.models import Request, Response

__all__ = [
    "ColumnInfo",
    "DatabaseIntrospectionRequest",
    "DatabaseIntrospectionResponse",
    "ForeignKeyInfo",
    "IntrospectionMetadata",
    "TableInfo",
    "TableScope",
]


class TableScope(Request):
    """Tables of this address; null parts match any."""

    catalog: str | None = None
    db: str | None = None
    name: str

    def includes(self, catalog: str, db: str, name: str) -> bool:
        return self.name == name and self.catalog in (None, catalog) and self.db in (None, db)


class DatabaseIntrospectionRequest(Request):
    connection_id: str
    driver: str = "postgres"
    url: Annotated[str, Field(repr=False)]
    schemas: list[str] = Field(default_factory=lambda: ["public"])
    statement_timeout_ms: Annotated[int, Field(ge=1, le=600_000)] = 30_000
    connection_timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 5
    table_scope: list[TableScope] | None = None

    @field_validator("schemas")
    @classmethod
    def _named(cls, schemas: list[str]) -> list[str]:
        if not schemas:
            raise ValueError("at least one schema is needed")
        if any("\0" in schema for schema in schemas):
            raise ValueError("a schema name holds a null character")
        return list(dict.fromkeys(schemas))


class ColumnInfo(Response):
    name: str
    type: str
    nullable: bool
    primary_key: bool
    comment: str | None


class ForeignKeyInfo(Response):
    """One pair of columns. `to_db` is there only if the target lies in another schema."""

    from_column: str
    to_table: str
    to_column: str
    constraint_name: str
    to_db: str | None = None


class TableInfo(Response):
    catalog: str
    db: str
    name: str
    comment: str | None
    columns: list[ColumnInfo]
    foreign_keys: list[ForeignKeyInfo]


class IntrospectionMetadata(Response):
    driver: Literal["postgres"]
    schemas: list[str]
    warnings: list[str] | None = None


class DatabaseIntrospectionResponse(Response):
    connection_id: str
    extracted_at: str
    metadata: IntrospectionMetadata
    tables: list[TableInfo]
