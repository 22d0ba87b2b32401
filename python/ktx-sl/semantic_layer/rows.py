"""Which rows of a node count, and which nodes give the result its rows.

Invariant: a row filter applies to a node directly (it reaches all the filter reads
by to-one joins), through EXISTS, or not at all, and who asks is told which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .errors import InvalidQuery
from .graph import Edge, Graph, Path, Routing
from .plan import Exists, RowFilter, Rows

__all__ = ["RowBuilder", "Unrooted"]


class Unrooted(Exception):
    """A filter cannot be tested from a node: no path, or none of its nodes reaches its others."""

    def __init__(self, clause: RowFilter, rooted: bool) -> None:
        super().__init__(clause.text)
        self.clause = clause
        self.rooted = rooted
        """Whether a root exists, so that only the path is missing."""


@dataclass(slots=True)
class RowBuilder:
    """Builds `Rows` for one query."""

    graph: Graph
    routing: Routing

    def direct(self, node: str, clause: RowFilter) -> bool:
        """Whether `node` reaches everything the clause reads."""
        return all(self.graph.reaches(node, other) for other in clause.nodes)

    def rows(
        self, node: str, targets: Iterable[str], filters: Sequence[RowFilter], exists: bool
    ) -> tuple[Rows, tuple[RowFilter, ...]]:
        """The rows of `node` with paths to `targets`, and the filters that do not apply to them.

        With `exists`, filters that are not direct are tested by EXISTS. Raises
        `ambiguous_path`; `Unrooted` for a filter that EXISTS cannot test.
        """
        direct = tuple(clause for clause in filters if self.direct(node, clause))
        others = tuple(clause for clause in filters if not self.direct(node, clause))
        groups: tuple[Exists, ...] = ()
        if exists and others:
            groups, others = self._groups(node, others), ()
        wanted = [*targets, *(name for clause in direct for name in sorted(clause.nodes))]
        return Rows(node, self.paths(node, wanted), direct, groups), others

    def paths(self, node: str, targets: Iterable[str]) -> tuple[Path, ...]:
        """The path to each target. Raises `ambiguous_path`, also if a node would be entered two ways."""
        found: dict[str, Path] = {}
        entered: dict[str, Edge] = {}
        for target in targets:
            if target == node or target in found:
                continue
            path = self.graph.path(node, target, self.routing)
            if path is None:
                raise self.unreached(node, target)
            for edge in path.edges:
                known = entered.setdefault(edge.head, edge)
                if known is not edge or edge.head == node:
                    raise InvalidQuery(
                        "ambiguous_path",
                        f"Ambiguous join path from {node!r}: {edge.head!r} is entered from {known.tail!r} and from "
                        f"{edge.tail!r}; settle both with via, or give one of the joins an alias",
                        location="/via",
                    )
            found[target] = path
        return tuple(found.values())

    def unreached(self, node: str, target: str) -> InvalidQuery:
        """The refusal for a target that no to-one path reaches."""
        through = self.routing.through(target)
        if through is not None and self.graph.reaches(node, target):
            return InvalidQuery(
                "no_path",
                f"No join path from '{node}' to '{target}' through {through!r}, which via asks for; drop it from via",
                location=f"/via/{target}",
            )
        if not self.graph.connected(node, target):
            return self.graph.no_path(node, target)
        return InvalidQuery(
            "fan_out",
            f"rows of {node!r} cannot safely reach '{target}': the join from one row leads to many, which would count it "
            "more than once",
        )

    def _groups(self, node: str, clauses: Sequence[RowFilter]) -> tuple[Exists, ...]:
        by_root: dict[str, list[RowFilter]] = {}
        for clause in clauses:
            by_root.setdefault(self.root(clause), []).append(clause)
        roots = sorted(by_root)
        merged: dict[str, list[RowFilter]] = {}
        joined: set[str] = set()
        for root in roots:
            for other in roots:
                # `root`'s clauses also hold for the rows of `other` that lead to it.
                if other != root and self.graph.reaches(other, root):
                    mutual = self.graph.reaches(root, other)
                    if mutual and root < other:
                        continue
                    merged.setdefault(other, []).extend(by_root[root])
                    joined.add(root)
        out: list[Exists] = []
        for root in roots:
            if root in joined:
                continue
            held = [*by_root[root], *merged.get(root, [])]
            link = self.graph.general_path(node, root, self.routing)
            if link is None:
                raise Unrooted(by_root[root][0], True)
            names = [name for clause in held for name in sorted(clause.nodes)]
            out.append(Exists(root, link, tuple(dict.fromkeys(held)), self.paths(root, names)))
        return tuple(out)

    def root(self, clause: RowFilter) -> str:
        """The node of a clause that reaches its others. Raises `Unrooted`."""
        roots = [
            node for node in sorted(clause.nodes) if all(self.graph.reaches(node, other) for other in clause.nodes)
        ]
        if not roots:
            raise Unrooted(clause, False)
        return roots[0]

    def heads(self, nodes: Sequence[str]) -> list[str]:
        """The dimension nodes that reach all dimension nodes, as `via` asks."""
        unique = list(dict.fromkeys(nodes))
        return [node for node in unique if all(self.graph.reaches_by(node, other, self.routing) for other in unique)]

    def covers(self, owner: Rows, head: Rows, dimensions: Sequence[str]) -> bool:
        """Whether every key of `head` is a key of `owner`, by filters and paths alone.

        So it is if each kept row of `head` is kept only for a row of `owner` that leads
        back to it, and both see the same dimension rows.
        """
        if owner.node == head.node:
            return not head.exists and {id(f) for f in owner.filters} == {id(f) for f in head.filters}
        if len(head.exists) != 1 or owner.exists or head.exists[0].root != owner.node:
            return False
        there = self.graph.path(owner.node, head.node, self.routing)
        back = head.exists[0].link
        if there is None or [edge.tail for edge in reversed(back.edges)] != [edge.head for edge in there.edges]:
            return False
        if any(a.text != b.text for a, b in zip(there.edges, reversed(back.edges), strict=True)):
            return False
        if {id(f) for f in owner.filters} != {id(f) for f in (*head.filters, *head.exists[0].clauses)}:
            return False
        seen = [*dimensions, *(name for clause in head.filters for name in clause.nodes)]
        for target in seen:
            long = self.graph.path(owner.node, target, self.routing)
            short = self.graph.path(head.node, target, self.routing)
            if long is None or short is None or long.edges != (*there.edges, *short.edges):
                return False
        return True
