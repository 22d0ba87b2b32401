"""Semantic queries and checks over the wire; the engine's own behaviour is tested with the engine."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ktx_daemon.errors import DaemonError
from ktx_daemon.semantic_layer import (
    SemanticQueryRequest,
    SemanticValidateRequest,
    query_semantic_layer_response,
    validate_semantic_layer_response,
)
from sqlglot import exp

from .conftest import Daemon

ORDERS: dict[str, Any] = {
    "name": "orders",
    "table": "public.orders",
    "grain": ["id"],
    "columns": [
        {"name": "id", "type": "number"},
        {"name": "customer_id", "type": "number"},
        {"name": "status", "type": "string", "description": "State"},
        {"name": "amount", "type": "number"},
        {"name": "created_at", "type": "time", "role": "time"},
        {"name": "net", "type": "number", "expr": "amount * 0.8"},
    ],
    "measures": [
        {"name": "order_count", "expr": "count(id)", "description": "Orders"},
        {"name": "revenue", "expr": "sum(amount)", "filter": "status <> 'refunded'"},
    ],
    "segments": [{"name": "paid", "expr": "status = 'paid'"}],
    "joins": [{"to": "customers", "on": "customer_id = customers.id", "relationship": "many_to_one"}],
}
CUSTOMERS: dict[str, Any] = {
    "name": "customers",
    "table": "public.customers",
    "grain": ["id"],
    "columns": [{"name": "id", "type": "number"}, {"name": "region", "type": "string"}],
}
SOURCES = [ORDERS, CUSTOMERS]
QUERY = {"measures": ["orders.order_count"], "dimensions": ["orders.status"]}
PLAN = {
    "sources_used",
    "join_paths",
    "joins",
    "anchor_source",
    "anchor_grain",
    "fan_out_description",
    "has_fan_out",
    "measure_groups",
    "aggregate_locality",
    "where_filters",
    "having_filters",
    "columns",
    "measures",
    "dimensions",
    "order_by",
    "limit",
    "include_empty",
}


def orders(**changes: Any) -> list[dict[str, Any]]:
    return [{**copy.deepcopy(ORDERS), **changes}, CUSTOMERS]


def query(sources: Any = SOURCES, *, dialect: str | None = None, **parts: Any) -> Any:
    body = {"sources": sources, "query": {**QUERY, **parts}, "dialect": dialect}
    return query_semantic_layer_response(SemanticQueryRequest.model_validate(body))


def refusal(sources: Any = SOURCES, *, dialect: str | None = None, **parts: Any) -> DaemonError:
    with pytest.raises(DaemonError) as refused:
        query(sources, dialect=dialect, **parts)
    assert refused.value.status == 400
    return refused.value


def check(sources: Any, **more: Any) -> Any:
    return validate_semantic_layer_response(SemanticValidateRequest.model_validate({"sources": sources, **more}))


def test_columns_come_in_request_order_under_the_names_to_ask_by(daemon: Daemon) -> None:
    body = {
        "sources": SOURCES,
        "query": {
            "measures": ["orders.order_count", {"expr": "sum(orders.amount)", "name": "total"}],
            "dimensions": ["orders.status", {"field": "orders.created_at", "granularity": "month"}, "customers.region"],
        },
        "dialect": None,
        "projectId": "ignored",
    }
    answer = daemon.post("/semantic-layer/query", body)
    assert answer.status == 200, answer.body
    assert set(answer.json) == {"sql", "dialect", "columns", "plan"}
    assert answer.json["dialect"] == "postgres"
    columns = answer.json["columns"]
    assert [column["name"] for column in columns] == [
        "orders.status",
        "orders.created_at",
        "customers.region",
        "orders.order_count",
        "total",
    ]
    assert all(set(c) == {"name", "provenance", "expr", "description", "granularity"} for c in columns)
    assert [c["provenance"] for c in columns] == ["dimension"] * 3 + ["verified", "composed"]
    assert columns[1]["granularity"] == "month"
    assert columns[3]["description"] == "Orders"
    assert set(answer.json["plan"]) == PLAN
    assert [c["name"] for c in answer.json["plan"]["columns"]] == [
        "status",
        "created_at",
        "region",
        "order_count",
        "total",
    ]
    assert answer.json["plan"]["sources_used"] == ["customers", "orders"]


def test_envelope_keys_are_closed_but_project_id_of_0_1_is_inert(daemon: Daemon) -> None:
    body = {"sources": SOURCES, "query": QUERY}
    plain = daemon.post("/semantic-layer/query", body)
    assert daemon.post("/semantic-layer/query", {**body, "projectId": "p"}).body == plain.body
    assert daemon.post("/semantic-layer/query", {**body, "projectId": None}).body == plain.body
    for extra in ("project_id", "Sources", "limit"):
        answer = daemon.post("/semantic-layer/query", {**body, extra: None})
        assert (answer.status, answer.json["code"]) == (422, "invalid_request")
        assert answer.json["detail"][0]["loc"] == ["body", extra]


def test_an_unknown_source_key_names_source_and_key() -> None:
    refused = refusal(orders(usage={"a": "value-of-usage"}))
    assert refused.code == "invalid_source"
    assert "'orders'" in str(refused)
    assert "usage" in str(refused)
    assert "value-of-usage" not in str(refused)


def test_duplicate_sources_are_refused() -> None:
    refused = refusal([ORDERS, CUSTOMERS, ORDERS])
    assert (refused.code, "'orders'" in str(refused)) == ("invalid_source", True)


REFERENCES = [
    ({"measures": ["orders.nosuch"]}, "orders.nosuch"),
    ({"dimensions": ["orders.nosuch"]}, "nosuch"),
    ({"dimensions": ["nosuch.status"]}, "nosuch"),
    ({"filters": ["orders.nosuch = 1"]}, "nosuch"),
    ({"segments": ["orders.nosuch"]}, "nosuch"),
    ({"order_by": ["nosuch"]}, "nosuch"),
    ({"measures": ["sum(orders.amount"]}, "sum(orders.amount"),
    ({"limit": -1}, "limit"),
    ({"measurs": []}, "measures"),
]


@pytest.mark.parametrize(("parts", "named"), REFERENCES, ids=[row[1] for row in REFERENCES])
def test_a_bad_reference_is_named(parts: dict[str, Any], named: str) -> None:
    refused = refusal(**parts)
    assert refused.code == "invalid_query"
    assert named in str(refused)


def test_a_bad_measure_is_named_by_validate_and_refused_by_query(daemon: Daemon) -> None:
    sources = orders(measures=[{"name": "broken", "expr": "sum(amount"}])
    found = daemon.post("/semantic-layer/validate", {"sources": sources}).json
    assert not found["valid"]
    assert any("orders.broken" in error for error in found["errors"])
    refused = daemon.post("/semantic-layer/query", {"sources": sources, "query": {"measures": ["orders.broken"]}})
    assert refused.status == 400
    assert b"\x1b" not in refused.body
    assert b"\\u001b" not in refused.body


@pytest.mark.parametrize("route", ["/semantic-layer/query", "/semantic-layer/validate"])
def test_an_unknown_dialect_is_refused(daemon: Daemon, route: str) -> None:
    body = {"sources": SOURCES, "dialect": "nosuch", **({"query": QUERY} if route.endswith("query") else {})}
    answer = daemon.post(route, body)
    assert (answer.status, answer.json["code"]) == (400, "unknown_dialect")


@pytest.mark.parametrize(
    ("given_name", "used"), [("POSTGRESQL", "postgres"), ("SqlServer", "tsql"), ("mssql", "tsql"), ("DuckDB", "duckdb")]
)
def test_dialects_have_other_names(given_name: str, used: str) -> None:
    assert query(dialect=given_name).dialect == used


VALID_CASES = [
    (SOURCES, True, []),
    ([ORDERS], False, ["customers"]),
    ([*SOURCES, {"name": "half"}], False, ["source 'half'"]),
    ([*SOURCES, {"columns": []}], False, ["source at index 2"]),
    ([*SOURCES, ORDERS], False, ["Duplicate source"]),
    (
        orders(measures=[{"name": "n", "expr": "count(id)"}, {"name": "n", "expr": "sum(amount)"}]),
        False,
        ["Duplicate measure"],
    ),
    (orders(segments=[{"name": "s", "expr": "status ="}]), False, ["orders.s"]),
    (orders(columns=[*ORDERS["columns"], {"name": "c", "type": "number", "expr": "amount +"}]), False, ["orders.c"]),
    (
        orders(joins=[{"to": "customers", "on": "((", "relationship": "many_to_one"}]),
        False,
        ["orders.join to customers"],
    ),
    (orders(measures=[{"name": "m", "expr": "sum(amount) -- all"}]), False, ["orders.m"]),
    (orders(table="orders; drop table x"), False, ["orders.table"]),
]


@pytest.mark.parametrize(("sources", "valid", "named"), VALID_CASES, ids=range(len(VALID_CASES)))
def test_validate_names_what_is_wrong(sources: list[Any], valid: bool, named: list[str]) -> None:
    found = check(sources)
    assert found.valid is valid, found.errors
    assert found.valid is (not found.errors)
    for name in named:
        assert any(name in error for error in found.errors), found.errors


def test_one_faulty_source_does_not_hide_the_faults_of_others() -> None:
    found = check([{"name": "a"}, *orders(measures=[{"name": "broken", "expr": "sum("}])])
    assert any("source 'a'" in error for error in found.errors)
    assert any("orders.broken" in error for error in found.errors)


def test_equal_measures_and_lonely_sources_are_warnings() -> None:
    twice = orders(measures=[{"name": "a", "expr": "count(id)"}, {"name": "b", "expr": "COUNT( id )"}])
    found = check([*twice, {**CUSTOMERS, "name": "alone"}], recently_touched=["alone"])
    assert found.valid, found.errors
    assert any("same expression and filter" in warning for warning in found.warnings)
    assert "alone" in found.per_source_warnings


INJECTIONS = [
    {"filters": ["orders.status = 'a'; drop table t"]},
    {"filters": ["1=1) union select 1"]},
    {"filters": ["1=1 /*"]},
    {"filters": ["orders.status = 'a' -- x"]},
    {"filters": ["orders.id in (select id from secrets)"]},
    {"filters": ["exists (select 1 from pg_shadow)"]},
    {"filters": ["pg_read_file('/etc/passwd') = 'x'"]},
    {"measures": [{"expr": "sum(orders.amount)", "name": 'a"; drop table t; --'}]},
    {"measures": [{"expr": "sum(orders.amount)", "name": "a'b"}]},
    {"measures": [{"expr": "sum(orders.amount)", "name": "a\nb"}]},
    {"measures": ["sum(orders.amount); select 1"]},
    {"measures": ["sum(orders.amount) from orders union select 1 --"]},
    {"dimensions": [{"field": "orders.created_at", "granularity": "day'); drop table t; --"}]},
    {"dimensions": ['orders.status"; drop table t; --']},
    {"order_by": [{"field": "orders.status", "direction": "asc; drop table t"}]},
]


@pytest.mark.parametrize("parts", INJECTIONS, ids=repr)
def test_query_text_stays_one_expression(parts: dict[str, Any]) -> None:
    refused = refusal(**parts)
    assert refused.code in {"invalid_query", "invalid_sql"}


MODEL_INJECTIONS = [
    {"table": "t; drop table u"},
    {"table": "t u"},
    {"table": "t -- x"},
    {"table": "(select 1)"},
    {"table": "generate_series(1, 10)"},
    {"table": None, "sql": "select 1 as id; drop table u"},
    {"table": None, "sql": "with x as (delete from u returning id) select id from x"},
    {"table": None, "sql": "select pg_sleep(10) as id"},
    {"joins": [{"to": "customers", "on": "customer_id = customers.id; drop table u", "relationship": "many_to_one"}]},
    {"measures": [{"name": "order_count", "expr": "count(id) /* x */"}]},
    {"measures": [{"name": "order_count", "expr": "count(id)", "filter": "true; drop table u"}]},
]


@pytest.mark.parametrize("changes", MODEL_INJECTIONS, ids=repr)
def test_model_text_stays_what_it_says(changes: dict[str, Any]) -> None:
    sources = orders(**changes)
    if "sql" in changes:
        sources[0].pop("table")
    refused = refusal(
        sources, measures=["orders.order_count"], dimensions=["customers.region"] if "joins" in changes else []
    )
    assert refused.code in {"invalid_source", "invalid_sql", "invalid_query"}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    filters=st.lists(
        st.one_of(
            st.text(max_size=30),
            st.text(alphabet="orders.status='()-/*;x \"`", max_size=30),
            st.sampled_from(["orders.status = '", "orders.id > 1", "1=1) or (", "'--", "orders.amount"]),
        ),
        max_size=2,
    ),
    name=st.text(max_size=12),
    dialect=st.sampled_from(["postgres", "mysql", "tsql", "duckdb", "bigquery", "snowflake", "clickhouse", "sqlite"]),
)
def test_whatever_is_accepted_is_one_query(filters: list[str], name: str, dialect: str) -> None:
    try:
        answer = query(dialect=dialect, filters=filters, measures=[{"expr": "sum(orders.amount)", "name": name}])
    except DaemonError as refused:
        assert refused.status == 400
        return
    statements = sqlglot.parse(answer.sql, dialect=dialect)
    assert len(statements) == 1
    assert isinstance(statements[0], exp.Query)
    assert {table.name for table in statements[0].find_all(exp.Table)} <= {"orders", "customers"}


def test_too_many_sources_are_refused() -> None:
    many = [{**CUSTOMERS, "name": f"c{index}"} for index in range(5001)]
    assert refusal(many, measures=[], dimensions=["c1.region"]).code == "limit_exceeded"


def test_clickhouse_may_set_what_its_joins_need() -> None:
    assert "join_use_nulls" in query(dialect="clickhouse", dimensions=["customers.region"]).sql
