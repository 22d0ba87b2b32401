"""Nodes, edges and paths over a model given as mappings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import sqlglot
from sqlglot import exp

from .outcome import Refused, Undetermined

Model = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Edge:
    """A join between nodes `left` and `right`; usable in both directions."""

    left: str
    right: str
    pairs: tuple[tuple[str, str], ...]
    extras: tuple[tuple[str, str, Any], ...]  # (node, column, literal)
    to_one: frozenset[str] = field(compare=False)  # the ends that are at most one row seen from the other end

    def other(self, node: str) -> str:
        return self.right if node == self.left else self.left

    def columns(self, node: str) -> list[str]:
        return [pair[0] if node == self.left else pair[1] for pair in self.pairs]


Path = tuple[tuple[Edge, str, str], ...]  # (edge, from, to)


def literal(node: exp.Expression) -> Any:
    if isinstance(node, exp.Literal):
        return node.this if node.is_string else (float(node.this) if "." in node.this else int(node.this))
    if isinstance(node, exp.Boolean):
        return node.this
    raise Refused("invalid_model", f"not a literal: {node!r}")


def parse_on(on: str, declaring: str, target: str, alias: str | None) -> tuple[list[tuple[str, str]], list[Any]]:
    """`(own column, target column)` pairs and `(is_target, column, literal)` extras of a join condition."""
    tree = sqlglot.parse_one(on)
    clauses = list(tree.flatten()) if isinstance(tree, exp.And) else [tree]
    pairs, extras = [], []

    def side(column: exp.Column) -> str | None:
        if column.table and column.table in (alias, target) and column.table != declaring:
            return "target"
        return "own" if column.table == declaring else None

    for clause in clauses:
        if not isinstance(clause, exp.EQ):
            raise Refused("invalid_model", "Invalid join condition")
        left, right = clause.this, clause.expression
        if isinstance(left, exp.Column) and isinstance(right, exp.Column):
            sides = side(left), side(right)
            if sides in (("target", "own"), ("target", None), (None, "own")) and sides[0] != sides[1]:
                left, right = right, left
            pairs.append((left.name, right.name))
        else:
            column, value = (left, right) if isinstance(left, exp.Column) else (right, left)
            extras.append((side(column) == "target", column.name, literal(value)))
    return pairs, extras


class Graph:
    """Every node of a model with its edges; `via` and `warn` come from the query."""

    def __init__(self, model: Model, via: Mapping[str, str] | None = None, warn: bool = False) -> None:
        self.model, self.via, self.warn = model, dict(via or {}), warn
        self.source_of = {name: name for name in model}
        merged: dict[tuple[Any, ...], Edge] = {}
        for name, source in model.items():
            for join in source.get("joins", []):
                node = join.get("alias") or join["to"]
                self.source_of[node] = join["to"]
                pairs, extras = parse_on(join["on"], name, join["to"], join.get("alias"))
                to_one = {
                    "many_to_one": {node},
                    "one_to_many": {name},
                    "one_to_one": {name, node},
                }[join["relationship"]]
                placed = tuple(
                    sorted((node if is_target else name, column, value) for is_target, column, value in extras)
                )
                if name <= node:
                    left, right, ordered = name, node, tuple(sorted(pairs))
                else:
                    left, right, ordered = node, name, tuple(sorted((b, a) for a, b in pairs))
                for end, columns in ((left, [p[0] for p in ordered]), (right, [p[1] for p in ordered])):
                    if set(model[self.source_of[end]]["grain"]) <= set(columns):
                        to_one = to_one | {end}
                key = (left, right, ordered, placed)
                if key in merged:
                    to_one = to_one | set(merged[key].to_one)
                merged[key] = Edge(left, right, ordered, placed, frozenset(to_one))
        self.edges: dict[str, list[Edge]] = {node: [] for node in self.source_of}
        for edge in merged.values():
            self.edges[edge.left].append(edge)
            self.edges[edge.right].append(edge)
        self.path = cache(self._path)
        self.reaches = cache(self._reaches)
        self.general_path = cache(self._general_path)

    def _shortest(self, start: str, end: str) -> list[Path]:
        """Every to-one path of the fewest edges; empty when there is none."""
        level: list[Path] = [()]
        seen = {start}
        while level:
            found = [path for path in level if (path[-1][2] if path else start) == end]
            if found:
                return found
            following = []
            for path in level:
                at = path[-1][2] if path else start
                for edge in self.edges[at]:
                    to = edge.other(at)
                    if to in edge.to_one and to not in seen:
                        following.append((*path, (edge, at, to)))
            seen |= {path[-1][2] for path in following}
            level = following
        return []

    def _candidates(self, start: str, end: str) -> list[Path]:
        middle = self.via.get(end)
        if middle is None or start == end or middle == end:
            return self._shortest(start, end)
        heads = self._candidates(start, middle)
        tails = self._shortest(middle, end)
        paths = [head + tail for head in heads for tail in tails]
        twice = [path for path in paths if len({start, *(step[2] for step in path)}) <= len(path)]
        if twice and self.warn and len(twice) < len(paths):
            raise Undetermined("which of several is taken, when one enters a node twice")
        if twice:
            raise Refused("ambiguous_path", f"via enters a node twice: {[start, *(step[2] for step in twice[0])]}")
        return paths

    def _reaches(self, start: str, end: str) -> bool:
        return bool(self._candidates(start, end))

    def reaches_freely(self, start: str, end: str) -> bool:
        """Whether any to-one path exists, whatever `via` asks for."""
        return bool(self._shortest(start, end))

    def _path(self, start: str, end: str) -> Path:
        """The one to-one path, or a refusal."""
        found = self._candidates(start, end)
        if not found:
            raise Refused("fan_out", f"{start} does not reach {end}")
        return self._single(found, start, end)

    def _single(self, found: list[Path], start: str, end: str) -> Path:
        if len(found) > 1:
            if not self.warn:
                raise Refused("ambiguous_path", f"{start} to {end}")
            names = sorted(found, key=lambda path: [step[2] for step in path])
            if [s[2] for s in names[0]] == [s[2] for s in names[1]]:
                raise Undetermined("parallel edges differ by condition only")
            return names[0]
        return found[0]

    def _general_path(self, start: str, end: str) -> Path | None:
        """The cheapest path at all (to-one 1, to-many 10); None if unconnected."""
        if self.reaches(start, end):
            return self.path(start, end)
        best: list[Path] = []
        cost = float("inf")

        def walk(at: str, path: Path, spent: int, visited: frozenset[str]) -> None:
            nonlocal best, cost
            if spent > cost:
                return
            if at == end:
                if spent < cost:
                    best, cost = [], spent
                best.append(path)
                return
            for edge in self.edges[at]:
                to = edge.other(at)
                if to not in visited:
                    walk(to, (*path, (edge, at, to)), spent + (1 if to in edge.to_one else 10), visited | {to})

        walk(start, (), 0, frozenset({start}))
        if self.via.get(end):
            raise Undetermined("via over to-many joins")
        return self._single(best, start, end) if best else None
