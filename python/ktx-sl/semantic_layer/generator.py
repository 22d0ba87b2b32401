"""From a plan to one SELECT.

Invariant: names are never trusted: every table alias and CTE name is allotted here
and unique in the statement, whatever sources, columns and outputs are called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from .bodies import Bodies
from .expr import unparen
from .graph import Edge, Graph
from .physical import Columns, View, aggregate
from .plan import Dimension, Exists, MeasureNode, Order, Plan, Rows
from .safety import check_statement

__all__ = ["Generator"]


_MAX_CHECKED = 1_000


class Generator:
    """Prints plans over one graph in its dialect."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.dialect = graph.dialect
        self.columns = Columns(graph)
        self.bodies = Bodies(graph, self.columns)
        self._checked: set[str] = set()

    def sql(self, plan: Plan, check: bool = True) -> str:
        """The statement. Raises `unsupported`, `filter_unsupported`, `invalid_model`, `internal_error`."""
        text = self.dialect.print_exactly(_Statement(self, plan).build())
        if check and text not in self._checked:
            check_statement(text, self.dialect.sqlglot)
            # The check depends on the text alone; asking again is common.
            if len(self._checked) >= _MAX_CHECKED:
                self._checked.clear()
            self._checked.add(text)
        return text


@dataclass(slots=True)
class _Names:
    """Names in use, in any case."""

    dotted: bool
    used: set[str] = field(default_factory=set)

    def take(self, wished: str) -> str:
        wished = wished if self.dotted else wished.replace(".", "_")
        name, number = wished, 2
        while name.casefold() in self.used:
            name, number = f"{wished}_{number}", number + 1
        self.used.add(name.casefold())
        return name


class _Statement:
    """The state of building one statement."""

    def __init__(self, generator: Generator, plan: Plan) -> None:
        self.g = generator
        self.graph, self.dialect, self.columns = generator.graph, generator.dialect, generator.columns
        self.plan = plan
        self.ctes: list[tuple[str, exp.Expr]] = []
        self.dotted = not self.dialect.splits_dotted_names
        nodes = self._nodes()
        trees = [tree for node in plan.nodes for _, leaf in node.leaves for tree in (leaf.call, *leaf.guards)]
        trees += [*(output.tree for output in plan.outputs), *plan.having]
        self.tables = generator.bodies.tables([self.graph.nodes[n].source for n in nodes], trees)
        self.names = _Names(self.dotted, {name.casefold() for name in (*self.tables.reserved, *nodes)})

    def _nodes(self) -> list[str]:
        found: dict[str, None] = {}
        for rows in [*(n.rows for n in self.plan.nodes), *self.plan.population]:
            found[rows.node] = None
            for edge in rows.edges:
                found[edge.head] = None
            for group in rows.exists:
                for path in (group.link, *group.paths):
                    found.update(dict.fromkeys(path.nodes))
        return list(found)

    def build(self) -> exp.Expr:
        plan = self.plan
        select = self._plain() if plan.plain else self._spine()
        select.set("limit", exp.Limit(expression=exp.Literal.number(plan.limit)))
        ctes = [*self.tables.ctes, *self.ctes]
        if ctes:
            with_ = exp.With(
                expressions=[
                    exp.CTE(
                        this=tree,
                        alias=exp.TableAlias(this=self.columns.identifier(name), columns=tree.meta.get("columns")),
                        materialized=(self.dialect.materializes_shared_bodies and self.tables.reads[name] > 1) or None,
                    )
                    for name, tree in ctes
                ],
                recursive=self.tables.recursive or None,
            )
            select.set("with_", with_)
        if self.dialect.settings:
            select.set(
                "settings",
                [
                    exp.EQ(this=exp.Var(this=key), expression=exp.Literal.number(value))
                    for key, value in self.dialect.settings.items()
                ],
            )
        return select

    # -- one SELECT

    def _plain(self) -> exp.Select:
        plan = self.plan
        node = plan.nodes[0] if plan.nodes else None
        rows = node.rows if node else plan.population[0]
        select, view = self._select(rows)
        keys = [self._dimension(d, view) for d in plan.dimensions]
        calls = {leaf.key: aggregate(leaf, self.columns, view) for _, leaf in node.leaves} if node else {}
        value = _filler(calls)
        outputs = [(d.alias, key) for d, key in zip(plan.dimensions, keys, strict=True)]
        outputs += [(o.alias, value(o.tree)) for o in plan.outputs]
        select.set("expressions", [self._as(tree, alias) for alias, tree in outputs])
        if keys:
            select.set("group", exp.Group(expressions=[key.copy() for key in keys]))
        if plan.having:
            select.set("having", exp.Having(this=_all(value(tree) for tree in plan.having)))
        self._order(select, dict(outputs), value)
        return select

    def _select(self, rows: Rows) -> tuple[exp.Select, View]:
        """SELECT ... FROM node and its joins WHERE the filters."""
        names = _Names(self.dotted)
        aliases = {rows.node: names.take(rows.node)}
        for edge in rows.edges:
            aliases[edge.head] = names.take(edge.head)
        select = exp.Select(expressions=[])
        select.set("from_", exp.From(this=self._table(rows.node, aliases[rows.node])))
        view = View(rows.node, aliases, {})
        matched: dict[str, exp.Expr] = {}
        joins = []
        for edge in rows.edges:
            joins.append(self._join(edge, aliases[edge.head], view, "LEFT"))
            matched[edge.head] = self.columns.joined(edge.pairs[0][1], view)
        if joins:
            select.set("joins", joins)
        view = View(rows.node, aliases, matched)
        conditions = [self.columns.physical(f.tree, view) for f in rows.filters]
        conditions += [self._exists(group, view, names) for group in rows.exists]
        if conditions:
            select.set("where", exp.Where(this=_all(conditions)))
        return select, view

    def _table(self, node: str, alias: str) -> exp.Table:
        table = self.tables.table(self.graph.nodes[node].source)
        table.set("alias", exp.TableAlias(this=self.columns.identifier(alias)))
        return table

    def _join(self, edge: Edge, alias: str, view: View, side: str | None) -> exp.Join:
        return exp.Join(
            this=self._table(edge.head, alias),
            side=side,
            on=_all(self._condition(edge, view)),
        )

    def _condition(self, edge: Edge, view: View) -> list[exp.Expr]:
        equal: list[exp.Expr] = [
            exp.EQ(this=self.columns.joined(a, view), expression=self.columns.joined(b, view)) for a, b in edge.pairs
        ]
        return [*equal, *(self.columns.joined(extra, view) for extra in edge.extras)]

    def _exists(self, group: Exists, outer: View, names: _Names) -> exp.Expr:
        """EXISTS over the link's rows, or IN where a subquery cannot see the outer row."""
        edges = group.link.edges
        chain: dict[str, str] = {}
        for edge in edges:
            chain[edge.head] = names.take(edge.head)
        # Tables along the link, then the root's own paths under fresh names: a row may lead elsewhere.
        first = edges[0]
        linked = View(first.head, {**chain, first.tail: outer.aliases[first.tail]}, {})
        inner = exp.Select(expressions=[exp.Literal.number(1)])
        inner.set("from_", exp.From(this=self._table(first.head, chain[first.head])))
        joins = [self._join(edge, chain[edge.head], View(first.head, chain, {}), None) for edge in edges[1:]]
        aliases = {group.root: chain[group.root]}
        matched: dict[str, exp.Expr] = {}
        for edge in Rows(group.root, group.paths).edges:
            aliases[edge.head] = names.take(edge.head)
            joins.append(self._join(edge, aliases[edge.head], View(group.root, aliases, {}), "LEFT"))
            matched[edge.head] = self.columns.joined(edge.pairs[0][1], View(group.root, aliases, {}))
        if joins:
            inner.set("joins", joins)
        view = View(group.root, aliases, matched)
        clauses = [self.columns.physical(clause.tree, view) for clause in group.clauses]
        if self.dialect.correlates:
            inner.set("where", exp.Where(this=_all([*self._condition(first, linked), *clauses])))
            return exp.Exists(this=inner)
        return self._membership(first, linked, outer, inner, clauses)

    def _membership(
        self, first: Edge, linked: View, outer: View, inner: exp.Select, clauses: list[exp.Expr]
    ) -> exp.Expr:
        ours = [self.columns.joined(a, outer) for a, _ in first.pairs]
        theirs = [self.columns.joined(b, linked) for _, b in first.pairs]
        outside: list[exp.Expr] = []
        for extra in first.extras:
            about_tail = all(c.table == first.tail for c in extra.find_all(exp.Column))
            (outside if about_tail else clauses).append(self.columns.joined(extra, linked))
        inner.set("expressions", theirs)
        inner.set("where", exp.Where(this=_all(clauses)) if clauses else None)
        left = ours[0] if len(ours) == 1 else exp.Tuple(expressions=ours)
        return _all([exp.In(this=left, query=exp.Subquery(this=inner)), *outside])

    def _dimension(self, dimension: Dimension, view: View) -> exp.Expr:
        tree = self.columns.physical(dimension.column, view)
        if dimension.bucket is not None:
            if isinstance(tree, exp.Paren):
                tree = tree.this
            tree = dimension.bucket.start(tree, self.dialect)
        if not any(tree.find_all(exp.Column)):
            # A constant in GROUP BY reads as a position, or not at all.
            grain = self.graph.nodes[view.root].source.grain[0]
            column = exp.Column(
                this=self.columns.identifier(grain), table=self.columns.identifier(view.aliases[view.root])
            )
            return exp.Case(
                ifs=[exp.If(this=exp.Is(this=column, expression=exp.Null()), true=tree.copy())], default=tree
            )
        return tree

    def _as(self, tree: exp.Expr, alias: str) -> exp.Alias:
        return exp.Alias(this=tree, alias=self.columns.identifier(alias))

    # -- a spine

    def _spine(self) -> exp.Select:
        plan = self.plan
        parts: list[tuple[str, MeasureNode]] = []
        for node in plan.nodes:
            name = self.names.take(f"{node.rows.node}_measures")
            self.ctes.append((name, self._grouped(node)))
            parts.append((name, node))
        if not plan.dimensions:
            return self._crossed(parts)
        key_sets: list[exp.Select] = []
        for name, node in parts:
            if node.in_spine:
                columns = [self._as(self._column(name, d.alias), d.alias) for d in plan.dimensions]
                key_sets.append(exp.Select(expressions=columns, from_=exp.From(this=self._named(name))))
        for rows in plan.population:
            select, view = self._select(rows)
            keys = [self._dimension(d, view) for d in plan.dimensions]
            select.set("expressions", [self._as(key, d.alias) for d, key in zip(plan.dimensions, keys, strict=True)])
            if len(plan.population) + len(key_sets) == 1:
                select.set("distinct", exp.Distinct())
            key_sets.append(select)
        if len(key_sets) == 1 and not plan.population:
            spine = next(name for name, node in parts if node.in_spine)
        else:
            spine = self.names.take("spine")
            union: exp.Expr = key_sets[0]
            for select in key_sets[1:]:
                union = exp.Union(this=union, expression=select, distinct=True)
            self.ctes.append((spine, union))
        values: dict[str, exp.Expr] = {}
        joins: list[exp.Join] = []
        for name, node in parts:
            for alias, leaf in node.leaves:
                column: exp.Expr = self._column(name, alias)
                if leaf.is_count and name != spine:
                    column = exp.Coalesce(this=column, expressions=[exp.Literal.number(0)])
                values[leaf.key] = column
            if name != spine:
                shared = [plan.dimensions[i] for i in node.keys]
                on = _all(
                    self.dialect.null_safe(self._column(spine, d.alias), self._column(name, d.alias)) for d in shared
                )
                joins.append(exp.Join(this=self._named(name), side="LEFT", on=on))
        dimensions = [(d.alias, self._column(spine, d.alias)) for d in plan.dimensions]
        return self._outer(spine, joins, dimensions, values)

    def _crossed(self, parts: Sequence[tuple[str, MeasureNode]]) -> exp.Select:
        """Without dimensions every CTE has one row."""
        values = {leaf.key: self._column(name, alias) for name, node in parts for alias, leaf in node.leaves}
        joins = [exp.Join(this=self._named(name), kind="CROSS") for name, _ in parts[1:]]
        return self._outer(parts[0][0], joins, [], dict(values))

    def _outer(
        self,
        first: str,
        joins: list[exp.Join],
        dimensions: Sequence[tuple[str, exp.Expr]],
        values: Mapping[str, exp.Expr],
    ) -> exp.Select:
        value = _filler(values)
        outputs = [*dimensions, *((o.alias, value(o.tree)) for o in self.plan.outputs)]
        select = exp.Select(expressions=[self._as(tree, alias) for alias, tree in outputs])
        select.set("from_", exp.From(this=self._named(first)))
        if joins:
            select.set("joins", joins)
        if self.plan.having:
            select.set("where", exp.Where(this=_all(value(tree) for tree in self.plan.having)))
        self._order(select, dict(outputs), value)
        return select

    def _grouped(self, node: MeasureNode) -> exp.Select:
        select, view = self._select(node.rows)
        keys = [(self.plan.dimensions[i].alias, self._dimension(self.plan.dimensions[i], view)) for i in node.keys]
        leaves = [(alias, aggregate(leaf, self.columns, view)) for alias, leaf in node.leaves]
        select.set("expressions", [self._as(tree, alias) for alias, tree in (*keys, *leaves)])
        if keys:
            select.set("group", exp.Group(expressions=[key.copy() for _, key in keys]))
        return select

    def _named(self, name: str) -> exp.Table:
        return exp.Table(this=self.columns.identifier(name))

    def _column(self, table: str, name: str) -> exp.Column:
        return exp.Column(this=self.columns.identifier(name), table=self.columns.identifier(table))

    # -- order

    def _order(
        self, select: exp.Select, outputs: Mapping[str, exp.Expr], value: Callable[[exp.Expr], exp.Expr]
    ) -> None:
        terms: list[exp.Expr] = []
        for order in self.plan.order:
            terms.extend(self._term(order, outputs, value))
        if terms:
            select.set("order", exp.Order(expressions=terms))

    def _term(
        self, order: Order, outputs: Mapping[str, exp.Expr], value: Callable[[exp.Expr], exp.Expr]
    ) -> Iterable[exp.Expr]:
        desc, first = order.direction == "desc", order.nulls == "first"
        tree = outputs[order.key] if isinstance(order.key, str) else value(order.key)
        if self.dialect.has_nulls_order:
            key = exp.Column(this=self.columns.identifier(order.key)) if isinstance(order.key, str) else tree
            yield exp.Ordered(this=key, desc=desc, nulls_first=first)
            return
        null, other = (0, 1) if first else (1, 0)
        test = exp.Is(this=exp.Paren(this=tree.copy()), expression=exp.Null())
        yield exp.Ordered(
            this=exp.Case(ifs=[exp.If(this=test, true=exp.Literal.number(null))], default=exp.Literal.number(other)),
            desc=False,
            nulls_first=self._native_first(False),
        )
        yield exp.Ordered(this=tree.copy(), desc=desc, nulls_first=self._native_first(desc))

    def _native_first(self, desc: bool) -> bool:
        """Where the dialect puts NULLs anyway, so that sqlglot adds nothing: they are its smallest values."""
        return not desc


def _filler(values: Mapping[str, exp.Expr]) -> Callable[[exp.Expr], exp.Expr]:
    def fill(tree: exp.Expr) -> exp.Expr:
        def swap(node: exp.Expr) -> exp.Expr:
            return values[node.name].copy() if isinstance(node, exp.Placeholder) else node

        return tree.copy().transform(swap, copy=False)

    return fill


def _all(conditions: Iterable[exp.Expr]) -> exp.Expr:
    """The conditions joined by AND, each bracketed where AND would bind tighter."""
    out: exp.Expr | None = None
    for condition in conditions:
        operand = condition
        if isinstance(condition, exp.Or | exp.Xor | exp.Not | exp.And):
            operand = exp.Paren(this=condition)
        out = operand if out is None else exp.And(this=out, expression=operand)
    assert out is not None
    return unparen(out).pop()
