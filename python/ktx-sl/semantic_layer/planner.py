"""From a resolved request to a plan.

Invariant: every requested value is computed over its own owner's rows, each owner
reaches every dimension by one to-one path, and what cannot be so is refused with
what to send instead. The SQL may be one plain SELECT only where grains and
cardinalities prove it equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from .errors import Candidate, InvalidQuery, SemanticLayerError, edit_distance
from .graph import Graph, Path
from .measures import Formula, Leaf
from .outputs import output_names
from .plan import Dimension, MeasureNode, Order, Output, Plan, RowFilter, Rows
from .request import Request, leaves_of
from .rows import RowBuilder, Unrooted

__all__ = ["Planned", "Planner"]


@dataclass(slots=True)
class Planned:
    """A plan, its output names, warnings and, if it cannot become SQL, why."""

    request: Request
    plan: Plan
    names: list[str]
    warnings: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    refusal: SemanticLayerError | None = None


class Planner:
    """Plans requests over one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def plan(self, request: Request) -> Planned:
        """The plan, or a raised refusal; `fan_out`, `asymmetric` and `no_path` between owners and dimensions
        are returned in `refusal` instead, so that they can be shown."""
        return _Planning(self.graph, request).run()


class _Planning:
    def __init__(self, graph: Graph, request: Request) -> None:
        self.graph = graph
        self.request = request
        self.builder = RowBuilder(graph, request.routing)
        self.warnings: list[tuple[str, str, dict[str, Any]]] = list(request.warnings)
        self.names = output_names(request.dimensions, request.measures)
        self.dimensions = tuple(
            Dimension(d.node, d.column, d.field, alias, d.bucket)
            for d, alias in zip(request.dimensions, self.names, strict=False)
        )
        self.dimension_nodes = list(dict.fromkeys(d.node for d in self.dimensions))
        self.requested = leaves_of([m.formula for m in request.measures])
        hidden = [c.formula for c in request.clauses.aggregates]
        hidden += [key for _, key in request.order if isinstance(key, Formula)]
        self.all_leaves = {**self.requested, **leaves_of(hidden)}

    def run(self) -> Planned:
        owners = list(dict.fromkeys(leaf.owner for leaf in self.all_leaves.values()))
        refusal = self._reach(owners)
        if refusal is not None and refusal.code == "no_path":
            raise refusal
        if refusal is not None:
            return Planned(self.request, self._outline(), self.names, self.warnings, refusal)
        aliases = self._leaf_aliases()
        rows = {owner: self._owner_rows(owner) for owner in owners}
        self._check_filters(rows)
        spine_owners = {leaf.owner for leaf in self.requested.values()}
        nodes = tuple(
            MeasureNode(
                rows[owner][0],
                tuple(range(len(self.dimensions))),
                tuple((aliases[key], leaf) for key, leaf in self.all_leaves.items() if leaf.owner == owner),
                owner in spine_owners,
            )
            for owner in sorted(owners, key=lambda o: (o not in spine_owners, owners.index(o)))
        )
        population = self._population(bool(spine_owners))
        plain = self._plain(nodes, population)
        if plain and nodes:
            population = ()
        measures = self.request.measures
        plan = Plan(
            dimensions=self.dimensions,
            nodes=nodes,
            population=population,
            outputs=tuple(
                Output(alias, m.formula.tree)
                for alias, m in zip(self.names[len(self.dimensions) :], measures, strict=True)
            ),
            having=tuple(c.formula.tree for c in self.request.clauses.aggregates),
            order=self._order(),
            limit=self.request.limit,
            plain=plain,
        )
        self._note_paths(plan)
        self._note_nulls()
        return Planned(self.request, plan, self.names, self.warnings)

    def _outline(self) -> Plan:
        return Plan(self.dimensions, (), (), (), (), (), self.request.limit, False)

    # -- reaching dimensions

    def _reach(self, owners: Sequence[str]) -> SemanticLayerError | None:
        for position, dimension in enumerate(self.dimensions):
            unreached = [owner for owner in owners if not self.graph.reaches(owner, dimension.node)]
            if not unreached:
                continue
            if len(unreached) == len(owners):
                return self._fan_out(unreached[0], dimension, position)
            return self._asymmetric(owners, unreached, dimension, position)
        return None

    def _fan_out(self, owner: str, dimension: Dimension, position: int) -> SemanticLayerError:
        if not self.graph.connected(owner, dimension.node):
            error = self.graph.no_path(owner, dimension.node)
            return error.located(f"/dimensions/{position}")
        wished = [m.name for m in self.request.measures]
        reaching = [
            node
            for node in self.graph.nodes.values()
            if self.graph.reaches(node.name, dimension.node) and self.graph.connected(node.name, owner)
        ]
        options = [
            Candidate(
                f"{node.name}.{m}",
                f"a measure that reaches {dimension.node}",
                min((edit_distance(m, w) for w in wished), default=0),
            )
            for node in reaching
            for m in node.measures
        ]
        options.sort(key=lambda c: (c.distance, c.value))
        hint = f"use a measure of a source that does, such as {options[0].value}" if options else "drop the dimension"
        return InvalidQuery(
            "fan_out",
            f"measures over {owner!r} cannot safely reach '{dimension.node}': one row of {owner!r} joins to many of "
            f"{dimension.node!r}, so {dimension.field!r} would count it more than once; {hint}",
            location=f"/dimensions/{position}",
            candidates=options,
        )

    def _asymmetric(
        self, owners: Sequence[str], unreached: Sequence[str], dimension: Dimension, position: int
    ) -> SemanticLayerError:
        shared = [n for n in self.graph.nodes if all(self.graph.reaches(owner, n) for owner in owners)]
        wanted = self.graph.nodes[dimension.node].columns.get(dimension.column.name)
        options: list[Candidate] = []
        for name in shared:
            for column in self.graph.nodes[name].columns.values():
                if column.visibility == "hidden" or (wanted is not None and column.type != wanted.type):
                    continue
                distance = edit_distance(column.name, dimension.field.rpartition(".")[2])
                options.append(Candidate(f"{name}.{column.name}", "a dimension that all the measures reach", distance))
        options.sort(
            key=lambda c: (
                self.graph.nodes[c.value.rpartition(".")[0]].source.grain[0] != c.value.rpartition(".")[2],
                c.distance,
                c.value,
            )
        )
        reached = [owner for owner in owners if owner not in unreached]
        hint = f"use a dimension that all reach, such as {options[0].value}" if options else "ask for them apart"
        return InvalidQuery(
            "asymmetric",
            f"Asymmetric dimension grain: measures over {', '.join(reached)} reach {dimension.field!r}, those over "
            f"{', '.join(unreached)} do not; {hint}",
            location=f"/dimensions/{position}",
            candidates=options,
        )

    # -- rows

    def _owner_rows(self, owner: str) -> tuple[Rows, tuple[RowFilter, ...]]:
        leaves = [leaf for leaf in self.all_leaves.values() if leaf.owner == owner]
        targets = [*self.dimension_nodes, *(name for leaf in leaves for name in sorted(leaf.nodes))]
        try:
            return (
                self.builder.rows(owner, targets, self.request.clauses.rows, False)
                if not self.request.exists
                else (self._exists_rows(owner, targets))
            )
        except Unrooted as unrooted:
            raise self._unrooted(unrooted, owner) from None

    def _exists_rows(self, owner: str, targets: Sequence[str]) -> tuple[Rows, tuple[RowFilter, ...]]:
        """EXISTS where the filter is connected; one that is not does not apply."""
        apart: list[RowFilter] = []
        usable: list[RowFilter] = []
        for clause in self.request.clauses.rows:
            linked = all(self.graph.connected(owner, node) for node in clause.nodes)
            (usable if linked else apart).append(clause)
        rows, _ = self.builder.rows(owner, targets, usable, True)
        return rows, tuple(apart)

    def _unrooted(self, unrooted: Unrooted, node: str, droppable: bool = False) -> InvalidQuery:
        """`droppable`: only rows without a measure are in the way."""
        empty = ", or send include_empty false to leave out rows of no measure" if droppable else ""
        clause = unrooted.clause
        index = clause.location
        if not unrooted.rooted:
            return InvalidQuery(
                "unreachable_filter",
                f"filter {clause.text!r} is not reachable via many_to_one joins: none of {', '.join(sorted(clause.nodes))} "
                f"reaches the others; filter on one source at a time{empty}",
                location=index,
            )
        return InvalidQuery(
            "unreachable_filter",
            f"filter {clause.text!r} is not reachable via many_to_one joins from {node!r}, nor by any other join; drop it{empty}",
            location=index,
        )

    def _check_filters(self, rows: dict[str, tuple[Rows, tuple[RowFilter, ...]]]) -> None:
        requested = {leaf.owner for leaf in self.requested.values()}
        if not rows:
            return
        for clause in self.request.clauses.rows:
            skipped = [owner for owner, (_, apart) in rows.items() if any(c is clause for c in apart)]
            if not skipped:
                continue
            if requested and requested <= set(skipped):
                raise self._inapplicable(clause, sorted(requested))
            missed = self._measures_over(skipped)
            self.warnings.append(
                (
                    "filter_not_applied",
                    f"filter {clause.text!r} does not apply to {', '.join(missed)}: {', '.join(skipped)} cannot reach "
                    f"{', '.join(sorted(clause.nodes))} by many_to_one joins",
                    {"filter": clause.text, "measures": missed},
                )
            )

    def _measures_over(self, owners: Sequence[str]) -> list[str]:
        names = self.names[len(self.dimensions) :]
        found = [
            name
            for name, measure in zip(names, self.request.measures, strict=True)
            if any(leaf.owner in owners for leaf in measure.formula.leaves.values())
        ]
        return found or [f"conditions over {owner}" for owner in owners]

    def _inapplicable(self, clause: RowFilter, owners: Sequence[str]) -> InvalidQuery:
        targets = ", ".join(sorted(clause.nodes))
        linked = all(self.graph.connected(owners[0], node) for node in clause.nodes)
        if len(owners) == 1 and linked:
            return InvalidQuery(
                "to_many_filter",
                f"filter {clause.text!r} is across a one_to_many join: one row of {owners[0]!r} has many of {targets}; send "
                'to_many_filters "exists" to keep rows with at least one match, or use a measure over that source',
                location=clause.location,
                candidates=[Candidate("exists", "to_many_filters: keep rows with at least one match")],
            )
        return InvalidQuery(
            "unreachable_filter",
            f"filter {clause.text!r} on {targets} is not reachable via many_to_one joins from {', '.join(owners)}; "
            "drop it, or ask for measures that reach it",
            location=clause.location,
        )

    def _population(self, has_measures: bool) -> tuple[Rows, ...]:
        if not self.dimensions:
            return ()
        if has_measures and not self.request.include_empty:
            return ()
        heads = self.builder.heads(self.dimension_nodes)
        if not heads:
            if not has_measures:
                raise self._no_head()
            self._no_empty_groups("no dimension's source reaches all the others")
            return ()
        out: list[Rows] = []
        for head in heads:
            try:
                rows, _ = self.builder.rows(head, self.dimension_nodes, self.request.clauses.rows, True)
            except Unrooted as unrooted:
                raise self._unrooted(unrooted, head, has_measures) from None
            except InvalidQuery as error:
                if error.code != "ambiguous_path" or not has_measures:
                    raise
                if not all(self._unique(head, node) for node in self.dimension_nodes):
                    raise
                self._no_empty_groups(f"a filter has no single path from {head!r}")
                return ()
            out.append(rows)
        return tuple(out)

    def _unique(self, head: str, node: str) -> bool:
        try:
            return self.graph.path(head, node, self.request.routing) is not None
        except InvalidQuery:
            return False

    def _no_empty_groups(self, why: str) -> None:
        message = f"groups without any measured rows are left out: {why}"
        self.warnings.append(("no_empty_groups", message, {}))

    def _no_head(self) -> InvalidQuery:
        nodes = self.dimension_nodes
        if any(not self.graph.connected(nodes[0], node) for node in nodes):
            other = next(node for node in nodes if not self.graph.connected(nodes[0], node))
            return self.graph.no_path(nodes[0], other).located("/dimensions")
        reaching = [n for n in self.graph.nodes.values() if all(self.graph.reaches(n.name, d) for d in nodes)]
        options = [
            Candidate(f"{n.name}.{m}", "a measure that reaches all the dimensions")
            for n in reaching
            for m in n.measures
        ]
        options += [Candidate(f"count({n.name}.{n.source.grain[0]})", f"counts rows of {n.name}") for n in reaching]
        hint = f"add a measure that reaches all, such as {options[0].value}" if options else "ask for them apart"
        return InvalidQuery(
            "no_head",
            f"dimensions of {', '.join(nodes)} have no common rows: none of these sources reaches the others; {hint}",
            location="/dimensions",
            candidates=options,
        )

    # -- shape

    def _plain(self, nodes: Sequence[MeasureNode], population: Sequence[Rows]) -> bool:
        if not nodes:
            return len(population) == 1
        if len(nodes) > 1:
            return False
        if not self.dimensions:
            return True
        if not nodes[0].in_spine:
            return False
        return all(self.builder.covers(nodes[0].rows, head, self.dimension_nodes) for head in population)

    def _leaf_aliases(self) -> dict[str, str]:
        """A column name for each leaf: the measure it alone makes up, else a numbered one."""
        used = {name.casefold() for name in self.names}
        aliases: dict[str, str] = {}
        for name, measure in zip(self.names[len(self.dimensions) :], self.request.measures, strict=True):
            tree = measure.formula.tree
            if isinstance(tree, exp.Placeholder) and tree.name not in aliases:
                aliases[tree.name] = name
        number = 1
        for key in self.all_leaves:
            if key not in aliases:
                while f"part_{number}" in used:
                    number += 1
                aliases[key] = f"part_{number}"
                used.add(aliases[key])
        return aliases

    def _order(self) -> tuple[Order, ...]:
        out: list[Order] = []
        sorted_by: set[str] = set()
        for clause, key in self.request.order:
            if isinstance(key, Formula):
                out.append(Order(key.tree, clause.direction, clause.nulls))
                continue
            position = int(key[1:]) + (len(self.dimensions) if key[0] == "m" else 0)
            if self.names[position] not in sorted_by:
                sorted_by.add(self.names[position])
                out.append(Order(self.names[position], clause.direction, clause.nulls))
        if out:
            out.extend(Order(d.alias) for d in self.dimensions if d.alias not in sorted_by)
        return tuple(out)

    # -- warnings

    def _note_paths(self, plan: Plan) -> None:
        noted: set[tuple[str, str]] = set()
        for path in paths_of(plan):
            if path.chosen_from and (path.owner, path.target) not in noted:
                noted.add((path.owner, path.target))
                routes = [list(route) for route in path.chosen_from]
                self.warnings.append(
                    (
                        "ambiguous_path",
                        f"of several shortest paths from {path.owner!r} to {path.target!r}, "
                        f"{' -> '.join(path.nodes)} was taken",
                        {"owner": path.owner, "target": path.target, "chosen": list(path.nodes), "routes": routes},
                    )
                )

    def _note_nulls(self) -> None:
        names = self.names[len(self.dimensions) :]
        for name, measure in zip(names, self.request.measures, strict=True):
            if self._mixes_owners(measure.formula):
                self.warnings.append(
                    (
                        "null_parts",
                        f"{name} adds or subtracts values of different sources and is NULL where one has none; "
                        "wrap the parts in coalesce(..., 0) to count them as 0",
                        {"measure": name},
                    )
                )

    def _mixes_owners(self, formula: Formula) -> bool:
        def owners(tree: exp.Expr) -> set[str]:
            """Owners of the leaves below that can be NULL here."""
            found: set[str] = set()
            for node in tree.walk(prune=lambda n: isinstance(n, exp.Coalesce)):
                if isinstance(node, exp.Placeholder):
                    leaf: Leaf = formula.leaves[node.name]
                    if not leaf.is_count:
                        found.add(leaf.owner)
            return found

        for node in formula.tree.walk():
            if isinstance(node, exp.Add | exp.Sub):
                left, right = owners(node.this), owners(node.expression)
                everything = {leaf.owner for leaf in formula.leaves.values()}
                if (left | right) and len(everything) > 1 and (left != right or len(left) > 1):
                    return True
        return False


def paths_of(plan: Plan) -> list[Path]:
    """Every path the plan joins along."""
    found: list[Path] = []
    for rows in [*(node.rows for node in plan.nodes), *plan.population]:
        found.extend(rows.paths)
        for group in rows.exists:
            found.append(group.link)
            found.extend(group.paths)
    return found
