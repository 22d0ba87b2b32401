"""Hostile text is refused in every place and dialect; honest text passes."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import sqlglot
from semantic_layer import EngineOptions, SemanticEngine, SemanticLayerError
from semantic_layer.dialects import supported_dialects
from semantic_layer.errors import InternalError
from semantic_layer.safety import check_statement
from sqlglot import exp
from worked import SHOP_MODEL

HOSTILE = [
    "1=1) union select (2",
    "1=1) union select password from users --",
    "1=1) or (1=1",
    "status = 'x' -- c",
    "status = 'x' /* c */",
    "/* c */ status = 'x'",
    "1=1; drop table orders",
    "status = 'x';",
    "drop table orders",
    "select 1",
    "(select 1)",
    "values (1)",
    "status = 'a' union select 1",
    "status = 'a' limit 1",
    "status = 'a' as b",
    "status = 'a', 1 = 1",
    "exists (select 1)",
    "status in (select name from customers)",
    "total > (select max(credit) from customers)",
    "case when true then (select 1) end = 1",
    "status = any(select name from customers)",
    "pg_read_file('/etc/passwd') = 'x'",
    "pg_catalog.pg_read_file('/etc/passwd') = 'x'",
    "pg_sleep(10) is null",
    "load_file('/etc/passwd') = 'x'",
    "read_csv_auto('x') is null",
    "read_text('x') is null",
    "getenv('HOME') = 'x'",
    "current_setting('x') = 'y'",
    "nextval('x') > 1",
    "xp_cmdshell('x') = 1",
    "sleep(10) = 0",
    "query('select 1') = 1",
    "unnest(array[1]) = 1",
    "sum(total) over () > 1",
    "row_number() over (order by id) = 1",
    "orders.* is null",
    "* is null",
    "total = ?",
    "'a'",
    "total",
    "total + 1",
    "lower(status)",
]


@cache
def engine(dialect: str) -> SemanticEngine:
    return SemanticEngine.from_sources(SHOP_MODEL, dialect=dialect)


def test_a_text_nested_without_end_is_refused() -> None:
    with pytest.raises(SemanticLayerError) as refused:
        engine("postgres").query({"measures": ["orders.n"], "filters": ["(" * 5_000 + "total" + ")" * 5_000 + " > 1"]})
    assert refused.value.code == "parse_error"


@pytest.mark.parametrize("dialect", supported_dialects())
def test_hostile_filters_are_refused(dialect: str) -> None:
    for text in HOSTILE:
        with pytest.raises(SemanticLayerError) as refused:
            engine(dialect).query({"measures": ["orders.n"], "filters": [text]})
        codes = {"forbidden", "parse_error", "window_function", "not_boolean", "unknown_column"}
        assert refused.value.code in codes, text
        assert refused.value.location == "/filters/0", text


@pytest.mark.parametrize("text", HOSTILE[:-4], ids=lambda text: text[:50])
@pytest.mark.parametrize("place", ["measures", "order_by", "dimensions", "segments", "expr"])
def test_hostile_text_is_refused_in_every_place(text: str, place: str) -> None:
    query: dict[str, Any] = {"measures": ["orders.n"]}
    if place == "measures":
        query["measures"] = [f"sum({text})"]
    elif place == "expr":
        query["measures"] = [{"expr": f"sum(case when {text} then 1 end)", "name": "x"}]
    else:
        query[place] = [text]
    with pytest.raises(SemanticLayerError) as refused:
        engine("postgres").query(query)
    assert refused.value.code != "internal_error"


def test_a_hostile_name_stays_a_name() -> None:
    name = 'x" FROM orders; DROP TABLE orders; --'
    select = sqlglot.parse_one(
        engine("postgres").query({"measures": [{"expr": "sum(total)", "name": name}]}).sql, read="postgres"
    )
    assert isinstance(select, exp.Select)
    assert select.named_selects == [name]


def test_a_hostile_value_stays_a_value() -> None:
    sql = engine("postgres").query({"measures": ["orders.n"], "filters": ["status = 'x'' OR ''1''=''1'"]}).sql
    literals = sqlglot.parse_one(sql, read="postgres").find_all(exp.Literal)
    assert "x' OR '1'='1" in {literal.this for literal in literals}


HONEST = [
    "status = 'paid'",
    "status <> 'a' and total > 1",
    "not (status = 'a' or status is null)",
    "status in ('a', 'b')",
    "status not in ('a')",
    "total between 1 and 3",
    "status like 'a%'",
    "lower(status) = 'a'",
    "case when total > 1 then true else false end",
    "coalesce(total, 0) > -1.5e3",
    "cast(total as int) = 1",
    "customers.vip",
    "not customers.vip",
    "true",
    "1 = 1",
    "",
    "   ",
    "nullif(total, 0) is not null",
    "((total)) > 1",
]


@pytest.mark.parametrize("dialect", supported_dialects())
def test_honest_filters_pass(dialect: str) -> None:
    for text in HONEST:
        assert engine(dialect).query({"measures": ["orders.n"], "filters": [text]}).sql, text


def test_functions_can_be_allowed() -> None:
    query = {"measures": ["orders.n"], "filters": ["my_score(total) > 1"]}
    with pytest.raises(SemanticLayerError, match="my_score"):
        engine("postgres").query(query)
    allowing = SemanticEngine.from_sources(SHOP_MODEL, options=EngineOptions(allowed_functions=["My_Score"]))
    assert "MY_SCORE(orders.total) > 1" in allowing.query(query).sql


@pytest.mark.parametrize("expr", ["sum(total) over ()", "sum(:x)", "sum(total) as x", "sum(*)", "sum(total); select 1"])
def test_the_model_too_is_held_to_one_expression(expr: str) -> None:
    model = {**SHOP_MODEL, "orders": {**SHOP_MODEL["orders"], "measures": [{"name": "m", "expr": expr}]}}
    with pytest.raises(SemanticLayerError) as refused:
        SemanticEngine.from_sources(model).query({"measures": ["orders.m"]})
    assert refused.value.code in {"forbidden", "window_function", "parse_error"}


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "DELETE FROM t", "SELECT FROM WHERE", "SELECT 1 UNION SELECT 2"])
def test_output_that_is_not_one_select_is_a_bug(sql: str) -> None:
    with pytest.raises(InternalError):
        check_statement(sql, SemanticEngine.from_sources({}).graph.dialect.sqlglot)
