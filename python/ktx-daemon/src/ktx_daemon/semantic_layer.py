"""Semantic queries and checks over sources sent with the request: the engine behind the wire.

The engine resolves names and writes SQL. Here its answers and refusals get their wire form, and SQL that came
in (source bodies, table names) or goes out is held to the read-only rules once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from ktx_daemon.dialects import resolve_dialect
from ktx_daemon.errors import DaemonError, LimitExceeded
from ktx_daemon.limits import MAX_SOURCES
from ktx_daemon.models import Request, Response
from ktx_daemon.redaction import clean

if TYPE_CHECKING:
    from semantic_layer.errors import SemanticLayerError
    from semantic_layer.models import ResolvedColumn, ResolvedPlan, SourceDefinition

__all__ = [
    "Plan",
    "QueryColumn",
    "SemanticQueryRequest",
    "SemanticQueryResponse",
    "SemanticValidateRequest",
    "SemanticValidateResponse",
    "query_semantic_layer_response",
    "validate_semantic_layer_response",
]

_NOT_IN_NAMES = re.compile(r"[\"'`\[\]\\\x00-\x1f\x7f-\x9f]")
# What printed SQL may set: ClickHouse joins keep SQL's NULLs only with this.
_ENGINE_SETTINGS = ("join_use_nulls",)


class SemanticEnvelope(Request):
    """Unknown keys are refused: a misspelt one would change the answer. `projectId` has no effect."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    sources: list[dict[str, Any]]
    dialect: str | None = None
    project_id: str | None = Field(default=None, alias="projectId")


class SemanticQueryRequest(SemanticEnvelope):
    query: dict[str, Any]


class SemanticValidateRequest(SemanticEnvelope):
    recently_touched: list[str] | None = None


class QueryColumn(Response):
    """A column of the result; `name` is what to ask for it by."""

    name: str
    provenance: Literal["verified", "composed", "dimension"]
    expr: str | None
    description: str | None
    granularity: str | None


class Plan(Response):
    """The engine's plan. `warnings` says what changes how the numbers read."""

    sources_used: list[str]
    join_paths: list[str]
    joins: list[dict[str, Any]]
    anchor_source: str | None
    anchor_grain: list[str]
    fan_out_description: str
    has_fan_out: bool
    measure_groups: list[dict[str, Any]]
    aggregate_locality: list[str]
    where_filters: list[str]
    having_filters: list[str]
    columns: list[dict[str, Any]]
    measures: list[dict[str, Any]]
    dimensions: list[dict[str, Any]]
    order_by: list[dict[str, Any]]
    limit: int
    include_empty: bool
    warnings: list[dict[str, Any]] | None = None


class SemanticQueryResponse(Response):
    sql: str
    dialect: str
    columns: list[QueryColumn]
    plan: Plan


class SemanticValidateResponse(Response):
    valid: bool
    errors: list[str]
    warnings: list[str]
    per_source_warnings: dict[str, list[str]]


def query_semantic_layer_response(request: SemanticQueryRequest) -> SemanticQueryResponse:
    """One SQL statement for one query.

    Raises `DaemonError`: `invalid_source` naming source and key, `invalid_query` naming the reference,
    `invalid_sql` if source or final SQL breaks the read-only rules, `unknown_dialect`, `limit_exceeded`.
    """
    from semantic_layer import SemanticEngine

    dialect = resolve_dialect(request.dialect)
    _check_count(request.sources)
    sources = _unique([_definition(raw, index) for index, raw in enumerate(request.sources)])
    _check_names(request.query)
    with _engine_refusals():
        result = SemanticEngine.from_sources(sources, dialect=dialect).query(request.query)
    used = [sources[name] for name in result.resolved_plan.sources_used if name in sources]
    for source in used:
        _check_source_text(source, dialect)
    _check_read_only(result.sql, dialect, "the generated SQL")
    return SemanticQueryResponse(
        sql=result.sql,
        dialect=result.dialect,
        columns=[_column(column) for column in result.columns],
        plan=_plan(result.resolved_plan),
    )


def validate_semantic_layer_response(request: SemanticValidateRequest) -> SemanticValidateResponse:
    """Every fault of the sources, each as one sentence; a faulty source does not hide those of the rest."""
    dialect = resolve_dialect(request.dialect)
    _check_count(request.sources)
    errors: list[str] = []
    definitions: list[SourceDefinition] = []
    for index, raw in enumerate(request.sources):
        try:
            definitions.append(_definition(raw, index))
        except ValueError as exc:
            errors.append(str(exc))
    sources: dict[str, SourceDefinition] = {}
    for definition in definitions:
        if sources.setdefault(definition.name, definition) is not definition:
            errors.append(_duplicate_source(definition.name))
    for definition in definitions:
        errors += _attempt(partial(_duplicate_measures, definition), definition.name)
        errors += _attempt(partial(_text_faults, definition, dialect), definition.name)
    warnings: list[str] = []
    per_source: dict[str, list[str]] = {}

    def engine_report() -> list[str]:
        from semantic_layer import SemanticEngine

        touched = None if request.recently_touched is None else set(request.recently_touched)
        report = SemanticEngine.from_sources(sources, dialect=dialect).validate(recently_touched=touched)
        warnings.extend(report.warnings)
        per_source.update(report.per_source_warnings)
        return list(report.errors)

    def equal_measures() -> list[str]:
        from semantic_layer.duplicate_check import validate_measure_duplicates

        warnings.extend(validate_measure_duplicates(sources, dialect=dialect))
        return []

    errors += _attempt(engine_report, "validation")
    errors += _attempt(equal_measures, "validation")
    return SemanticValidateResponse(
        valid=not errors,
        errors=_clean(errors),
        warnings=_clean(warnings),
        per_source_warnings={name: _clean(texts) for name, texts in per_source.items()},
    )


def _check_count(sources: Sequence[object]) -> None:
    if len(sources) > MAX_SOURCES:
        raise LimitExceeded(f"at most {MAX_SOURCES} sources in one request, got {len(sources)}")


def _definition(raw: Mapping[str, Any], index: int) -> SourceDefinition:
    from semantic_layer.models import SourceDefinition

    try:
        return SourceDefinition.model_validate(raw)
    except ValidationError as exc:
        name = raw.get("name")
        where = f"source {name!r}" if isinstance(name, str) and name else f"source at index {index}"
        faults = exc.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(_fault(where, fault["loc"], fault["msg"]) for fault in faults[:5])
        raise DaemonError("invalid_source", told) from None


def _fault(where: str, loc: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    if text.startswith(where):
        return text
    return f"{where}: {'.'.join(map(str, loc))}: {text}" if loc else f"{where}: {text}"


def _duplicate_source(name: str) -> str:
    return f"Duplicate source name {name!r}; every source needs a name of its own"


def _unique(definitions: Sequence[SourceDefinition]) -> dict[str, SourceDefinition]:
    sources: dict[str, SourceDefinition] = {}
    for definition in definitions:
        if definition.name in sources:
            raise DaemonError("invalid_source", _duplicate_source(definition.name))
        sources[definition.name] = definition
    return sources


def _check_names(query: Mapping[str, Any]) -> None:
    measures = query.get("measures")
    for index, measure in enumerate(measures if isinstance(measures, list) else []):
        name = measure.get("name") if isinstance(measure, dict) else None
        if isinstance(name, str) and _NOT_IN_NAMES.search(name):
            raise DaemonError(
                "invalid_query", f"measures[{index}]: a name must not hold quotes, brackets or control characters"
            )


@contextmanager
def _engine_refusals() -> Iterator[None]:
    """The engine's errors as the daemon's."""
    from semantic_layer.errors import SemanticLayerError

    try:
        yield
    except SemanticLayerError as exc:
        code = {"unknown_dialect": "unknown_dialect", "invalid_model": "invalid_source"}.get(exc.code, "invalid_query")
        if exc.code == "internal_error":
            code = "invalid_sql"
        location = f" (at {exc.location})" if exc.location and exc.location not in exc.message else ""
        raise DaemonError(code, f"{exc.message}{location}", advice=_advice(exc)) from exc
    except (LookupError, TypeError, AttributeError, AssertionError) as exc:
        # Planning depends on nothing but the request: a case the engine forgot is still a request to change.
        raise DaemonError(
            "invalid_query",
            f"this query over these sources cannot be compiled ({type(exc).__name__}: {exc}); "
            "semantic-validate may say what is wrong with the sources",
        ) from exc


def _advice(refusal: SemanticLayerError) -> dict[str, object]:
    advice: dict[str, object] = {"reason": refusal.code}
    if refusal.location:
        advice["location"] = refusal.location
    if refusal.candidates:
        advice["candidates"] = [{"value": one.value, "why": one.why} for one in refusal.candidates]
    if refusal.repair is not None:
        advice["repair"] = refusal.repair
    return advice


def _check_source_text(source: SourceDefinition, dialect: str) -> None:
    if source.table is not None and not _is_identifier_path(source.table, dialect):
        raise DaemonError("invalid_source", f"source {source.name!r}: table must be a dotted name of a table")
    if source.sql is not None:
        _check_read_only(source.sql, dialect, f"source {source.name!r}: sql")
    for item, text in _expressions(source):
        if _has_comment_or_semicolon(text, dialect):
            raise DaemonError("invalid_source", _comment_fault(source.name, item))


def _check_read_only(sql: str, dialect: str, what: str) -> None:
    from ktx_daemon.sql_analysis import read_only_problem

    problem = read_only_problem(sql, dialect, allowed_settings=_ENGINE_SETTINGS)
    if problem is not None:
        raise DaemonError("invalid_sql", f"{what} is not a read-only query: {problem}")


def _is_identifier_path(table: str, dialect: str) -> bool:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    if _has_comment_or_semicolon(table, dialect):
        return False
    try:
        parsed = sqlglot.parse_one(table, into=exp.Table, dialect=dialect)
    except SqlglotError:
        return False
    if not isinstance(parsed, exp.Table) or any(
        value for key, value in parsed.args.items() if key not in {"this", "db", "catalog"}
    ):
        return False
    return bool(parsed.parts) and all(isinstance(part, exp.Identifier) and part.name for part in parsed.parts)


def _expressions(source: SourceDefinition) -> Iterator[tuple[str, str]]:
    """Every expression of a source with the name of what it defines."""
    for column in source.columns:
        if column.expr is not None:
            yield column.name, column.expr
    for measure in source.measures:
        yield measure.name, measure.expr
        if measure.filter:
            yield f"{measure.name} (filter)", measure.filter
    for segment in source.segments:
        yield segment.name, segment.expr
    for join in source.joins:
        yield f"join to {join.alias or join.to} (on)", join.on


def _has_comment_or_semicolon(text: str, dialect: str) -> bool:
    if not any(mark in text for mark in (";", "--", "/*", "#", "//", "{")):
        return False  # tokenising every expression of every source would cost more than the query
    from sqlglot.dialects.dialect import Dialect
    from sqlglot.errors import SqlglotError

    try:
        found = Dialect.get_or_raise(dialect).tokenize(text)
    except SqlglotError:
        return False  # the parser has a better sentence
    return any(token.comments or token.token_type.name == "SEMICOLON" for token in found) or not found


def _comment_fault(source: str, item: str) -> str:
    return f"{source}.{item}: an expression must not hold comments or `;`"


def _duplicate_measures(source: SourceDefinition) -> list[str]:
    seen: set[str] = set()
    repeated = [m.name for m in source.measures if m.name in seen or seen.add(m.name)]  # type: ignore[func-returns-value]
    return [f"Duplicate measure {name!r} in source {source.name!r}" for name in repeated]


def _text_faults(source: SourceDefinition, dialect: str) -> list[str]:
    faults = []
    if source.table is not None and not _is_identifier_path(source.table, dialect):
        faults.append(f"{source.name}.table: must be a dotted name of a table")
    for item, text in _expressions(source):
        if _has_comment_or_semicolon(text, dialect):
            faults.append(_comment_fault(source.name, item))
        elif problem := _parse_problem(text, dialect):
            faults.append(f"{source.name}.{item}: {problem}")
    return faults


def _parse_problem(text: str, dialect: str) -> str | None:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        trees = sqlglot.parse(text, dialect=dialect)
    except SqlglotError as exc:
        return clean(str(exc).partition("\n")[0]) or "does not parse"
    if len(trees) != 1 or trees[0] is None:
        return "is not one expression"
    if isinstance(trees[0], exp.Command | exp.DDL | exp.DML):
        return "is a statement, not an expression"
    return None


def _attempt(check: Callable[[], list[str]], where: str) -> list[str]:
    """The faults a check finds; if it breaks down itself, that is one fault."""
    try:
        return check()
    except RecursionError:
        return [f"{where}: an expression is nested too deeply"]
    except Exception as exc:
        text = clean(str(exc))
        return [text if isinstance(exc, ValueError) and text else f"{where}: {type(exc).__name__}: {text}"]


def _clean(texts: Sequence[str]) -> list[str]:
    """Without terminal control, and each once: two checks may find one fault."""
    return list(dict.fromkeys(clean(text) for text in texts))


def _column(column: ResolvedColumn) -> QueryColumn:
    return QueryColumn(
        name=column.ref,
        provenance=column.provenance,
        expr=column.expr,
        description=column.description,
        granularity=column.granularity,
    )


def _plan(plan: ResolvedPlan) -> Plan:
    fields = plan.model_dump(mode="json", include=set(Plan.model_fields) - {"warnings"})
    if plan.warnings:
        fields["warnings"] = [warning.model_dump(mode="json") for warning in plan.warnings]
    return Plan.model_validate(fields)
