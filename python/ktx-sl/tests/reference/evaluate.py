"""One query over rows: groups, guards, filters, values, order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

import sqlglot
from sqlglot import exp

from .expressions import PENDING, aggregate, is_aggregate, scalar, truth
from .graph import Graph, Model
from .measures import Condition, Leaf, Names, Scalar, conjuncts
from .naming import automatic, output_names
from .outcome import Refused, Undetermined
from .periods import period_start

Data = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass
class Answer:
    """`rows` before LIMIT; `ordered` says whether their order is promised."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    ordered: bool
    limit: int
    empty_groups: bool  # False where include_empty could not be honoured

    @property
    def limited(self) -> list[tuple[Any, ...]]:
        return self.rows[: self.limit]


@dataclass(eq=False)
class Clause:
    """One row-filter clause."""

    condition: Condition
    text: str


@dataclass(frozen=True)
class Dimension:
    node: str
    column: str
    granularity: str | None


def evaluate(model: Model, data: Data, query: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> Answer:
    """Answer `query` (a mapping of the wire shape) over `data`: rows per source name.

    Raises `Refused` where the rules refuse and `Undetermined` where they leave the answer open.
    """
    return _Run(model, data, query, options or {}).answer()


class _Run:
    def __init__(self, model: Model, data: Data, query: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        self.query, self.data = query, data
        self.graph = Graph(model, query.get("via"), query.get("ambiguous_paths") == "warn")
        self.week_start = options.get("week_start", "monday")
        self.fiscal_year_start = options.get("fiscal_year_start", 1)
        self.exists = query.get("to_many_filters") == "exists"
        self.include_empty = query.get("include_empty", True)
        self.links: dict[tuple[str, int, str], int | None] = {}
        self.indexes: dict[Any, dict[Any, list[int]]] = {}
        self.computed: dict[tuple[str, int, str], Any] = {}
        self.empty_groups = True
        self._read()

    # reading the query

    def _read(self) -> None:
        named = {m["name"]: m["expr"] for m in self.query["measures"] if isinstance(m, Mapping) and m.get("name")}
        self.names = Names(self.graph, named)
        self.dimensions: list[Dimension] = []
        self.fields: dict[Dimension, set[str]] = {}  # how each was asked for
        for entry in self.query.get("dimensions", []):
            text, granularity = (entry, None) if isinstance(entry, str) else (entry["field"], entry.get("granularity"))
            node, column = self.names.column(_column(text), None)
            dimension = Dimension(node, column, granularity.lower() if granularity else None)
            self.fields.setdefault(dimension, set()).add(text.lower())
            if dimension not in self.dimensions:
                self.dimensions.append(dimension)
        self.measures: list[tuple[str | None, str, str, Scalar]] = []  # source, name, text, value
        for entry in self.query["measures"]:
            text, name = (entry, None) if isinstance(entry, str) else (entry["expr"], entry.get("name"))
            measure = self._requested(text, name)
            if not any(measure[:3] == known[:3] for known in self.measures):
                self.measures.append(measure)
        if not self.dimensions and not self.measures:
            raise Refused("empty_query")
        for _, name, _, value in self.measures:
            self.names.requested[name] = None if name in self.names.requested else value
        self.row_clauses: list[Clause] = []
        self.value_filters: list[Scalar] = []
        for text in self.query.get("filters", []):
            if text.strip():
                for tree in conjuncts(sqlglot.parse_one(text)):
                    self._filter(tree)
        self.order = [self._order(entry) for entry in self.query.get("order_by", [])]
        self.requested = [leaf for _, _, _, value in self.measures for leaf in value.leaves()]
        hidden = [leaf for value in self.value_filters for leaf in value.leaves()]
        hidden += [leaf for target, *_ in self.order if isinstance(target, Scalar) for leaf in target.leaves()]
        self.leaves = list(dict.fromkeys(self.requested + hidden))
        self._own_lone_counts()
        for text in self.query.get("segments", []):
            self._segment(text)

    def _requested(self, text: str, name: str | None) -> tuple[str | None, str, str, Scalar]:
        tree = sqlglot.parse_one(text)
        if isinstance(tree, exp.Column) and (tree.table or tree.name not in self.names.named):
            node = tree.table or self.names.sole_owner_of(tree.name)
            if self.names.predefined(node, tree.name):
                value = self.names.measure(node, tree.name, [], ())
                return (None if name else node), name or tree.name, f"{node}.{tree.name}", value
        return None, name or automatic(text), text, self.names.text(tree, None)

    def _filter(self, tree: exp.Expression) -> None:
        aggregated = any(is_aggregate(n) for n in tree.walk())
        columns = list(tree.find_all(exp.Column))
        references = [c for c in columns if self._names_measure(c)]
        if not aggregated and not references:
            self.row_clauses.append(Clause(self.names.condition(tree, None), tree.sql()))
            return
        inside = {id(c) for n in tree.walk() if is_aggregate(n) for c in n.find_all(exp.Column)}
        if any(id(c) not in inside and c not in references for c in columns):
            raise Refused("mixed_filter", tree.sql())
        self.value_filters.append(self.names.text(tree, None))

    def _names_measure(self, column: exp.Column) -> bool:
        if column.table:
            node = column.table
            listed = [
                c["name"] for c in self.graph.model.get(self.graph.source_of.get(node, ""), {}).get("columns", [])
            ]
            return column.name not in listed and self.names.predefined(node, column.name) is not None
        if column.name in self.names.requested:
            return True
        sources = [s for s, d in self.graph.model.items() if column.name in [c["name"] for c in d["columns"]]]
        return not sources and any(self.names.predefined(s, column.name) for s in self.graph.model)

    def _order(self, entry: Any) -> tuple[Any, bool, bool]:
        """`(position or hidden value, descending, nulls first)`."""
        field = entry if isinstance(entry, str) else entry["field"]
        descending = not isinstance(entry, str) and entry.get("direction", "asc") == "desc"
        nulls_first = not isinstance(entry, str) and entry.get("nulls", "last") == "first"
        aliases = [alias.lower() for alias in self._columns()]
        hits: list[Any] = []
        for position, dimension in enumerate(self.dimensions):
            column = dimension.column.lower()
            asked = {aliases[position], column, f"{dimension.node}.{dimension.column}".lower(), *self.fields[dimension]}
            if field.lower() in asked:
                hits.append(position)
        for position, (_, name, text, _) in enumerate(self.measures, len(self.dimensions)):
            if field.lower() in (aliases[position], name.lower(), text.lower()):
                hits.append(position)
        if len(hits) > 1:
            raise Undetermined("order field matches twice")
        if hits:
            return hits[0], descending, nulls_first
        tree = sqlglot.parse_one(field)
        if isinstance(tree, exp.Column):
            node = tree.table or self.names.sole_owner_of(tree.name)
            if self.names.predefined(node, tree.name):
                return self.names.measure(node, tree.name, [], ()), descending, nulls_first
        raise Refused("bad_order", field)

    def _own_lone_counts(self) -> None:
        lone = [leaf for leaf in self.leaves if leaf.owner is None]
        owners = {leaf.owner for leaf in self.leaves if leaf.owner}
        if lone and len(owners) != 1:
            if not owners and self.dimensions:
                raise Undetermined("count(*) with dimensions only")
            raise Refused("no_source", "count(*)")
        for leaf in lone:
            leaf.owner = next(iter(owners))

    def _segment(self, text: str) -> None:
        tree = _column(text)
        if not tree.table:
            raise Refused("not_dotted", text)
        if tree.table not in self.graph.source_of:
            raise Refused("unknown_source", text)
        guard = self.names.segment(tree.table, tree.name)
        guarded = [leaf for leaf in self.leaves if leaf.owner == tree.table]
        if not guarded:
            raise Refused("segment_unused", text)
        for leaf in guarded:
            leaf.guards.append(guard)

    # rows and their links

    def rows(self, node: str) -> range:
        return range(len(self.data[self.graph.source_of[node]]))

    def physical(self, node: str, row: int, column: str) -> Any:
        return self.data[self.graph.source_of[node]][row].get(column)

    def column(self, node: str, row: int, name: str) -> Any:
        """A listed column, computed ones expanded."""
        source = self.graph.source_of[node]
        declared = next(c for c in self.graph.model[source]["columns"] if c["name"] == name)
        if not declared.get("expr"):
            return self.physical(node, row, name)
        key = (source, row, name)
        if key not in self.computed:

            def hook(part: exp.Expression) -> Any:
                if not isinstance(part, exp.Column):
                    return PENDING
                return self.physical(node, row, name) if part.name == name else self.column(node, row, part.name)

            self.computed[key] = scalar(sqlglot.parse_one(declared["expr"]), hook)
        return self.computed[key]

    def matches(self, edge: Any, at: str, to: str, row: int) -> list[int]:
        """Rows of `to` joined to one row of `at`."""
        if any(self.physical(at, row, column) != value for node, column, value in edge.extras if node == at):
            return []
        mine = tuple(self.physical(at, row, column) for column in edge.columns(at))
        if None in mine:
            return []
        key = (edge, edge.extras, to)
        if key not in self.indexes:
            index: dict[Any, list[int]] = {}
            for other in self.rows(to):
                if all(self.physical(to, other, c) == value for node, c, value in edge.extras if node == to):
                    index.setdefault(tuple(self.physical(to, other, c) for c in edge.columns(to)), []).append(other)
            self.indexes[key] = index
        return self.indexes[key].get(mine, [])

    def follow(self, node: str, row: int, target: str) -> int | None:
        """The row of `target` that one row of `node` leads to, to-one all the way."""
        key = (node, row, target)
        if key not in self.links:
            at: int | None = row
            for edge, start, end in self.graph.path(node, target):
                found = self.matches(edge, start, end, at) if at is not None else []
                if len(found) > 1:
                    raise Undetermined("a to-one join matches several rows")
                at = found[0] if found else None
            self.links[key] = at
        return self.links[key]

    def linked(self, node: str, row: int, target: str) -> Iterable[int]:
        path = self.graph.general_path(node, target)
        assert path is not None
        at = {row}
        for edge, start, end in path:
            at = {other for one in at for other in self.matches(edge, start, end, one)}
        return at

    def row_value(self, tree: exp.Expression, columns: Mapping[int, tuple[str, str]], node: str, row: int) -> Any:
        def hook(part: exp.Expression) -> Any:
            if not isinstance(part, exp.Column):
                return PENDING
            owner, name = columns[id(part)]
            at = self.follow(node, row, owner)
            return None if at is None else self.column(owner, at, name)

        return scalar(tree, hook)

    def holds(self, condition: Condition, node: str, row: int) -> bool:
        return truth(self.row_value(condition.tree, condition.columns, node, row)) is True

    # row filters

    def direct(self, clause: Clause, node: str) -> bool:
        nodes = clause.condition.nodes
        if all(self.graph.reaches(node, other) for other in nodes):
            return True
        if all(self.graph.reaches_freely(node, other) for other in nodes):
            raise Refused("no_path", f"{node} to {sorted(nodes)} as via asks")
        return False

    def root(self, clause: Clause) -> str:
        nodes = clause.condition.nodes
        able = [n for n in nodes if all(self.graph.reaches(n, other) for other in nodes)]
        if not able:
            raise Refused("unreachable_filter", clause.text)
        return min(able)

    def groups(self, clauses: Sequence[Clause]) -> dict[str, list[Clause]]:
        """EXISTS groups by root: each joins those whose root reaches its own."""
        own: dict[str, list[Clause]] = {}
        for clause in clauses:
            own.setdefault(self.root(clause), []).append(clause)
        hosts = {
            root: [
                other
                for other in own
                if other != root
                and self.graph.reaches(other, root)
                and (other < root or not self.graph.reaches(root, other))
            ]
            for root in own
        }
        result = {root: list(members) for root, members in own.items() if not hosts[root]}
        for root in own:
            pending, joined = list(hosts[root]), set()
            while pending:
                host = pending.pop()
                pending += hosts[host]
                if host in result and host not in joined:
                    joined.add(host)
                    result[host] += own[root]
        return result

    def passing(self, node: str, clauses: Sequence[Clause], exists: bool) -> list[int]:
        """Rows of `node` that the clauses let through; those applying neither way are left out by `exists` False."""
        direct = [clause for clause in clauses if self.direct(clause, node)]
        groups = self.groups([clause for clause in clauses if clause not in direct]) if exists else {}
        for root, members in groups.items():
            if self.graph.general_path(node, root) is None:
                raise Refused("unreachable_filter", f"{node} has no path to {root}")
            for member in members:
                for read in member.condition.nodes:
                    self.graph.path(root, read)  # one path each, whether or not there are rows to try it on
        kept = []
        for row in self.rows(node):
            if not all(self.holds(clause.condition, node, row) for clause in direct):
                continue
            if all(
                any(
                    all(self.holds(m.condition, root, other) for m in members) for other in self.linked(node, row, root)
                )
                for root, members in groups.items()
            ):
                kept.append(row)
        return kept

    def _applies(self, clause: Clause, owner: str) -> bool:
        if self.direct(clause, owner):
            return True
        if not self.exists:
            return False
        groups = self.groups([other for other in self.row_clauses if not self.direct(other, owner)])
        roots = [root for root, members in groups.items() if clause in members]
        return all(self.graph.general_path(owner, root) is not None for root in roots)

    # the answer

    def _columns(self) -> list[str]:
        return output_names(
            [(d.node, d.column, d.granularity) for d in self.dimensions], [(s, n) for s, n, _, _ in self.measures]
        )

    def key(self, node: str, row: int) -> tuple[Any, ...]:
        values = []
        for dimension in self.dimensions:
            at = self.follow(node, row, dimension.node)
            value = None if at is None else self.column(dimension.node, at, dimension.column)
            if dimension.granularity:
                value = period_start(value, dimension.granularity, self.week_start, self.fiscal_year_start)
            values.append(value)
        return tuple(values)

    def _check_dimensions(self) -> None:
        owners = {leaf.owner or "" for leaf in self.leaves}
        for dimension in self.dimensions if owners else []:
            reached = [self.graph.reaches(owner, dimension.node) for owner in owners]
            if not all(reached):
                raise Refused("asymmetric" if any(reached) else "fan_out", dimension.node)

    def _check_owner(self, leaf: Leaf) -> None:
        owner = leaf.owner
        assert owner is not None
        for node in leaf.nodes:
            if not self.graph.reaches(owner, node):
                raise Refused("no_owner", owner)
        for guard in leaf.guards:
            for node in guard.nodes:
                if not self.graph.reaches(owner, node):
                    raise Refused("unreachable_filter", f"{owner} to {node}")

    def _check_entries(self) -> None:
        """One measure node enters each node one way only."""
        for owner in {leaf.owner for leaf in self.leaves}:
            assert owner is not None
            nodes = {d.node for d in self.dimensions}
            for leaf in self.leaves:
                if leaf.owner == owner:
                    nodes |= leaf.nodes.union(*(guard.nodes for guard in leaf.guards))
            for clause in self.row_clauses:
                if self.direct(clause, owner):
                    nodes |= clause.condition.nodes
            entries: dict[str, set[Any]] = {owner: {None}}
            for node in nodes:
                for edge, start, end in self.graph.path(owner, node):
                    entries.setdefault(end, set()).add((start, edge, edge.extras))
            if any(len(ways) > 1 for ways in entries.values()):
                raise Refused("ambiguous_path", owner)

    def _population(self) -> list[tuple[str, list[int]]]:
        nodes = {dimension.node for dimension in self.dimensions}
        heads = [n for n in sorted(nodes) if all(self.graph.reaches(n, other) for other in nodes)]
        if not heads:
            if not self.measures:
                raise Refused("no_head")
            self.empty_groups = False
            return []
        result, ambiguous = [], 0
        for head in heads:
            try:
                for node in nodes:
                    self.graph.path(head, node)
            except Refused as refusal:
                raise Undetermined("a head with an ambiguous path") from refusal
            try:
                for clause in self.row_clauses:
                    if self.direct(clause, head):
                        for node in clause.condition.nodes:
                            self.graph.path(head, node)
                result.append((head, self.passing(head, self.row_clauses, exists=True)))
            except Refused as refusal:
                if refusal.code != "ambiguous_path" or not self.measures:
                    raise
                ambiguous += 1
        if ambiguous:
            if result:
                raise Undetermined("one head has a unique path, another has not")
            self.empty_groups = False
        return result

    def answer(self) -> Answer:
        self._check_dimensions()
        for leaf in self.leaves:
            self._check_owner(leaf)
        for clause in self.row_clauses:
            if self.requested and not any(self._applies(clause, leaf.owner or "") for leaf in self.requested):
                raise Refused("to_many_filter", clause.text)
        self._check_entries()
        grouped: dict[str, dict[tuple[Any, ...], list[int]]] = {}
        for owner in dict.fromkeys(leaf.owner or "" for leaf in self.leaves):
            applying = [clause for clause in self.row_clauses if self._applies(clause, owner)]
            by_key = grouped.setdefault(owner, {})
            for row in self.passing(owner, applying, self.exists):
                by_key.setdefault(self.key(owner, row), []).append(row)
        keys: dict[tuple[Any, ...], None] = {}
        if self.dimensions:
            for leaf in self.requested:
                keys.update(dict.fromkeys(grouped[leaf.owner or ""]))
            if self.include_empty or not self.measures:
                for head, rows in self._population():
                    keys.update(dict.fromkeys(self.key(head, row) for row in rows))
        else:
            keys[()] = None
        table = []
        for key in keys:
            values = self._leaf_values(grouped, key)
            if all(truth(self._value(condition, values)) is True for condition in self.value_filters):
                row = key + tuple(self._value(value, values) for _, _, _, value in self.measures)
                hidden = [self._value(t, values) if isinstance(t, Scalar) else row[t] for t, _, _ in self.order]
                table.append((row, hidden))
        if self.order:
            table.sort(key=cmp_to_key(self._compare))
        return Answer(
            self._columns(),
            [row for row, _ in table],
            bool(self.order),
            self.query.get("limit", 1000),
            self.empty_groups,
        )

    def _leaf_values(
        self, grouped: Mapping[str, Mapping[tuple[Any, ...], list[int]]], key: tuple[Any, ...]
    ) -> dict[Leaf, Any]:
        values = {}
        for leaf in self.leaves:
            owner = leaf.owner or ""
            rows = [
                row
                for row in grouped[owner].get(key, [])
                if all(self.holds(guard, owner, row) for guard in leaf.guards)
            ]
            values[leaf] = aggregate(
                leaf.tree,
                rows,
                lambda tree, row, leaf=leaf, owner=owner: self.row_value(tree, leaf.columns, owner, row),
            )
        return values

    def _value(self, value: Scalar, leaves: Mapping[Leaf, Any]) -> Any:
        def hook(node: exp.Expression) -> Any:
            part = value.parts.get(id(node))
            if part is None:
                return PENDING
            return leaves[part] if isinstance(part, Leaf) else self._value(part, leaves)

        return scalar(value.tree, hook)

    def _compare(self, left: tuple[Any, Any], right: tuple[Any, Any]) -> int:
        for (_, descending, nulls_first), a, b in zip(self.order, left[1], right[1], strict=True):
            if result := _rank(a, b, descending, nulls_first):
                return result
        for position in range(len(self.dimensions)):
            if result := _rank(left[0][position], right[0][position], False, False):
                return result
        return 0


def _rank(a: Any, b: Any, descending: bool, nulls_first: bool) -> int:
    if a is None or b is None:
        return 0 if a is None and b is None else (-1 if (a is None) == nulls_first else 1)
    if a == b:
        return 0
    return -1 if (a < b) != descending else 1


def _column(text: str) -> exp.Column:
    tree = sqlglot.parse_one(text)
    if not isinstance(tree, exp.Column):
        raise Refused("unknown_column", text)
    return tree
