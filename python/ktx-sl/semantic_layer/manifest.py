"""Schema shards: what a database scan found, and what people lay over it.

A shard entry projects to a `SourceDefinition`; an overlay then changes that
definition without restating it. Invariant: an overlay cannot alter what the scan
owns (the table, column types and expressions), it can only describe, hide, add
and disable, so a new scan never contradicts it silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import InvalidModel
from .models import (
    ColumnTests,
    Constraint,
    DefaultTimeDimension,
    Freshness,
    JoinDeclaration,
    SourceColumn,
    SourceDefinition,
    best_description,
)

__all__ = [
    "Manifest",
    "ManifestColumn",
    "ManifestEntry",
    "ManifestJoin",
    "apply_overlay",
    "explain",
    "map_column_type",
    "project_manifest_entry",
    "validate_overlay",
]

_TYPES: Mapping[str, Literal["number", "time", "boolean"]] = {
    **dict.fromkeys(
        [
            "int",
            "integer",
            "tinyint",
            "smallint",
            "mediumint",
            "bigint",
            "int2",
            "int4",
            "int8",
            "numeric",
            "decimal",
            "number",
            "float",
            "float4",
            "float8",
            "real",
            "double",
        ],
        "number",
    ),
    "double precision": "number",
    **dict.fromkeys(
        [
            "date",
            "datetime",
            "time",
            "timetz",
            "timestamp",
            "timestamptz",
            "timestamp_ntz",
            "timestamp_ltz",
            "timestamp_tz",
        ],
        "time",
    ),
    "timestamp with time zone": "time",
    "timestamp without time zone": "time",
    "boolean": "boolean",
    "bool": "boolean",
}

# What an overlay may hold; all else is a slip or belongs to the scan.
_OVERLAY_KEYS = frozenset(
    [
        "name",
        "descriptions",
        "exclude_columns",
        "column_overrides",
        "columns",
        "measures",
        "segments",
        "grain",
        "disable_joins",
        "joins",
        "default_time_dimension",
        "tags",
        "freshness",
    ]
)
_REPLACED = ("measures", "segments", "grain", "default_time_dimension", "tags", "freshness")


def map_column_type(raw: str) -> Literal["string", "number", "time", "boolean"]:
    """The column type of a raw database type, in any case and with any `(precision)`.

    >>> map_column_type("NUMERIC(12, 2)"), map_column_type("timestamp(6) with time zone"), map_column_type("uuid")
    ('number', 'time', 'string')
    """
    return _TYPES.get(" ".join(raw.partition("(")[0].lower().split()), "string")


def _legacy_descriptions(data: Any) -> Any:
    """Older scans wrote `description` and `db_description` beside, or instead of, `descriptions`."""
    if not isinstance(data, dict):
        return data
    legacy = {"user": data.get("description"), "db": data.get("db_description")}
    given = data.get("descriptions") or {}
    merged = {key: text for key, text in legacy.items() if text} | given if isinstance(given, dict) else given
    return {**data, "descriptions": merged} if merged else data


class _Scanned(BaseModel):
    model_config = ConfigDict(extra="ignore")


class ManifestColumn(_Scanned):
    """A scanned column; `type` is the database's own text."""

    name: str
    type: str
    pk: bool = False
    nullable: bool = True
    descriptions: dict[str, str | None] | None = None
    constraints: dict[str, Constraint] | None = None
    enum_values: dict[str, list[Any]] | None = None
    tests: ColumnTests | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_legacy(cls, data: Any) -> Any:
        return _legacy_descriptions(data)


class ManifestJoin(JoinDeclaration):
    """A join and how it was found; `source` does not reach the projected source."""

    source: Literal["formal", "inferred", "manual"] = "formal"


class ManifestEntry(_Scanned):
    """One scanned table."""

    table: str
    descriptions: dict[str, str | None] | None = None
    columns: list[ManifestColumn] = Field(default_factory=list)
    joins: list[ManifestJoin] = Field(default_factory=list)
    default_time_dimension: DefaultTimeDimension | None = None
    tags: dict[str, list[Any]] | None = None
    freshness: dict[str, Freshness] | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_legacy(cls, data: Any) -> Any:
        return _legacy_descriptions(data)


class Manifest(_Scanned):
    """One shard: scanned tables by source name."""

    tables: dict[str, ManifestEntry] = Field(default_factory=dict)


def project_manifest_entry(name: str, entry: ManifestEntry) -> SourceDefinition:
    """The source a scanned table stands for.

    Types are mapped and kept raw in `data_type`; time columns get role `time`; the
    grain is the primary key, or every column where the scan found none.

    Raises `InvalidModel` where no source can be made, as for a table without columns.
    """
    columns = [_project_column(column) for column in entry.columns]
    grain = [column.name for column in entry.columns if column.pk] or [column.name for column in entry.columns]
    try:
        return SourceDefinition(
            name=name,
            table=entry.table,
            descriptions=entry.descriptions,
            grain=grain,
            columns=columns,
            joins=[JoinDeclaration(**join.model_dump(exclude={"source"})) for join in entry.joins],
            default_time_dimension=entry.default_time_dimension,
            tags=entry.tags,
            freshness=entry.freshness,
        )
    except ValidationError as error:
        raise InvalidModel("invalid_model", f"source {name!r}: {explain(error)}", name) from error


def _project_column(column: ManifestColumn) -> SourceColumn:
    kind = map_column_type(column.type)
    return SourceColumn(
        name=column.name,
        type=kind,
        role="time" if kind == "time" else "default",
        data_type=column.type,
        descriptions=column.descriptions,
        constraints=column.constraints,
        enum_values=column.enum_values,
        tests=column.tests,
    )


def explain(error: ValidationError) -> str:
    """Pydantic's faults as one line: `columns.0.type: ...; grain: ...`."""
    faults = []
    for fault in error.errors(include_url=False):
        where = ".".join(str(part) for part in fault["loc"])
        what = str(fault["msg"]).removeprefix("Value error, ")
        faults.append(f"{where}: {what}" if where else what)
    return "; ".join(faults)


def validate_overlay(name: str, overlay: Mapping[str, Any], columns: Iterable[str] | None = None) -> None:
    """Refuse an overlay that restates what the scan owns.

    `columns` are the scanned column names; None (no such table) leaves out the checks
    that need them. Raises `InvalidModel` starting `Invalid overlay '<name>'`, its
    problems joined by `; `.
    """
    known = None if columns is None else set(columns)
    problems = [
        f"{key!r} belongs to the scanned table; remove it" for key in ("table", "sql") if overlay.get(key) is not None
    ]
    if overlay.get("description") is not None:
        problems.append("'description' is derived; write 'descriptions: {user: ...}'")
    problems += [
        f"unknown key {key!r}; an overlay may hold {', '.join(sorted(_OVERLAY_KEYS))}"
        for key in overlay
        if key not in _OVERLAY_KEYS and key not in ("table", "sql", "description")
    ]
    try:
        _OverlayShape.model_validate(overlay)
    except ValidationError as error:
        problems.append(explain(error))
    if not problems:
        problems += _added_column_problems(_entries(overlay, "columns"), known)
        excluded = set(overlay.get("exclude_columns") or [])
        problems += _override_problems(_entries(overlay, "column_overrides"), known, excluded)
    if problems:
        raise InvalidModel("invalid_model", f"Invalid overlay {name!r}: {'; '.join(problems)}", name)


class _Named(BaseModel):
    name: str = Field(min_length=1)
    descriptions: dict[str, str | None] | None = None


class _OverlayShape(BaseModel):
    """What the rules about overlays take for granted; the entries themselves are judged in the composed source."""

    descriptions: dict[str, str | None] | None = None
    exclude_columns: list[str] | None = None
    column_overrides: list[_Named] | None = None
    columns: list[_Named] | None = None
    measures: list[Any] | None = None
    segments: list[Any] | None = None
    joins: list[Any] | None = None
    disable_joins: list[str] | None = None


def _entries(overlay: Mapping[str, Any], key: str) -> list[Any]:
    return list(overlay.get(key) or [])


def _added_column_problems(columns: Sequence[Any], known: set[str] | None) -> list[str]:
    problems = []
    for column in columns:
        name = column["name"]
        if known is not None and name in known:
            problems.append(f"column {name!r} is a scanned column; move it to 'column_overrides:'")
            continue
        if column.get("description") is not None:
            problems.append(f"column {name!r}: 'description' is derived; write 'descriptions: {{user: ...}}'")
        problems += [
            f"column {name!r}: an added column needs {key!r}" for key in ("expr", "type") if not column.get(key)
        ]
    return problems


def _override_problems(overrides: Sequence[Any], known: set[str] | None, excluded: set[str]) -> list[str]:
    problems = []
    for override in overrides:
        name = override["name"]
        problems += [
            f"Column override {name!r} must not set {key!r}; {hint}"
            for key, hint in (
                ("description", "write 'descriptions: {user: ...}'"),
                ("type", "it comes from the scan"),
                ("expr", "add a computed column under 'columns:'"),
            )
            if override.get(key) is not None
        ]
        if name in excluded:
            problems.append(f"column_overrides conflict with exclude_columns: {name!r}")
        elif known is not None and name not in known:
            problems.append(f"Column override {name!r} names no scanned column. Available: {', '.join(sorted(known))}")
    return problems


def apply_overlay(source: SourceDefinition, overlay: Mapping[str, Any]) -> SourceDefinition:
    """`source` with `overlay` laid over it; neither argument changes.

    Raises `InvalidModel` for what `validate_overlay` refuses and for parts of the
    wrong shape.
    """
    validate_overlay(source.name, overlay, [column.name for column in source.columns])
    data = source.model_dump()
    data["descriptions"] = {**(source.descriptions or {}), **(overlay.get("descriptions") or {})} or None
    data["description"] = best_description(data["descriptions"])
    excluded = set(overlay.get("exclude_columns") or [])
    overrides = {override["name"]: override for override in _entries(overlay, "column_overrides")}
    data["columns"] = [
        _overridden(column, overrides.get(column["name"], {}))
        for column in data["columns"]
        if column["name"] not in excluded
    ] + _entries(overlay, "columns")
    data |= {key: overlay[key] for key in _REPLACED if overlay.get(key) is not None}
    try:
        data["joins"] = _joins(source.joins, overlay)
        return SourceDefinition.model_validate(data)
    except ValidationError as error:
        raise InvalidModel(
            "invalid_model", f"Invalid overlay {source.name!r}: {explain(error)}", source.name
        ) from error


def _overridden(column: dict[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    descriptions = {**(column.get("descriptions") or {}), **(override.get("descriptions") or {})} or None
    merged = {**column, **override, "descriptions": descriptions}
    return {**merged, "description": best_description(descriptions) if override else column.get("description")}


def _joins(scanned: Sequence[JoinDeclaration], overlay: Mapping[str, Any]) -> list[JoinDeclaration]:
    disabled = {_spaced(on) for on in overlay.get("disable_joins") or []}
    kept = [join for join in scanned if _spaced(join.on) not in disabled]
    for given in _entries(overlay, "joins"):
        join = JoinDeclaration.model_validate(given)
        if not any((join.to, _spaced(join.on)) == (other.to, _spaced(other.on)) for other in kept):
            kept.append(join)
    return kept


def _spaced(on: Any) -> str:
    return " ".join(str(on).split())
