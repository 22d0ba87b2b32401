"""Derived tables: their SQL in the target dialect, and what they output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from ktx_daemon.errors import DaemonError
from ktx_daemon.lookml._project import Project, with_constants
from ktx_daemon.sql_analysis import parse

__all__ = ["DerivedTables", "NotDerivable"]

_WRITTEN_IN = "postgres"
_TABLE_NAME = re.compile(r"\$\{\s*([A-Za-z0-9_]+)\.SQL_TABLE_NAME\s*\}")
_LONGEST = 1024 * 1024


class NotDerivable(Exception):
    """Why a view has neither a table nor SQL."""


@dataclass(slots=True)
class DerivedTables:
    """Table name or SQL of each view; other views' SQL is put in as common table expressions."""

    project: Project
    dialect: str
    warnings: list[str] = field(default_factory=list)
    _known: dict[str, tuple[str, list[str]]] = field(default_factory=dict)

    def table(self, view: Mapping[str, Any]) -> str | None:
        text = view.get("sql_table_name")
        if not isinstance(text, str) or not text.strip():
            return None
        name = str(view["name"])
        table = with_constants(text, self.project.constants).strip().rstrip(";").strip()
        try:
            return _TABLE_NAME.sub(lambda match: self._table_of(match[1]), table)
        except NotDerivable as problem:
            self.warnings.append(f"view {name!r}: {problem}; its table name was kept as it is")
            return table

    def sql(self, name: str, pending: tuple[str, ...] = ()) -> tuple[str, list[str]] | None:
        """SQL and output columns of a derived table; None for a view that is none. Raises `NotDerivable`."""
        if name not in self._known:
            table = self.project.views[name].get("derived_table")
            if not isinstance(table, dict):
                return None
            if not isinstance(table.get("sql"), str) or not table["sql"].strip():
                kind = "explore_source" if "explore_source" in table else "something else than SQL"
                raise NotDerivable(f"it is derived from {kind}, which is not supported")
            self._known[name] = self._translated(name, table["sql"], (*pending, name))
        return self._known[name]

    def _table_of(self, name: str) -> str:
        view = self.project.views.get(name)
        table = None if view is None else self.table(view)
        if table is None:
            raise NotDerivable(f"it refers to the table of {name!r}, which has none")
        return table

    def _translated(self, name: str, raw: str, pending: tuple[str, ...]) -> tuple[str, list[str]]:
        text = with_constants(raw, self.project.constants).strip().rstrip(";").strip()
        inner: dict[str, str] = {}
        text = _TABLE_NAME.sub(lambda match: self._placed(match[1], inner, pending), text)
        try:
            statements = parse(text, _WRITTEN_IN).statements
            query = statements[0] if len(statements) == 1 else None
            if not isinstance(query, exp.Query):
                raise DaemonError("invalid_sql", "it is not one query")
            for cte in reversed(inner):
                query = _with_first(query, cte, inner[cte], self.dialect)
            if self.dialect != _WRITTEN_IN or inner:
                text = query.sql(dialect=self.dialect)
        except (DaemonError, SqlglotError, RecursionError, ValueError):
            if inner:
                raise NotDerivable(f"its SQL reads other derived tables but is not {_WRITTEN_IN}") from None
            self.warnings.append(f"view {name!r}: its SQL could not be translated from {_WRITTEN_IN} and was kept")
            return text, []
        if len(text) > _LONGEST:
            raise NotDerivable("its SQL becomes too long")
        return text, _projected(query)

    def _placed(self, name: str, inner: dict[str, str], pending: tuple[str, ...]) -> str:
        if name in pending:
            raise NotDerivable("its SQL refers to itself through " + " > ".join((*pending, name)))
        if name not in self.project.views or len(pending) > 50:
            raise NotDerivable(f"it refers to the table of {name!r}, which is not defined")
        derived = self.sql(name, pending)
        if derived is None:
            return self._table_of(name)
        inner[name] = derived[0]
        return name


def _with_first(query: exp.Query, name: str, sql: str, dialect: str) -> exp.Query:
    """The query with one more common table expression, before its own."""
    # What is put in has been translated already.
    inner = parse(sql, dialect).statements[0]
    cte = exp.CTE(this=inner, alias=exp.TableAlias(this=exp.to_identifier(name)))
    own = query.args.get("with_")
    if isinstance(own, exp.With):
        own.set("expressions", [cte, *own.expressions])
    else:
        query.set("with_", exp.With(expressions=[cte]))
    return query


def _projected(query: exp.Query) -> list[str]:
    """Names of the outputs, through `*` over common table expressions and subqueries where they are known."""
    return list(dict.fromkeys(_outputs(query, {}, 0) or ()))


def _outputs(query: exp.Expr, outer: Mapping[str, list[str] | None], depth: int) -> list[str] | None:
    if depth > 100:
        return None
    known = dict(outer)
    own = query.args.get("with_")
    for cte in own.expressions if isinstance(own, exp.With) else ():
        columns = [column.name for column in cte.args["alias"].args.get("columns") or ()]
        known[cte.alias] = columns or _outputs(cte.this, known, depth + 1)
    while isinstance(query, (exp.SetOperation, exp.Subquery)):
        return _outputs(query.this, known, depth + 1)
    if not isinstance(query, exp.Select):
        return None
    names: list[str] = []
    for projection in query.expressions:
        star = isinstance(projection, exp.Star) or (
            isinstance(projection, exp.Column) and isinstance(projection.this, exp.Star)
        )
        if not star:
            if projection.alias_or_name:
                names.append(projection.alias_or_name)
            continue
        for source in _sources(query):
            qualifier = projection.table if isinstance(projection, exp.Column) else ""
            if qualifier in ("", source.alias_or_name):
                names.extend(_columns_of(source, known, depth) or ())
    return names


def _sources(select: exp.Select) -> list[exp.Expr]:
    first = select.args.get("from_")
    return [item.this for item in (first, *(select.args.get("joins") or ())) if item is not None]


def _columns_of(source: exp.Expr, known: Mapping[str, list[str] | None], depth: int) -> list[str] | None:
    if isinstance(source, exp.Subquery):
        return _outputs(source.this, known, depth + 1)
    if isinstance(source, exp.Table) and not source.db:
        return known.get(source.name)
    return None
