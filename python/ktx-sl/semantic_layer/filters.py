"""Query filters: row filters and aggregate filters.

Invariant: a list of filters is the AND of its clauses, brackets and commas alike.
A clause is about rows or about final measure values, never both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

from .dialects import Dialect
from .errors import InvalidQuery
from .expr import column_parts, conjuncts, parse_query, replaced, unparen
from .graph import nodes_of
from .measures import Formula, Measures, Scope, is_aggregate_call
from .plan import RowFilter

__all__ = ["AggregateFilter", "Clauses", "read_filters"]


@dataclass(frozen=True, slots=True, eq=False)
class AggregateFilter:
    """A clause over measures; its formula is a condition."""

    text: str
    formula: Formula


@dataclass(frozen=True, slots=True, eq=False)
class Clauses:
    """All clauses of a query, by what they are about."""

    rows: tuple[RowFilter, ...]
    aggregates: tuple[AggregateFilter, ...]
    row_texts: tuple[str, ...]
    aggregate_texts: tuple[str, ...]


def read_filters(
    texts: Sequence[str],
    dialect: Dialect,
    parse: Callable[[str], exp.Expr],
    kind_of: Callable[[Sequence[exp.Identifier]], Literal["column", "measure"]],
    scope_for: Callable[[str, str], Scope],
    measures: Measures,
) -> Clauses:
    """Parse, split and classify. Blank texts are ignored.

    Raises `parse_error`, `forbidden`, `mixed_filter`, `not_boolean` and what names deserve,
    located at `/filters/<index>`.
    """
    rows: list[RowFilter] = []
    aggregates: list[AggregateFilter] = []
    row_texts: list[str] = []
    aggregate_texts: list[str] = []
    for index, text in enumerate(texts):
        if not text or not text.strip():
            continue
        where = f"/filters/{index}"
        try:
            for clause in conjuncts(parse(text)):
                shown = dialect.print(clause)
                scope = scope_for(shown, where)
                if _classify(clause, shown, kind_of):
                    aggregates.append(AggregateFilter(shown, _aggregate(clause, scope, measures)))
                    aggregate_texts.append(text)
                else:
                    rows.append(_row(clause, shown, scope, measures))
                    row_texts.append(text)
        except InvalidQuery as error:
            raise error.located(where) from None
    return Clauses(tuple(rows), tuple(aggregates), _unique(row_texts), _unique(aggregate_texts))


def _unique(texts: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _classify(
    clause: exp.Expr, text: str, kind_of: Callable[[Sequence[exp.Identifier]], Literal["column", "measure"]]
) -> bool:
    """Whether the clause is about measures. Raises `mixed_filter`."""
    aggregate, plain = False, ""
    stack = [clause]
    while stack:
        node = stack.pop()
        if is_aggregate_call(node):
            aggregate = True
            continue
        parts = column_parts(node)
        if parts:
            if kind_of(parts) == "measure":
                aggregate = True
            else:
                plain = ".".join(part.name for part in parts)
            continue
        stack.extend(node.iter_expressions())
    if aggregate and plain:
        raise InvalidQuery(
            "mixed_filter",
            f"filter {text!r} mixes aggregate and non-aggregate parts: {plain!r} is a column of rows; "
            "send the two conditions as two filters",
        )
    return aggregate


def _row(clause: exp.Expr, text: str, scope: Scope, measures: Measures) -> RowFilter:
    def swap(node: exp.Expr) -> exp.Expr | None:
        parts = column_parts(node)
        return scope.column(parts)[0] if parts else None

    tree = replaced(clause.copy(), swap)
    measures.check_boolean(tree, text)
    return RowFilter(text, tree, frozenset(nodes_of(tree)), scope.where)


def _aggregate(clause: exp.Expr, scope: Scope, measures: Measures) -> Formula:
    formula = measures.compile(clause.copy(), scope)
    root = unparen(formula.tree)
    if isinstance(root, exp.Placeholder) and not isinstance(
        formula.leaves[root.name].call, exp.LogicalAnd | exp.LogicalOr
    ):
        raise InvalidQuery(
            "not_boolean", f"{scope.text!r} is a number, not a condition; compare it, such as {scope.text} > 0"
        )
    measures.check_boolean(root, scope.text)
    return formula


def parse_filter(text: str, dialect: Dialect, names: frozenset[str], allowed: frozenset[str]) -> exp.Expr:
    """The tree of one filter text."""
    return parse_query(text, dialect, names, allowed)
