"""One merged view to a source: its columns, its measures, and what was left out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlglot import exp

from ktx_daemon.identifiers import quoted_if_needed
from ktx_daemon.lookml._filters import condition
from ktx_daemon.lookml._models import LookmlColumn, LookmlMeasure, LookmlView, SkippedItem
from ktx_daemon.lookml._references import REFERENCE, Fields, Unresolved, expression
from ktx_daemon.redaction import clean

__all__ = ["fields_of", "view_of"]

type ColumnType = Literal["string", "number", "time", "boolean"]

_FUNCTIONS = {
    "sum": "sum",
    "average": "avg",
    "min": "min",
    "max": "max",
    "median": "median",
    "sum_distinct": "sum",
    "average_distinct": "avg",
}


def fields_of(name: str, view: Mapping[str, Any], dialect: str, constants: Mapping[str, str]) -> Fields:
    return Fields(name, dialect, constants, _by_name(view.get("dimensions")), _by_name(view.get("dimension_groups")))


def view_of(
    name: str, view: Mapping[str, Any], fields: Fields, table: str | None, sql: str | None, projected: Sequence[str]
) -> LookmlView:
    """`projected` are the columns a derived table outputs, as far as they are known."""
    measures = _by_name(view.get("measures"))
    draft = _Draft(fields, _names_to_avoid(fields, measures))
    for item in fields.dimensions.values():
        draft.add_dimension(item)
    for item in fields.groups.values():
        draft.add_group(item)
    for column in projected:
        draft.add_projected(column)
    for item in measures.values():
        draft.add_measure(item)
    draft.resolve_numbers()
    return LookmlView(
        name=name,
        source_type="sql" if sql is not None else "table",
        table_ref=table,
        sql=sql,
        grain=draft.grain,
        columns=draft.columns,
        measures=list(draft.measures.values()),
        description=_description(view),
        skipped_dimensions=draft.skipped_dimensions,
        skipped_measures=draft.skipped_measures,
    )


def _names_to_avoid(fields: Fields, measures: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Physical columns that no computed column may be called like, as others mean the column by that name.

    A computed column may be called like a column that it alone uses: `fields.by_name` from then on.
    """
    items = {**fields.dimensions, **fields.groups, **measures}
    users: dict[str, set[str]] = {}
    for name, item in items.items():
        for column in fields.direct(item):
            users.setdefault(column, set()).add(name)
    computed = {name for name, item in fields.dimensions.items() if fields.physical(item) is None}
    avoid = frozenset(column for column, names in users.items() if names - {column} or column not in computed)
    fields.by_name = frozenset(name for name in computed if name in users and name not in avoid)
    return avoid


@dataclass(slots=True)
class _Draft:
    fields: Fields
    avoid: frozenset[str]
    columns: list[LookmlColumn] = field(default_factory=list)
    grain: list[str] = field(default_factory=list)
    measures: dict[str, LookmlMeasure] = field(default_factory=dict)
    skipped_dimensions: list[SkippedItem] = field(default_factory=list)
    skipped_measures: list[SkippedItem] = field(default_factory=list)
    _numbers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def add_dimension(self, item: Mapping[str, Any]) -> None:
        self._add(item, _column_type(str(item.get("type", "string"))))

    def add_group(self, item: Mapping[str, Any]) -> None:
        if item.get("type", "time") != "time":
            self._skip_dimension(item, f"dimension groups of type {item.get('type')} are not supported")
            return
        self._add(item, "time")

    def add_projected(self, name: str) -> None:
        if name not in self._names:
            self._names.add(name)
            self.columns.append(
                LookmlColumn(
                    name=name,
                    lookml_name=name,
                    type="string",
                    role="default",
                    visibility="hidden",
                    description=None,
                    is_computed=False,
                    expr=None,
                )
            )

    def add_measure(self, item: Mapping[str, Any]) -> None:
        name = str(item["name"])
        if item.get("type") == "number":
            self._numbers[name] = item  # may refer to measures that come later
            self.measures[name] = LookmlMeasure(name=name, expr="", filter=None, description=_description(item))
            return
        try:
            self.measures[name] = LookmlMeasure(
                name=name, expr=self._aggregate(item), filter=self._filter(item), description=_description(item)
            )
        except Unresolved as problem:
            self._skip_measure(name, str(problem))

    def resolve_numbers(self) -> None:
        """`number` measures, once all others are known; what refers to a skipped one is skipped too."""
        done: set[str] = set()
        for name in self._numbers:
            self._resolve_number(name, done)

    def _resolve_number(self, start: str, done: set[str]) -> None:
        path = [start]
        while path:
            name = path[-1]
            item = self._numbers[name]
            wanted = [ref for ref in _own_references(self.fields, item) if ref in self._numbers and ref not in done]
            if name not in done and wanted and wanted[0] not in path:
                path.append(wanted[0])
                continue
            path.pop()
            if name in done:
                continue
            done.add(name)
            try:
                if wanted:
                    raise Unresolved("it refers to itself")
                self.measures[name].expr = self._number(item)
                self.measures[name].filter = self._filter(item)
            except Unresolved as problem:
                del self.measures[name]
                self._skip_measure(name, str(problem))

    def _number(self, item: Mapping[str, Any]) -> str:
        sql = self.fields.sql_of(item)
        if sql is None:
            raise Unresolved("it has no SQL")
        text = REFERENCE.sub(self._measure_reference, sql)
        text = self.fields.resolve(text)
        expression(text, self.fields.dialect)
        return text

    def _measure_reference(self, match: Any) -> str:
        view, _, own = match[1].strip().rpartition(".")
        if view in ("", self.fields.view) and own in self.measures:
            return quoted_if_needed(own, self.fields.dialect) if own.isidentifier() else f'"{own}"'
        return str(match[0])

    def _add(self, item: Mapping[str, Any], kind: ColumnType) -> None:
        name = str(item["name"])
        try:
            physical = self.fields.physical(item)
            expr: str | None = None
            if physical is None or physical in self._names:
                expr = quoted_if_needed(physical, self.fields.dialect) if physical is not None else self._computed(item)
            column = self._unused(name) if expr is not None else str(physical)
        except Unresolved as problem:
            self._skip_dimension(item, str(problem))
            return
        self._names.add(column)
        if _yes(item.get("primary_key")):
            self.grain.append(column)
        self.columns.append(
            LookmlColumn(
                name=column,
                lookml_name=name,
                type=kind,
                role="time" if kind == "time" else "default",
                visibility="hidden" if _yes(item.get("hidden")) else "public",
                description=_description(item),
                is_computed=expr is not None,
                expr=expr,
            )
        )

    def _computed(self, item: Mapping[str, Any]) -> str:
        sql = self.fields.sql_of(item)
        if sql is None:
            raise Unresolved("it has no SQL")
        text = self.fields.resolve(sql, (str(item["name"]),))
        expression(text, self.fields.dialect)
        return text

    def _unused(self, name: str) -> str:
        found, number = name, 2
        while found in self._names or found in self.avoid:
            found, number = f"{name}_{number}", number + 1
        return found

    def _aggregate(self, item: Mapping[str, Any]) -> str:
        kind = str(item.get("type", "string"))
        sql = self.fields.sql_of(item)
        if kind == "count":
            return "count(*)"
        if kind == "date":
            return self._extreme_date(sql)
        if kind != "count_distinct" and kind not in _FUNCTIONS:
            raise Unresolved(f"measures of type {kind} are not supported")
        if sql is None:
            raise Unresolved("it has no SQL")
        if kind in ("sum_distinct", "average_distinct"):
            self._check_key(item)
        text = self.fields.resolve(sql)
        expression(text, self.fields.dialect)
        if REFERENCE.fullmatch(sql):
            text = _unbracketed(text)
        return f"count(distinct {text})" if kind == "count_distinct" else f"{_FUNCTIONS[kind]}({text})"

    def _extreme_date(self, sql: str | None) -> str:
        if sql is None:
            raise Unresolved("it has no SQL")
        text = self.fields.resolve(sql)
        if not isinstance(expression(text, self.fields.dialect), (exp.Min, exp.Max)):
            raise Unresolved("measures of type date are supported as min or max only")
        return text

    def _check_key(self, item: Mapping[str, Any]) -> None:
        key = item.get("sql_distinct_key")
        if not isinstance(key, str):
            raise Unresolved("it has no sql_distinct_key")
        wanted = _unbracketed(self.fields.resolve(key))
        keys = [self.fields.reference(name) for name in self._key_fields()]
        if [_unbracketed(known) for known in keys] != [wanted]:
            raise Unresolved("its sql_distinct_key is not the primary key")

    def _key_fields(self) -> list[str]:
        return [name for name, item in self.fields.dimensions.items() if _yes(item.get("primary_key"))]

    def _filter(self, item: Mapping[str, Any]) -> str | None:
        clauses: list[exp.Expr] = []
        for name, text in _filters(item):
            view, _, own = name.rpartition(".")
            if view not in ("", self.fields.view) or own not in self.fields.dimensions:
                raise Unresolved(f"it filters {name!r}, which is no dimension of the view")
            kind = _column_type(str(self.fields.dimensions[own].get("type", "string")))
            column = expression(self.fields.reference(own), self.fields.dialect)
            clause = condition(column, kind, text)
            if clause is not None:
                clauses.append(exp.Paren(this=clause) if isinstance(clause, exp.Or) else clause)
        if not clauses:
            return None
        return " AND ".join(clause.sql(dialect=self.fields.dialect) for clause in clauses)

    def _skip_dimension(self, item: Mapping[str, Any], reason: str) -> None:
        self.skipped_dimensions.append(SkippedItem(name=str(item["name"]), item_type="dimension", reason=clean(reason)))

    def _skip_measure(self, name: str, reason: str) -> None:
        self.skipped_measures.append(SkippedItem(name=name, item_type="measure", reason=clean(reason)))


def _filters(item: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Both syntaxes: `filters: [field: "text"]` and `filters: { field: f value: "text" }`."""
    found: list[tuple[str, str]] = []
    for entry in item.get("filters__all") or item.get("filters") or ():
        for pair in entry if isinstance(entry, list) else [entry]:
            if not isinstance(pair, dict):
                raise Unresolved("it has a filter that is not a field and a value")
            if "field" in pair and "value" in pair and len(pair) == 2:
                found.append((str(pair["field"]), str(pair["value"])))
            else:
                found.extend((str(name), str(text)) for name, text in pair.items())
    return found


def _own_references(fields: Fields, item: Mapping[str, Any]) -> list[str]:
    names = [match.strip().rpartition(".") for match in REFERENCE.findall(fields.sql_of(item) or "")]
    return [own for view, _, own in names if view in ("", fields.view)]


def _unbracketed(sql: str) -> str:
    return sql[1:-1] if sql.startswith("(") and sql.endswith(")") else sql


def _column_type(raw: str) -> ColumnType:
    if raw == "number" or raw.startswith("duration"):
        return "number"
    if raw == "yesno":
        return "boolean"
    return "time" if raw == "time" or raw.startswith("date") else "string"


def _by_name(items: object) -> dict[str, Mapping[str, Any]]:
    found = items if isinstance(items, list) else []
    return {str(item["name"]): item for item in found if isinstance(item, dict) and item.get("name")}


def _description(item: Mapping[str, Any]) -> str | None:
    for key in ("description", "label"):
        if isinstance(text := item.get(key), str) and text.strip():
            return text
    return None


def _yes(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower() in ("yes", "true")
