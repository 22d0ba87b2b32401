"""Rows of the catalog, before they are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["DatabaseIntrospectionRows", "Row"]

type Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DatabaseIntrospectionRows:
    """What a database says about its tables.

    * `table_rows`: `catalog db name comment`
    * `column_rows`, in the order of their position: `db table_name name type nullable primary_key comment`
    * `foreign_key_rows`, one per pair of columns, in order: `db table_name constraint_name from_column to_db
      to_table to_column`
    * `unknown_schemas`: requested schemas that do not exist
    """

    table_rows: Sequence[Row]
    column_rows: Sequence[Row]
    foreign_key_rows: Sequence[Row]
    unknown_schemas: Sequence[str] = ()
