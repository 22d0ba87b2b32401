"""The join graph: nodes, edges and the one path between an owner and a target.

Invariant: a path is either unique or refused (or, on request, chosen by a fixed
rule and reported), and every check and every statement uses the same path. All
search results are kept, so a warm query pays for dictionary look-ups only.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from sqlglot import exp

from .dialects import Dialect
from .errors import Candidate, InvalidModel, InvalidQuery, SemanticLayerError, nearest
from .expr import columns
from .joins import Condition, parse_condition
from .models import JoinDeclaration, MeasureDefinition, Relationship, Segment, SourceColumn, SourceDefinition

__all__ = ["Edge", "Graph", "Node", "Path", "Routing"]

_TO_ONE_COST, _TO_MANY_COST = 1, 10
_MAX_ROUTES = 10


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """A join read from `tail` to `head`. `pairs` are (tail's side, head's side)."""

    tail: str
    head: str
    pairs: tuple[tuple[exp.Expr, exp.Expr], ...]
    extras: tuple[exp.Expr, ...]
    to_one: bool
    relationship: Relationship
    text: str

    @property
    def order(self) -> tuple[str, str]:
        """What decides between equally short routes."""
        return self.head, self.text


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """The edges from `owner`, none if it is the target itself."""

    owner: str
    target: str
    edges: tuple[Edge, ...]
    chosen_from: tuple[tuple[str, ...], ...] = ()
    """All equally short routes, where `ambiguous_paths: warn` took the first."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Node names, both ends included."""
        return (self.owner, *(edge.head for edge in self.edges))


class Node:
    """A source, or an alias of one. Columns, measures and segments by name."""

    def __init__(self, name: str, source: SourceDefinition) -> None:
        self.name = name
        self.source = source

    @property
    def is_alias(self) -> bool:
        """Whether the name is an alias given by a join."""
        return self.name != self.source.name

    @cached_property
    def columns(self) -> dict[str, SourceColumn]:
        """By name; one written with its quotes goes by what stands inside them."""
        found: dict[str, SourceColumn] = {}
        for column in self.source.columns:
            found.setdefault(unquoted(column.name), column)
        return found

    @cached_property
    def measures(self) -> dict[str, MeasureDefinition]:
        """By name."""
        return {measure.name: measure for measure in self.source.measures}

    @cached_property
    def segments(self) -> dict[str, Segment]:
        """By name."""
        return {segment.name: segment for segment in self.source.segments}


def unquoted(name: str) -> str:
    """`name` without the quotes it was given in."""
    if len(name) > 2 and (name[0], name[-1]) in {('"', '"'), ("`", "`"), ("[", "]")}:
        return name[1:-1].replace(name[-1] * 2, name[-1])
    return name


@dataclass(frozen=True, slots=True)
class Routing:
    """How a query settles paths: `via` is (target, node to visit) pairs."""

    via: tuple[tuple[str, str], ...] = ()
    ambiguous: Literal["refuse", "warn"] = "refuse"

    def through(self, target: str) -> str | None:
        """The node `target`'s path must visit."""
        return next((node for name, node in self.via if name == target), None)


@dataclass(slots=True)
class _Search:
    """Shortest routes from one node: distance and the edges that end such a route."""

    distance: dict[str, int]
    last: dict[str, list[Edge]]


class Graph:
    """Sources and their joins. `undefined` lists (source, join) whose target does not exist."""

    def __init__(self, sources: Mapping[str, SourceDefinition], dialect: Dialect) -> None:
        self.sources = dict(sources)
        self.dialect = dialect
        self.nodes: dict[str, Node] = {name: Node(name, source) for name, source in self.sources.items()}
        self.undefined: list[tuple[str, JoinDeclaration]] = []
        self.problems: list[SemanticLayerError] = []
        self.edges: dict[str, list[Edge]] = defaultdict(list)
        self._reach: dict[str, _Search] = {}
        self._general: dict[str, _Search] = {}
        self._paths: dict[tuple[str, str, Routing, bool], Path | None] = {}
        self._alternatives: dict[tuple[str, ...], list[list[str]]] = {}
        self._add_edges()

    # -- building

    def _add_edges(self) -> None:
        merged: dict[tuple[str, str, str], list[tuple[Condition, bool, bool, bool]]] = defaultdict(list)
        for source in self.sources.values():
            for join in source.joins:
                if join.to not in self.sources:
                    self.undefined.append((source.name, join))
                    continue
                name = join.alias or join.to
                if join.alias:
                    taken = self.nodes.get(name)
                    if taken is not None and (not taken.is_alias or taken.source.name != join.to):
                        kind = "a source's name" if not taken.is_alias else f"already an alias of {taken.source.name!r}"
                        self.problems.append(
                            InvalidModel(
                                "invalid_model", f"alias {name!r} in source {source.name!r} is {kind}; choose another"
                            )
                        )
                        continue
                    if taken is None:
                        self.nodes[name] = Node(name, self.sources[join.to])
                elif join.to == source.name:
                    self.problems.append(
                        InvalidModel("invalid_model", f"source {source.name!r} joins itself; give the join an alias")
                    )
                    continue
                try:
                    condition = parse_condition(source, join, self.dialect, self.nodes[name].columns)
                except InvalidModel as error:
                    self.problems.append(error)
                    continue
                to_one = join.relationship in ("many_to_one", "one_to_one")
                back = join.relationship in ("one_to_many", "one_to_one")
                first, second = sorted((source.name, name))
                merged[first, second, self._key(condition)].append((condition, source.name == first, to_one, back))
        for (first, second, text), found in merged.items():
            condition, forward, _, _ = found[0]
            pairs = condition.pairs if forward else tuple((b, a) for a, b in condition.pairs)
            there = any(to_one if ahead else back for _, ahead, to_one, back in found)
            here = any(back if ahead else to_one for _, ahead, to_one, back in found)
            self._add(first, second, pairs, condition.extras, there, here, text)
        for edges in self.edges.values():
            edges.sort(key=lambda edge: edge.order)

    def _key(self, condition: Condition) -> str:
        """Equal conditions, in whatever order they are written, have equal keys."""
        both = [" = ".join(sorted(self.dialect.print(side) for side in pair)) for pair in condition.pairs]
        return " AND ".join(sorted({*both, *(self.dialect.print(extra) for extra in condition.extras)}))

    def _add(
        self,
        first: str,
        second: str,
        pairs: tuple[tuple[exp.Expr, exp.Expr], ...],
        extras: tuple[exp.Expr, ...],
        there: bool,
        here: bool,
        text: str,
    ) -> None:
        there = there or self._holds_grain(second, [b for _, b in pairs])
        here = here or self._holds_grain(first, [a for a, _ in pairs])

        def relationship(ahead: bool, behind: bool) -> Relationship:
            if ahead:
                return "one_to_one" if behind else "many_to_one"
            return "one_to_many"

        self.edges[first].append(Edge(first, second, pairs, extras, there, relationship(there, here), text))
        flipped = tuple((b, a) for a, b in pairs)
        self.edges[second].append(Edge(second, first, flipped, extras, here, relationship(here, there), text))

    def _holds_grain(self, node: str, sides: Iterable[exp.Expr]) -> bool:
        plain = {side.name for side in sides if isinstance(side, exp.Column)}
        return {unquoted(column) for column in self.nodes[node].source.grain} <= plain

    # -- looking up

    def check(self) -> None:
        """Raise the first fault that makes any answer doubtful: `undefined_target`, `invalid_model`."""
        if self.undefined:
            name, join = self.undefined[0]
            raise InvalidModel(
                "undefined_target",
                f"join target {join.to!r} of source {name!r} is not defined; define it or drop the join",
                location=f"{name}.joins.{join.to}",
                candidates=nearest(join.to, self.sources, "a defined source"),
            )
        if self.problems:
            raise self.problems[0]

    def node(self, name: str) -> Node:
        """The node called `name`. Raises `unknown_source`."""
        found = self.nodes.get(name)
        if found is None:
            raise InvalidQuery(
                "unknown_source",
                f"unknown source '{name}'; known: {', '.join(sorted(self.nodes)[:20])}",
                candidates=nearest(name, self.nodes, "a defined source or alias"),
            ).about(name)
        return found

    @cached_property
    def column_index(self) -> dict[str, list[str]]:
        """Column name -> sources that list it, in name order."""
        index: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self.sources):
            for column in self.nodes[name].columns:
                index[column].append(name)
        return dict(index)

    @cached_property
    def measure_index(self) -> dict[str, list[str]]:
        """Measure name -> sources that define it, in name order."""
        index: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self.sources):
            for measure in self.nodes[name].measures:
                index[measure].append(name)
        return dict(index)

    # -- paths

    def _to_one(self, start: str) -> _Search:
        """Breadth first over to-one edges."""
        search = self._reach.get(start)
        if search is None:
            search = _Search({start: 0}, {})
            layer = [start]
            while layer:
                following: list[str] = []
                for name in layer:
                    for edge in self.edges.get(name, ()):
                        if not edge.to_one:
                            continue
                        depth = search.distance[name] + 1
                        if edge.head not in search.distance:
                            search.distance[edge.head] = depth
                            search.last[edge.head] = []
                            following.append(edge.head)
                        if search.distance[edge.head] == depth:
                            search.last[edge.head].append(edge)
                layer = following
            self._reach[start] = search
        return search

    def _cheapest(self, start: str) -> _Search:
        """Dijkstra over all edges: to-one costs 1, to-many 10."""
        search = self._general.get(start)
        if search is None:
            search = _Search({start: 0}, {})
            queue = [(0, start)]
            done: set[str] = set()
            while queue:
                cost, name = heapq.heappop(queue)
                if name in done:
                    continue
                done.add(name)
                for edge in self.edges.get(name, ()):
                    total = cost + (_TO_ONE_COST if edge.to_one else _TO_MANY_COST)
                    known = search.distance.get(edge.head)
                    if known is None or total < known:
                        search.distance[edge.head] = total
                        search.last[edge.head] = [edge]
                        heapq.heappush(queue, (total, edge.head))
                    elif total == known and edge.head != start:
                        search.last[edge.head].append(edge)
            self._general[start] = search
        return search

    def reaches(self, owner: str, target: str) -> bool:
        """Whether some to-one route leads from `owner` to `target`."""
        return owner == target or target in self._to_one(owner).distance

    def reaches_by(self, owner: str, target: str, routing: Routing, busy: frozenset[str] = frozenset()) -> bool:
        """Whether a to-one route leads from `owner` to `target` as `via` asks."""
        through = routing.through(target)
        if through is None or through in (owner, target) or owner == target or target in busy:
            return self.reaches(owner, target)
        busy = busy | {target}
        return self.reaches_by(owner, through, routing, busy) and self.reaches_by(through, target, routing, busy)

    def reachable(self, owner: str) -> Mapping[str, int]:
        """Nodes reached to-one from `owner`, itself included, with their depth."""
        return self._to_one(owner).distance

    def connected(self, a: str, b: str) -> bool:
        """Whether any route at all joins the two."""
        return b in self._cheapest(a).distance

    def path(self, owner: str, target: str, routing: Routing) -> Path | None:
        """The to-one path, or None if there is none. Raises `ambiguous_path`."""
        return self._path(owner, target, routing, False, frozenset())

    def general_path(self, owner: str, target: str, routing: Routing) -> Path | None:
        """The cheapest path over any edges, or None. Raises `ambiguous_path`."""
        return self._path(owner, target, routing, True, frozenset())

    def _path(self, owner: str, target: str, routing: Routing, general: bool, busy: frozenset[str]) -> Path | None:
        if owner == target:
            return Path(owner, target, ())
        key = (owner, target, routing, general)
        if key not in self._paths:
            through = routing.through(target)
            if through is None or through in (owner, target) or target in busy:
                self._paths[key] = self._shortest(owner, target, routing, general)
            else:
                busy = busy | {target}
                start = self._path(owner, through, routing, general, busy)
                end = self._path(through, target, routing, general, busy) if start else None
                if start is None or end is None:
                    self._paths[key] = None
                else:
                    nodes = (*start.nodes, *end.nodes[1:])
                    if len(set(nodes)) < len(nodes):
                        raise self._twice(owner, target, nodes)
                    self._paths[key] = Path(
                        owner, target, (*start.edges, *end.edges), start.chosen_from or end.chosen_from
                    )
        return self._paths[key]

    def _twice(self, owner: str, target: str, nodes: tuple[str, ...]) -> InvalidQuery:
        return InvalidQuery(
            "ambiguous_path",
            f"Ambiguous join path from {owner!r} to {target!r}: via leads through a node twice ({' -> '.join(nodes)}); "
            "name another node in via",
            location="/via",
        )

    def _shortest(self, owner: str, target: str, routing: Routing, general: bool) -> Path | None:
        search = self._cheapest(owner) if general else self._to_one(owner)
        if target not in search.distance:
            return None
        routes = self._routes(search, owner, target)
        if len(routes) == 1:
            return Path(owner, target, routes[0])
        named = tuple(Path(owner, target, route).nodes for route in routes)
        if routing.ambiguous == "warn":
            return Path(owner, target, routes[0], named)
        raise self._ambiguous(owner, target, routes)

    def _routes(
        self, search: _Search, owner: str, target: str, known: dict[str, list[tuple[Edge, ...]]] | None = None
    ) -> list[tuple[Edge, ...]]:
        """Up to ten shortest routes, smallest node-name sequence first."""
        known = {owner: [()]} if known is None else known
        if target not in known:
            routes = [
                (*before, edge)
                for edge in search.last[target]
                for before in self._routes(search, owner, edge.tail, known)
            ]
            routes.sort(key=lambda route: [edge.order for edge in route])
            known[target] = routes[:_MAX_ROUTES]
        return known[target]

    def _ambiguous(self, owner: str, target: str, routes: list[tuple[Edge, ...]]) -> InvalidQuery:
        shown = [" -> ".join(Path(owner, target, route).nodes) for route in routes]
        if len(set(shown)) < len(shown):
            shown = [f"{text} (on {route[-1].text})" for text, route in zip(shown, routes, strict=True)]
        sets = [set(Path(owner, target, route).nodes[1:-1]) for route in routes]
        telling = sorted(
            {n for i, s in enumerate(sets) for n in s if not any(n in o for j, o in enumerate(sets) if j != i)}
        )
        candidates = [Candidate(name, f"via {{{target}: {name}}} takes the route through {name}") for name in telling]
        hint = f"send via {{{target!r}: ...}} with one of {', '.join(telling)}, or " if telling else ""
        return InvalidQuery(
            "ambiguous_path",
            f"Ambiguous join path from {owner!r} to {target!r}: {'; '.join(shown)}. "
            f"{hint}give one of the joins an alias in the model, and ask for the alias",
            candidates=candidates,
        ).about(target)

    def alternatives(self, path: Path) -> list[list[str]]:
        """Longer to-one routes than `path`, at most ten, shortest first."""
        nodes = path.nodes
        if len(nodes) < 2:
            return []
        if nodes not in self._alternatives:
            found: list[list[str]] = []
            budget = 2_000

            def walk(trail: list[str]) -> Iterator[list[str]]:
                nonlocal budget
                for edge in self.edges.get(trail[-1], ()):
                    budget -= 1
                    if budget < 0:
                        return
                    if edge.to_one and edge.head not in trail and self.reaches(edge.head, path.target):
                        if edge.head == path.target:
                            yield [*trail, edge.head]
                        else:
                            yield from walk([*trail, edge.head])

            for route in walk([path.owner]):
                if tuple(route) != nodes and route not in found:
                    found.append(route)
            self._alternatives[nodes] = sorted(found, key=lambda route: (len(route), route))[:_MAX_ROUTES]
        return self._alternatives[nodes]

    def no_path(self, owner: str, target: str) -> InvalidQuery:
        """The refusal for nodes that no joins connect."""
        node = self.nodes[target]
        aliases = [n.name for n in self.nodes.values() if n.is_alias and n.source.name == target]
        hint = f"; ask for its alias {', '.join(sorted(aliases))}" if aliases and not node.is_alias else ""
        return InvalidQuery(
            "no_path",
            f"No join path from '{owner}' to '{target}'{hint or '; declare a join, or ask for them apart'}",
            candidates=[Candidate(name, f"an alias of {target}") for name in sorted(aliases)],
        ).about(target)


def nodes_of(tree: exp.Expr) -> set[str]:
    """Names of the nodes that the columns of a resolved tree belong to."""
    found: set[str] = set()
    for column in columns(tree):
        while isinstance(column, exp.Dot):
            column = column.this
        if isinstance(column, exp.Column) and column.table:
            found.add(column.table)
    return found
