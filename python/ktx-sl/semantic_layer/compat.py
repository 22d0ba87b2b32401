"""What can be added to a query.

Invariant: a verdict is that of planning the query with the item added; columns of
one node differ only in name, so a node is planned once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .errors import SemanticLayerError
from .graph import Graph
from .models import SemanticQuery
from .planner import Planned, paths_of

__all__ = ["compatible"]

type _Verdict = tuple[bool, list[str], str | None, str | None]


def compatible(
    attempt: Callable[[SemanticQuery], Planned],
    graph: Graph,
    measures: Sequence[Any],
    dimensions: Sequence[Any],
    filters: Sequence[str],
) -> dict[str, list[dict[str, Any]]]:
    """`{dimensions: [{field, type, usable, path, code, reason}], measures: [{ref, usable, path, code, reason}]}`.

    Hidden columns are left out. `path` lists the nodes from an owner to the item's node.
    """

    def verdict(node: str, added_measures: Sequence[Any], added_dimensions: Sequence[Any]) -> _Verdict:
        query = SemanticQuery(
            measures=[*measures, *added_measures], dimensions=[*dimensions, *added_dimensions], filters=list(filters)
        )
        try:
            planned = attempt(query)
        except SemanticLayerError as error:
            return False, [], error.code, error.message
        path = next((list(p.nodes) for p in paths_of(planned.plan) if p.target == node), [node])
        return True, path, None, None

    found: dict[str, list[dict[str, Any]]] = {"dimensions": [], "measures": []}
    for name in sorted(graph.nodes):
        node = graph.nodes[name]
        node_verdict: _Verdict | None = None
        for column in node.columns.values():
            if column.visibility == "hidden":
                continue
            field = f"{name}.{column.name}"
            if node_verdict is None:
                node_verdict = verdict(name, (), [field])
            usable, path, code, reason = node_verdict
            found["dimensions"].append(
                {"field": field, "type": column.type, "usable": usable, "path": path, "code": code, "reason": reason}
            )
        for measure in node.measures:
            ref = f"{name}.{measure}"
            usable, path, code, reason = verdict(name, [ref], ())
            found["measures"].append({"ref": ref, "usable": usable, "path": path, "code": code, "reason": reason})
    return found
