"""A plan as the `ResolvedPlan` that callers read."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from .expr import readable
from .graph import Edge, Graph
from .measures import Formula, Measures
from .models import (
    MeasureGroup,
    OrderByClause,
    PathInfo,
    PlanWarning,
    QueryDimension,
    ResolvedColumn,
    ResolvedJoin,
    ResolvedMeasure,
    ResolvedPlan,
)
from .plan import Rows
from .planner import Planned, paths_of
from .request import RequestedMeasure

__all__ = ["resolved_plan"]


def resolved_plan(planned: Planned, graph: Graph, measures: Measures) -> ResolvedPlan:
    """What was decided. Lists are in request order, sources sorted by name."""
    return _Report(planned, graph, measures).plan()


class _Report:
    def __init__(self, planned: Planned, graph: Graph, measures: Measures) -> None:
        self.planned, self.graph, self.compiler = planned, graph, measures
        self.request = planned.request
        self.dialect = graph.dialect
        count = len(self.request.dimensions)
        self.dimension_names, self.measure_names = planned.names[:count], planned.names[count:]

    def plan(self) -> ResolvedPlan:
        request, plan = self.request, self.planned.plan
        refusal = self.planned.refusal
        all_rows = [*(node.rows for node in plan.nodes), *plan.population]
        edges = self._edges(all_rows)
        columns = [*self._dimension_columns(), *self._measure_columns()]
        return ResolvedPlan(
            sources_used=self._sources(all_rows),
            join_paths=[self._join_text(edge) for edge in edges],
            joins=[self._join(edge) for edge in edges],
            anchor_source=self._anchor(),
            anchor_grain=[d.field for d in request.dimensions],
            fan_out_description=refusal.message if refusal else "No fanout",
            has_fan_out=refusal is not None,
            measure_groups=self._groups(),
            aggregate_locality=self._locality(),
            where_filters=list(request.clauses.row_texts),
            having_filters=list(request.clauses.aggregate_texts),
            columns=columns,
            measures=self._measures(),
            dimensions=[QueryDimension(field=d.field, granularity=d.granularity) for d in request.dimensions],
            order_by=[
                OrderByClause(field=clause.field, direction=clause.direction, nulls=clause.nulls)
                for clause, _ in request.order
            ],
            limit=request.limit,
            include_empty=request.include_empty,
            warnings=[PlanWarning(code=c, message=m, details=d) for c, m, d in self.planned.warnings],
            refusal=refusal.to_dict() if refusal else None,
            paths=self._paths(),
        )

    # -- sources and joins

    def _edges(self, all_rows: Sequence[Rows]) -> list[Edge]:
        found: dict[tuple[str, str, str], Edge] = {}
        for rows in all_rows:
            groups = [
                edge for group in rows.exists for edge in (*group.link.edges, *Rows(group.root, group.paths).edges)
            ]
            for edge in (*rows.edges, *groups):
                ends = sorted((edge.tail, edge.head))
                found.setdefault((ends[0], ends[1], edge.text), edge)
        return list(found.values())

    def _sources(self, all_rows: Sequence[Rows]) -> list[str]:
        names = {d.node for d in self.request.dimensions}
        for measure in self.request.measures:
            for leaf in measure.formula.leaves.values():
                names |= {leaf.owner, *leaf.nodes}
        for rows in all_rows:
            names.add(rows.node)
            names.update(edge.head for edge in rows.edges)
            for group in rows.exists:
                names.update(group.link.nodes)
                names.update(n for path in group.paths for n in path.nodes)
        return sorted(names)

    def _join(self, edge: Edge) -> ResolvedJoin:
        return ResolvedJoin(
            from_source=edge.tail,
            to_source=edge.head,
            from_column=",".join(self._side(a) for a, _ in edge.pairs),
            to_column=",".join(self._side(b) for _, b in edge.pairs),
            relationship=edge.relationship,
        )

    def _side(self, side: exp.Expr) -> str:
        return side.name if isinstance(side, exp.Column) else self.dialect.print(side)

    def _join_text(self, edge: Edge) -> str:
        condition = " AND ".join(f"{edge.tail}.{self._side(a)} = {edge.head}.{self._side(b)}" for a, b in edge.pairs)
        return f"{edge.tail} -> {edge.head} ({edge.relationship}) on {condition}"

    def _anchor(self) -> str | None:
        request = self.request
        first_measure = next((leaf.owner for m in request.measures for leaf in m.formula.leaves.values()), None)
        first_dimension = request.dimensions[0].node if request.dimensions else None
        if request.include_empty:
            return first_dimension or first_measure
        return first_measure or first_dimension

    def _owners(self) -> dict[str, list[str]]:
        owners: dict[str, list[str]] = {}
        for name, measure in zip(self.measure_names, self.request.measures, strict=True):
            for leaf in measure.formula.leaves.values():
                named = owners.setdefault(leaf.owner, [])
                if name not in named:
                    named.append(name)
        return owners

    def _groups(self) -> list[MeasureGroup]:
        owners = self._owners()
        if len(owners) < 2:
            return []
        by_owner = {node.rows.node: node.rows for node in self.planned.plan.nodes}
        return [
            MeasureGroup(
                source_name=owner,
                measures=names,
                join_path_to_dims=[self._join_text(edge) for edge in by_owner[owner].edges]
                if owner in by_owner
                else [],
            )
            for owner, names in owners.items()
        ]

    def _locality(self) -> list[str]:
        if self.planned.plan.plain:
            return [f"{owner}: {', '.join(names)} in one SELECT" for owner, names in self._owners().items()]
        return [f"{owner}: {', '.join(names)} aggregated before joining" for owner, names in self._owners().items()]

    def _paths(self) -> list[PathInfo]:
        seen: dict[tuple[str, str], PathInfo] = {}
        for path in paths_of(self.planned.plan):
            if (path.owner, path.target) not in seen and path.edges:
                alternatives = self.graph.alternatives(path)
                seen[path.owner, path.target] = PathInfo(
                    owner=path.owner, target=path.target, nodes=list(path.nodes), alternatives=alternatives
                )
        return list(seen.values())

    # -- columns and measures

    def _dimension_columns(self) -> list[ResolvedColumn]:
        out: list[ResolvedColumn] = []
        for alias, d in zip(self.dimension_names, self.request.dimensions, strict=True):
            definition = self.graph.nodes[d.node].columns.get(d.name)
            suffix = f"_{d.granularity}"
            name = alias.removesuffix(suffix) if d.granularity else alias
            out.append(
                ResolvedColumn(
                    name=name,
                    provenance="dimension",
                    expr=definition.expr if definition else None,
                    description=definition.description if definition else None,
                    granularity=d.granularity,
                    alias=alias,
                    ref=d.field,
                )
            )
        return out

    def _measure_columns(self) -> list[ResolvedColumn]:
        return [
            ResolvedColumn(
                name=alias,
                provenance="verified" if m.ref else "composed",
                expr=self._expr(m),
                description=m.definition.description if m.definition else None,
                alias=alias,
                ref=m.ref or alias,
            )
            for alias, m in zip(self.measure_names, self.request.measures, strict=True)
        ]

    def _expr(self, measure: RequestedMeasure) -> str:
        return self._text(measure.formula) if measure.ref else measure.text

    def _text(self, formula: Formula) -> str:
        return self.dialect.print(readable(formula.shown))

    def _measures(self) -> list[ResolvedMeasure]:
        out: list[ResolvedMeasure] = []
        done: set[str] = set()
        for alias, m in zip(self.measure_names, self.request.measures, strict=True):
            if m.ref:
                done.add(m.ref)
            out.append(
                self._measure(
                    alias,
                    m.formula,
                    self._expr(m),
                    m.definition.name if m.definition else None,
                    m.ref,
                    m.definition.description if m.definition else None,
                )
            )
        pending = [ref for m in self.request.measures for ref in m.formula.refs]
        pending += [ref for clause in self.request.clauses.aggregates for ref in clause.formula.refs]
        while pending:
            ref = pending.pop(0)
            node_name, _, name = ref.rpartition(".")
            if ref in done or node_name not in self.graph.nodes:
                continue
            done.add(ref)
            node = self.graph.nodes[node_name]
            formula = self.compiler.predefined(node, name)
            out.append(self._measure(name, formula, self._text(formula), name, ref, node.measures[name].description))
            pending.extend(formula.refs)
        return out

    def _measure(
        self, alias: str, formula: Formula, text: str, original: str | None, ref: str | None, description: str | None
    ) -> ResolvedMeasure:
        owners = {leaf.owner for leaf in formula.leaves.values()}
        derived = bool(formula.refs) or len(owners) > 1
        return ResolvedMeasure(
            name=alias,
            expr=text,
            source_name="__derived__" if derived else next(iter(owners)),
            original_name=original or alias,
            qualified_ref=ref,
            filter=formula.filter,
            provenance="verified" if ref else "composed",
            is_derived=derived,
            depends_on=list(formula.refs),
            description=description,
        )
