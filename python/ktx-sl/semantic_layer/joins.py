"""A join's `on` text as pairs of sides and extra conditions.

Invariant: every column in a `Condition` is qualified by a node name, own or
target. A side qualified by the target or its alias is the target's, one qualified
by the declaring source is its own; otherwise the left side is the declaring
source's and the right the target's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlglot import exp

from .dialects import Dialect
from .errors import InvalidModel, InvalidQuery
from .expr import column_parts, columns, conjuncts, parse_model, replace, unparen
from .models import JoinDeclaration, SourceDefinition

__all__ = ["Condition", "parse_condition"]


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """`pairs` of (declaring source's side, target's side), all equal; `extras` hold besides."""

    pairs: tuple[tuple[exp.Expr, exp.Expr], ...]
    extras: tuple[exp.Expr, ...]


def parse_condition(
    source: SourceDefinition, join: JoinDeclaration, dialect: Dialect, names: Collection[str] = ()
) -> Condition:
    """The condition of `join`, declared by `source`. `names` are columns of the target.

    Raises `invalid_model` ("Invalid join condition") unless it is equalities between
    the two, joined by AND, and comparisons of one side's column with literals.
    """
    node = join.alias or join.to

    def refuse(why: str) -> InvalidModel:
        return InvalidModel(
            "invalid_model",
            f"Invalid join condition {join.on!r} from {source.name!r} to {node!r}: {why}. "
            f"Write equalities joined by AND, such as '{source.name}.{node}_id = {node}.id'",
            location=f"{source.name}.joins.{node}",
        )

    def side_of(tree: exp.Expr) -> str | None:
        """`own`, `target`, None for no telling qualifier."""
        found: set[str] = set()
        for column in columns(tree):
            parts = column_parts(column)
            first = parts[0].name if len(parts) > 1 else ""
            qualifiers = {first, *(part.name for part in parts[:-1])}
            if join.alias and join.alias in qualifiers:
                found.add("target")
            elif source.name in qualifiers:
                found.add("own" if source.name != join.to or join.alias else "both")
            elif join.to in qualifiers:
                found.add("target")
        if len(found) > 1:
            raise refuse("one side mixes both sources")
        return next(iter(found), None)

    def qualify(tree: exp.Expr, owner: str) -> exp.Expr:
        def swap(column: exp.Expr) -> exp.Expr | None:
            if not isinstance(column, exp.Column | exp.Dot):
                return None
            parts = column_parts(column)
            if not parts:
                return None
            known = {source.name, join.to, join.alias}
            rest = parts[1:] if len(parts) > 1 and parts[0].name in known else parts[-1:]
            return logical(owner, rest)

        return replace(tree.copy(), swap)

    try:
        tree = parse_model(join.on, dialect, {*(column.name for column in source.columns), *names})
    except InvalidQuery as error:
        raise refuse(error.message) from error
    pairs: list[tuple[exp.Expr, exp.Expr]] = []
    extras: list[exp.Expr] = []
    for clause in conjuncts(tree):
        if any(isinstance(found, exp.Or | exp.Query | exp.AggFunc) for found in clause.walk()):
            raise refuse("OR, subqueries and aggregates are not supported")
        used = list(columns(clause))
        if isinstance(clause, exp.EQ) and all(any(columns(side)) for side in (clause.this, clause.expression)):
            if any(isinstance(unparen(side), exp.Predicate) for side in (clause.this, clause.expression)):
                raise refuse("chained equalities are not supported")
            left, right = side_of(clause.this), side_of(clause.expression)
            reversed_ = (left == "target" and right != "target") or (right == "own" and left != "own")
            own, target = (clause.expression, clause.this) if reversed_ else (clause.this, clause.expression)
            pairs.append((qualify(unparen(own), source.name), qualify(unparen(target), node)))
        elif used and isinstance(clause, exp.Predicate | exp.Not | exp.In | exp.Between | exp.Is):
            side = side_of(clause)
            literal_first = isinstance(clause, exp.Binary) and not any(columns(clause.this))
            if side is None or side == "both":
                side = "target" if literal_first else "own"
            if (
                len(used) > 1
                and isinstance(clause, exp.Binary)
                and any(columns(clause.expression))
                and not literal_first
            ):
                raise refuse("only '=' may compare two columns")
            extras.append(qualify(clause, node if side == "target" else source.name))
        else:
            raise refuse("it holds no comparison of columns")
    if not pairs:
        raise refuse("it holds no equality between the two sources")
    return Condition(tuple(pairs), tuple(extras))


def logical(node: str, parts: list[exp.Identifier]) -> exp.Expr:
    """The reference to `parts` (column, then struct fields) of `node`."""
    tree: exp.Expr = exp.Column(this=parts[0].copy(), table=exp.to_identifier(node, quoted=True))
    for part in parts[1:]:
        tree = exp.Dot(this=tree, expression=part.copy())
    return tree
