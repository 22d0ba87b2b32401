"""Tables, columns and foreign keys of a PostgreSQL database, read from its catalog in one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ktx_daemon.database_introspection._connection import snapshot
from ktx_daemon.database_introspection._dsn import ConnectionRefused, parse_dsn
from ktx_daemon.database_introspection._models import (
    ColumnInfo,
    DatabaseIntrospectionRequest,
    DatabaseIntrospectionResponse,
    ForeignKeyInfo,
    IntrospectionMetadata,
    TableInfo,
    TableScope,
)
from ktx_daemon.database_introspection._queries import read_rows
from ktx_daemon.database_introspection._rows import DatabaseIntrospectionRows, Row
from ktx_daemon.errors import DaemonError
from ktx_daemon.redaction import clean

__all__ = [
    "ColumnInfo",
    "ConnectionRefused",
    "DatabaseIntrospectionRequest",
    "DatabaseIntrospectionResponse",
    "DatabaseIntrospectionRows",
    "ForeignKeyInfo",
    "IntrospectionMetadata",
    "TableInfo",
    "TableScope",
    "introspect_database_response",
    "load_database_rows",
]

_DRIVERS = ("postgres", "postgresql")


def introspect_database_response(
    request: DatabaseIntrospectionRequest,
    *,
    load_rows: Callable[[DatabaseIntrospectionRequest], DatabaseIntrospectionRows] | None = None,
    now: Callable[[], datetime] | None = None,
    allowed_hosts: Sequence[str] = (),
) -> DatabaseIntrospectionResponse:
    """Introspect the database of `request`.

    `load_rows` replaces the database, `now` the clock; with `allowed_hosts` (names, addresses, networks) no
    other host is connected to. Raises `DaemonError`: `unsupported_driver`, `invalid_connection`,
    `connection_failed`, `timeout`, `missing_dependency`; `ConnectionRefused`; a row without a key is a `ValueError`.
    """
    if request.driver.strip().lower() not in _DRIVERS:
        raise DaemonError("unsupported_driver", 'database introspection supports only driver "postgres"')
    rows = load_rows(request) if load_rows else load_database_rows(request, allowed_hosts=allowed_hosts)
    metadata = IntrospectionMetadata(driver="postgres", schemas=request.schemas)
    if rows.unknown_schemas:
        metadata.warnings = [clean(f"schema {schema!r} does not exist") for schema in rows.unknown_schemas]
    return DatabaseIntrospectionResponse(
        connection_id=request.connection_id,
        extracted_at=(now() if now else datetime.now(UTC)).isoformat(),
        metadata=metadata,
        tables=_tables(rows, request.table_scope),
    )


def load_database_rows(
    request: DatabaseIntrospectionRequest, *, allowed_hosts: Sequence[str] = ()
) -> DatabaseIntrospectionRows:
    """Rows of the requested schemas, and of tables of the scope's names, from the database itself."""
    dsn = parse_dsn(request.url)
    names = None if request.table_scope is None else sorted({table.name for table in request.table_scope})
    with snapshot(
        dsn,
        allowed_hosts=allowed_hosts,
        connect_seconds=request.connection_timeout_seconds,
        statement_seconds=request.statement_timeout_ms / 1000,
    ) as reading:
        return read_rows(reading, request.schemas, names)


def _tables(rows: DatabaseIntrospectionRows, scope: Sequence[TableScope] | None) -> list[TableInfo]:
    tables: dict[tuple[str, str], TableInfo] = {}
    for row in rows.table_rows:
        address = (_value(row, "catalog"), _value(row, "db"), _value(row, "name"))
        if scope is None or any(part.includes(*address) for part in scope):
            catalog, db, name = address
            tables[db, name] = TableInfo(
                catalog=catalog, db=db, name=name, comment=_value(row, "comment"), columns=[], foreign_keys=[]
            )
    for row in rows.column_rows:
        if table := tables.get((_value(row, "db"), _value(row, "table_name"))):
            keys = ("name", "type", "nullable", "primary_key", "comment")
            table.columns.append(ColumnInfo(**{key: _value(row, key) for key in keys}))
    for row in rows.foreign_key_rows:
        if table := tables.get((_value(row, "db"), _value(row, "table_name"))):
            table.foreign_keys.append(_foreign_key(row, table.db))
    return sorted(tables.values(), key=lambda table: (table.catalog, table.db, table.name))


def _foreign_key(row: Row, db: str) -> ForeignKeyInfo:
    key = ForeignKeyInfo(
        **{part: _value(row, part) for part in ("from_column", "to_table", "to_column", "constraint_name")}
    )
    if (target := _value(row, "to_db")) != db:
        key.to_db = target
    return key


def _value(row: Row, key: str) -> Any:
    try:
        return row[key]
    except KeyError:
        raise ValueError(f"an introspection row has no {key!r}") from None
