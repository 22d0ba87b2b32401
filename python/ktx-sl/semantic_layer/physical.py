"""Logical columns as physical ones, and guards inside aggregates.

Invariant: a column of a node that a LEFT JOIN did not match is NULL, computed ones
too, and a guard hides a value without ever dropping the row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from .dialects import Dialect
from .errors import InvalidModel, SemanticLayerError, Unsupported
from .expr import column_parts, columns, conjunction, correlate, outer_columns, parse_model, replaced
from .graph import Graph, Node
from .measures import Leaf
from .models import SourceDefinition
from .safety import is_aggregate

__all__ = ["Columns", "View", "aggregate"]

# Operators and functions that return NULL as soon as one operand is NULL.
_STRICT = (
    exp.Column
    | exp.Literal
    | exp.Paren
    | exp.Add
    | exp.Sub
    | exp.Mul
    | exp.Div
    | exp.Neg
    | exp.Cast
    | exp.EQ
    | exp.NEQ
    | exp.GT
    | exp.GTE
    | exp.LT
    | exp.LTE
    | exp.Lower
    | exp.Upper
    | exp.Abs
    | exp.Round
    | exp.Length
    | exp.Identifier
    | exp.DataType
    | exp.DataTypeParam
    | exp.Var
    | exp.Not
)


@dataclass(frozen=True, slots=True)
class View:
    """How one SELECT sees nodes: their table aliases, and for joined ones what is not NULL where they matched."""

    root: str
    aliases: Mapping[str, str]
    matched: Mapping[str, exp.Expr]


class Columns:
    """Turns logical trees into physical ones. Parsed computed columns are kept."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.dialect: Dialect = graph.dialect
        self._computed: dict[tuple[str, str], exp.Expr] = {}

    def identifier(self, name: str, quoted: bool = False) -> exp.Identifier:
        """`name`, quoted if it must be or was."""
        return exp.Identifier(this=name, quoted=quoted or self.dialect.quotes(name))

    def physical(self, tree: exp.Expr, view: View) -> exp.Expr:
        """A copy of `tree` in terms of the tables of `view`."""
        if isinstance(tree, exp.Column):
            return self._column(column_parts(tree), view)

        def swap(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Query):
                for column, hiding in outer_columns(node):
                    parts = column_parts(column)
                    _reaches_out(view.aliases[parts[0].name], ".".join(part.name for part in parts), hiding)
                    column.replace(self._column(parts, view))
                return node
            parts = column_parts(node)
            return self._column(parts, view) if parts else None

        return replaced(tree.copy(), swap)

    def joined(self, tree: exp.Expr, view: View) -> exp.Expr:
        """A copy of a side of a join condition. Its names are the table's own, listed or not."""

        def swap(node: exp.Expr) -> exp.Expr | None:
            parts = column_parts(node)
            if not parts:
                return None
            column = self.graph.nodes[parts[0].name].columns.get(parts[1].name)
            quoted = bool(parts[1].args.get("quoted")) or (column is not None and column.name != parts[1].name)
            out: exp.Expr = exp.Column(
                this=self.identifier(parts[1].name, quoted), table=self.identifier(view.aliases[parts[0].name])
            )
            for part in parts[2:]:
                out = exp.Dot(this=out, expression=part.copy())
            return out

        return replaced(tree.copy(), swap)

    def subqueries(self, source: SourceDefinition) -> list[exp.Expr]:
        """Trees of the source's computed columns that hold a SELECT."""
        found = []
        for column in source.columns:
            if column.expr and "select" in column.expr.lower():
                where = f"{source.name}.columns.{column.name}"
                found.append(self._parsed(self.graph.nodes[source.name], column.name, column.expr, where))
        return found

    def _column(self, parts: Sequence[exp.Identifier], view: View) -> exp.Expr:
        """Node, column and struct fields."""
        name, column, *fields = parts
        node = self.graph.nodes[name.name]
        tree = self._read(node, column, view.aliases[node.name], ())
        if not isinstance(tree, exp.Column):
            if node.name != view.root and not _strict(tree):
                tree = exp.Case(
                    ifs=[
                        exp.If(
                            this=exp.Not(this=exp.Is(this=view.matched[node.name].copy(), expression=exp.Null())),
                            true=tree,
                        )
                    ]
                )
            else:
                tree = exp.Paren(this=tree)
        for part in fields:
            tree = exp.Dot(this=tree, expression=self.identifier(part.name, bool(part.args.get("quoted"))))
        if fields and self.dialect.name == "postgres":
            innermost = tree
            while isinstance(innermost, exp.Dot) and isinstance(innermost.this, exp.Dot):
                innermost = innermost.this
            innermost.set("this", exp.Paren(this=innermost.this))
        return tree

    def _read(self, node: Node, column: exp.Identifier, alias: str, stack: tuple[str, ...]) -> exp.Expr:
        definition = node.columns[column.name]
        if definition.expr is None or (stack and stack[-1] == column.name):
            quoted = bool(column.args.get("quoted")) or definition.name != column.name
            return exp.Column(this=self.identifier(column.name, quoted), table=self.identifier(alias))
        where = f"{node.source.name}.columns.{column.name}"
        if column.name in stack:
            trail = " -> ".join((*stack, column.name))
            raise InvalidModel(
                "circular", f"Circular dependency between computed columns of {node.source.name!r}: {trail}", where
            )
        tree = self._parsed(node, column.name, definition.expr, where).copy()
        deeper = (*stack, column.name)

        def swap(found: exp.Expr) -> exp.Expr | None:
            if isinstance(found, exp.Query):
                for column, hiding in outer_columns(found):
                    parts = column_parts(column)
                    _reaches_out(alias, ".".join((node.source.name, *(part.name for part in parts))), hiding)
                    column.replace(read(parts))
                return found
            parts = column_parts(found)
            return read(parts) if parts else None

        def read(parts: Sequence[exp.Identifier]) -> exp.Expr:
            inner = self._read(node, parts[0], alias, deeper)
            inner = inner if isinstance(inner, exp.Column) else exp.Paren(this=inner)
            for part in parts[1:]:
                inner = exp.Dot(this=inner, expression=part.copy())
            return inner

        return replaced(tree, swap)

    def _parsed(self, node: Node, name: str, text: str, where: str) -> exp.Expr:
        """The computed column over columns of its own source, unqualified."""
        key = (node.source.name, name)
        found = self._computed.get(key)
        if found is not None:
            return found
        try:
            tree = parse_model(text, self.dialect, node.columns)
        except SemanticLayerError as error:
            raise error.located(where) from None
        if any(is_aggregate(part) for part in tree.walk(prune=lambda n: isinstance(n, exp.Query))):
            raise InvalidModel("invalid_model", f"computed column {where} holds an aggregate; make it a measure", where)

        def swap(part: exp.Expr) -> exp.Expr | None:
            if isinstance(part, exp.Query):
                return correlate(part, lambda parts: own(parts) if parts[0].name == node.source.name else None)
            parts = column_parts(part)
            return own(parts) if parts else None

        def own(parts: Sequence[exp.Identifier]) -> exp.Expr:
            if len(parts) > 1 and parts[0].name in (node.source.name, node.name):
                parts = parts[1:]
            if parts[0].name not in node.columns:
                raise InvalidModel(
                    "unknown_column",
                    f"computed column {where}: column {parts[0].name!r} does not exist in source {node.source.name!r}. "
                    f"Available: {', '.join(node.columns)}",
                    where,
                )
            inner: exp.Expr = exp.Column(this=parts[0].copy())
            for field in parts[1:]:
                inner = exp.Dot(this=inner, expression=field.copy())
            return inner

        tree = replaced(tree, swap)
        self._computed[key] = tree
        return tree


def _reaches_out(alias: str, written: str, hiding: set[str]) -> None:
    """Refuse a subquery whose own table bears the name that the row around it has in this statement."""
    if alias in hiding:
        raise InvalidModel(
            "invalid_model",
            f"a subquery of the model uses {written!r} of the row around it, but reads a table under the name {alias!r}, "
            "which hides it here; give that table another alias",
        )


def _strict(tree: exp.Expr) -> bool:
    return any(columns(tree)) and all(isinstance(node, _STRICT) for node in tree.walk())


_ONE_VALUE = (
    exp.Sum
    | exp.Avg
    | exp.Min
    | exp.Max
    | exp.Stddev
    | exp.StddevPop
    | exp.StddevSamp
    | exp.Variance
    | exp.VariancePop
    | exp.ApproxDistinct
    | exp.LogicalAnd
    | exp.LogicalOr
    | exp.Median
    | exp.Quantile
    | exp.ApproxQuantile
    | exp.BitwiseAndAgg
    | exp.BitwiseOrAgg
    | exp.BitwiseXorAgg
    | exp.Skewness
    | exp.Kurtosis
    | exp.Hll
    | exp.Mode
)
_TWO_VALUES = (
    exp.ArgMax
    | exp.ArgMin
    | exp.Corr
    | exp.CovarPop
    | exp.CovarSamp
    | exp.RegrAvgx
    | exp.RegrAvgy
    | exp.RegrCount
    | exp.RegrIntercept
    | exp.RegrR2
    | exp.RegrSlope
    | exp.RegrSxx
    | exp.RegrSxy
    | exp.RegrSyy
)


def aggregate(leaf: Leaf, columns_: Columns, view: View) -> exp.Expr:
    """The physical aggregate call of a leaf over the rows of `view`, guards inside.

    Raises `filter_unsupported` where a guard cannot be put in without changing the value, `unsupported`.
    """
    dialect = columns_.dialect
    call = columns_.physical(leaf.call, view)
    if leaf.guards:
        guard = conjunction(_clause(columns_.physical(g, view)) for g in leaf.guards)
        call = _guarded(call, guard, dialect)
    if isinstance(call, exp.CountIf):
        # Printed as SUM by some dialects, which is NULL over no rows.
        call = exp.Count(this=_when(call.this, exp.Literal.number(1)))

    def lower(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Anonymous) and node.name == "__ktx_percentile":
            value, fraction = node.expressions
            return dialect.percentile(value, fraction)
        return dialect.lower(node)

    if isinstance(call, exp.Filter):
        call.set("this", lower(call.this))
        return call
    return lower(call)


def _clause(tree: exp.Expr) -> exp.Expr:
    return tree


def _when(condition: exp.Expr, value: exp.Expr) -> exp.Expr:
    if isinstance(value, exp.Paren):
        value = value.this
    return exp.Case(ifs=[exp.If(this=condition.copy(), true=value.copy())])


def _guarded(call: exp.Expr, guard: exp.Expr, dialect: Dialect) -> exp.Expr:
    if isinstance(call, exp.WithinGroup):
        inner = call.this
        if isinstance(inner, exp.PercentileCont | exp.PercentileDisc | exp.Mode):
            order = call.expression
            for ordered in order.expressions[:1]:
                ordered.set("this", _when(guard, ordered.this))
            return call
        if isinstance(inner, exp.GroupConcat):
            inner.set("this", _when(guard, inner.this))
            return call
        return _by_filter(call, guard, dialect)
    if isinstance(call, exp.Count):
        return _guarded_count(call, guard, dialect)
    if isinstance(call, exp.CountIf):
        condition = call.this
        bracketed = exp.Paren(this=condition) if isinstance(condition, exp.Or) else condition
        both = exp.And(this=exp.Paren(this=guard) if isinstance(guard, exp.Or) else guard, expression=bracketed)
        return exp.CountIf(this=both)
    if isinstance(call, exp.Anonymous) and call.name == "__ktx_percentile":
        call.set("expressions", [_when(guard, call.expressions[0]), call.expressions[1]])
        return call
    if isinstance(call, exp.AnonymousAggFunc) and call.name.lower() in dialect.kept_aggregates:
        call.set("expressions", [_when(guard, value) for value in call.expressions])
        return call
    if isinstance(call, exp.GroupConcat):
        return _guarded_first(call, guard)
    if isinstance(call, _TWO_VALUES) and not call.args.get("count"):
        call.set("this", _when(guard, call.this))
        call.set("expression", _when(guard, call.expression))
        return call
    if isinstance(call, _ONE_VALUE) and not isinstance(call.this, exp.Order | exp.Limit | exp.HavingMax):
        return _guarded_first(call, guard)
    return _by_filter(call, guard, dialect)


def _guarded_first(call: exp.Expr, guard: exp.Expr) -> exp.Expr:
    value = call.this
    if isinstance(value, exp.Order):
        value.set("this", _when(guard, value.this))
    elif isinstance(value, exp.Distinct):
        value.set("expressions", [_when(guard, value.expressions[0]), *value.expressions[1:]])
    else:
        call.set("this", _when(guard, value))
    return call


def _guarded_count(call: exp.Count, guard: exp.Expr, dialect: Dialect) -> exp.Expr:
    value = call.this
    if isinstance(value, exp.Distinct):
        if len(value.expressions) != 1 or isinstance(value.expressions[0], exp.Tuple):
            return _by_filter(call, guard, dialect)
        value.set("expressions", [_when(guard, value.expressions[0])])
        return call
    if call.expressions:
        return _by_filter(call, guard, dialect)
    call.set("this", _when(guard, exp.Literal.number(1) if value is None or isinstance(value, exp.Star) else value))
    return call


def _by_filter(call: exp.Expr, guard: exp.Expr, dialect: Dialect) -> exp.Expr:
    if dialect.has_filter:
        return exp.Filter(this=call, expression=exp.Where(this=guard))
    raise Unsupported(
        "filter_unsupported",
        f"{dialect.name} cannot put a condition on {dialect.print(call)} without counting NULLs; "
        "drop the filter or segment from the measure, or send it as a query filter",
    )
