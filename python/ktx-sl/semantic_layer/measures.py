"""Measure expressions as scalar trees over leaves.

Invariant: a leaf is one aggregate call with its guards, computed over the rows of
one owner; equal leaves are one leaf, so a measure has one value wherever it is
used. In a `Formula` every leaf stands as a placeholder named by its key, divisions
are divisions of doubles that never fail, and inlined measures are bracketed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from .dialects import Dialect
from .errors import Candidate, InvalidModel, InvalidQuery, SemanticLayerError, nearest
from .expr import (
    column_parts,
    conjunction,
    divides_exactly,
    division,
    is_boolean,
    outer_columns,
    paren,
    parse_model,
    readable,
    replace,
    replaced,
    unparen,
)
from .graph import Graph, Node, nodes_of
from .models import MeasureDefinition
from .names import Names, column_of
from .safety import is_aggregate

__all__ = ["Formula", "Leaf", "Measures", "Scope", "auto_name", "is_aggregate_call"]


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """An aggregate call over logical columns, guards apart. `owner` is "" until a query settles it."""

    key: str
    owner: str
    call: exp.Expr
    guards: tuple[exp.Expr, ...]
    is_count: bool

    @property
    def nodes(self) -> set[str]:
        """Every node the call or a guard reads."""
        found = nodes_of(self.call)
        for guard in self.guards:
            found |= nodes_of(guard)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """`tree` over placeholders of `leaves`; `shown` is the qualified text; `refs` the measures it names."""

    tree: exp.Expr
    leaves: Mapping[str, Leaf]
    shown: exp.Expr
    refs: tuple[str, ...] = ()
    filter: str | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """How names in one text are read: inside aggregates by `column`, outside by `measure`.

    `column` gives a logical column and whether it was bare; `measure` gives the
    formula and qualified name a reference means, or None if it names no measure.
    """

    column: Callable[[Sequence[exp.Identifier]], tuple[exp.Expr, bool]]
    measure: Callable[[Sequence[exp.Identifier]], tuple[Formula, str] | None]
    home: str | None
    """The declaring node; None for query text."""
    text: str
    where: str
    default_owner: str = ""


_COUNTS = (exp.Count, exp.CountIf, exp.ApproxDistinct, exp.RegrCount, exp.Hll)
_COUNT_NAMES = re.compile(r"(approx_|hll_?|theta_sketch_)?(count|uniq|regr_count)", re.IGNORECASE)


def is_aggregate_call(node: exp.Expr) -> bool:
    """Whether `node` is an aggregate with the clauses written around it."""
    if isinstance(node, exp.Filter | exp.WithinGroup | exp.IgnoreNulls | exp.RespectNulls):
        return is_aggregate_call(node.this)
    return is_aggregate(node)


def _innermost(call: exp.Expr) -> exp.Expr:
    while isinstance(call, exp.Filter | exp.WithinGroup | exp.IgnoreNulls | exp.RespectNulls):
        call = call.this
    return call


def _counts(call: exp.Expr) -> bool:
    inner = _innermost(call)
    if isinstance(
        inner, exp.AnonymousAggFunc | exp.CombinedAggFunc | exp.ParameterizedAgg | exp.CombinedParameterizedAgg
    ):
        return bool(_COUNT_NAMES.match(inner.name))
    return isinstance(inner, _COUNTS)


def auto_name(text: str) -> str:
    """An output name for an unnamed expression: lower-case words joined by `_`, at most 63 characters."""
    name = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_") or "measure"
    return ("m_" + name if name[0].isdigit() else name)[:63]


class Measures:
    """Compiles measures of one graph; compiled ones are kept."""

    def __init__(self, graph: Graph, names: Names) -> None:
        self.graph = graph
        self.names = names
        self.dialect: Dialect = graph.dialect
        self._compiled: dict[tuple[str, str], Formula] = {}
        self._segments: dict[tuple[str, str], exp.Expr] = {}

    # -- the model

    def predefined(self, node: Node, name: str, stack: tuple[str, ...] = ()) -> Formula:
        """The formula of a measure of `node`, filter and segments applied.

        Raises what its text deserves, `circular` among them.
        """
        key = (node.name, name)
        found = self._compiled.get(key)
        if found is None:
            ref = f"{node.name}.{name}"
            if ref in stack:
                trail = " -> ".join((*stack[stack.index(ref) :], ref))
                raise InvalidModel("circular", f"Circular dependency between measures: {trail}", location=ref)
            found = self._compiled[key] = self._compile_predefined(node, node.measures[name], (*stack, ref))
        return found

    def _compile_predefined(self, node: Node, measure: MeasureDefinition, stack: tuple[str, ...]) -> Formula:
        where = f"{node.source.name}.measures.{measure.name}"
        try:
            tree = parse_model(measure.expr, self.dialect, node.columns)
            formula = self.compile(tree, self._model_scope(node, measure.expr, where, stack))
            guards: list[exp.Expr] = []
            if measure.filter and measure.filter.strip():
                guards.append(self.guard(measure.filter, node, f"{where}.filter"))
            for segment in measure.segments:
                guards.append(self.segment(node, segment, f"{where}.segments"))
        except SemanticLayerError as error:
            raise error.located(where) from None
        if not guards:
            return formula
        guarded = self.guarded(formula, guards, lambda leaf: True)
        text = self.dialect.print(readable(conjunction(guard.copy() for guard in guards)))
        return Formula(guarded.tree, guarded.leaves, formula.shown, formula.refs, text)

    def _model_scope(self, node: Node, text: str, where: str, stack: tuple[str, ...]) -> Scope:
        def measure(parts: Sequence[exp.Identifier]) -> tuple[Formula, str] | None:
            if len(parts) > 2:
                return None
            name = parts[-1].name
            home = node if len(parts) == 1 or parts[0].name in (node.name, node.source.name) else None
            target = home or self.graph.nodes.get(parts[0].name)
            if target is None or name not in target.measures:
                return None
            return self.predefined(target, name, stack), f"{target.name}.{name}"

        return Scope(
            lambda parts: self.names.model_column(parts, node, where), measure, node.name, text, where, node.name
        )

    def guard(self, text: str, node: Node, where: str) -> exp.Expr:
        """A row condition of the model as a logical tree. Raises `not_boolean` and what names deserve."""
        tree = parse_model(text, self.dialect, node.columns)
        if any(is_aggregate(found) for found in tree.walk(prune=lambda n: isinstance(n, exp.Query))):
            raise InvalidModel(
                "invalid_model", f"{where}: {text!r} is a condition on rows and cannot hold aggregates", where
            )

        def swap(found: exp.Expr) -> exp.Expr | None:
            if isinstance(found, exp.Query):
                return self.names.model_subquery(found, node, where)
            parts = column_parts(found)
            return self.names.model_column(parts, node, where)[0] if parts else None

        resolved = replace(tree, swap)
        self.check_boolean(resolved, text)
        return resolved

    def segment(self, node: Node, name: str, where: str) -> exp.Expr:
        """The condition of a segment of `node`. Raises `unknown_segment`."""
        found = node.segments.get(name)
        if found is None:
            near = nearest(f"{node.name}.{name}", [f"{node.name}.{s}" for s in node.segments], "a segment")
            elsewhere = [
                Candidate(f"{other.name}.{name}", f"the segment of that name in {other.name}")
                for other in self.graph.nodes.values()
                if name in other.segments
            ]
            raise InvalidQuery(
                "unknown_segment",
                f"unknown segment '{name}' in source {node.name!r}; known: {', '.join(node.segments) or 'none'}"
                f"{f'; elsewhere: {elsewhere[0].value}' if elsewhere else ''}",
                candidates=[*elsewhere, *near],
            )
        key = (node.name, name)
        if key not in self._segments:
            self._segments[key] = self.guard(found.expr, node, f"{node.source.name}.segments.{name}")
        return self._segments[key]

    def check_boolean(self, tree: exp.Expr, text: str) -> None:
        """Raise `not_boolean` for a tree that cannot be TRUE."""
        if not is_boolean(tree, lambda column: self.names.definition(column).type == "boolean"):
            raise InvalidQuery(
                "not_boolean",
                f"{text!r} is not a condition; compare it with something, such as {text} = 1 or {text} IS NOT NULL",
            )

    # -- any text

    def compile(self, tree: exp.Expr, scope: Scope) -> Formula:
        """The formula of a parsed expression. Consumes `tree`.

        Raises `nested_aggregate`, `not_aggregated`, `not_a_measure`, `no_owner`.
        """
        leaves: dict[str, Leaf] = {}
        shown_leaves: dict[str, exp.Expr] = {}

        def leaf_of(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Query):
                return node
            if not is_aggregate_call(node):
                return None
            leaf = self._leaf(node.copy(), scope)
            leaves[leaf.key] = leaf
            shown_leaves[leaf.key] = self._shown(leaf)
            return exp.Placeholder(this=leaf.key)

        tree = replace(exp.Paren(this=tree), leaf_of)
        shown = replace(tree.copy(), lambda n: shown_leaves[n.name].copy() if isinstance(n, exp.Placeholder) else None)
        self._divide(tree)
        refs: list[str] = []

        def inline(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.Query):
                for column, _ in outer_columns(self._subquery(node, scope)):
                    raise self._not_a_measure(column_parts(column), scope, bool(leaves))
                return node
            parts = column_parts(node)
            if not parts:
                return None
            found = scope.measure(parts)
            if found is None:
                raise self._not_a_measure(parts, scope, bool(leaves))
            formula, ref = found
            if ref not in refs:
                refs.append(ref)
            leaves.update(formula.leaves)
            return paren(formula.tree.copy())

        tree = replace(tree, inline)

        def qualify(node: exp.Expr) -> exp.Expr | None:
            if isinstance(node, exp.AggFunc | exp.Query | exp.WithinGroup | exp.Filter) or is_aggregate(node):
                return node
            parts = column_parts(node)
            found = scope.measure(parts) if parts else None
            if found is None:
                return None
            node_name, _, measure = found[1].rpartition(".")
            return exp.column(measure, table=node_name or None)

        shown = unparen(replace(shown, qualify))
        if not leaves:
            raise InvalidQuery(
                "not_a_measure",
                f"{scope.text!r} is not a pre-defined measure and has no aggregate; "
                "name a measure, or aggregate a column as in sum(source.column)",
            )
        return Formula(unparen(tree), leaves, shown, tuple(refs))

    def _divide(self, tree: exp.Expr) -> None:
        """Replace the divisions below `tree`, innermost first, as a replaced one keeps its operands."""
        walked = tree.walk(prune=lambda node: isinstance(node, exp.Query))
        quotients = [node for node in walked if isinstance(node, exp.Div) and not divides_exactly(node)]
        for node in reversed(quotients):
            node.replace(division(node.this, node.expression, self.dialect))

    def _not_a_measure(self, parts: Sequence[exp.Identifier], scope: Scope, has_leaves: bool) -> SemanticLayerError:
        written = ".".join(part.name for part in parts)
        try:
            column, _ = scope.column(parts)
        except SemanticLayerError as error:
            if error.code == "hidden_column" or (error.code == "ambiguous" and not error.candidates):
                return error
            if error.code == "ambiguous":
                owners = [candidate.value.rpartition(".")[0] for candidate in error.candidates]
                texts = [(text, node) for node in owners for text in self._aggregates_of(node, parts[-1].name)]
                return InvalidQuery(
                    "ambiguous",
                    f"name {written!r} is ambiguous: {', '.join(owners)} have such a column; aggregate one, as in "
                    f"{texts[0][0]}",
                    candidates=[Candidate(text, f"an aggregate of {node}.{written}") for text, node in texts],
                ).about(written)
            if len(parts) > 1 and parts[0].name not in self.graph.nodes:
                return error
            home = (
                [parts[0].name]
                if len(parts) > 1
                else [scope.home]
                if scope.home
                else list(self.graph.measure_index)[:0]
            )
            names = (
                [f"{node}.{m}" for node in home for m in self.graph.nodes[node].measures]
                if home
                else [f"{s}.{m}" for m, owners in self.graph.measure_index.items() for s in owners]
            )
            return InvalidQuery(
                "not_a_measure",
                f"{written!r} is not a pre-defined measure{'' if has_leaves else ' and has no aggregate'}, "
                "nor a column; name a measure, or aggregate a column as in sum(source.column)",
                candidates=nearest(written, names, "a measure"),
            ).about(written)
        node, name = column_of(column)
        suggestions = self._aggregates_of(node, name)
        options = [Candidate(text, f"an aggregate of {node}.{name}") for text in suggestions]
        options += [
            Candidate(f"{node}.{measure}", f"a measure of {node}") for measure in self.graph.nodes[node].measures
        ]
        whole = column_parts(unparen(self._parsed(scope.text))) if scope.text else []
        if [p.name for p in whole] == [p.name for p in parts]:
            return InvalidQuery(
                "not_a_measure",
                f"{written!r} is not a pre-defined measure and has no aggregate: it is a column; "
                f"ask for it as a dimension, or aggregate it, as in {suggestions[0]}",
                candidates=options,
            ).about(written)
        return InvalidQuery(
            "not_aggregated",
            f"column {written!r} stands outside an aggregate in {scope.text!r}; aggregate it, as in {suggestions[0]}",
            candidates=options,
        ).about(written)

    def _aggregates_of(self, node: str, column: str) -> list[str]:
        names = ["count", "count_distinct"]
        if self.graph.nodes[node].columns[column].type == "number":
            names = ["sum", "avg", *names]
        return [f"{name}({node}.{column})" for name in names]

    def _parsed(self, text: str) -> exp.Expr:
        try:
            return parse_model(text, self.dialect)
        except SemanticLayerError:
            return exp.Null()

    def _shown(self, leaf: Leaf) -> exp.Expr:
        return leaf.call.copy()

    def _leaf(self, call: exp.Expr, scope: Scope) -> Leaf:
        guards: list[exp.Expr] = []
        while isinstance(call, exp.Filter):
            guards.append(call.expression.this)
            call = call.this
        call.pop()
        inner = _innermost(call)
        for part in (call, *guards):
            for found in part.walk(prune=lambda n: isinstance(n, exp.Query)):
                if found is not inner and is_aggregate(found):
                    raise InvalidQuery(
                        "nested_aggregate",
                        f"Nested aggregation is not supported: {scope.text!r}; aggregate once, or use a SQL source",
                    )
        bare = False

        def swap(node: exp.Expr) -> exp.Expr | None:
            nonlocal bare
            if isinstance(node, exp.Query):
                return self._subquery(node, scope)
            parts = column_parts(node)
            if not parts:
                return None
            try:
                column, was_bare = scope.column(parts)
            except SemanticLayerError as error:
                if error.code in ("unknown_column", "ambiguous") and scope.measure(parts) is not None:
                    raise InvalidQuery(
                        "nested_aggregate",
                        f"Nested aggregation is not supported: {'.'.join(p.name for p in parts)!r} in {scope.text!r} is a "
                        "measure; use it outside the aggregate",
                    ) from None
                raise
            bare = bare or was_bare
            return column

        # Held by a bracket, so that a call that is all column can be swapped too.
        call = replaced(call, swap)
        guards = [replaced(guard, swap) for guard in guards]
        for guard in guards:
            self.check_boolean(guard, scope.text)
        used = nodes_of(call)
        for guard in guards:
            used |= nodes_of(guard)
        if bare and scope.home:
            used.add(scope.home)
        return self._make(self._owner(used, scope), call, guards)

    def _subquery(self, query: exp.Expr, scope: Scope) -> exp.Expr:
        # only the model's text holds any, and that has a home
        return self.names.model_subquery(query, self.graph.nodes[scope.home], scope.where) if scope.home else query

    def _owner(self, used: set[str], scope: Scope) -> str:
        if not used:
            return scope.default_owner
        owners = [node for node in sorted(used) if all(self.graph.reaches(node, other) for other in used)]
        if scope.home in owners:
            return str(scope.home)
        if len(owners) == 1:
            return owners[0]
        if owners:
            raise InvalidQuery(
                "no_owner",
                f"{scope.text!r} references multiple independent sources: {', '.join(owners)} are joined one to one, and "
                "their unmatched rows differ; aggregate each apart",
            )
        raise InvalidQuery(
            "no_owner",
            f"{scope.text!r} references multiple independent sources: {', '.join(sorted(used))}; none of them reaches the "
            "others by to-one joins. Aggregate each apart and combine the results",
        )

    def _make(self, owner: str, call: exp.Expr, guards: Iterable[exp.Expr]) -> Leaf:
        by_text = {self.dialect.print(guard): guard for guard in guards}
        key = "|".join((owner, self.dialect.print(call), *sorted(by_text)))
        return Leaf(key, owner, call, tuple(by_text[text] for text in sorted(by_text)), _counts(call))

    def owned(self, formula: Formula, owner: str) -> Formula:
        """`formula` with its leaves that have no owner given this one."""
        return self._renamed(
            formula,
            {
                k: leaf if leaf.owner else self._make(owner, leaf.call, leaf.guards)
                for k, leaf in formula.leaves.items()
            },
        )

    def guarded(self, formula: Formula, guards: Sequence[exp.Expr], applies: Callable[[Leaf], bool]) -> Formula:
        """`formula` with `guards` added to every leaf they apply to."""
        return self._renamed(
            formula,
            {
                k: self._make(leaf.owner, leaf.call, (*leaf.guards, *guards)) if applies(leaf) else leaf
                for k, leaf in formula.leaves.items()
            },
        )

    def _renamed(self, formula: Formula, renamed: Mapping[str, Leaf]) -> Formula:
        def swap(node: exp.Expr) -> exp.Expr | None:
            return exp.Placeholder(this=renamed[node.name].key) if isinstance(node, exp.Placeholder) else None

        tree = replaced(formula.tree.copy(), swap)
        leaves = {leaf.key: leaf for leaf in renamed.values()}
        return Formula(tree, leaves, formula.shown, formula.refs, formula.filter)
