"""Measure texts as scalar trees over leaves, with owners and guards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot import exp

from .expressions import is_aggregate
from .graph import Graph
from .outcome import Refused, Undetermined

Columns = dict[int, tuple[str, str]]  # id(column expression) -> (node, column)


@dataclass(eq=False)
class Condition:
    """Row-level text with its columns resolved."""

    tree: exp.Expression
    columns: Columns

    @property
    def nodes(self) -> set[str]:
        return {node for node, _ in self.columns.values()}


@dataclass(eq=False)
class Leaf:
    """One aggregate call; `owner` is None until a lone `count(*)` finds one."""

    tree: exp.Expression
    columns: Columns
    owner: str | None
    guards: list[Condition]

    @property
    def nodes(self) -> set[str]:
        return {node for node, _ in self.columns.values()}


@dataclass(eq=False)
class Scalar:
    """A tree whose aggregates and measure references stand for other values."""

    tree: exp.Expression
    parts: dict[int, Leaf | Scalar] = field(default_factory=dict)

    def leaves(self) -> list[Leaf]:
        found: list[Leaf] = []
        for part in self.parts.values():
            found += [part] if isinstance(part, Leaf) else part.leaves()
        return found


def outermost(tree: exp.Expression, wanted: Any) -> list[exp.Expression]:
    """Nodes for which `wanted` holds, not looking below a hit."""
    if wanted(tree):
        return [tree]
    return [hit for child in tree.iter_expressions() for hit in outermost(child, wanted)]


def conjuncts(tree: exp.Expression) -> list[exp.Expression]:
    """The operands of top-level ANDs, brackets around them dropped."""
    bare = tree
    while isinstance(bare, exp.Paren):
        bare = bare.this
    if isinstance(bare, exp.And):
        return conjuncts(bare.this) + conjuncts(bare.expression)
    return [tree]


class Names:
    """Resolves text against a graph. `named` are the query's own measure texts by name."""

    def __init__(self, graph: Graph, named: Mapping[str, str], requested: Mapping[str, Scalar] | None = None) -> None:
        self.graph, self.named = graph, named
        self.requested: dict[str, Scalar | None] = dict(requested or {})  # None: several have the name

    # columns

    def _listed(self, node: str) -> dict[str, Mapping[str, Any]]:
        if node not in self.graph.source_of:
            raise Refused("unknown_source", node)
        return {c["name"]: c for c in self.graph.model[self.graph.source_of[node]]["columns"]}

    def column(self, column: exp.Column, context: str | None) -> tuple[str, str]:
        """Node and column; `context` is the declaring node of model text, None for query text."""
        name = column.name
        if column.table:
            node = column.table
            if context is not None and node == self.graph.source_of[context]:
                node = context
            listed = self._listed(node)
            if name not in listed:
                raise Refused("unknown_column", f"{node}.{name}")
            if context is None and listed[name].get("visibility") == "hidden":
                raise Refused("hidden_column", name)
            return node, name
        if context is None:
            hits = [s for s in self.graph.model if name in self._listed(s)]
            if len(hits) != 1:
                raise Refused("ambiguous" if hits else "unknown_column", name)
            if self._listed(hits[0])[name].get("visibility") == "hidden":
                raise Refused("hidden_column", name)
            return hits[0], name
        level, seen = [context], {context}
        while level:
            hits = [node for node in level if name in self._listed(node)]
            if len(hits) > 1:
                raise Refused("ambiguous", name)
            if hits:
                return hits[0], name
            onward = {e.other(n) for n in level for e in self.graph.edges[n] if e.other(n) in e.to_one}
            level = sorted(onward - seen)
            seen |= onward
        raise Refused("unknown_column", name)

    def condition(self, tree: exp.Expression, context: str | None) -> Condition:
        return Condition(tree, {id(c): self.column(c, context) for c in tree.find_all(exp.Column)})

    # measures

    def predefined(self, node: str, name: str) -> Mapping[str, Any] | None:
        source = self.graph.model.get(self.graph.source_of.get(node, ""), {})
        return next((m for m in source.get("measures", []) if m["name"] == name), None)

    def measure(self, node: str, name: str, guards: Sequence[Condition], stack: tuple[str, ...]) -> Scalar:
        """A predefined measure run on `node`, which may be an alias."""
        key = f"{node}.{name}"
        if key in stack:
            raise Refused("circular", key)
        if node not in self.graph.source_of:
            raise Refused("unknown_source", node)
        measure = self.predefined(node, name)
        if measure is None:
            raise Refused("not_a_measure", key)
        own = list(guards)
        if measure.get("filter"):
            own.append(self.condition(sqlglot.parse_one(measure["filter"]), node))
        for segment in measure.get("segments", []):
            own.append(self.segment(node, segment))
        return self.text(sqlglot.parse_one(measure["expr"]), node, own, (*stack, key))

    def segment(self, node: str, name: str) -> Condition:
        source = self.graph.model[self.graph.source_of[node]]
        found = next((s for s in source.get("segments", []) if s["name"] == name), None)
        if found is None:
            raise Refused("unknown_segment", name)
        return self.condition(sqlglot.parse_one(found["expr"]), node)

    def text(
        self, tree: exp.Expression, context: str | None, guards: Sequence[Condition] = (), stack: tuple[str, ...] = ()
    ) -> Scalar:
        """A measure text; in query text (`context` None) also the text of an aggregate filter."""
        value = Scalar(tree)
        for hit in outermost(tree, lambda n: is_aggregate(n) or isinstance(n, exp.Column)):
            if isinstance(hit, exp.Column):
                value.parts[id(hit)] = self._reference(hit, context, guards, stack)
            else:
                value.parts[id(hit)] = self._leaf(hit, context, guards)
        if not value.parts:
            raise Refused("not_a_measure", tree.sql())
        own = [part for part in value.parts.values() if isinstance(part, Leaf)]
        owners = {leaf.owner for leaf in value.leaves() if leaf.owner}
        for leaf in own:
            if leaf.owner is None and len(owners) == 1:  # a lone count(*) beside another aggregate or measure
                leaf.owner = next(iter(owners))
        return value

    def _reference(
        self, column: exp.Column, context: str | None, guards: Sequence[Condition], stack: tuple[str, ...]
    ) -> Scalar:
        name = column.name
        if column.table:
            node = column.table
            if context is not None and node == self.graph.source_of[context]:
                node = context
            if self.predefined(node, name) is None and node in self.graph.source_of and name in self._listed(node):
                raise Refused("not_aggregated", column.sql())
            return self.measure(node, name, guards, stack)
        if context is not None:
            return self.measure(context, name, guards, stack)
        if name in self.requested:
            if (value := self.requested[name]) is None:
                raise Refused("ambiguous", name)
            return value
        if name in self.named:
            if f"={name}" in stack:
                raise Refused("circular", name)
            return self.text(sqlglot.parse_one(self.named[name]), None, guards, (*stack, f"={name}"))
        return self.measure(self.sole_owner_of(name), name, guards, stack)

    def sole_owner_of(self, measure: str) -> str:
        hits = [source for source in self.graph.model if self.predefined(source, measure)]
        if len(hits) != 1:
            raise Refused("ambiguous" if hits else "not_a_measure", measure)
        return hits[0]

    def _leaf(self, tree: exp.Expression, context: str | None, guards: Sequence[Condition]) -> Leaf:
        inside = [n for n in tree.walk() if n is not tree and is_aggregate(n)]
        if isinstance(tree, exp.Filter):
            inside = [n for n in inside if n is not tree.this]
        if inside:
            raise Refused("nested_aggregate", tree.sql())
        columns = self.condition(tree, context).columns
        nodes = {node for node, _ in columns.values()}
        if not nodes:
            owner = context
        else:
            able = [n for n in nodes if all(self.graph.reaches(n, other) for other in nodes)]
            if not able:
                raise Refused("no_owner", tree.sql())
            mutual = [n for n in nodes if all(self.graph.reaches_freely(n, other) for other in nodes)]
            if len({*able, *mutual}) > 1 and context not in able:
                raise Undetermined("several owners, at least without via")
            owner = context if context in able else able[0]
        return Leaf(tree, columns, owner, list(guards))
