"""Which column or measure a name means.

Invariant: a name means one thing or is refused. Query text sees no hidden column,
by whatever road; model text sees all, and its bare names look at the declaring
node first and then outwards along to-one joins. Results are *logical* columns:
`Column(table=node, column)`, turned into physical ones only when SQL is built.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from .errors import Candidate, InvalidModel, InvalidQuery, SemanticLayerError, nearest
from .expr import column_parts, columns, correlate, field_parts, parse_model
from .graph import Graph, Node
from .joins import logical
from .models import SourceColumn

__all__ = ["Names", "column_of"]


def column_of(tree: exp.Expr) -> tuple[str, str]:
    """(node, column) of a logical column, struct fields dropped."""
    while isinstance(tree, exp.Dot):
        tree = tree.this
    assert isinstance(tree, exp.Column)
    return tree.table, tree.name


class Names:
    """Look-ups over one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def definition(self, tree: exp.Expr) -> SourceColumn:
        """The definition of a logical column."""
        node, column = column_of(tree)
        return self.graph.nodes[node].columns[column]

    # -- query text

    def query_column(self, parts: Sequence[exp.Identifier]) -> exp.Expr:
        """The column a query means. Raises `unknown_source`, `unknown_column`, `ambiguous`, `hidden_column`."""
        if len(parts) == 1:
            return self._bare_column(parts[0])
        node = self.graph.node(parts[0].name)
        column = self.visible(node, parts[1].name)
        if len(parts) > 2 and column.type != "string":  # structs and documents have no type of their own
            raise self._no_fields(node, column, ".".join(part.name for part in parts[2:]))
        return logical(node.name, list(parts[1:]))

    def visible(self, node: Node, column: str) -> SourceColumn:
        """The listed, unhidden column. Raises `unknown_column`, `hidden_column`."""
        found = node.columns.get(column)
        if found is None:
            raise self.unknown_column(node, column)
        if found.visibility == "hidden":
            raise InvalidQuery(
                "hidden_column",
                f"column '{node.name}.{column}' is hidden; use a visible column or a measure",
                candidates=nearest(column, self._visible_names(node), f"a visible column of {node.name}"),
            ).about(f"{node.name}.{column}")
        return found

    def _no_fields(self, node: Node, column: SourceColumn, fields: str) -> InvalidQuery:
        periods = f'; for periods send {{"field": "{node.name}.{column.name}", "granularity": "{fields}"}}'
        return InvalidQuery(
            "unknown_column",
            f"column '{column.name}.{fields}' does not exist in source {node.name!r}: {column.name!r} is of type {column.type} "
            f"and has no fields{periods if column.type == 'time' else ''}. Available: {node.name}.{column.name}",
            candidates=[Candidate(f"{node.name}.{column.name}", "the whole column")],
        ).about(f"{node.name}.{column.name}.{fields}")

    def _visible_names(self, node: Node) -> list[str]:
        return [f"{node.name}.{c.name}" for c in node.columns.values() if c.visibility != "hidden"]

    def _bare_column(self, part: exp.Identifier) -> exp.Expr:
        owners = self.graph.column_index.get(part.name, [])
        if len(owners) == 1:
            self.visible(self.graph.nodes[owners[0]], part.name)
            return logical(owners[0], [part])
        if owners:
            raise self.ambiguous(part.name, owners)
        near, hint = list(self._near_columns(part.name)), ""
        if part.name in self.graph.nodes:
            keys = [f"{part.name}.{key}" for key in self.graph.nodes[part.name].source.grain]
            near[:0] = [Candidate(key, f"a key column of {part.name}") for key in keys]
            hint = f": it is a source; name a column of it, as in {keys[0]}"
        elif part.quoted:
            text = exp.Literal.string(part.name).sql()
            near = sorted([*near, Candidate(text, "a string", 1)], key=lambda candidate: candidate.distance)
            hint = f"; if it is a string, write {text}"
        names = dict.fromkeys(c.value for c in near if c.why != "a string")
        raise InvalidQuery(
            "unknown_column",
            f"column {part.name!r} does not exist in sources of this model{hint}. Available: {', '.join(names) or 'none'}",
            candidates=near,
        ).about(f'"{part.name}"' if part.quoted else part.name)

    def _near_columns(self, name: str) -> tuple[Candidate, ...]:
        near = nearest(name, self.graph.column_index, "a column")
        dotted = [
            Candidate(f"{owner}.{candidate.value}", f"a column of {owner}", candidate.distance)
            for candidate in near
            for owner in self.graph.column_index[candidate.value]
            if self.graph.nodes[owner].columns[candidate.value].visibility != "hidden"
        ]
        return tuple(dotted[:10])

    def ambiguous(self, name: str, owners: Sequence[str]) -> InvalidQuery:
        """The refusal of a bare name that several sources have."""
        usable = [
            owner
            for owner in owners
            if name not in self.graph.nodes[owner].columns
            or self.graph.nodes[owner].columns[name].visibility != "hidden"
        ]
        options = [f"{owner}.{name}" for owner in usable]
        return InvalidQuery(
            "ambiguous",
            f"name {name!r} is ambiguous: it exists in {', '.join(owners)}; send {' or '.join(options) or 'another name'}",
            candidates=[Candidate(option, "the same name, qualified") for option in options],
        ).about(name)

    def unknown_column(self, node: Node, column: str) -> InvalidQuery:
        """The refusal of a column that a node does not list."""
        visible = self._visible_names(node)
        shown = ", ".join(name.rpartition(".")[2] for name in visible[:40])
        elsewhere = [
            Candidate(f"{owner}.{column}", f"the column of that name in {owner}")
            for owner in self.graph.column_index.get(column, [])
            if self.graph.nodes[owner].columns[column].visibility != "hidden"
        ]
        near = nearest(f"{node.name}.{column}", visible, f"a column of {node.name}")
        return InvalidQuery(
            "unknown_column",
            f"column {column!r} does not exist in source {node.name!r}. Available: {shown or 'none'}",
            # Of equally near ones the asked source's own come first: `orders.id` may mean `orders.Id`.
            candidates=sorted(
                (*elsewhere, *near), key=lambda c: (c.distance, not c.value.startswith(f"{node.name}."), c.value)
            ),
        ).about(f"{node.name}.{column}")

    def split(self, text: str) -> tuple[Node | None, str] | None:
        """`text` as written: (node, rest) if it starts with a node's name and a dot, (None, text) without a dot."""
        text = text.strip()
        if "." not in text:
            return None, text
        at = text.find(".")
        while at > 0:
            node = self.graph.nodes.get(text[:at])
            if node is not None:
                return node, text[at + 1 :]
            at = text.find(".", at + 1)
        return None

    def field(self, text: str) -> exp.Expr:
        """The column a field means: exactly as spelled, or as dotted names with quotes."""
        written = self.split(text)
        if written is not None:
            node, rest = written
            if node is not None and rest in node.columns:
                self.visible(node, rest)
                return logical(node.name, [exp.to_identifier(rest)])
            if node is None and rest in self.graph.column_index:
                return self._bare_column(exp.to_identifier(rest))
        parts = field_parts(text, self.graph.dialect)
        if parts is None:
            within = self._columns_within(text)
            options = [*within, *(c for c in self._near_columns(text) if c.value not in {w.value for w in within})]
            raise InvalidQuery(
                "unknown_column",
                f"dimension {text!r} does not exist in source columns: it is not 'source.column'; a dimension is a column, "
                f"periods are its granularity. Available: {', '.join(c.value for c in options) or 'none'}",
                candidates=options,
            ).about(text)
        return self.query_column(parts)

    def _columns_within(self, text: str) -> list[Candidate]:
        """The columns of an expression sent where a field is expected."""
        found: list[Candidate] = []
        try:
            for column in columns(parse_model(text, self.graph.dialect)):
                parts = column_parts(column)
                if all(isinstance(part, exp.Identifier) for part in parts):  # no function of a schema
                    self.query_column(parts)
                    found.append(Candidate(".".join(part.name for part in parts), "the column in it"))
        except SemanticLayerError:
            pass
        return found

    # -- model text

    def model_column(self, parts: Sequence[exp.Identifier], home: Node, where: str) -> tuple[exp.Expr, bool]:
        """The column text declared at `home` means, and whether it was written bare.

        Raises `invalid_model`-style refusals located at `where`.
        """
        if len(parts) > 1:
            name = parts[0].name
            node = home if name in (home.name, home.source.name) else self.graph.nodes.get(name)
            if node is None:
                raise InvalidModel(
                    "unknown_source",
                    f"{where}: unknown source '{name}'",
                    location=where,
                    candidates=nearest(name, self.graph.nodes, "a defined source or alias"),
                )
            if parts[1].name not in node.columns:
                raise self._model_unknown(node, parts[1].name, where)
            return logical(node.name, list(parts[1:])), False
        name = parts[0].name
        if name in home.columns:
            return logical(home.name, [parts[0]]), True
        depths = self.graph.reachable(home.name)
        having = [(depth, node) for node, depth in depths.items() if name in self.graph.nodes[node].columns]
        if not having:
            raise self._model_unknown(home, name, where)
        nearest_depth = min(having)[0]
        hits = sorted(node for depth, node in having if depth == nearest_depth)
        if len(hits) > 1:
            raise InvalidModel(
                "ambiguous",
                f"{where}: name {name!r} is ambiguous: {', '.join(hits)} are equally near; qualify it",
                location=where,
                candidates=[Candidate(f"{hit}.{name}", "the same name, qualified") for hit in hits],
            )
        return logical(hits[0], [parts[0]]), True

    def model_subquery(self, query: exp.Expr, home: Node, where: str) -> exp.Expr:
        """`query` of text declared at `home`, its columns of the rows around it made logical."""

        def meaning(parts: Sequence[exp.Identifier]) -> exp.Expr | None:
            known = parts[0].name == home.source.name or parts[0].name in self.graph.nodes
            return self.model_column(parts, home, where)[0] if known else None

        return correlate(query, meaning)

    def _model_unknown(self, node: Node, column: str, where: str) -> InvalidModel:
        return InvalidModel(
            "unknown_column",
            f"{where}: column {column!r} does not exist in source {node.name!r}. Available: {', '.join(node.columns) or 'none'}",
            location=where,
            candidates=nearest(column, node.columns, f"a column of {node.name}"),
        )
