"""Faults of a whole model, found without a query.

Invariant: every fault is one sentence naming the source and what to change, and
none hides another: checks are independent functions over the same graph, run in
the order of `_ERRORS`, and their findings are listed in source order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from sqlglot import exp

from .dialects import Dialect, get_dialect
from .errors import SemanticLayerError
from .expr import column_parts, columns, parse_model
from .graph import Graph, Node, nodes_of
from .joins import parse_condition
from .measures import Measures
from .models import JoinDeclaration, SourceColumn, SourceDefinition, ValidationReport
from .names import Names
from .safety import is_aggregate
from .sql_table_extractor import extract_projected_columns, extract_table_refs, ref_matches_source_table

__all__ = ["validate"]

_DISPLAY = ("name", "email", "label", "title", "description")


@dataclass(frozen=True)
class _Model:
    sources: Mapping[str, SourceDefinition]
    graph: Graph
    measures: Measures
    touched: frozenset[str]

    @property
    def dialect(self) -> Dialect:
        return self.graph.dialect

    def joins(self) -> Iterator[tuple[SourceDefinition, JoinDeclaration, SourceDefinition]]:
        """Declared joins whose target exists."""
        for source in self.sources.values():
            for join in source.joins:
                if join.to in self.sources:
                    yield source, join, self.sources[join.to]

    def pairs(self, source: SourceDefinition, join: JoinDeclaration) -> list[tuple[str, str]]:
        """Own and target columns that a join equates; empty where its text is refused elsewhere."""
        try:
            condition = parse_condition(source, join, self.dialect)
        except SemanticLayerError:
            return []
        named = [(_column_name(own), _column_name(target)) for own, target in condition.pairs]
        return [(own, target) for own, target in named if own and target]


def validate(
    sources: Mapping[str, SourceDefinition],
    dialect: str | Dialect = "postgres",
    recently_touched: Collection[str] | None = None,
) -> ValidationReport:
    """Everything wrong or doubtful about `sources`, which may hold dangling joins.

    `recently_touched` names sources just written: they are also checked for joins
    they should declare. Raises only `unknown_dialect`.
    """
    known = get_dialect(dialect) if isinstance(dialect, str) else dialect
    graph = Graph(sources, known)
    model = _Model(sources, graph, Measures(graph, Names(graph)), frozenset(recently_touched or ()))
    errors = [fault for check in _ERRORS for fault in check(model)]
    warnings = [doubt for check in _WARNINGS for doubt in check(model)]
    singletons = {name: [text] for name, text in _singletons(model)}
    return ValidationReport(
        errors=list(dict.fromkeys(errors)), warnings=list(dict.fromkeys(warnings)), per_source_warnings=singletons
    )


# Errors


def _undefined_targets(model: _Model) -> Iterator[str]:
    for name, join in model.graph.undefined:
        yield f"source {name!r}: join target {join.to!r} is not defined; define that source or remove the join"


def _dotted_names(model: _Model) -> Iterator[str]:
    for source in model.sources.values():
        listed = {column.name for column in source.columns}
        for entry in source.grain:
            if "." in entry and entry not in listed:
                yield f"source {source.name!r}: grain entry {entry!r} is qualified; write the bare column name"
        for column in source.columns:
            if "." in column.name:
                yield f"source {source.name!r}: column {column.name!r} must be unqualified; write the bare column name"


def _grains(model: _Model) -> Iterator[str]:
    for source in model.sources.values():
        listed = {column.name for column in source.columns}
        plain = [entry for entry in source.grain if "." not in entry]
        if listed:
            for entry in plain:
                if entry not in listed:
                    yield f"source {source.name!r}: grain column {entry!r} is not in columns; list it or correct the grain"
        projected = extract_projected_columns(source.sql, model.dialect.name) if source.sql else None
        for entry in plain if projected is not None else []:
            if entry.lower() not in {name.lower() for name in projected or ()}:
                yield (
                    f"source {source.name!r}: grain column {entry!r} is not in the SELECT projection of its sql; "
                    "return it or correct the grain"
                )


def _graph_problems(model: _Model) -> Iterator[str]:
    """Bad `on` texts, aliases that clash and self joins without one."""
    for problem in model.graph.problems:
        yield str(problem)


def _join_columns(model: _Model) -> Iterator[str]:
    for source, join, target in model.joins():
        for pair in model.pairs(source, join):
            for owner, name in zip((source, target), pair, strict=True):
                listed = {column.name: column for column in owner.columns}
                if listed and name not in listed:
                    yield (
                        f"source {source.name!r}: join to {join.alias or join.to!r} uses {owner.name}.{name}, which is not "
                        f"in the columns list of {owner.name!r}; list it or correct the join"
                    )
                elif name in listed and listed[name].expr and not _own_name(listed[name], model):
                    yield (
                        f"source {source.name!r}: join to {join.alias or join.to!r} uses the computed column "
                        f"{owner.name}.{name}; joins need physical columns, not in the columns list as an expression"
                    )


def _own_name(column: SourceColumn, model: _Model) -> bool:
    """Whether the expression of a column is nothing but the physical column of that name, quoted as it must be."""
    try:
        tree = parse_model(column.expr or "", model.dialect, (column.name,))
    except SemanticLayerError:
        return False
    return isinstance(tree, exp.Column) and [part.name for part in column_parts(tree)] == [column.name]


def _display_joins(model: _Model) -> Iterator[str]:
    for source, join, target in model.joins():
        if join.relationship == "one_to_many":
            continue
        for own, other in model.pairs(source, join):
            display = own in _DISPLAY or own.endswith(tuple(f"_{word}" for word in _DISPLAY))
            if display and other in target.grain and (other == "id" or other.endswith("_id")):
                yield (
                    f"source {source.name!r}: join to {join.alias or join.to!r} compares the display column {own!r} with "
                    f"the key {other!r}; join on the column that holds the key"
                )


def _duplicates(model: _Model) -> Iterator[str]:
    for source in model.sources.values():
        for kind, entries in (("column", source.columns), ("measure", source.measures), ("segment", source.segments)):
            for name, count in Counter(entry.name for entry in entries).items():
                if count > 1:
                    yield f"source {source.name!r}: duplicate {kind} name {name!r} ({count} times); rename or remove"


def _contradicting_edges(model: _Model) -> Iterator[str]:
    declared: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    for source, join, _ in model.joins():
        node = join.alias or join.to
        first, second = sorted((source.name, node))
        forward = source.name == first
        pairs = sorted((a, b) if forward else (b, a) for a, b in model.pairs(source, join))
        if pairs:
            inverse = {"many_to_one": "one_to_many", "one_to_many": "many_to_one"}
            seen = join.relationship if forward else inverse.get(join.relationship, join.relationship)
            declared[first, second, str(pairs)].setdefault(seen, source.name)
    for (first, second, _), relationships in declared.items():
        if len(relationships) > 1:
            yield (
                f"joins between {first!r} and {second!r} contradict each other: the same condition is declared "
                f"{' and '.join(sorted(relationships))} (read from {first!r}); keep the true one"
            )


def _computed_columns(model: _Model) -> Iterator[str]:
    for source in model.sources.values():
        names = {column.name for column in source.columns}
        reads: dict[str, set[str]] = {}
        for column in source.columns:
            if not column.expr:
                continue
            try:
                tree = parse_model(column.expr, model.dialect, names)
            except SemanticLayerError as error:
                yield f"source {source.name!r}: column {column.name!r}: {error}"
                continue
            if any(is_aggregate(node) for node in tree.walk(prune=lambda n: isinstance(n, exp.Query))):
                yield f"source {source.name!r}: column {column.name!r} aggregates; make it a measure"
            used = [column_parts(reference) for reference in columns(tree)]
            for parts in used:
                if len(parts) > 1 and parts[0].name != source.name and parts[0].name in model.sources:
                    yield (
                        f"source {source.name!r}: column {column.name!r} reads {parts[0].name}.{parts[1].name}; a computed "
                        "column may use columns of its own source only"
                    )
            own = {(parts[1] if parts[0].name == source.name and len(parts) > 1 else parts[0]).name for parts in used}
            for name in sorted(own - names - set(model.sources)):
                yield (
                    f"source {source.name!r}: column {column.name!r}: {name!r} does not exist in source {source.name!r}. "
                    f"Available: {', '.join(sorted(names))}"
                )
            reads[column.name] = own - {column.name}
        try:
            TopologicalSorter(reads).prepare()
        except CycleError as error:
            trail = " -> ".join(error.args[1])
            yield f"source {source.name!r}: Circular dependency between columns: {trail}"


def _measure_texts(model: _Model) -> Iterator[str]:
    for node in _own_nodes(model):
        for name in node.measures:
            where = f"{node.name}.measures.{name}"
            try:
                formula = model.measures.predefined(node, name)
            except SemanticLayerError as error:
                yield f"source {node.name!r}: {_located(error, where)}"
                continue
            for leaf in formula.leaves.values():
                yield from _to_many(model, leaf.owner, leaf.nodes, where)


def _segment_texts(model: _Model) -> Iterator[str]:
    for node in _own_nodes(model):
        for name in node.segments:
            where = f"{node.name}.segments.{name}"
            try:
                condition = model.measures.segment(node, name, where)
            except SemanticLayerError as error:
                yield f"source {node.name!r}: {_located(error, where)}"
                continue
            yield from _to_many(model, node.name, nodes_of(condition), where)


def _to_many(model: _Model, owner: str, nodes: Collection[str], where: str) -> Iterator[str]:
    for other in sorted(nodes):
        if not model.graph.reaches(owner, other):
            yield f"{where} needs {other!r}, which is not reachable via many_to_one joins from {owner!r}"


def _own_nodes(model: _Model) -> Iterator[Node]:
    for name in model.sources:
        yield model.graph.nodes[name]


def _located(error: SemanticLayerError, where: str) -> str:
    text = str(error)
    return text if where in text else f"{where}: {text}"


def _forgotten_joins(model: _Model) -> Iterator[str]:
    """A SELECT just written that returns the key of a source it reads, without a join to it."""
    for name in sorted(model.touched & set(model.sources)):
        source = model.sources[name]
        if not source.sql:
            continue
        refs = extract_table_refs(source.sql, model.dialect.name)
        returned = {column.name for column in source.columns if not column.expr}
        returned |= extract_projected_columns(source.sql, model.dialect.name) or set()
        for target in model.sources.values():
            if target.name == name or not target.table or _joined(source, target):
                continue
            if not any(ref_matches_source_table(ref, target.table) for ref in refs):
                continue
            keys = [_key_column(entry, target.name, returned) for entry in target.grain]
            if all(keys):
                yield (
                    f"source {name!r} reads the table of {target.name!r} and returns its key "
                    f"({', '.join(key for key in keys if key)}) but does not join it; add it to joins[]"
                )


def _joined(source: SourceDefinition, target: SourceDefinition) -> bool:
    return any(join.to == target.name for join in source.joins) or any(join.to == source.name for join in target.joins)


def _key_column(grain: str, target: str, returned: Collection[str]) -> str | None:
    """The returned column that holds `grain` of `target`, if any."""
    if grain == "id":
        singular = target[:-3] + "y" if target.endswith("ies") else target.removesuffix("s")
        wanted = ["id", f"{target}_id", f"{singular}_id"]
        return next((name for name in wanted if name in returned), None)
    if grain in returned:
        return grain
    return next((name for name in sorted(returned) if name.endswith(f"_{grain}")), None)


# Warnings


def _partial_keys(model: _Model) -> Iterator[str]:
    for source, join, target in model.joins():
        keyed, columns_ = (source, 0) if join.relationship == "one_to_many" else (target, 1)
        used = {pair[columns_] for pair in model.pairs(source, join)}
        if used and not set(keyed.grain) <= used:
            yield (
                f"source {source.name!r}: the {join.relationship} join to {join.alias or join.to!r} matches "
                f"{', '.join(sorted(used))} of {keyed.name!r}, which is not its grain ({', '.join(keyed.grain)}); "
                "if several rows match, results multiply"
            )


def _parallel_joins(model: _Model) -> Iterator[str]:
    for source in model.sources.values():
        counts = Counter(join.to for join in source.joins if not join.alias)
        for target, count in counts.items():
            if count > 1:
                yield f"source {source.name!r}: {count} unaliased joins to {target!r}; give all but one an alias"


def _components(model: _Model) -> list[list[str]]:
    neighbours: dict[str, set[str]] = {name: set() for name in model.sources}
    for source, _, target in model.joins():
        neighbours[source.name].add(target.name)
        neighbours[target.name].add(source.name)
    components: list[list[str]] = []
    seen: set[str] = set()
    for name in neighbours:
        if name in seen:
            continue
        component, pending = set(), [name]
        while pending:
            at = pending.pop()
            if at not in component:
                component.add(at)
                pending += neighbours[at]
        seen |= component
        components.append(sorted(component))
    return sorted(components, key=lambda names: (-len(names), names))


def describe_components(components: list[list[str]]) -> str:
    """`N disconnected components: ...`, largest first, long ones cut to two names."""
    shown = [
        ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])}, ... (+{len(names) - 2} more)"
        for names in components
    ]
    return f"{len(components)} disconnected components: {'; '.join(f'[{text}]' for text in shown)}"


def _disconnected(model: _Model) -> Iterator[str]:
    components = _components(model)
    if len(components) > 1:
        yield f"{describe_components(components)}; sources of different components cannot meet in a query"


def _singletons(model: _Model) -> Iterator[tuple[str, str]]:
    for component in _components(model):
        if len(component) == 1 and component[0] in model.touched and len(model.sources) > 1:
            yield component[0], f"source {component[0]!r} is a singleton: no join connects it to any other source"


def _column_name(side: exp.Expr) -> str | None:
    """The column of one side of a join, casts ignored."""
    while isinstance(side, exp.Cast | exp.Paren):
        side = side.this
    return side.name if isinstance(side, exp.Column) else None


_ERRORS: tuple[Callable[[_Model], Iterator[str]], ...] = (
    _undefined_targets,
    _dotted_names,
    _grains,
    _graph_problems,
    _join_columns,
    _display_joins,
    _duplicates,
    _contradicting_edges,
    _computed_columns,
    _measure_texts,
    _segment_texts,
    _forgotten_joins,
)
_WARNINGS: tuple[Callable[[_Model], Iterator[str]], ...] = (_partial_keys, _parallel_joins, _disconnected)
