"""Draft semantic sources from tables and the links between them.

Everything drafted must validate and answer queries as it is: names that bare would mean something else are
quoted where they stand as SQL, and what cannot be drafted is left out with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict, Field

from ktx_daemon._column_types import column_type
from ktx_daemon.dialects import resolve_dialect
from ktx_daemon.errors import LimitExceeded
from ktx_daemon.identifiers import folds, quoted_if_needed
from ktx_daemon.limits import MAX_TABLES
from ktx_daemon.models import Request, Response
from ktx_daemon.redaction import clean

__all__ = [
    "GenerateSourcesRequest",
    "GenerateSourcesResponse",
    "SourceColumn",
    "SourceJoin",
    "SourceMeasure",
    "SourceTable",
    "TableLink",
    "generate_sources_response",
]

type Relationship = Literal["many_to_one", "one_to_many", "one_to_one"]

_INVERSE: dict[Relationship, Relationship] = {
    "many_to_one": "one_to_many",
    "one_to_many": "many_to_one",
    "one_to_one": "one_to_one",
}
_ID_NAMES = ("id", "uuid")
_ID_ENDINGS = ("_id", "_uuid", "_key", "_pk", "identifier")


class TableColumn(Request):
    name: str
    type: str
    primary_key: bool = False
    nullable: bool = True
    comment: str | None = None


class SourceTable(Request):
    name: str
    catalog: str | None = None
    db: str | None = None
    comment: str | None = None
    columns: list[TableColumn]


class TableLink(Request):
    """A pair of columns; pairs of one `constraint_name` between the same tables are one join."""

    from_table: str
    from_column: str
    to_table: str
    to_column: str
    relationship_type: str
    constraint_name: str | None = None


class GenerateSourcesRequest(Request):
    """Unknown keys are refused: a misspelt one would change the answer. `projectId` has no effect.

    `lower_case_names` is for callers that keep a source in a file of its name: they differ by more than case then.
    """

    model_config = ConfigDict(extra="forbid")

    tables: list[SourceTable]
    links: list[TableLink]
    dialect: str | None = None
    lower_case_names: bool = False
    project_id: str | None = Field(default=None, alias="projectId")


class SourceColumn(Response):
    name: str
    type: Literal["string", "number", "time", "boolean"]
    role: Literal["default", "time"]
    visibility: Literal["public"]
    description: str | None = None
    expr: str | None = None


class SourceMeasure(Response):
    name: str
    expr: str
    description: str | None = None


class SourceJoin(Response):
    to: str
    on: str
    relationship: Literal["many_to_one", "one_to_many", "one_to_one"]
    alias: str | None = None


class GeneratedSource(Response):
    name: str
    table: str
    description: str | None = None
    grain: list[str]
    columns: list[SourceColumn]
    joins: list[SourceJoin]
    measures: list[SourceMeasure]
    segments: list[Any] = Field(...)


class GenerateSourcesResponse(Response):
    sources: list[GeneratedSource]
    source_count: int
    warnings: list[str] | None = None


def generate_sources_response(request: GenerateSourcesRequest) -> GenerateSourcesResponse:
    """One source per table with columns, in input order."""
    if max(len(request.tables), len(request.links)) > MAX_TABLES:
        raise LimitExceeded(f"more than {MAX_TABLES} tables or links; split the request")
    dialect = resolve_dialect(request.dialect)
    warnings: list[str] = []
    names = _source_names(request.tables, _lower if request.lower_case_names else _identifier)
    drafts = [
        _Draft(table, name, dialect)
        for table, name in zip(request.tables, names, strict=True)
        if _has_columns(table, warnings)
    ]
    _join(drafts, request.links, warnings)
    response = GenerateSourcesResponse(sources=[draft.source() for draft in drafts], source_count=len(drafts))
    if warnings:
        response.warnings = [clean(warning) for warning in warnings]
    return response


@dataclass(slots=True)
class _Draft:
    table: SourceTable
    name: str
    dialect: str
    joins: list[SourceJoin] = field(default_factory=list)

    @property
    def columns(self) -> list[TableColumn]:
        """Columns by name; of equal names the first."""
        return list({column.name: column for column in reversed(self.table.columns)}.values())[::-1]

    def source(self) -> GeneratedSource:
        keys = [column.name for column in self.columns if column.primary_key]
        source = GeneratedSource(
            name=self.name,
            table=".".join(self.sql(part) for part in _address(self.table)),
            grain=keys or [self.columns[0].name],
            columns=[_column(column, self.dialect) for column in self.columns],
            joins=self.joins,
            measures=list(self._measures(keys)),
            segments=[],
        )
        if self.table.comment:
            source.description = self.table.comment
        return source

    def sql(self, name: str) -> str:
        return quoted_if_needed(name, self.dialect)

    def _measures(self, keys: Sequence[str]) -> Iterable[SourceMeasure]:
        taken = {column.name for column in self.columns}
        if keys:
            counted = self.sql(keys[0]) if len(keys) == 1 else "*"
            yield SourceMeasure(name=_unused("record_count", taken), expr=f"count({counted})")
        for column in self.columns:
            if column_type(column.type) != "number" or _is_id_like(column.name):
                continue
            comment = f" — {column.comment}" if column.comment else ""
            for prefix, function, words in (("total", "sum", "Sum"), ("avg", "avg", "Average")):
                yield SourceMeasure(
                    name=_unused(f"{prefix}_{_identifier(column.name)}", taken),
                    expr=f"{function}({self.sql(column.name)})",
                    description=f"{words} of {column.name}{comment}",
                )


def _column(column: TableColumn, dialect: str) -> SourceColumn:
    kind = column_type(column.type)
    drafted = SourceColumn(
        name=column.name, type=kind, role="time" if kind == "time" else "default", visibility="public"
    )
    if column.comment:
        drafted.description = column.comment
    if folds(column.name, dialect):
        # a column's name is printed bare; its own name in quotes, as an expression, keeps them
        drafted.expr = quoted_if_needed(column.name, dialect)
    return drafted


def _is_id_like(name: str) -> bool:
    lower = name.lower()
    return lower in _ID_NAMES or lower.endswith(_ID_ENDINGS)


def _has_columns(table: SourceTable, warnings: list[str]) -> bool:
    if not table.columns:
        warnings.append(f"table {'.'.join(_address(table))!r} has no columns and was left out")
        return False
    names = [column.name for column in table.columns]
    for name in sorted({name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()):
        warnings.append(f"table {'.'.join(_address(table))!r} has column {name!r} twice; the first was taken")
    return True


def _address(table: SourceTable) -> list[str]:
    return [part for part in (table.catalog, table.db, table.name) if part]


def _identifier(name: str) -> str:
    """The name with `_` for every character outside `[A-Za-z0-9_]`."""
    return "".join(character if character.isascii() and character.isalnum() else "_" for character in name) or "_"


def _lower(name: str) -> str:
    """The identifier in lower case, begun by a letter or digit."""
    return _identifier(name).lower().lstrip("_") or "table"


def _source_names(tables: Sequence[SourceTable], spelt: Callable[[str], str]) -> list[str]:
    """A name of its own for each table: the first keeps its own, others take schema, catalog, a number.

    Where names are spelt anew, a table that is called so comes before one that is only spelt so.
    """
    taken: set[str] = set()
    names: dict[int, str] = {}
    for index in sorted(
        range(len(tables)), key=lambda index: spelt(tables[index].name) != _identifier(tables[index].name)
    ):
        parts = [spelt(part) for part in _address(tables[index])] or [spelt("")]
        longer = ["_".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]
        name = next((name for name in longer if name not in taken), None) or _unused(longer[-1], taken)
        taken.add(name)
        names[index] = name
    return [names[index] for index in range(len(tables))]


def _unused(name: str, taken: set[str]) -> str:
    """The name, or with the first number from 2 that makes it new; taken from then on."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    taken.add(found)
    return found


@dataclass(frozen=True, slots=True)
class _Link:
    """One join to draft, from the side that declares it."""

    source: _Draft
    target: _Draft
    pairs: tuple[tuple[str, str], ...]
    relationship: Relationship


def _join(drafts: Sequence[_Draft], links: Sequence[TableLink], warnings: list[str]) -> None:
    joins = _directed(_grouped(drafts, links, warnings))
    several: dict[tuple[str, str], int] = {}
    for join in joins:
        key = (join.source.name, join.target.name)
        several[key] = several.get(key, 0) + 1
    aliases = _Aliases(drafts)
    for join in joins:
        target = join.target.name
        alias = None
        if join.source is join.target or several[join.source.name, target] > 1:
            local = "_".join(_identifier(own).lower() for own, _ in join.pairs)
            alias = aliases.take(f"{target}_{local}", join)
        node = join.source.sql(alias or target)
        drafted = SourceJoin(
            to=target,
            on=" AND ".join(f"{join.source.sql(own)} = {node}.{join.source.sql(other)}" for own, other in join.pairs),
            relationship=join.relationship,
        )
        if alias:
            drafted.alias = alias
        join.source.joins.append(drafted)


class _Aliases:
    """An alias names no source, one target everywhere, and one join of a source."""

    def __init__(self, drafts: Sequence[_Draft]) -> None:
        self._targets: dict[str, str | None] = {draft.name: None for draft in drafts}
        self._used: set[tuple[str, str]] = set()

    def take(self, wanted: str, join: _Link) -> str:
        alias, number = wanted, 2
        while (join.source.name, alias) in self._used or (
            self._targets.get(alias, join.target.name) != join.target.name
        ):
            alias, number = f"{wanted}_{number}", number + 1
        self._targets[alias] = join.target.name
        self._used.add((join.source.name, alias))
        return alias


def _directed(links: Sequence[_Link]) -> list[_Link]:
    joins = []
    for link in links:
        joins.append(link)
        if link.source is not link.target:
            pairs = tuple((other, own) for own, other in link.pairs)
            joins.append(_Link(link.target, link.source, pairs, _INVERSE[link.relationship]))
    return joins


def _grouped(drafts: Sequence[_Draft], links: Sequence[TableLink], warnings: list[str]) -> list[_Link]:
    """Links with their tables found, those of one constraint together, each set of pairs once."""
    index = _index(drafts)
    groups: dict[tuple[object, ...], list[tuple[_Draft, _Draft, TableLink]]] = {}
    for position, link in enumerate(links):
        ends = [_find(name, index, position, warnings) for name in (link.from_table, link.to_table)]
        if ends[0] is None or ends[1] is None:
            continue
        if not _has_column(ends[0], link.from_column, position, warnings):
            continue
        if not _has_column(ends[1], link.to_column, position, warnings):
            continue
        key = (ends[0].name, ends[1].name, link.constraint_name or ("", position))
        groups.setdefault(key, []).append((ends[0], ends[1], link))
    found: dict[tuple[object, ...], _Link] = {}
    for group in groups.values():
        source, target, first = group[0]
        pairs = tuple(dict.fromkeys((link.from_column, link.to_column) for _, _, link in group))
        found.setdefault(
            (source.name, target.name, pairs), _Link(source, target, pairs, _relationship(first.relationship_type))
        )
    return list(found.values())


def _relationship(text: str) -> Relationship:
    wanted = text.strip().lower()
    return next((relationship for relationship in _INVERSE if relationship == wanted), "many_to_one")


def _index(drafts: Sequence[_Draft]) -> dict[str, list[_Draft]]:
    index: dict[str, list[_Draft]] = {}
    for draft in drafts:
        parts = _address(draft.table)
        for start in range(len(parts)):
            index.setdefault(".".join(parts[start:]), []).append(draft)
    return index


def _find(name: str, index: dict[str, list[_Draft]], position: int, warnings: list[str]) -> _Draft | None:
    found = index.get(name, [])
    if len(found) == 1:
        return found[0]
    problem = "names more than one table; add its schema" if found else "is no table with columns"
    warnings.append(f"link {position}: {name!r} {problem}; the link was dropped")
    return None


def _has_column(draft: _Draft, column: str, position: int, warnings: list[str]) -> bool:
    if any(known.name == column for known in draft.table.columns):
        return True
    warnings.append(f"link {position}: table {draft.table.name!r} has no column {column!r}; the link was dropped")
    return False
