"""What to do about a query that does not answer.

Invariant: `suggest` never raises for a refused query; it says why, which sources
the query needs, and what could be sent or declared instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from .errors import SemanticLayerError
from .graph import Graph
from .models import SemanticQuery, SourceDefinition

if TYPE_CHECKING:
    from .engine import SemanticEngine

__all__ = ["suggest"]

_QUALIFIER = re.compile(r"([A-Za-z_][A-Za-z0-9_$]*)\s*\.")


def suggest(engine: SemanticEngine, query: Mapping[str, Any] | SemanticQuery) -> dict[str, Any]:
    """Plain data about `query`: `{success: True, plan, suggestions: []}`, or what failed and what to do.

    A failure holds `error`, `code`, `referenced_sources`, `missing_sources`,
    `graph_errors`, `suggestions` (each `{description, required_sources,
    required_joins, notes}`), `candidates`, `repair`, and `plan` where one was made.
    """
    try:
        plan = engine.query(query).resolved_plan
    except SemanticLayerError as error:
        return _failure(engine, query, error)
    return {"success": True, "plan": plan.model_dump(), "suggestions": []}


def _failure(
    engine: SemanticEngine, query: Mapping[str, Any] | SemanticQuery, error: SemanticLayerError
) -> dict[str, Any]:
    graph = engine.graph
    named = _names(query, graph)
    referenced = sorted(name for name in named if name in graph.nodes)
    missing = sorted(named - set(graph.nodes)) if error.code in ("unknown_source", "undefined_target") else []
    graph_errors = [
        f"join target {join.to!r} of source {source!r} is not defined" for source, join in graph.undefined
    ] + [str(problem) for problem in graph.problems]
    apart = _components(graph, referenced) if error.code in ("no_path", "fan_out", "asymmetric", "no_owner") else []
    suggestions = []
    if len(apart) > 1:
        listed = "; ".join(", ".join(component) for component in apart)
        graph_errors.append(f"Disconnected components: {len(apart)} ({listed})")
        suggestions += [_join_proposal(graph, apart[0], other) for other in apart[1:]]
    if error.repair is not None:
        suggestions.append(_advice("Send the repaired query", referenced, ["see 'repair': it plans without error"]))
    elif error.candidates:
        notes = [f"{candidate.value}: {candidate.why}" for candidate in error.candidates]
        suggestions.append(_advice("Use one of the candidates", referenced, notes))
    failure = {
        "success": False,
        "error": str(error),
        "referenced_sources": referenced,
        "missing_sources": missing,
        "graph_errors": graph_errors,
        "suggestions": suggestions,
        "code": error.code,
        "candidates": [asdict(candidate) for candidate in error.candidates],
        "repair": error.repair,
    }
    try:
        return failure | {"plan": engine.plan_only(query).model_dump()}
    except SemanticLayerError:
        return failure


def _advice(
    description: str, sources: Sequence[str], notes: Sequence[str], joins: Sequence[dict[str, str]] = ()
) -> dict[str, Any]:
    return {
        "description": description,
        "required_sources": list(sources),
        "required_joins": list(joins),
        "notes": list(notes),
    }


# What a query names


def _names(query: Mapping[str, Any] | SemanticQuery, graph: Graph) -> set[str]:
    """Qualifiers of every text of the query, and the sources of its unique bare names."""
    names: set[str] = set()
    for text in _texts(query.model_dump() if isinstance(query, SemanticQuery) else query):
        try:
            columns = list(sqlglot.parse_one(text, read=graph.dialect.name).find_all(exp.Column))
        except (SqlglotError, RecursionError):
            names.update(_QUALIFIER.findall(text))
            continue
        for column in columns:
            if column.table:
                names.add(column.parts[0].name)
                continue
            owners = graph.column_index.get(column.name) or graph.measure_index.get(column.name) or []
            if len(owners) == 1:
                names.add(owners[0])
    return names


def _texts(query: Mapping[str, Any]) -> Iterator[str]:
    for key in ("measures", "dimensions", "filters", "segments", "order_by"):
        entries = query.get(key)
        for entry in entries if isinstance(entries, list) else []:
            data = (
                entry if isinstance(entry, dict) else {} if isinstance(entry, str) else getattr(entry, "__dict__", {})
            )
            candidates = [entry] if isinstance(entry, str) else [data.get(part) for part in ("ref", "expr", "field")]
            yield from (text for text in candidates if isinstance(text, str) and text.strip())


# What would connect them


def _components(graph: Graph, names: Sequence[str]) -> list[list[str]]:
    """`names` by connection, largest first."""
    components: list[list[str]] = []
    for name in names:
        home = next((component for component in components if graph.connected(component[0], name)), None)
        if home is None:
            components.append([name])
        else:
            home.append(name)
    return sorted(components, key=lambda component: (-len(component), component))


def _join_proposal(graph: Graph, here: Sequence[str], there: Sequence[str]) -> dict[str, Any]:
    """A join between two components: by matching key names if there are any."""
    for one, other in [(a, b) for a in here for b in there] + [(b, a) for a in here for b in there]:
        child, parent = graph.nodes[one].source, graph.nodes[other].source
        keys = [_foreign_key(child, parent, entry) for entry in parent.grain]
        if all(keys):
            on = " AND ".join(f"{key} = {parent.name}.{entry}" for key, entry in zip(keys, parent.grain, strict=True))
            return _proposed(child, parent, on, ["check that the columns hold the same key"])
    child, parent = graph.nodes[here[0]].source, graph.nodes[there[0]].source
    on = " AND ".join(f"<column> = {parent.name}.{entry}" for entry in parent.grain)
    note = f"no column of {child.name!r} is named like the key of {parent.name!r}; put the column that holds it for <column>"
    return _proposed(child, parent, on, [note])


def _proposed(child: SourceDefinition, parent: SourceDefinition, on: str, notes: list[str]) -> dict[str, Any]:
    join = {"source": child.name, "to": parent.name, "on": on, "relationship": "many_to_one"}
    return _advice(f"Declare a join from {child.name!r} to {parent.name!r}", [child.name, parent.name], notes, [join])


def _foreign_key(child: SourceDefinition, parent: SourceDefinition, grain: str) -> str | None:
    """The physical column of `child` named like `grain` of `parent`."""
    columns = {column.name for column in child.columns if not column.expr}
    singular = parent.name[:-3] + "y" if parent.name.endswith("ies") else parent.name.removesuffix("s")
    wanted = [f"{parent.name}_{grain}", f"{singular}_{grain}"] + ([grain] if grain != "id" else [])
    return next((name for name in wanted if name in columns), None)
