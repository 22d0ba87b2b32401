"""The facade: sources in, one SELECT or a refusal out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .compat import compatible
from .dialects import get_dialect
from .errors import InvalidModel, InvalidQuery, SemanticLayerError
from .generator import Generator
from .graph import Graph
from .measures import Measures
from .models import QueryResult, ResolvedPlan, SemanticQuery, SourceDefinition, ValidationReport
from .names import Names
from .planner import Planned, Planner
from .repair import repaired, respelled
from .report import resolved_plan
from .request import Resolver
from .timegrain import WEEKDAYS

__all__ = ["EngineOptions", "SemanticEngine"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """`week_start` is a weekday's English name, `fiscal_year_start` a month (1 to 12), `time_zone` an IANA name.

    `allowed_functions` are further functions that query text may call, in any case.
    """

    week_start: str = "monday"
    fiscal_year_start: int = 1
    time_zone: str | None = None
    allowed_functions: Sequence[str] = ()


class SemanticEngine:
    """Answers queries over one set of sources in one dialect.

    Raises `unknown_dialect` for a dialect sqlglot does not know, and what loading the
    directory deserves.
    """

    def __init__(
        self, sources_dir: str | Path, dialect: str = "postgres", options: EngineOptions | None = None
    ) -> None:
        from .loader import SourceLoader

        get_dialect(dialect)
        loader = SourceLoader(sources_dir)
        self._set_up(loader.load_all(), dialect, options)
        self.loader: Any = loader

    @classmethod
    def from_sources(
        cls,
        sources: Mapping[str, SourceDefinition | dict[str, Any]],
        dialect: str = "postgres",
        options: EngineOptions | None = None,
    ) -> SemanticEngine:
        """An engine over definitions at hand. Joins to sources that do not exist are only refused by queries."""
        engine = cls.__new__(cls)
        engine.loader = None
        engine._set_up(sources, dialect, options)
        return engine

    def _set_up(
        self,
        sources: Mapping[str, SourceDefinition | dict[str, Any]],
        dialect: str,
        options: EngineOptions | None,
    ) -> None:
        self.options = options or EngineOptions()
        self.dialect = dialect
        self.sources: dict[str, SourceDefinition] = {}
        for name, source in sources.items():
            try:
                definition = source if isinstance(source, SourceDefinition) else SourceDefinition.model_validate(source)
            except ValidationError as error:
                raise InvalidModel("invalid_model", f"source {name!r}: {_faults(error)}", str(name)) from error
            self.sources[definition.name] = definition
        _check_options(self.options)
        self.graph = Graph(self.sources, get_dialect(dialect))
        names = Names(self.graph)
        self.measures = Measures(self.graph, names)
        self.planner = Planner(self.graph)
        self.generator = Generator(self.graph)
        self._resolver = Resolver(
            self.graph,
            names,
            self.measures,
            frozenset(name.lower() for name in self.options.allowed_functions),
            WEEKDAYS.index(self.options.week_start.lower()),
            self.options.fiscal_year_start,
            self.options.time_zone,
        )

    # -- answering

    def query(self, query: SemanticQuery | Mapping[str, Any]) -> QueryResult:
        """One SELECT for `query`.

        Raises a `SemanticLayerError` whose `repair`, if any, is a query this engine answers.
        """
        parsed = self._read(query)
        try:
            return self._answer(parsed)
        except SemanticLayerError as error:
            raise self._with_repair(error, parsed) from error.__cause__

    def plan_only(self, query: SemanticQuery | Mapping[str, Any]) -> ResolvedPlan:
        """The plan without SQL.

        A `fan_out` or `asymmetric` query gives a plan with `has_fan_out` and `refusal`; other
        refusals are raised.
        """
        parsed = self._read(query)
        try:
            planned = self._plan(parsed)
        except SemanticLayerError as error:
            raise self._with_repair(error, parsed) from error.__cause__
        if planned.refusal is not None:
            planned.refusal = self._with_repair(planned.refusal, parsed)
        return resolved_plan(planned, self.graph, self.measures)

    def suggest(self, query: SemanticQuery | Mapping[str, Any]) -> dict[str, Any]:
        """Whether `query` works, and if not what would make it work."""
        from .suggest import suggest

        return suggest(self, query)

    def validate(self, recently_touched: set[str] | None = None) -> ValidationReport:
        """Faults of the model. `recently_touched` names sources to check more closely."""
        from .validate import validate

        return validate(self.sources, self.dialect, recently_touched)

    def compatible(
        self,
        measures: Sequence[Any] = (),
        dimensions: Sequence[Any] = (),
        filters: Sequence[str] = (),
    ) -> dict[str, list[dict[str, Any]]]:
        """Which dimensions and measures can be added to these.

        `{dimensions: [{field, type, usable, path, code, reason}], measures: [{ref, ...}]}`.
        """
        return compatible(self._attempt, self.graph, measures, dimensions, filters)

    # -- inside

    def _read(self, query: SemanticQuery | Mapping[str, Any]) -> SemanticQuery:
        self.graph.check()
        if isinstance(query, SemanticQuery):
            parsed = query
        else:
            try:
                parsed = SemanticQuery.model_validate(query)
            except ValidationError as error:
                first = error.errors()[0]
                location = "".join(f"/{part}" for part in first["loc"]) or None
                raise InvalidQuery(
                    "invalid_query",
                    f"invalid query: {_faults(error)}",
                    location,
                    repair=respelled(query, self._answer) if isinstance(query, Mapping) else None,
                ) from error
        if parsed.time_zone is not None:
            _check_zone(parsed.time_zone, "/time_zone")
        return parsed

    def _plan(self, query: SemanticQuery) -> Planned:
        return self.planner.plan(self._resolver.resolve(query))

    def _attempt(self, query: SemanticQuery) -> Planned:
        """The plan of a query, its refusal raised."""
        planned = self._plan(query)
        if planned.refusal is not None:
            raise planned.refusal
        return planned

    def _answer(self, query: SemanticQuery) -> QueryResult:
        planned = self._attempt(query)
        sql = self.generator.sql(planned.plan)
        plan = resolved_plan(planned, self.graph, self.measures)
        return QueryResult(resolved_plan=plan, sql=sql, dialect=self.dialect, columns=plan.columns)

    def _with_repair(self, error: SemanticLayerError, query: SemanticQuery) -> SemanticLayerError:
        if error.repair is None:
            error.repair = repaired(error, query, self._answer)
        return error


def _faults(error: ValidationError) -> str:
    """Where and what, for each fault, in one line."""
    found = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"] if not str(part).startswith("function-"))
        text = fault["msg"].removeprefix("Value error, ")
        found.append(f"{where}: {text}" if where and where not in text else text)
    return "; ".join(dict.fromkeys(found))


def _check_options(options: EngineOptions) -> None:
    if options.week_start.lower() not in WEEKDAYS:
        raise InvalidQuery(
            "invalid_query", f"option week_start must be a weekday such as 'monday', not {options.week_start!r}"
        )
    if not 1 <= options.fiscal_year_start <= 12:
        raise InvalidQuery(
            "invalid_query", f"option fiscal_year_start must be a month from 1 to 12, not {options.fiscal_year_start!r}"
        )
    if options.time_zone is not None:
        _check_zone(options.time_zone, None)


def _check_zone(name: str, location: str | None) -> None:
    """IANA names only: they reach the SQL as a literal, and a misspelt one must not wait for the warehouse."""
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        known = zoneinfo.available_timezones()
        if not known and name.replace("/", "").replace("_", "").replace("-", "").replace("+", "").isalnum():
            return
        from .errors import nearest

        raise InvalidQuery(
            "invalid_query",
            f"time_zone {name!r} is not an IANA name such as 'Europe/Paris'",
            location,
            nearest(name, known, "a time zone"),
        ) from error
