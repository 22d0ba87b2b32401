"""Measures of one source that say the same thing twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from .models import MeasureDefinition, SourceDefinition

__all__ = ["validate_measure_duplicates"]


def validate_measure_duplicates(
    sources: Mapping[str, SourceDefinition] | Iterable[SourceDefinition], dialect: str = "postgres"
) -> list[str]:
    """One sentence per pair of measures with equal expression and segments, in source order.

    Expressions are compared as trees: letter case of keywords and functions, spaces,
    brackets and the source's own qualifier do not count. Text that does not parse is
    compared by its words.
    """
    definitions = sources.values() if isinstance(sources, Mapping) else sources
    return [sentence for source in definitions for sentence in _duplicates(source, dialect)]


def _duplicates(source: SourceDefinition, dialect: str) -> list[str]:
    sentences = []
    for first, second in combinations(source.measures, 2):
        if _kind(first, source.name, dialect) != _kind(second, source.name, dialect):
            continue
        pair = f"source {source.name!r}: measures {first.name!r} and {second.name!r}"
        if _normal(first.filter, source.name, dialect) == _normal(second.filter, source.name, dialect):
            sentences.append(f"{pair} have the same expression and filter; keep one of them")
        else:
            sentences.append(
                f"{pair}: the expression is the same and it differs only by `filter`; "
                "consider one measure and a segment for the difference"
            )
    return sentences


def _kind(measure: MeasureDefinition, source: str, dialect: str) -> tuple[str, frozenset[str]]:
    return _normal(measure.expr, source, dialect), frozenset(measure.segments)


def _normal(text: str | None, source: str, dialect: str) -> str:
    if text is None or not text.strip():
        return ""
    try:
        tree = sqlglot.parse_one(text, read=dialect)
    except (SqlglotError, RecursionError):
        return " ".join(text.split())
    for column in tree.find_all(exp.Column):
        if column.table == source and not column.args.get("db"):
            column.set("table", None)
    while isinstance(tree, exp.Paren):
        tree = tree.this.pop()
    for paren in list(tree.find_all(exp.Paren)):
        if _atomic(paren.this):
            paren.replace(paren.this)
    return tree.sql(dialect=dialect, comments=False)


def _atomic(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column | exp.Literal | exp.Func | exp.Paren) and not isinstance(node, exp.Connector)
