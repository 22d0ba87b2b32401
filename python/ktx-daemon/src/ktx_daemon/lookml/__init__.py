"""LookML as views of the semantic layer, without Looker and without a database.

Whatever has no exact counterpart is left out and named: in `skipped_views`, in a view's `skipped_dimensions`
and `skipped_measures`, or in `warnings`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ktx_daemon.dialects import resolve_dialect
from ktx_daemon.errors import LimitExceeded
from ktx_daemon.limits import MAX_FILES
from ktx_daemon.lookml._derived import DerivedTables, NotDerivable
from ktx_daemon.lookml._joins import joins_of
from ktx_daemon.lookml._models import (
    LookmlColumn,
    LookmlFile,
    LookmlJoin,
    LookmlMeasure,
    LookmlView,
    ParseLookmlRequest,
    ParseLookmlResponse,
    SkippedItem,
)
from ktx_daemon.lookml._project import FIELD_KINDS, Project, parents_of, read_project
from ktx_daemon.lookml._references import Fields, has_liquid
from ktx_daemon.lookml._views import fields_of, view_of
from ktx_daemon.redaction import clean

__all__ = [
    "LookmlColumn",
    "LookmlFile",
    "LookmlJoin",
    "LookmlMeasure",
    "LookmlView",
    "ParseLookmlRequest",
    "ParseLookmlResponse",
    "SkippedItem",
    "parse_lookml_response",
]

_FRAMES = 20_000
_TABLE_KEYS = ("sql_table_name", "derived_table")


def parse_lookml_response(request: ParseLookmlRequest) -> ParseLookmlResponse:
    """Views and joins of all files together. Raises `LimitExceeded`, `DaemonError("unknown_dialect")`."""
    if len(request.files) > MAX_FILES:
        raise LimitExceeded(f"{len(request.files)} files are more than the allowed {MAX_FILES}; split the request")
    dialect = resolve_dialect(request.dialect)
    if sys.getrecursionlimit() < _FRAMES:
        sys.setrecursionlimit(_FRAMES)  # blocks nest, and the LookML parser recurses
    project = read_project(request.files, request.constant_overrides or {})
    derived = DerivedTables(project, dialect)
    views: list[LookmlView] = []
    skipped: list[SkippedItem] = []
    fields: dict[str, Fields] = {}
    same_as: dict[str, str] = {}
    for name, view in project.views.items():
        reason = _why_not(name, view, project, same_as)
        if reason is None:
            own = fields_of(name, view, dialect, project.constants)
            try:
                views.append(_view(name, view, own, derived))
                fields[name] = own
            except NotDerivable as problem:
                reason = str(problem)
        if reason is not None:
            skipped.append(SkippedItem(name=name, item_type="view", reason=clean(reason)))
    warnings = project.warnings + derived.warnings
    joins = joins_of(project, fields, same_as, dialect, warnings)
    return ParseLookmlResponse(
        views=views, joins=joins, skipped_views=skipped, warnings=[clean(warning) for warning in warnings]
    )


def _view(name: str, view: Mapping[str, Any], fields: Fields, derived: DerivedTables) -> LookmlView:
    table = derived.table(view)
    query = None if table is not None else derived.sql(name)
    if table is None and query is None:
        raise NotDerivable("it has neither sql_table_name nor derived SQL")
    for text in (table, query[0] if query else None):
        if text is not None and (has_liquid(text) or "@{" in text or "${" in text):
            derived.warnings.append(f"view {name!r}: its table or SQL holds Liquid or an unresolved reference")
    return view_of(name, view, fields, table, query[0] if query else None, query[1] if query else ())


def _why_not(name: str, view: Mapping[str, Any], project: Project, same_as: dict[str, str]) -> str | None:
    if _is_template(view):
        return "it is a template: extension: required"
    parents = [parent for parent in parents_of(project.own[name]) if parent in project.views]
    if len(parents) != 1 or any(project.own[name].get(kind) for kind in FIELD_KINDS):
        return None
    parent = project.views[parents[0]]
    if _is_template(parent) or any(view.get(key) != parent.get(key) for key in _TABLE_KEYS):
        return None
    same_as[name] = parents[0]
    return f"it is only another name of {parents[0]!r}"


def _is_template(view: Mapping[str, Any]) -> bool:
    return str(view.get("extension", "")).strip() == "required"
