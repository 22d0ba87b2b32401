"""Eleven dialects: every statement parses in its own, exact forms are as documented, and the rest is refused."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import sqlglot
from semantic_layer import EngineOptions, SemanticEngine, SemanticLayerError
from semantic_layer.dialects import Dialect, get_dialect, supported_dialects
from semantic_layer.timegrain import GRAINS, WEEKDAYS, Grain
from sqlglot import exp
from worked import CASES, CITIES_MODEL, SHOP_MODEL

ALL = (
    "bigquery",
    "clickhouse",
    "databricks",
    "duckdb",
    "mysql",
    "postgres",
    "redshift",
    "snowflake",
    "sqlite",
    "trino",
    "tsql",
)


def engine(dialect: str, **options: Any) -> SemanticEngine:
    return SemanticEngine.from_sources(SHOP_MODEL, dialect=dialect, options=EngineOptions(**options))


def test_the_supported_dialects_are_eleven() -> None:
    assert supported_dialects() == ALL


@pytest.mark.parametrize("dialect", ALL)
def test_every_worked_example_parses(dialect: str) -> None:
    models: dict[str, Any] = {"shop": SHOP_MODEL, "cities": CITIES_MODEL}
    engines = {name: SemanticEngine.from_sources(model, dialect=dialect) for name, model in models.items()}
    for case in CASES:
        if case.rows is not None:
            statements = sqlglot.parse(engines[case.model].query(case.query).sql, read=dialect)
            assert len(statements) == 1
            assert isinstance(statements[0], exp.Select)


NULL_SAFE = {
    **dict.fromkeys(
        ("postgres", "duckdb", "snowflake", "trino"), "spine.name IS NOT DISTINCT FROM orders_measures.name"
    ),
    **dict.fromkeys(("databricks", "clickhouse", "mysql"), "spine.name <=> orders_measures.name"),
    "sqlite": "spine.name IS orders_measures.name",
    **dict.fromkeys(
        ("bigquery", "redshift", "tsql"),
        "(spine.name = orders_measures.name OR (spine.name IS NULL AND orders_measures.name IS NULL))",
    ),
}


@pytest.mark.parametrize("dialect", ALL)
def test_null_safe_equality(dialect: str) -> None:
    sql = engine(dialect).query({"measures": ["orders.n", "tickets.tc"], "dimensions": ["customers.name"]}).sql
    assert (
        NULL_SAFE[dialect].lower() in sql.lower().replace("((", "(").replace("))", "))")
        or NULL_SAFE[dialect].strip("()").lower() in sql.lower()
    )


PERCENTILES = {
    **dict.fromkeys(("postgres", "snowflake", "redshift"), "PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY CAST("),
    "duckdb": "QUANTILE_CONT(CAST(orders.total AS DOUBLE), 0.9)",
    "databricks": "PERCENTILE(CAST(orders.total AS DOUBLE), 0.9)",
    "clickhouse": "quantileExactInclusive(0.9)(CAST(orders.total AS Nullable(Float64)))",
}


@pytest.mark.parametrize("dialect", ALL)
def test_percentiles_are_exact_or_refused(dialect: str) -> None:
    query = {"measures": ["percentile(total, 0.9)"]}
    if dialect in PERCENTILES:
        assert PERCENTILES[dialect] in engine(dialect).query(query).sql
        return
    with pytest.raises(SemanticLayerError) as refused:
        engine(dialect).query(query)
    assert refused.value.code == "unsupported"


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize("granularity", [g for g in GRAINS if GRAINS[g].rank >= 86_400])
@pytest.mark.parametrize("week_start", WEEKDAYS[::3])
def test_every_grain_prints(dialect: str, granularity: str, week_start: str) -> None:
    query = {"measures": ["orders.n"], "dimensions": [{"field": "orders.ordered_on", "granularity": granularity}]}
    sql = engine(dialect, week_start=week_start, fiscal_year_start=4).query(query).sql
    assert isinstance(sqlglot.parse_one(sql, read=dialect), exp.Select)


def instants(dialect: str, data_type: str | None) -> SemanticEngine:
    column = {"name": "moment", "type": "time"} | ({"data_type": data_type} if data_type else {})
    model = {"e": {"name": "e", "table": "e", "grain": ["id"], "columns": [{"name": "id", "type": "number"}, column]}}
    return SemanticEngine.from_sources(model, dialect=dialect)


BY_HOUR = {"measures": ["count(e.id)"], "dimensions": [{"field": "e.moment", "granularity": "hour"}]}


@pytest.mark.parametrize("dialect", ALL)
def test_instants_shift_into_the_zone_or_are_refused(dialect: str) -> None:
    engine = instants(dialect, "timestamptz")
    query = {**BY_HOUR, "time_zone": "Europe/Oslo"}
    if dialect in ("sqlite", "mysql", "tsql"):
        with pytest.raises(SemanticLayerError) as refused:
            engine.query(query)
        assert refused.value.code == "unsupported"
        engine.query(BY_HOUR)
    else:
        assert "Europe/Oslo" in engine.query(query).sql
        assert "UTC" in engine.query(BY_HOUR).sql


@pytest.mark.parametrize("data_type", ["timestamp", "datetime", "timestamp without time zone", "timestamp_ntz"])
def test_wall_clock_times_never_shift(data_type: str) -> None:
    result = instants("postgres", data_type).query({**BY_HOUR, "time_zone": "Europe/Oslo"})
    assert "Oslo" not in result.sql
    assert not result.resolved_plan.warnings


def test_times_of_untold_kind_do_not_shift_and_say_so() -> None:
    result = instants("postgres", None).query({**BY_HOUR, "time_zone": "Europe/Oslo"})
    assert "Oslo" not in result.sql
    assert [warning.code for warning in result.resolved_plan.warnings] == ["zone_unknown"]


@pytest.mark.parametrize(
    ("data_type", "expected"),
    [
        ("timestamp", "DATETIME_TRUNC(DATETIME(e.moment, 'UTC'), HOUR)"),
        ("datetime", "DATETIME_TRUNC(e.moment, HOUR)"),
        (None, "TIMESTAMP_TRUNC(e.moment, HOUR)"),
    ],
)
def test_bigquery_truncates_by_kind(data_type: str | None, expected: str) -> None:
    assert expected in instants("bigquery", data_type).query(BY_HOUR).sql


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SemanticLayerError) as refused:
        instants("postgres", "timestamptz").query({**BY_HOUR, "time_zone": "Europe/Olso"})
    assert (refused.value.code, refused.value.candidates[0].value) == ("invalid_query", "Europe/Oslo")


def test_snowflake_weeks_do_not_follow_the_session() -> None:
    query = {"measures": ["orders.n"], "dimensions": [{"field": "orders.ordered_on", "granularity": "week"}]}
    assert "DAYOFWEEKISO(orders.ordered_on)" in engine("snowflake").query(query).sql


def test_clickhouse_reads_nothing_as_null() -> None:
    sql = engine("clickhouse").query({"measures": ["orders.gross", "orders.n"], "dimensions": ["customers.name"]}).sql
    assert sql.endswith("SETTINGS join_use_nulls = 1")
    assert "sumOrNull(orders.total)" in sql


@pytest.mark.parametrize("dialect", ["mysql", "tsql"])
def test_nulls_come_last_where_order_by_cannot_say_so(dialect: str) -> None:
    query = {
        "measures": ["orders.gross"],
        "dimensions": ["orders.status"],
        "order_by": [{"field": "gross", "direction": "desc"}],
    }
    sql = engine(dialect).query(query).sql
    assert "CASE WHEN (SUM(orders.total)) IS NULL THEN 1 ELSE 0 END" in sql
    assert "NULLS" not in sql


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize("name", ["order", "unit price", 'a"b', "naïve", "it's", "x`y", "x]y", "1st", "a.b"])
def test_any_name_survives(dialect: str, name: str) -> None:
    model = {
        name: {
            "name": name,
            "table": "plain",
            "grain": ["id"],
            "columns": [{"name": "id", "type": "number"}, {"name": name, "type": "string"}],
            "measures": [{"name": name, "expr": "count(id)"}],
        }
    }
    result = SemanticEngine.from_sources(model, dialect=dialect).query(
        {"measures": [f"{name}.{name}"], "dimensions": [f"{name}.{name}"], "order_by": [f"{name}.id"][:0]}
    )
    select = sqlglot.parse_one(result.sql, read=dialect)
    assert isinstance(select, exp.Select)
    assert select.named_selects == [column.alias for column in result.columns]
    if not get_dialect(dialect).splits_dotted_names:
        assert name in {column.name for column in select.find_all(exp.Column)}


def test_an_unknown_dialect_is_refused_at_once() -> None:
    with pytest.raises(SemanticLayerError, match="Unknown SQL dialect") as refused:
        SemanticEngine.from_sources({}, dialect="postgras")
    assert refused.value.code == "unknown_dialect"
    assert refused.value.candidates[0].value == "postgres"


def test_a_dialect_of_sqlglot_alone_refuses_what_it_has_no_form_for() -> None:
    assert engine("oracle").query({"measures": ["orders.gross"], "dimensions": ["orders.status"]}).sql
    with pytest.raises(SemanticLayerError) as refused:
        engine("oracle").query(
            {"measures": ["orders.n"], "dimensions": [{"field": "orders.ordered_on", "granularity": "month"}]}
        )
    assert refused.value.code == "unsupported"


def test_a_new_dialect_is_one_module(monkeypatch: pytest.MonkeyPatch) -> None:
    class Oracle(Dialect):
        trunc_forms = {"month": "TRUNC(:x, 'MM')"}  # noqa: RUF012

    module = types.ModuleType("semantic_layer.dialects.oracle")
    Oracle.__module__ = module.__name__
    module.Oracle = Oracle  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("semantic_layer.dialects.supported_dialects", lambda: (*ALL, "oracle"))
    get_dialect.cache_clear()
    try:
        query = {"measures": ["orders.n"], "dimensions": [{"field": "orders.ordered_on", "granularity": "month"}]}
        assert "TRUNC(orders.ordered_on, 'MM')" in engine("oracle").query(query).sql
    finally:
        get_dialect.cache_clear()


def test_a_new_grain_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def half_year(bucket: Any, value: exp.Expr, dialect: Dialect) -> exp.Expr:
        start = dialect.trunc("month", value, bucket.kind)
        since = exp.Paren(this=exp.Sub(this=dialect.month(start), expression=exp.Literal.number(1)))
        return dialect.subtract_months(start, exp.Mod(this=since, expression=exp.Literal.number(6)))

    monkeypatch.setitem(GRAINS, "half_year", Grain(182 * 86_400, half_year))
    query = {"measures": ["orders.n"], "dimensions": [{"field": "orders.ordered_on", "granularity": "half_year"}]}
    for dialect in ALL:
        result = engine(dialect).query(query)
        assert result.columns[0].alias == "ordered_on_half_year"


def test_what_sqlglot_would_drop_is_refused() -> None:
    with pytest.raises(SemanticLayerError, match="DISTINCT") as refused:
        engine("tsql").query({"measures": ["string_agg(distinct orders.status, ',')"]})
    assert refused.value.code == "unsupported"


def test_mysql_keeps_the_sample_variance() -> None:
    assert "VAR_SAMP(orders.total)" in engine("mysql").query({"measures": ["var_samp(total)"]}).sql
