"""Where sources' rows come from: tables, and SELECT bodies as CTEs.

Invariant: a SELECT body becomes one CTE, emitted once however many nodes read it;
its own CTEs are hoisted beside it under names of its source, and no table it reads
is captured by a name the engine gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.errors import SqlglotError

from .errors import InvalidModel
from .graph import Graph
from .models import SourceDefinition
from .physical import Columns

__all__ = ["Bodies", "Tables", "parse_body"]


@dataclass(slots=True)
class Tables:
    """What one statement reads: CTEs in order, and the table that stands for each source."""

    ctes: list[tuple[str, exp.Expr]] = field(default_factory=list)
    standing: dict[str, exp.Table] = field(default_factory=dict)
    reserved: set[str] = field(default_factory=set)
    recursive: bool = False
    reads: Counter[str] = field(default_factory=Counter)
    """How often each CTE that stands for a source is read."""

    def table(self, source: SourceDefinition) -> exp.Table:
        """A fresh reference to `source`'s rows."""
        self.reads[self.standing[source.name].name] += 1
        return self.standing[source.name].copy()


def parse_body(source: SourceDefinition, graph: Graph) -> exp.Query:
    """The tree of a SQL source's body: one SELECT or set operation.

    Raises `invalid_model`.
    """

    def refuse(why: str) -> InvalidModel:
        return InvalidModel("invalid_model", f"source {source.name!r}: its sql {why}", f"{source.name}.sql")

    try:
        trees = [tree for tree in graph.dialect.sqlglot.parse(source.sql or "") if tree is not None]
    except SqlglotError as error:
        described = getattr(error, "errors", None)
        raise refuse(f"does not parse: {described[0].get('description') if described else error}") from error
    if len(trees) != 1:
        raise refuse("must be one SELECT, not several statements")
    tree: exp.Expr = trees[0]
    while isinstance(tree, exp.Subquery) and not any(v for k, v in tree.args.items() if k != "this"):
        tree = tree.this
    if not isinstance(tree, exp.Select | exp.SetOperation) or tree.find(exp.Into):
        raise refuse("must be a SELECT")
    if any(
        isinstance(node, exp.DDL | exp.DML | exp.Command) and not isinstance(node, exp.Query) for node in tree.walk()
    ):
        raise refuse("must only read")
    return tree


class Bodies:
    """Parsed tables and bodies, kept."""

    def __init__(self, graph: Graph, columns: Columns) -> None:
        self.graph = graph
        self.columns = columns
        self._bodies: dict[str, exp.Query] = {}
        self._tables: dict[str, exp.Table] = {}

    def tables(self, sources: Sequence[SourceDefinition], trees: Iterable[exp.Expr] = ()) -> Tables:
        """The CTEs and tables for a statement over `sources`.

        `trees` are expressions of the model; tables that their subqueries read are not captured either.
        """
        out = Tables()
        for tree in (*trees, *(body for source in sources for body in self.columns.subqueries(source))):
            out.reserved |= _unqualified(tree)
        unique = list({source.name: source for source in sources}.values())
        for source in unique:
            if source.is_table_source:
                out.reserved |= _unqualified(self._table(source))
            else:
                out.reserved |= _unqualified(self._body(source))
        for source in unique:
            if source.is_table_source:
                out.standing[source.name] = self._table(source)
            else:
                self._add(source, out)
        out.reserved |= {name for name, _ in out.ctes}
        return out

    def _table(self, source: SourceDefinition) -> exp.Table:
        found = self._tables.get(source.name)
        if found is None:
            text = (source.table or "").strip()
            try:
                parsed = exp.maybe_parse(text, into=exp.Table, dialect=self.graph.dialect.sqlglot)
                usable = isinstance(parsed, exp.Table) and not any(
                    value for key, value in parsed.args.items() if key not in ("this", "db", "catalog")
                )
                usable = usable and all(isinstance(part, exp.Identifier) for part in parsed.parts)
            except (SqlglotError, RecursionError):
                usable = False
            if not usable:
                parsed = self._spelled(source, text)
            for part in parsed.parts:
                part.set("quoted", bool(part.args.get("quoted")) or self.graph.dialect.quotes(part.name))
            found = self._tables[source.name] = parsed
        return found

    def _spelled(self, source: SourceDefinition, text: str) -> exp.Table:
        """A name that does not parse, such as a reserved word, taken part by part."""
        parts = text.split(".")
        if not 1 <= len(parts) <= 3 or not all(part.strip() for part in parts):
            raise InvalidModel(
                "invalid_model", f"source {source.name!r}: table {text!r} is not a table name", f"{source.name}.table"
            )
        if any(char in text for char in "();"):
            raise InvalidModel(
                "invalid_model", f"source {source.name!r}: table {text!r} is not a table name", f"{source.name}.table"
            )
        names = [exp.Identifier(this=part.strip(), quoted=True) for part in parts]
        keys = ("this", "db", "catalog")
        return exp.Table(**dict(zip(keys, reversed(names), strict=False)))

    def _body(self, source: SourceDefinition) -> exp.Query:
        found = self._bodies.get(source.name)
        if found is None:
            found = self._bodies[source.name] = parse_body(source, self.graph)
        return found

    def _add(self, source: SourceDefinition, out: Tables) -> None:
        body = self._body(source).copy()
        taken = {name.casefold() for name in (*out.reserved, *(n for n, _ in out.ctes))}

        def take(wished: str) -> str:
            if self.graph.dialect.splits_dotted_names:
                wished = wished.replace(".", "_")
            name, number = wished, 2
            while name.casefold() in taken:
                name, number = f"{wished}_{number}", number + 1
            taken.add(name.casefold())
            return name

        reads = {name.casefold() for name in out.reserved}
        name = take(source.name if source.name.casefold() not in reads else f"{source.name}__sql")
        with_ = body.args.get("with_")
        if with_ is not None:
            body.set("with_", None)
            self._hoist(source, with_, body, out, take)
        for node in body.walk():
            node.comments = None
        out.ctes.append((name, body))
        out.standing[source.name] = exp.Table(this=self.columns.identifier(name))

    def _hoist(
        self, source: SourceDefinition, with_: exp.With, body: exp.Query, out: Tables, take: Callable[[str], str]
    ) -> None:
        recursive = bool(with_.args.get("recursive"))
        out.recursive = out.recursive or recursive
        renamed: dict[str, str] = {}
        for cte in with_.expressions:
            inner = cte.alias
            new = take(f"{source.name}__{inner}")
            seen = {**renamed, inner: new} if recursive else dict(renamed)
            tree = cte.this
            _rename(tree, seen, self.columns)
            for node in tree.walk():
                node.comments = None
            aliased = cte.args["alias"]
            if aliased.args.get("columns"):
                tree = _with_columns(tree, aliased)
            out.ctes.append((new, tree))
            renamed[inner] = new
        _rename(body, renamed, self.columns)


def _with_columns(tree: exp.Expr, alias: exp.TableAlias) -> exp.Expr:
    """Carries `cte(a, b)` column names along on the tree."""
    tree.meta["columns"] = alias.args["columns"]
    return tree


def _rename(tree: exp.Expr, renamed: dict[str, str], columns: Columns, hidden: frozenset[str] = frozenset()) -> None:
    """Point unqualified reads of hoisted CTEs at their new names, under the old ones as aliases.

    Inner WITHs that define the same name hide it.
    """
    if not renamed:
        return
    own = tree.args.get("with_") if isinstance(tree, exp.Query) else None
    if own is not None:
        local = hidden
        for cte in own.expressions:
            inner_hidden = local | {cte.alias.casefold()} if own.args.get("recursive") else local
            _rename(cte.this, renamed, columns, inner_hidden)
            local = local | {cte.alias.casefold()}
        hidden = local
    by_name = {name.casefold(): new for name, new in renamed.items()}
    for child in tree.iter_expressions():
        if child is own:
            continue
        if isinstance(child, exp.Table):
            name = child.name
            if (
                not child.args.get("db")
                and isinstance(child.this, exp.Identifier)
                and name.casefold() in by_name
                and name.casefold() not in hidden
            ):
                if not child.alias:
                    child.set("alias", exp.TableAlias(this=child.this.copy()))
                child.set("this", columns.identifier(by_name[name.casefold()]))
            _rename(child, renamed, columns, hidden)
        else:
            _rename(child, renamed, columns, hidden)


def _unqualified(tree: exp.Expr) -> set[str]:
    """Unqualified tables that a tree reads from outside itself, by the names they go by."""
    found: set[str] = set()

    def visit(node: exp.Expr, local: frozenset[str]) -> None:
        named = isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier) and not node.args.get("db")
        if named and node.name.casefold() not in local:
            found.add(node.name)
        own = node.args.get("with_") if isinstance(node, exp.Query) else None
        if own is not None:
            inner = local
            for cte in own.expressions:
                seen = inner | {cte.alias.casefold()} if own.args.get("recursive") else inner
                visit(cte.this, seen)
                inner = inner | {cte.alias.casefold()}
            local = inner
        for child in node.iter_expressions():
            if child is not own:
                visit(child, local)

    visit(tree, frozenset())
    return found
