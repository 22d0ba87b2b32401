"""Tables and columns that many statements touch; one bad statement spoils only its own result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from ktx_daemon.deadlines import OutOfTime, time_limit
from ktx_daemon.errors import DaemonError
from ktx_daemon.identifiers import case_insensitive, folded
from ktx_daemon.limits import SQL_ITEM_SECONDS
from ktx_daemon.redaction import clean
from ktx_daemon.sql_analysis._models import AnalyzeBatchItem, BatchResult, CatalogTable, TouchedTable
from ktx_daemon.sql_analysis._parsing import parse
from ktx_daemon.sql_analysis._scopes import hidden_by_cte

__all__ = ["analyze_batch"]

# A timer costs a thread; a text this short cannot keep the parser busy for seconds.
_SHORT = 1_000
_CLAUSES: Mapping[str, tuple[str, ...]] = {
    "select": ("distinct", "expressions", "windows"),
    "where": ("where", "prewhere", "connect"),
    "groupBy": ("group",),
    "having": ("having", "qualify"),
    "orderBy": ("order", "sort", "cluster", "distribute"),
}
_ORDER = ("select", "where", "join", "groupBy", "having", "orderBy")
type _Key = tuple[str | None, str | None, str]


def analyze_batch(
    items: Sequence[AnalyzeBatchItem], dialect: str, catalog: Sequence[CatalogTable] | None
) -> dict[str, BatchResult]:
    """Results by id in input order; of equal ids the last item decides. `dialect` is resolved."""
    tables = None if catalog is None else _CatalogIndex(catalog, Dialect.get_or_raise(dialect))
    return {item.id: _analyze(item.sql, dialect, tables) for item in items}


def _analyze(sql: str, dialect: str, catalog: _CatalogIndex | None) -> BatchResult:
    try:
        with nullcontext() if len(sql) < _SHORT else time_limit(SQL_ITEM_SECONDS):
            statement, reader = _statement(sql, dialect)
            return BatchResult(
                tables_touched=_tables(statement, reader, catalog),
                columns_by_clause=_columns(statement, reader),
                error=None,
            )
    except DaemonError as error:
        problem = str(error)
    except RecursionError:
        problem = "SQL is nested too deeply; flatten it or split it"
    except OutOfTime:
        problem = f"SQL took longer than {SQL_ITEM_SECONDS:g} s to analyze; send a shorter statement"
    return BatchResult(tables_touched=[], columns_by_clause={}, error=clean(problem))


def _statement(sql: str, dialect: str) -> tuple[exp.Expr, Dialect]:
    parsed = parse(sql, dialect)
    if len(parsed.statements) != 1:
        found = len(parsed.statements)
        raise DaemonError("invalid_sql", f"expected one statement, found {found}" if found else "SQL is empty")
    statement = parsed.statements[0]
    if isinstance(statement, exp.Command):
        raise DaemonError("invalid_sql", "this kind of statement cannot be analyzed; send a query")
    return statement, parsed.dialect


class _CatalogIndex:
    """Known tables, by exact name and by bare name."""

    def __init__(self, tables: Sequence[CatalogTable], dialect: Dialect) -> None:
        self._ignore_case = case_insensitive(dialect)
        self._exact: dict[_Key, _Key] = {}
        self._named: dict[str, dict[_Key, None]] = {}
        for table in tables:
            key = (table.catalog or None, table.db or None, table.name)
            self._exact.setdefault(self._fold(key), key)
            self._named.setdefault(self._fold(key)[2], {})[key] = None

    def resolve(self, key: _Key) -> Sequence[_Key]:
        wanted = self._fold(key)
        if wanted in self._exact:
            return (self._exact[wanted],)
        if key[1] is not None:
            return (key,)
        return tuple(self._named.get(wanted[2], ())) or ((None, None, key[2]),)

    def _fold(self, key: _Key) -> _Key:
        if not self._ignore_case:
            return key
        catalog, db, name = key
        return catalog and catalog.lower(), db and db.lower(), name.lower()


def _tables(statement: exp.Expr, dialect: Dialect, catalog: _CatalogIndex | None) -> list[TouchedTable]:
    found: dict[_Key, None] = {}
    for table in statement.find_all(exp.Table, bfs=True):
        if not isinstance(table.this, exp.Identifier) or not table.name or hidden_by_cte(table, dialect):
            continue
        if _is_array_of_sibling(table, dialect):
            continue
        key = (_part(table, "catalog", dialect), _part(table, "db", dialect), folded(table.this, dialect))
        found.update(dict.fromkeys(catalog.resolve(key) if catalog else (key,)))
    return [TouchedTable(catalog=catalog_name, db=db, name=name) for catalog_name, db, name in found]


def _part(table: exp.Table, key: str, dialect: Dialect) -> str | None:
    part = table.args.get(key)
    return (folded(part, dialect) or None) if isinstance(part, exp.Expr) else None


def _is_array_of_sibling(table: exp.Table, dialect: Dialect) -> bool:
    """BigQuery's `FROM t, t.items` unnests a column of `t`; it names no second table."""
    if type(dialect).__name__ != "BigQuery" or not table.db or table.catalog:
        return False
    select = table.find_ancestor(exp.Select)
    if select is None or not isinstance(table.parent, exp.Join):
        return False
    sources = [select.args.get("from_"), *(select.args.get("joins") or ())]
    return any(
        source is not table.parent and source is not None and source.this.alias_or_name == table.db
        for source in sources
    )


def _columns(statement: exp.Expr, dialect: Dialect) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {clause: {} for clause in _ORDER}
    for query in _branches(_root_query(statement)):
        for clause, keys in _CLAUSES.items():
            for key in keys:
                value = query.get(key)
                for part in value if isinstance(value, list) else [value]:
                    found[clause].update(dict.fromkeys(_own_columns(part, dialect)))
        for join in _joins(query):
            found["join"].update(dict.fromkeys(_own_columns(join.args.get("on"), dialect)))
            for name in join.args.get("using") or ():
                found["join"][folded(name.this if isinstance(name, exp.Column) else name, dialect, column=True)] = None
    return {clause: list(names) for clause, names in found.items() if names}


def _root_query(statement: exp.Expr) -> exp.Expr | None:
    if isinstance(statement, (exp.Insert, exp.Create)):
        return statement.expression if isinstance(statement.expression, exp.Expr) else None
    return statement if isinstance(statement, exp.Query) else None


def _branches(root: exp.Expr | None) -> Iterator[Mapping[str, Any]]:
    """The clauses of the root query or of each branch of a set operation, then those of the whole."""
    waiting: list[exp.Expr | Mapping[str, Any] | None] = [root]
    while waiting:
        query = waiting.pop()
        if isinstance(query, Mapping):
            yield query
        elif isinstance(query, exp.SetOperation):
            waiting += [_tail(query), query.expression, query.this]
        elif isinstance(query, exp.Subquery):
            waiting += [_tail(query), query.this]
        elif isinstance(query, exp.Select):
            yield query.args


def _tail(query: exp.Expr) -> Mapping[str, Any]:
    """The clauses after the last branch of a set operation or after a closing parenthesis."""
    return {key: query.args.get(key) for key in ("order", "where", "group", "having", "qualify")}


def _own_columns(root: object, dialect: Dialect) -> Iterator[str]:
    """Names of columns below `root`, without those of nested queries and without `*`."""
    if not isinstance(root, exp.Expr):
        return
    for node in root.walk(bfs=False, prune=lambda node: isinstance(node, exp.Query)):
        if isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier) and node.name:
            yield folded(node.this, dialect, column=True)


def _joins(query: Mapping[str, Any]) -> Iterator[exp.Join]:
    """Joins of this query, those within parenthesised tables included."""
    sources = [query.get("from_"), *(query.get("joins") or ())]
    for source in sources:
        if not isinstance(source, exp.Expr):
            continue
        for node in source.walk(bfs=False, prune=lambda node: isinstance(node, (exp.Select, exp.SetOperation))):
            if isinstance(node, exp.Join):
                yield node
