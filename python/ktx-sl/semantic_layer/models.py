"""Definitions, queries and results: every value that crosses the package's edge.

Invariant: a `SourceDefinition` names exactly one of `table` and `sql`, and a
`SemanticQuery` holds no key this version does not know. Names inside are not
resolved here; that needs the other sources (see `names`). Formats are those of
ktx 0.1; fields marked *new* are additions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .errors import edit_distance

__all__ = [
    "ColumnTests",
    "Constraint",
    "DbtTest",
    "DefaultTimeDimension",
    "Freshness",
    "JoinDeclaration",
    "MeasureDefinition",
    "MeasureGroup",
    "OrderByClause",
    "PathInfo",
    "PlanWarning",
    "QueryDimension",
    "QueryMeasure",
    "QueryResult",
    "ResolvedColumn",
    "ResolvedJoin",
    "ResolvedMeasure",
    "ResolvedPlan",
    "Segment",
    "SemanticQuery",
    "SourceColumn",
    "SourceDefinition",
    "ValidationReport",
    "best_description",
]

ColumnType = Literal["string", "number", "time", "boolean"]
Visibility = Literal["public", "internal", "hidden"]
Relationship = Literal["many_to_one", "one_to_many", "one_to_one"]

_DESCRIPTION_ORDER = ("user", "ai", "dbt", "db")


def best_description(descriptions: Mapping[str, str | None] | None) -> str | None:
    """The first non-empty description by user, ai, dbt, db, then any other writer."""
    if not descriptions:
        return None
    others = [key for key in descriptions if key not in _DESCRIPTION_ORDER]
    for key in (*_DESCRIPTION_ORDER, *others):
        text = descriptions.get(key)
        if text and text.strip():
            return text
    return None


def _yaml_on(data: Any) -> Any:
    """YAML 1.1 reads the bare key `on` as the boolean True; give it its name back."""
    if isinstance(data, dict) and True in data and "on" not in data:
        return {("on" if key is True else key): value for key, value in data.items()}
    return data


class _Base(BaseModel):
    """Validators are built when first used: a query builds few of them, an import none."""

    model_config = ConfigDict(defer_build=True)


class _Lenient(_Base):
    """A nested definition: unknown keys are ignored, as 0.1 files carry extras."""

    model_config = ConfigDict(extra="ignore")


class DefaultTimeDimension(_Lenient):
    """The time column a source is usually read by, per writer."""

    dbt: str | None = None


class Freshness(_Lenient):
    """A freshness rule as its writer gave it."""

    raw: Any = None
    loaded_at_field: str | None = None


class Constraint(_Lenient):
    """What one writer asserts about a column."""

    not_null: bool | None = None
    unique: bool | None = None


class DbtTest(_Lenient):
    """One dbt test on a column."""

    name: str
    package: str
    kwargs: dict[str, Any] | None = None


class ColumnTests(_Lenient):
    """Tests on a column, per writer."""

    dbt: list[DbtTest] | None = None
    dbt_by_package: dict[str, list[Any]] | None = None


class SourceColumn(_Lenient):
    """A column of a source; with `expr`, one computed from columns of the same row.

    `data_type` (new) is the database's own type text, such as `timestamptz`.
    """

    name: str = Field(min_length=1)
    type: ColumnType
    visibility: Visibility = "public"
    role: Literal["default", "time"] = "default"
    description: str | None = None
    descriptions: dict[str, str | None] | None = None
    expr: str | None = None
    natural_granularity: str | None = None
    data_type: str | None = None
    constraints: dict[str, Constraint] | None = None
    enum_values: dict[str, list[Any]] | None = None
    tests: ColumnTests | None = None

    @model_validator(mode="after")
    def _describe(self) -> SourceColumn:
        if self.description is None:
            self.description = best_description(self.descriptions)
        return self


class MeasureDefinition(_Lenient):
    """A named scalar over aggregate calls; `segments` are bare names of the same source."""

    name: str = Field(min_length=1)
    expr: str = Field(min_length=1)
    filter: str | None = None
    segments: list[str] = Field(default_factory=list)
    description: str | None = None


class Segment(_Lenient):
    """A named boolean over rows."""

    name: str = Field(min_length=1)
    expr: str = Field(min_length=1)
    description: str | None = None


class JoinDeclaration(_Lenient):
    """An edge to another source; `relationship` reads from the declaring source to `to`."""

    to: str
    on: str
    relationship: Relationship
    alias: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_yaml_on(cls, data: Any) -> Any:
        return _yaml_on(data)


class SourceDefinition(_Base):
    """One table or SELECT, its key (`grain`), columns, joins, measures and segments.

    Raises pydantic's `ValidationError` (a `ValueError`) for unknown keys, an empty
    grain, and both or neither of `table` and `sql`.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    description: str | None = None
    descriptions: dict[str, str | None] | None = None
    table: str | None = None
    sql: str | None = None
    grain: list[str]
    columns: list[SourceColumn]
    joins: list[JoinDeclaration] = Field(default_factory=list)
    measures: list[MeasureDefinition] = Field(default_factory=list)
    segments: list[Segment] = Field(default_factory=list)
    default_time_dimension: DefaultTimeDimension | None = None
    tags: dict[str, list[Any]] | None = None
    freshness: dict[str, Freshness] | None = None

    @model_validator(mode="after")
    def _check(self) -> SourceDefinition:
        if self.table and self.sql:
            raise ValueError(f"source {self.name!r}: 'table' and 'sql' are mutually exclusive; keep one")
        if not self.table and not self.sql:
            raise ValueError(f"source {self.name!r}: exactly one of 'table' and 'sql' must be given")
        if not self.grain:
            raise ValueError(f"source {self.name!r}: grain must be non-empty; name the columns of its key")
        if self.description is None:
            self.description = best_description(self.descriptions)
        return self

    @property
    def is_table_source(self) -> bool:
        """Whether rows come from a table."""
        return bool(self.table)

    @property
    def is_sql_source(self) -> bool:
        """Whether rows come from a SELECT."""
        return bool(self.sql)


class _Strict(_Base):
    """Part of a query: a misspelt key would change the answer, so it is refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    raise ValueError(_unknown_key(str(key), cls.model_fields))
        return data


def _unknown_key(key: str, known: Iterable[str]) -> str:
    names = sorted(known, key=lambda name: (edit_distance(key, name), name))
    return f"unknown key {key!r}; did you mean {names[0]!r}? Known keys: {', '.join(sorted(names))}"


class QueryMeasure(_Strict):
    """A measure in a query: `ref` names a predefined one, `expr` is any measure expression."""

    ref: str | None = None
    expr: str | None = None
    name: str | None = None

    @model_validator(mode="after")
    def _one(self) -> QueryMeasure:
        if (self.ref is None) == (self.expr is None):
            raise ValueError("a measure has exactly one of 'expr' and 'ref'")
        if self.name is not None and not self.name.strip():
            raise ValueError("a measure's 'name' must not be blank")
        return self


class QueryDimension(_Strict):
    """A dimension in a query: a column and, for time columns, a bucket size."""

    field: str
    granularity: str | None = None


class OrderByClause(_Strict):
    """One sort key. NULLs come last both ways unless `nulls` is `first`."""

    field: str
    direction: Literal["asc", "desc"] = "asc"
    nulls: Literal["first", "last"] = "last"

    @field_validator("direction", "nulls", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


class SemanticQuery(_Strict):
    """Measures by dimensions.

    `limit` counts result rows (0 gives none). `time_zone` (new) is an IANA name.
    `to_many_filters`, `ambiguous_paths` and `via` (new) choose what happens where
    the default is to refuse; `via` maps a target node to one its path must visit.
    """

    measures: list[str | QueryMeasure]
    dimensions: list[str | QueryDimension] = Field(default_factory=list)
    filters: list[str] = Field(default_factory=list)
    segments: list[str] = Field(default_factory=list)
    order_by: list[str | OrderByClause] = Field(default_factory=list)
    limit: Annotated[int, Field(ge=0, le=2**63 - 1)] = 1000
    include_empty: bool = True
    time_zone: str | None = None
    to_many_filters: Literal["refuse", "exists"] = "refuse"
    ambiguous_paths: Literal["refuse", "warn"] = "refuse"
    via: dict[str, str] = Field(default_factory=dict)

    @field_validator("limit", mode="before")
    @classmethod
    def _integer(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("limit must be an integer")
        return value


class ResolvedColumn(_Base):
    """A column of the result. `alias` (new) is its SQL name, `ref` (new) what to ask for it by."""

    name: str
    provenance: Literal["verified", "composed", "dimension"]
    expr: str | None = None
    description: str | None = None
    granularity: str | None = None
    alias: str
    ref: str


class ResolvedMeasure(_Base):
    """A measure as planned; `source_name` is `__derived__` for one built from others."""

    name: str
    expr: str
    source_name: str
    original_name: str | None = None
    qualified_ref: str | None = None
    filter: str | None = None
    provenance: Literal["verified", "composed"]
    is_derived: bool = False
    depends_on: list[str] = Field(default_factory=list)
    description: str | None = None


class ResolvedJoin(_Base):
    """A join the statement uses; columns of a composite key are separated by commas."""

    from_source: str
    to_source: str
    from_column: str
    to_column: str
    relationship: Relationship


class MeasureGroup(_Base):
    """The measures computed over one owner, and how its rows reach the dimensions."""

    source_name: str
    measures: list[str]
    join_path_to_dims: list[str] = Field(default_factory=list)


class PathInfo(_Base):
    """The path used from `owner` to `target`, both included, and longer routes not used."""

    owner: str
    target: str
    nodes: list[str]
    alternatives: list[list[str]] = Field(default_factory=list)


class PlanWarning(_Base):
    """A fact that changes how the numbers read."""

    code: str
    message: str
    details: dict[str, Any] = Field(default_factory=dict)


class ResolvedPlan(_Base):
    """What the engine decided, for people and agents to check.

    `refusal` (new) is set by `plan_only` for plans that cannot be printed as SQL.
    """

    sources_used: list[str] = Field(default_factory=list)
    join_paths: list[str] = Field(default_factory=list)
    joins: list[ResolvedJoin] = Field(default_factory=list)
    anchor_source: str | None = None
    anchor_grain: list[str] = Field(default_factory=list)
    fan_out_description: str = "No fanout"
    has_fan_out: bool = False
    measure_groups: list[MeasureGroup] = Field(default_factory=list)
    aggregate_locality: list[str] = Field(default_factory=list)
    where_filters: list[str] = Field(default_factory=list)
    having_filters: list[str] = Field(default_factory=list)
    columns: list[ResolvedColumn] = Field(default_factory=list)
    measures: list[ResolvedMeasure] = Field(default_factory=list)
    dimensions: list[QueryDimension] = Field(default_factory=list)
    order_by: list[OrderByClause] = Field(default_factory=list)
    limit: int = 1000
    include_empty: bool = True
    warnings: list[PlanWarning] = Field(default_factory=list)
    refusal: dict[str, Any] | None = None
    paths: list[PathInfo] = Field(default_factory=list)


class QueryResult(_Base):
    """One SELECT in `dialect`, the plan behind it and the columns it returns, in order."""

    resolved_plan: ResolvedPlan
    sql: str
    dialect: str
    columns: list[ResolvedColumn]


class ValidationReport(_Base):
    """Faults of a model: `errors` make it unfit, `warnings` deserve a look."""

    errors: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    per_source_warnings: dict[str, list[str]] = Field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether there are no errors."""
        return not self.errors
