"""Engine against evaluator: one query, two answers, one verdict."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from databases import Database, contained, same_rows
from generation import Query, World
from reference import Answer, Refused, Undetermined, evaluate
from semantic_layer import EngineOptions, SemanticEngine
from semantic_layer.errors import CODES, SemanticLayerError
from semantic_layer.models import QueryResult, SourceDefinition

DIALECTS = ("duckdb", "sqlite")
NO_EXACT_FORM = ("unsupported", "filter_unsupported")


@dataclass
class Table:
    """A world loaded into one database, with an engine over it."""

    engine: SemanticEngine
    database: Database

    def run(self, query: Query) -> tuple[QueryResult, list[str], list[tuple[Any, ...]]]:
        result = self.engine.query(copy.deepcopy(query))
        columns, rows = self.database.run(result.sql)
        return result, columns, rows


@dataclass
class Tally:
    """What became of the queries: `accepted` were answered by both and agreed on every database tried."""

    counts: Counter[str] = field(default_factory=Counter)

    @property
    def accepted(self) -> int:
        return self.counts["accepted"]


def engine_over(world: World, dialect: str, options: Mapping[str, Any]) -> SemanticEngine:
    sources = {name: SourceDefinition.model_validate(source) for name, source in world.model.items()}
    return SemanticEngine.from_sources(sources, dialect=dialect, options=EngineOptions(**options))


@contextmanager
def opened(world: World, options: Mapping[str, Any], dialects: tuple[str, ...] = DIALECTS) -> Iterator[list[Table]]:
    tables = [Table(engine_over(world, d, options), Database(d, world.tables, world.types)) for d in dialects]
    try:
        yield tables
    finally:
        for table in tables:
            table.database.close()


def disagreement(
    world: World, query: Query, options: Mapping[str, Any], tables: list[Table], tally: Tally | None = None
) -> str | None:
    """What is wrong with the engine's answers to `query`, or None."""
    counts = (tally or Tally()).counts
    try:
        expected: Answer | Refused = evaluate(world.model, world.rows, query, options)
    except Undetermined:
        counts["undetermined"] += 1
        return None
    except Refused as refused:
        expected = refused
    agreed = 0
    for table in tables:
        problem, outcome = _one(query, expected, table)
        counts[f"{table.database.dialect}: {outcome}"] += 1
        if problem:
            return f"{table.database.dialect}: {problem}"
        agreed += outcome == "answered"
    counts["accepted"] += bool(agreed)
    return None


def _one(query: Query, expected: Answer | Refused, table: Table) -> tuple[str | None, str]:
    try:
        result = table.engine.query(copy.deepcopy(query))
    except SemanticLayerError as error:
        problem = refusal_problem(error, table.engine)
        if problem is None and isinstance(expected, Answer):
            if error.code in NO_EXACT_FORM and table.database.dialect == "sqlite":
                return None, "no exact form"
            problem = f"refused, though defined: {error.code}: {error}"
        return problem, f"refused {error.code}"
    if isinstance(expected, Refused):
        return f"answered, though refused ({expected.code}: {expected.why})\n{result.sql}", "wrong"
    try:
        columns, rows = table.database.run(result.sql)
    except Exception as error:  # any failure of the database is a fault of the SQL
        return f"does not run: {error}\n{result.sql}", "wrong"
    problem = _difference(query, expected, result, columns, rows)
    if problem and table.database.dialect == "duckdb":
        plainly = table.database.run_without_optimizer(result.sql)
        if _difference(query, expected, result, columns, plainly) is None:
            return None, "database fault"  # the same statement, run as written, agrees
    return (f"{problem}\n{result.sql}" if problem else None), "answered"


def _difference(
    query: Query, expected: Answer, result: QueryResult, columns: list[str], rows: list[tuple[Any, ...]]
) -> str | None:
    if columns != expected.columns:
        return f"columns {columns}, expected {expected.columns}"
    if [column.alias for column in result.columns] != columns:
        return f"declared columns {[column.alias for column in result.columns]}, returned {columns}"
    if expected.ordered:
        agree = same_rows(rows, expected.limited, ordered=True)
    elif len(expected.rows) > expected.limit:
        agree = len(rows) == expected.limit and contained(rows, expected.rows)
    else:
        agree = same_rows(rows, expected.rows)
    if not agree:
        return f"rows {rows}\nexpected {expected.limited}"
    codes = {warning.code for warning in result.resolved_plan.warnings}
    grouped = query.get("include_empty", True) and query["dimensions"] and query["measures"]
    if grouped and expected.empty_groups == ("no_empty_groups" in codes):
        return f"empty groups kept: {expected.empty_groups}, warnings {sorted(codes)}"
    return None


def refusal_problem(error: SemanticLayerError, engine: SemanticEngine) -> str | None:
    """A refusal has a known code and says what callers match; its repair plans."""
    if error.code not in CODES or error.code == "internal_error":
        return f"refused with code {error.code!r}: {error}"
    if CODES[error.code] and not any(fragment in str(error) for fragment in CODES[error.code]):
        return f"{error.code} does not say any of {CODES[error.code]}: {error}"
    if error.repair is not None:
        try:
            engine.query(copy.deepcopy(error.repair))
        except SemanticLayerError as second:
            return f"the repair of {error.code} is refused itself: {second.code}: {second}\n{error.repair}"
    return None


def smaller(world: World, query: Query, fails: Callable[[World, Query], bool]) -> tuple[World, Query]:
    """A smaller world and query that still fail: parts of the query, then sources, texts and rows go."""
    changed = True
    while changed:
        changed = False
        for candidate in _queries(query):
            if (candidate["measures"] or candidate["dimensions"]) and fails(world, candidate):
                query, changed = candidate, True
                break
        else:
            for slimmer in _worlds(world):
                if fails(slimmer, query):
                    world, changed = slimmer, True
                    break
    return world, query


def _queries(query: Query) -> Iterator[Query]:
    for key, value in query.items():
        if key not in ("measures", "dimensions"):
            yield {k: v for k, v in query.items() if k != key}
        if isinstance(value, list):
            for position in range(len(value)):
                yield query | {key: value[:position] + value[position + 1 :]}


def _worlds(world: World) -> Iterator[World]:
    for name, source in world.model.items():
        for key in ("measures", "segments", "joins"):
            for position in range(len(source[key])):
                slim = copy.deepcopy(world)
                del slim.model[name][key][position]
                yield slim
        used = {join["to"] for other in world.model.values() for join in other["joins"]}
        if name not in used and len(world.model) > 1:
            slim = copy.deepcopy(world)
            del slim.model[name], slim.rows[name], slim.kinds[name]
            yield slim
        if source.get("sql"):
            slim = copy.deepcopy(world)
            slim.model[name]["table"] = f"rows_of_{name}"
            del slim.model[name]["sql"]
            slim.tables[f"rows_of_{name}"] = world.rows[name]
            slim.types[f"rows_of_{name}"] = next(t for t in world.types.values() if set(t) <= set(world.kinds[name]))
            yield slim
        for position, column in enumerate(source["columns"]):
            if column["name"] not in source["grain"]:
                slim = copy.deepcopy(world)
                del slim.model[name]["columns"][position]
                yield slim
        if source.get("table"):
            table, rows = source["table"], world.rows[name]
            if len(rows) > 4:
                for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                    yield _with_rows(world, name, table, half)
            for position in range(len(rows)):
                yield _with_rows(world, name, table, rows[:position] + rows[position + 1 :])


def _with_rows(world: World, name: str, table: str, rows: list[dict[str, Any]]) -> World:
    slim = copy.deepcopy(world)
    slim.rows[name] = slim.tables[table] = rows
    return slim


def _kept(world: World, name: str) -> list[str]:
    return [column["name"] for column in world.model[name]["columns"] if not column.get("expr")]


def report(world: World, query: Query, options: Mapping[str, Any], problem: str) -> str:
    """A failing case as text, made small first."""

    def fails(candidate: World, asked: Query) -> bool:
        try:
            with opened(candidate, options) as tables:
                return disagreement(candidate, asked, options, tables) is not None
        except Exception:  # a model that went invalid, not the fault looked for
            return False

    if fails(world, query):
        world, query = smaller(world, query, fails)
        with opened(world, options) as tables:
            problem = disagreement(world, query, options, tables) or problem
    model = "\n".join(json.dumps(source, default=str) for source in world.model.values())
    rows = "\n".join(
        f"{name}: {json.dumps([{c: row.get(c) for c in _kept(world, name)} for row in rows], default=str)}"
        for name, rows in world.rows.items()
    )
    return f"{problem}\n\nquery {json.dumps(query)}\noptions {dict(options)}\n\n{model}\n\n{rows}"
