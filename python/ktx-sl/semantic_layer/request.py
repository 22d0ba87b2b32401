"""A query with every name resolved.

Invariant: nothing here chooses paths or rows; a `Request` says what was asked for,
in logical columns and formulas, each with where it was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlglot import exp

from .errors import Candidate, InvalidQuery, SemanticLayerError, nearest
from .expr import field_parts, parse_query
from .filters import Clauses, read_filters
from .graph import Graph, Node, Routing
from .measures import Formula, Leaf, Measures, Scope, auto_name
from .models import MeasureDefinition, OrderByClause, QueryDimension, QueryMeasure, SemanticQuery
from .names import Names, column_of
from .outputs import output_names
from .timegrain import Bucket, check_granularity

__all__ = ["Request", "RequestedDimension", "RequestedMeasure", "RequestedOrder", "Resolver"]


@dataclass(frozen=True, slots=True, eq=False)
class RequestedDimension:
    """A column of `node`; `written` is the field as sent."""

    node: str
    column: exp.Expr
    name: str
    written: str
    granularity: str | None
    bucket: Bucket | None

    @property
    def field(self) -> str:
        """`node.column`."""
        return f"{self.node}.{self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class RequestedMeasure:
    """`ref` is `node.measure` for a predefined one. `name` is the wished output name."""

    name: str
    formula: Formula
    text: str
    ref: str | None
    node: Node | None
    definition: MeasureDefinition | None
    location: str


@dataclass(frozen=True, slots=True, eq=False)
class RequestedOrder:
    """A sort key as sent, and the hidden formula it means if it is no output."""

    clause: OrderByClause
    location: str


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What a query asks for."""

    dimensions: tuple[RequestedDimension, ...]
    measures: tuple[RequestedMeasure, ...]
    clauses: Clauses
    order: tuple[tuple[OrderByClause, str | Formula], ...]
    """Sort keys; a string names an output by position: `d0`, `m1`."""
    limit: int
    include_empty: bool
    exists: bool
    routing: Routing
    warnings: tuple[tuple[str, str, dict[str, Any]], ...]


class Resolver:
    """Resolves queries against one graph. Holds what does not change between queries."""

    def __init__(
        self,
        graph: Graph,
        names: Names,
        measures: Measures,
        allowed_functions: frozenset[str],
        week_start: int,
        fiscal_start: int,
        time_zone: str | None,
    ) -> None:
        self.graph = graph
        self.names = names
        self.measures = measures
        self.allowed = allowed_functions
        self.week_start = week_start
        self.fiscal_start = fiscal_start
        self.time_zone = time_zone
        self._column_names = frozenset(graph.column_index)

    def resolve(self, query: SemanticQuery) -> Request:
        """Every name of `query` resolved. Refusals are located by JSON pointer."""
        return _Resolution(self, query).run()

    def parse(self, text: str) -> exp.Expr:
        """One expression of query text."""
        return parse_query(text, self.graph.dialect, self._column_names, self.allowed)


class _Resolution:
    """The state of resolving one query."""

    def __init__(self, resolver: Resolver, query: SemanticQuery) -> None:
        self.r = resolver
        self.query = query
        self.graph, self.names, self.compiler = resolver.graph, resolver.names, resolver.measures
        self.warnings: list[tuple[str, str, dict[str, Any]]] = []
        self.items = [m if isinstance(m, QueryMeasure) else QueryMeasure(ref=m) for m in query.measures]
        # Names given in the query, and bare names of predefined measures it asks for: name -> item positions.
        self.named: dict[str, list[int]] = {}
        self.automatic: dict[str, int] = {}
        """Automatic names, which give way to every other meaning."""
        self.predefined: dict[int, tuple[Node, str]] = {}
        self._formulas: dict[int, Formula] = {}
        self._busy: list[int] = []

    def run(self) -> Request:
        query = self.query
        routing = self._routing()
        dimensions = self._dimensions()
        measures = self._measures()
        if not dimensions and not measures:
            raise self._empty()
        clauses = read_filters(
            query.filters, self.graph.dialect, self.r.parse, self._kind_of, self._scope, self.compiler
        )
        order = self._order(dimensions, measures)
        settle = self._settler(
            [
                *(m.formula for m in measures),
                *(c.formula for c in clauses.aggregates),
                *(key for _, key in order if not isinstance(key, str)),
            ]
        )
        measures = [_with(m, settle(m.formula, m.text, m.location)) for m in measures]
        aggregates = tuple(type(c)(c.text, settle(c.formula, c.text, "/filters")) for c in clauses.aggregates)
        clauses = Clauses(clauses.rows, aggregates, clauses.row_texts, clauses.aggregate_texts)
        order = [(o, key if isinstance(key, str) else settle(key, o.field, "/order_by")) for o, key in order]
        guard = self._segments(
            [m.formula for m in measures]
            + [c.formula for c in aggregates]
            + [key for _, key in order if not isinstance(key, str)]
        )
        measures = [_with(m, guard(m.formula)) for m in measures]
        aggregates = tuple(type(c)(c.text, guard(c.formula)) for c in aggregates)
        return Request(
            dimensions=tuple(dimensions),
            measures=tuple(measures),
            clauses=Clauses(clauses.rows, aggregates, clauses.row_texts, clauses.aggregate_texts),
            order=tuple((o, key if isinstance(key, str) else guard(key)) for o, key in order),
            limit=query.limit,
            include_empty=query.include_empty,
            exists=query.to_many_filters == "exists",
            routing=routing,
            warnings=tuple(self.warnings),
        )

    def _empty(self) -> InvalidQuery:
        options = [f"{owners[0]}.{name}" for name, owners in self.graph.measure_index.items()]
        options += [f"count({name}.{source.grain[0]})" for name, source in self.graph.sources.items()]
        return InvalidQuery(
            "empty_query",
            "the query does not reference any source; ask for a measure or a dimension",
            "/measures",
            [Candidate(option, "a measure") for option in options],
        )

    # -- dimensions

    def _routing(self) -> Routing:
        for target, through in self.query.via.items():
            for name in (target, through):
                if name not in self.graph.nodes:
                    try:
                        self.graph.node(name)
                    except InvalidQuery as error:
                        raise error.located(f"/via/{target}") from None
        return Routing(tuple(sorted(self.query.via.items())), self.query.ambiguous_paths)

    def _dimensions(self) -> list[RequestedDimension]:
        out: list[RequestedDimension] = []
        seen: set[tuple[str, str | None]] = set()
        for index, item in enumerate(self.query.dimensions):
            dimension = item if isinstance(item, QueryDimension) else QueryDimension(field=item)
            try:
                found = self._dimension(dimension)
            except SemanticLayerError as error:
                raise error.located(f"/dimensions/{index}") from None
            key = (found.field, found.granularity)
            if key not in seen:
                seen.add(key)
                out.append(found)
        return out

    def _dimension(self, item: QueryDimension) -> RequestedDimension:
        try:
            column = self.names.field(item.field)
        except SemanticLayerError as error:
            raise self._dimension_error(item.field, error) from None
        node, name = column_of(column)
        definition = self.graph.nodes[node].columns[name]
        if isinstance(column, exp.Dot):
            name = ".".join([name, *(part.name for part in _fields(column))])
        if not item.granularity:
            return RequestedDimension(node, column, name, item.field, None, None)
        dialect = self.graph.dialect
        kind = dialect.kind(definition.data_type)
        granularity = check_granularity(item.granularity, definition, f"{node}.{name}", kind)
        asked = self.query.time_zone or self.r.time_zone
        zone: str | None = None
        if kind == "instant":
            # Without a zone the session's would decide; where no shift exists, values are read as stored.
            zone = asked or ("UTC" if dialect.zone_form is not None else None)
        elif kind == "unknown" and asked:
            message = f"time zone {asked!r} does not apply to {node}.{name}: its data_type is not known; state it in the model"
            self.warnings.append(("zone_unknown", message, {"field": f"{node}.{name}", "time_zone": asked}))
        bucket = Bucket(granularity, kind, zone, self.r.week_start, self.r.fiscal_start)
        return RequestedDimension(node, column, name, item.field, granularity, bucket)

    def _dimension_error(self, field: str, error: SemanticLayerError) -> SemanticLayerError:
        """A measure sent as a dimension gets a message that says so."""
        written = self.names.split(field)
        if error.code == "unknown_column" and written is not None:
            node, rest = written
            if (node is not None and rest in node.measures) or (node is None and rest in self.graph.measure_index):
                return InvalidQuery(
                    "unknown_column",
                    f"{field!r} is a measure: a column of that name does not exist in source "
                    f"{node.name if node else 'definitions'!r}; move it to measures. Available: "
                    f"{', '.join(c.value for c in error.candidates) or 'none'}",
                    candidates=error.candidates,
                )
        return error

    # -- measures

    def _measures(self) -> list[RequestedMeasure]:
        for index, item in enumerate(self.items):
            try:
                found = self._as_predefined(item.ref) if item.ref is not None else None
            except SemanticLayerError as error:
                raise error.located(f"/measures/{index}") from None
            if found is not None:
                self.predefined[index] = found
                name = item.name or found[1]
            else:
                name = item.name or ""
            if name:
                self.named.setdefault(name, []).append(index)
            else:
                self.automatic.setdefault(auto_name(str(item.expr if item.expr is not None else item.ref)), index)
        out: list[RequestedMeasure] = []
        seen: set[tuple[str, str]] = set()
        for index, item in enumerate(self.items):
            location = f"/measures/{index}"
            text = (item.expr if item.expr is not None else item.ref) or ""
            try:
                formula = self._formula(index)
            except SemanticLayerError as error:
                raise error.located(location) from None
            if index in self.predefined:
                node, measure = self.predefined[index]
                ref, name = f"{node.name}.{measure}", item.name or measure
                definition: MeasureDefinition | None = node.measures[measure]
            else:
                node, ref, definition, name = None, None, None, item.name or auto_name(text)
            # white space between tokens does not count, inside a string it does: compare what was parsed
            identity = (name, ref or formula.shown.sql())
            if identity in seen:
                continue
            seen.add(identity)
            out.append(RequestedMeasure(name, formula, text, ref, node, definition, location))
        return out

    def _as_predefined(self, text: str) -> tuple[Node, str] | None:
        """The predefined measure a string names, exactly as spelled. Raises `ambiguous`."""
        written = self.names.split(text)
        if written is None:
            return None
        node, name = written
        if node is not None:
            return (node, name) if name in node.measures else None
        owners = self.graph.measure_index.get(name, [])
        if len(owners) > 1:
            raise self.names.ambiguous(name, owners)
        return (self.graph.nodes[owners[0]], name) if owners else None

    def _formula(self, index: int) -> Formula:
        """The formula of an item of the query. Raises `circular`."""
        if index in self._formulas:
            return self._formulas[index]
        if index in self._busy:
            names = [self.items[i].name or self._identity(i) for i in (*self._busy[self._busy.index(index) :], index)]
            raise InvalidQuery("circular", f"Circular dependency between measures: {' -> '.join(names)}")
        self._busy.append(index)
        try:
            if index in self.predefined:
                node, name = self.predefined[index]
                formula = self.compiler.predefined(node, name)
            else:
                item = self.items[index]
                text = (item.expr if item.expr is not None else item.ref) or ""
                formula = self.compiler.compile(self.r.parse(text), self._scope(text, f"/measures/{index}"))
                own = _owners([formula])
                if len(own) == 1:  # before others name it: it is over these rows there too
                    formula = self.compiler.owned(formula, next(iter(own)))
        finally:
            self._busy.pop()
        self._formulas[index] = formula
        return formula

    def _scope(self, text: str, where: str) -> Scope:
        return Scope(lambda parts: (self.names.query_column(parts), True), self._measure, None, text, where)

    def _measure(self, parts: Sequence[exp.Identifier]) -> tuple[Formula, str] | None:
        """The measure a reference outside aggregates means: requested names first, then predefined ones."""
        name = parts[-1].name
        if len(parts) == 2:
            node = self.graph.nodes.get(parts[0].name)
            if node is None or name not in node.measures:
                return None
            return self.compiler.predefined(node, name), f"{node.name}.{name}"
        if len(parts) > 2:
            return None
        positions = self.named.get(name, [])
        if len({self._identity(i) for i in positions}) > 1:
            options = [Candidate(self._identity(i), "a requested measure") for i in positions]
            raise InvalidQuery(
                "ambiguous", f"name {name!r} is ambiguous: several requested measures have it", candidates=options
            )
        if positions:
            index = positions[0]
            ref = (
                ".".join((self.predefined[index][0].name, self.predefined[index][1]))
                if index in self.predefined
                else name
            )
            return self._formula(index), ref
        owners = self.graph.measure_index.get(name, [])
        if len(owners) > 1:
            raise self.names.ambiguous(name, owners)
        if not owners:
            automatic = self.automatic.get(name)
            # a text that is one name has that name, and does not mean itself
            return None if automatic is None or automatic in self._busy else (self._formula(automatic), name)
        return self.compiler.predefined(self.graph.nodes[owners[0]], name), f"{owners[0]}.{name}"

    def _identity(self, index: int) -> str:
        item = self.items[index]
        if index in self.predefined:
            node, name = self.predefined[index]
            return f"{node.name}.{name}"
        return (item.expr if item.expr is not None else item.ref) or ""

    # -- filters

    def _kind_of(self, parts: Sequence[exp.Identifier]) -> Literal["column", "measure"]:
        """What a name outside aggregates of a filter is. Raises what it deserves if it is nothing."""
        name = parts[-1].name
        if len(parts) == 1:
            if name in self.named:
                return "measure"
            columns = self.graph.column_index.get(name, [])
            if not columns and (self.graph.measure_index.get(name) or name in self.automatic):
                if self._measure(parts) is not None:
                    return "measure"
            elif len(columns) != 1:
                self.names.query_column(parts)
            return "column"
        node = self.graph.nodes.get(parts[0].name)
        if node is not None and len(parts) == 2 and name not in node.columns and name in node.measures:
            return "measure"
        return "column"

    # -- order

    def _order(
        self, dimensions: Sequence[RequestedDimension], measures: Sequence[RequestedMeasure]
    ) -> list[tuple[OrderByClause, str | Formula]]:
        out: list[tuple[OrderByClause, str | Formula]] = []
        for index, item in enumerate(self.query.order_by):
            clause = item if isinstance(item, OrderByClause) else OrderByClause(field=item)
            try:
                out.append((clause, self._order_key(clause.field, dimensions, measures)))
            except SemanticLayerError as error:
                raise error.located(f"/order_by/{index}") from None
        return out

    def _order_key(
        self, field: str, dimensions: Sequence[RequestedDimension], measures: Sequence[RequestedMeasure]
    ) -> str | Formula:
        wanted = field.strip().casefold()
        aliases = output_names(dimensions, measures)
        steps: list[dict[str, list[str]]] = [{} for _ in range(3)]
        for position, alias in enumerate(aliases):
            key = f"d{position}" if position < len(dimensions) else f"m{position - len(dimensions)}"
            steps[0].setdefault(alias.casefold(), []).append(key)
        for position, measure in enumerate(measures):
            for text in {measure.name, measure.text, measure.ref or measure.name}:
                steps[1].setdefault(text.strip().casefold(), []).append(f"m{position}")
        for position, dimension in enumerate(dimensions):
            for text in {dimension.field, dimension.written, dimension.name}:
                steps[2].setdefault(text.strip().casefold(), []).append(f"d{position}")
        for step in steps:
            found = step.get(wanted, [])
            if len(found) == 1:
                return found[0]
            if found:
                names = [aliases[_position(key, len(dimensions))] for key in found]
                raise InvalidQuery(
                    "ambiguous",
                    f"order field {field!r} is ambiguous: it matches {', '.join(names)}; send one of them",
                    candidates=[Candidate(name, "an output") for name in names],
                )
        return self._hidden_order(field, aliases)

    def _hidden_order(self, field: str, aliases: Sequence[str]) -> Formula:
        candidates = nearest(field, aliases, "an output")
        name, _, direction = field.strip().rpartition(" ")
        if name and direction.lower() in ("asc", "desc"):
            raise InvalidQuery(
                "bad_order",
                f"order field {field!r} is not a recognized measure or dimension of this query; send its direction apart: "
                f'{{"field": "{name.strip()}", "direction": "{direction.lower()}"}}',
                candidates=candidates,
            )
        refusal = InvalidQuery(
            "bad_order",
            f"order field {field!r} is not a recognized measure or dimension of this query; "
            f"send one of {', '.join(aliases)}, or another measure",
            candidates=candidates,
        )
        try:
            found = self._as_predefined(field)
            if found is not None:
                return self.compiler.predefined(*found)
            return self.compiler.compile(self.r.parse(field), self._scope(field, "/order_by"))
        except SemanticLayerError as error:
            if error.code in (
                "hidden_column",
                "forbidden",
                "window_function",
                "nested_aggregate",
                "no_owner",
                "ambiguous",
            ):
                raise
            raise refusal from error

    # -- owners and segments

    def _settler(self, formulas: Sequence[Formula]) -> Callable[[Formula, str, str], Formula]:
        """What gives an owner to leaves without columns: the only other owner of the text, else of the whole query.

        All of the query, as a measure that an aggregate filter names has one value in both places.
        """
        overall = _owners(formulas)

        def settle(formula: Formula, text: str, location: str) -> Formula:
            if all(leaf.owner for leaf in formula.leaves.values()):
                return formula
            own = _owners([formula]) or overall
            if len(own) != 1:
                raise self._no_source(text, own, location)
            return self.compiler.owned(formula, next(iter(own)))

        return settle

    def _no_source(self, text: str, owners: set[str], location: str) -> InvalidQuery:
        near = sorted(owners) or self._dimension_nodes() or sorted(self.graph.sources)[:10]
        options = [f"count({node}.{self.graph.nodes[node].source.grain[0]})" for node in near]
        return InvalidQuery(
            "no_source",
            f"{text!r} does not reference any source, so it is not known whose rows it is over; "
            f"name a column, as in {options[0] if options else 'count(source.column)'}",
            location=location,
            candidates=[Candidate(option, "counts the rows of one source") for option in options],
        )

    def _dimension_nodes(self) -> list[str]:
        return list(dict.fromkeys(dimension.node for dimension in self._dimensions()))

    def _segments(self, formulas: Sequence[Formula]) -> Callable[[Formula], Formula]:
        """What applies the query's segments to the leaves of their sources. Raises `segment_unused`."""
        guards: dict[str, list[exp.Expr]] = {}
        for index, text in enumerate(self.query.segments):
            if not text or not text.strip():
                continue
            location = f"/segments/{index}"
            node, condition = self._segment(text.strip(), location)
            owners = sorted({leaf.owner for formula in formulas for leaf in formula.leaves.values()})
            if node not in owners:
                raise InvalidQuery(
                    "segment_unused",
                    f"segment {text!r} has no matching measure: it guards measures over {node!r}, and the query has "
                    f"{'measures over ' + ', '.join(owners) if owners else 'no measures'}; send it as a filter, or drop it",
                    location=location,
                    candidates=[
                        Candidate(f"{o}.{s}", f"a segment of {o}") for o in owners for s in self.graph.nodes[o].segments
                    ],
                )
            guards.setdefault(node, []).append(condition)

        def guard(formula: Formula) -> Formula:
            for node, conditions in guards.items():
                if any(leaf.owner == node for leaf in formula.leaves.values()):
                    formula = self.compiler.guarded(formula, conditions, lambda leaf, node=node: leaf.owner == node)  # type: ignore[misc]
            return formula

        return guard

    def _segment(self, text: str, location: str) -> tuple[str, exp.Expr]:
        written = self.names.split(text)
        if written is not None and written[0] is None:
            having = [f"{name}.{text}" for name, node in self.graph.nodes.items() if text in node.segments]
            raise InvalidQuery(
                "not_dotted",
                f"segment {text!r} must be dotted, as in {having[0] if having else 'source.segment'}",
                location=location,
                candidates=[Candidate(option, "the segment, qualified") for option in sorted(having)],
            )
        if written is None:
            parts = field_parts(text, self.graph.dialect)
            name = parts[0].name if parts else text.split(".")[0]
            try:
                node = self.graph.node(name)
            except InvalidQuery as error:
                raise error.located(location) from None
            segment = parts[-1].name if parts else text
        else:
            node, segment = written  # type: ignore[assignment]
        try:
            return node.name, self.compiler.segment(node, segment, location)
        except SemanticLayerError as error:
            raise error.located(location) from None


def _with(measure: RequestedMeasure, formula: Formula) -> RequestedMeasure:
    if formula is measure.formula:
        return measure
    return RequestedMeasure(
        measure.name, formula, measure.text, measure.ref, measure.node, measure.definition, measure.location
    )


def _fields(column: exp.Expr) -> list[exp.Identifier]:
    fields: list[exp.Identifier] = []
    while isinstance(column, exp.Dot):
        fields.insert(0, column.expression)
        column = column.this
    return fields


def _position(key: str, dimensions: int) -> int:
    return int(key[1:]) + (dimensions if key[0] == "m" else 0)


def _owners(formulas: Iterable[Formula]) -> set[str]:
    return {leaf.owner for formula in formulas for leaf in formula.leaves.values() if leaf.owner}


def leaves_of(formulas: Sequence[Formula]) -> Mapping[str, Leaf]:
    """All leaves, by key, in order of first use."""
    found: dict[str, Leaf] = {}
    for formula in formulas:
        found.update(formula.leaves)
    return found
