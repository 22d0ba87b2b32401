"""Running SQL on real engines, and comparing rows."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb

Rows = list[tuple[Any, ...]]
Data = Mapping[str, Sequence[Mapping[str, Any]]]

DUCKDB_TYPES = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR", date: "DATE", datetime: "TIMESTAMP"}
SQLITE_TYPES = {bool: "INTEGER", int: "INTEGER", float: "REAL", str: "TEXT", date: "TEXT", datetime: "TEXT"}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Database:
    """Tables loaded into an in-memory DuckDB or SQLite; `run` returns plain rows."""

    def __init__(self, dialect: str, tables: Data, types: Mapping[str, Mapping[str, type]] | None = None) -> None:
        self.dialect = dialect
        self._connection: Any = duckdb.connect(":memory:") if dialect == "duckdb" else sqlite3.connect(":memory:")
        if dialect == "duckdb":
            self._connection.execute("SET threads = 1")
        for name, rows in tables.items():
            self.load(name, rows, (types or {}).get(name) or _types(rows))

    def load(self, name: str, rows: Sequence[Mapping[str, Any]], types: Mapping[str, type]) -> None:
        known = DUCKDB_TYPES if self.dialect == "duckdb" else SQLITE_TYPES
        columns = ", ".join(f"{quoted(column)} {known[kind]}" for column, kind in types.items())
        self._connection.execute(f"CREATE TABLE {quoted(name)} ({columns})")
        values = [[self._stored(row.get(column)) for column in types] for row in rows]
        if not values:
            return
        if self.dialect == "duckdb":  # one statement: executemany costs a round per row
            marks = "(" + ", ".join("?" * len(types)) + ")"
            flat = [value for row in values for value in row]
            self._connection.execute(f"INSERT INTO {quoted(name)} VALUES {', '.join([marks] * len(values))}", flat)
        else:
            marks = ", ".join("?" * len(types))
            self._connection.executemany(f"INSERT INTO {quoted(name)} VALUES ({marks})", values)

    def _stored(self, value: Any) -> Any:
        if self.dialect == "sqlite" and isinstance(value, date):
            return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
        return value

    def run(self, sql: str) -> tuple[list[str], Rows]:
        cursor = self._connection.execute(sql)
        return [column[0] for column in cursor.description], [tuple(row) for row in cursor.fetchall()]

    def run_without_optimizer(self, sql: str) -> Rows:
        """The rows of `sql` as written: DuckDB 2.0.1 merges subplans wrongly in rare statements (`common_subplan`)."""
        self._connection.execute("PRAGMA disable_optimizer")
        try:
            return self.run(sql)[1]
        finally:
            self._connection.execute("PRAGMA enable_optimizer")

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _types(rows: Sequence[Mapping[str, Any]]) -> dict[str, type]:
    types: dict[str, type] = {}
    for row in rows:
        for column, value in row.items():
            if value is not None and (column not in types or types[column] is int):
                types[column] = type(value)
            types.setdefault(column, str) if value is not None else None
    return {column: types.get(column, str) for column in (rows[0] if rows else {})}


def plain(value: Any) -> Any:
    """One value as every database would give it: booleans as 0/1, dates as text, decimals as floats."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        value = value.isoformat(" ", "seconds")
    elif isinstance(value, date):
        value = value.isoformat()
    if isinstance(value, str) and value.endswith(" 00:00:00"):
        return value[:10]
    return value


def close_to(left: Any, right: Any) -> bool:
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
    return bool(left == right)


def same_row(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return len(left) == len(right) and all(close_to(a, b) for a, b in zip(left, right, strict=True))


def _sort_key(row: Sequence[Any]) -> list[tuple[int, Any]]:
    return [
        (0, 0) if v is None else (1, round(float(v), 6)) if isinstance(v, int | float) else (2, str(v)) for v in row
    ]


def plain_rows(rows: Sequence[Sequence[Any]]) -> Rows:
    return [tuple(plain(value) for value in row) for row in rows]


def same_rows(left: Sequence[Sequence[Any]], right: Sequence[Sequence[Any]], ordered: bool = False) -> bool:
    """Equal multisets (or sequences) of rows, floats within 1e-9 of each other."""
    a, b = plain_rows(left), plain_rows(right)
    if len(a) != len(b):
        return False
    if not ordered:
        a, b = sorted(a, key=_sort_key), sorted(b, key=_sort_key)
    return all(same_row(x, y) for x, y in zip(a, b, strict=True))


def contained(part: Sequence[Sequence[Any]], whole: Sequence[Sequence[Any]]) -> bool:
    """Every row of `part` is one of `whole`, repeated rows counted."""
    rest = plain_rows(whole)
    for row in plain_rows(part):
        hit = next((i for i, other in enumerate(rest) if same_row(row, other)), None)
        if hit is None:
            return False
        del rest[hit]
    return True
