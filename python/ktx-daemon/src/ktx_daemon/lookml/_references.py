"""`${...}` in the SQL of fields: what a reference stands for in the view's own columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from ktx_daemon.errors import DaemonError
from ktx_daemon.identifiers import quoted_if_needed
from ktx_daemon.lookml._project import with_constants
from ktx_daemon.sql_analysis import parse

__all__ = ["REFERENCE", "Fields", "Unresolved", "expression", "has_liquid"]

REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_TABLE = re.compile(r"\$\{\s*TABLE\s*\}\s*\.\s*")
_PLAIN_COLUMN = re.compile(r"\$\{TABLE\}\.([A-Za-z_][A-Za-z0-9_]*)")
_LONGEST = 64 * 1024  # fields that name others twice double at every step
_WHOLE_TIMEFRAMES = frozenset({"raw", "time"})


class Unresolved(Exception):
    """Why a piece of SQL cannot be used; the text is for the caller."""


def has_liquid(text: str) -> bool:
    return "{%" in text or "{{" in text


def expression(sql: str, dialect: str) -> exp.Expr:
    """The one SQL expression `sql` is, parsed in the dialect."""
    try:
        statements = parse(f"SELECT\n{sql}\n", dialect, lines_before=1).statements
    except DaemonError as error:
        raise Unresolved("its SQL cannot be parsed") from error
    select = statements[0] if len(statements) == 1 else None
    alone = isinstance(select, exp.Select) and len(select.expressions) == 1
    if (
        not isinstance(select, exp.Select)
        or not alone
        or any(value for key, value in select.args.items() if key not in ("expressions", "kind"))
    ):
        raise Unresolved("its SQL is not one expression")
    found = select.expressions[0]
    if isinstance(found, exp.Alias):
        raise Unresolved("its SQL is not one expression")
    assert isinstance(found, exp.Expr)
    return found


@dataclass(slots=True)
class Fields:
    """The dimensions of one view, and what a reference to each of them is in SQL.

    `by_name` are computed dimensions called like a column they use: a reference to one is its name, as its
    SQL, put in place, would mean the dimension where it says the column.
    """

    view: str
    dialect: str
    constants: Mapping[str, str]
    dimensions: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, Mapping[str, Any]]
    by_name: frozenset[str] = frozenset()
    _known: dict[str, str | Unresolved] = field(default_factory=dict)

    def sql_of(self, item: Mapping[str, Any]) -> str | None:
        """The field's own SQL with constants in place."""
        text = item.get("sql")
        return with_constants(text, self.constants).strip() if isinstance(text, str) and text.strip() else None

    def physical(self, item: Mapping[str, Any]) -> str | None:
        """The physical column a dimension shows unchanged, or None if it computes something."""
        sql = self.sql_of(item)
        if sql is None:
            return None if "case" in item else str(item["name"])
        if not _TABLE.match(sql) or has_liquid(sql):
            return None
        if plain := _PLAIN_COLUMN.fullmatch(sql):  # nearly all dimensions; spares a parse
            return plain[1]
        try:
            found = expression(_TABLE.sub("", sql, count=1), self.dialect)
        except Unresolved:
            return None
        return found.name if isinstance(found, exp.Column) and not found.table and not has_star(found) else None

    def direct(self, item: Mapping[str, Any]) -> frozenset[str]:
        """Columns the field's own SQL names without a reference to another field."""
        sql = self.sql_of(item)
        if (column := self.physical(item)) is not None:
            return frozenset((column,))
        if sql is None or REFERENCE.fullmatch(sql):
            return frozenset()
        if has_liquid(sql) or "@{" in sql:
            return frozenset()
        try:
            found = expression(REFERENCE.sub("NULL", _TABLE.sub("", sql)), self.dialect)
        except Unresolved:
            return frozenset()
        return frozenset(column.name for column in found.find_all(exp.Column))

    def resolve(self, sql: str, pending: tuple[str, ...] = ()) -> str:
        """`sql` with references to own dimensions replaced by what they are; raises `Unresolved`."""
        if has_liquid(sql):
            raise Unresolved("it uses Liquid")
        if "@{" in sql:
            raise Unresolved("it uses an undefined constant")
        text = REFERENCE.sub(lambda match: self.reference(match[1].strip(), pending), _TABLE.sub("", sql))
        if len(text) > _LONGEST:
            raise Unresolved("its SQL becomes too long")
        return text

    def reference(self, name: str, pending: tuple[str, ...] = ()) -> str:
        """SQL of one reference, bracketed unless it is a single column."""
        if name == "TABLE":
            raise Unresolved("it uses ${TABLE} without a column")
        view, dot, own = name.rpartition(".")
        if dot and view != self.view:
            raise Unresolved(f"it refers to ${{{name}}}")
        if own in pending:
            raise Unresolved("it refers to itself through " + " > ".join((*pending, own)))
        if len(pending) > 100:
            raise Unresolved("it refers to too long a chain of fields")
        if own not in self._known:
            try:
                self._known[own] = self._meaning(own, pending)
            except Unresolved as problem:
                if pending:  # may be the fault of where it was come from
                    raise
                self._known[own] = problem
        known = self._known[own]
        if isinstance(known, Unresolved):
            raise known
        return known

    def _meaning(self, name: str, pending: tuple[str, ...]) -> str:
        if name in self.dimensions:
            return self._column(self.dimensions[name], (*pending, name))
        group, _, timeframe = name.rpartition("_")
        if group in self.groups and self.groups[group].get("type", "time") == "time":
            column = self._column(self.groups[group], (*pending, name))
            if timeframe in _WHOLE_TIMEFRAMES:
                return column
            if timeframe == "date":
                return f"CAST({column} AS DATE)"
            raise Unresolved(f"it refers to the timeframe ${{{name}}}")
        raise Unresolved(f"it refers to ${{{name}}}")

    def _column(self, item: Mapping[str, Any], pending: tuple[str, ...]) -> str:
        if item["name"] in self.by_name:
            return quoted_if_needed(str(item["name"]), self.dialect)
        if (column := self.physical(item)) is not None:
            return quoted_if_needed(column, self.dialect)
        sql = self.sql_of(item)
        if sql is None:
            raise Unresolved(f"it refers to {item['name']!r}, which has no SQL")
        return f"({self.resolve(sql, pending)})"


def has_star(column: exp.Column) -> bool:
    return isinstance(column.this, exp.Star)
