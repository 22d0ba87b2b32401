"""What the LookML capability receives and answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ktx_daemon.models import Request, Response

__all__ = [
    "LookmlColumn",
    "LookmlFile",
    "LookmlJoin",
    "LookmlMeasure",
    "LookmlView",
    "ParseLookmlRequest",
    "ParseLookmlResponse",
    "SkippedItem",
]


class LookmlFile(Request):
    """`path` is a label: nothing is read from it. Constants come from paths containing `manifest`."""

    path: str
    content: str


class ParseLookmlRequest(Request):
    files: list[LookmlFile]
    constant_overrides: dict[str, str] | None = None
    dialect: str | None = None


class LookmlColumn(Response):
    """`name` is the physical column, or the LookML name of a computed one, whose `expr` is SQL."""

    name: str
    lookml_name: str
    type: Literal["string", "number", "time", "boolean"]
    role: Literal["default", "time"]
    visibility: Literal["public", "hidden"]
    description: str | None
    is_computed: bool
    expr: str | None


class LookmlMeasure(Response):
    name: str
    expr: str
    filter: str | None
    description: str | None


class SkippedItem(Response):
    name: str
    item_type: Literal["view", "dimension", "measure"]
    reason: str


class LookmlView(Response):
    name: str
    source_type: Literal["table", "sql"]
    table_ref: str | None
    sql: str | None
    grain: list[str]
    columns: list[LookmlColumn]
    measures: list[LookmlMeasure]
    description: str | None
    skipped_dimensions: list[SkippedItem] = Field(...)
    skipped_measures: list[SkippedItem] = Field(...)


class LookmlJoin(Response):
    """`on` names physical columns, the source's under its view name, the target's under alias or view name."""

    source_view: str
    to: str
    alias: str | None
    on: str
    relationship: Literal["many_to_one", "one_to_many", "one_to_one"]


class ParseLookmlResponse(Response):
    views: list[LookmlView]
    joins: list[LookmlJoin]
    skipped_views: list[SkippedItem]
    warnings: list[str]
