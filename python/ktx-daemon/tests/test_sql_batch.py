"""Batch analysis: tables and columns per statement, and errors that stay with their item."""

from __future__ import annotations

import gc
import sys
import time
from typing import Any

import pytest
from ktx_daemon.deadlines import OutOfTime, time_limit
from ktx_daemon.errors import DaemonError, LimitExceeded
from ktx_daemon.sql_analysis import AnalyzeBatchRequest, BatchResult, _batch, analyze_batch_response


def analyze(sql: str, dialect: str = "postgres", catalog: list[dict[str, Any]] | None = None) -> BatchResult:
    request: dict[str, Any] = {"dialect": dialect, "items": [{"id": "x", "sql": sql}]}
    if catalog is not None:
        request["catalog"] = {"tables": catalog}
    return analyze_batch_response(AnalyzeBatchRequest.model_validate(request)).results["x"]


def tables(result: BatchResult) -> list[str]:
    return [".".join(filter(None, (table.catalog, table.db, table.name))) for table in result.tables_touched]


TABLES = [
    ("postgres", "with orders as (select * from raw.orders) select id from orders", ["raw.orders"]),
    ("postgres", "with orders as (select * from orders) select id from orders", ["orders"]),
    ("postgres", "with recursive r as (select 1 union all select * from r) select * from r", []),
    ("postgres", "with a as (select * from b), b as (select 1) select * from a", ["b"]),
    ("postgres", "with t as (select 1) select * from s.t", ["s.t"]),
    ("postgres", "select * from a where exists (with a as (select 1) select * from a)", ["a"]),
    ("postgres", 'with "T" as (select 1) select * from t, "T"', ["t"]),
    ("tsql", "with t as (select 1 as a union all select a + 1 from t) select * from t", []),
    ("postgres", "select * from (select * from inner_t) x, Outer_T join outer_t on true", ["outer_t", "inner_t"]),
    ("postgres", "select a from T union all select a from u", ["t", "u"]),
    ("postgres", 'select * from "T"', ["T"]),
    ("snowflake", "select * from t", ["T"]),
    ("mysql", "select * from T", ["T"]),
    ("tsql", "select * from T, [U]", ["t", "U"]),
    ("bigquery", "select * from `p.d.T`, d.U", ["p.d.T", "d.U"]),
    ("bigquery", "select * from orders o, o.items", ["orders"]),
    ("postgres", "insert into t select a from s", ["t", "s"]),
    ("postgres", "create table t as select a from s", ["t", "s"]),
    ("duckdb", "from t", ["t"]),
    ("postgres", "select * from generate_series(1, 2)", []),
]


@pytest.mark.parametrize(("dialect", "sql", "expected"), TABLES, ids=lambda value: str(value)[:60])
def test_touched_tables(dialect: str, sql: str, expected: list[str]) -> None:
    result = analyze(sql, dialect)
    assert result.error is None
    assert tables(result) == expected


COLUMNS: list[tuple[str, str, dict[str, list[str]]]] = [
    (
        "postgres",
        "select A, b.c from t join u as b using (K) where X = 1 group by A having sum(d) > 1 order by e",
        {"select": ["a", "c"], "where": ["x"], "join": ["k"], "groupBy": ["a"], "having": ["d"], "orderBy": ["e"]},
    ),
    ("postgres", "select count(*), t.* from t", {}),
    ("postgres", "select a from t join u on t.x = u.y", {"select": ["a"], "join": ["x", "y"]}),
    ("postgres", "select a from (x join y on x.i = y.j)", {"select": ["a"], "join": ["i", "j"]}),
    ("postgres", "select a from t where b in (select c from u)", {"select": ["a"], "where": ["b"]}),
    (
        "postgres",
        "select a from t union all select b from u where c order by d",
        {"select": ["a", "b"], "where": ["c"], "orderBy": ["d"]},
    ),
    ("postgres", "(select a from t order by b) limit 1", {"select": ["a"], "orderBy": ["b"]}),
    ("postgres", "with x as (select hidden from t) select a from x", {"select": ["a"]}),
    ("postgres", "insert into t select a from s where b", {"select": ["a"], "where": ["b"]}),
    ("postgres", "create table t as select a from s", {"select": ["a"]}),
    ("postgres", 'select "A", a from t', {"select": ["A", "a"]}),
    (
        "snowflake",
        "select a from t qualify row_number() over (partition by b order by c) = 1",
        {"select": ["A"], "having": ["B", "C"]},
    ),
    ("bigquery", "select A from T", {"select": ["a"]}),
    ("mysql", "select A from t", {"select": ["A"]}),
]


@pytest.mark.parametrize(("dialect", "sql", "expected"), COLUMNS, ids=lambda value: str(value)[:60])
def test_columns_by_clause(dialect: str, sql: str, expected: dict[str, list[str]]) -> None:
    result = analyze(sql, dialect)
    assert result.error is None
    assert result.columns_by_clause == expected


CATALOG: list[dict[str, Any]] = [
    {"catalog": "c", "db": "p", "name": "orders"},
    {"db": "q", "name": "orders", "columns": ["id"]},
    {"db": "s", "name": "customers"},
]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1 from c.p.orders", ["c.p.orders"]),
        ("select 1 from s.customers", ["s.customers"]),
        ("select 1 from x.orders", ["x.orders"]),
        ("select 1 from orders", ["c.p.orders", "q.orders"]),
        ("select 1 from elsewhere", ["elsewhere"]),
    ],
)
def test_catalog_completes_bare_names(sql: str, expected: list[str]) -> None:
    assert tables(analyze(sql, catalog=CATALOG)) == expected


def test_catalog_spelling_wins_where_names_ignore_case() -> None:
    assert tables(analyze("select 1 from DBO.orders", "tsql", [{"db": "dbo", "name": "Orders"}])) == ["dbo.Orders"]


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "select 1; select 2",
        "select * from",
        "select '",
        "vacuum",
        "select " + "(" * 300 + "1" + ")" * 300,
        "select '" + "a" * 1024 * 1024 + "'",
    ],
    ids=lambda sql: sql[:20],
)
def test_failing_item_has_empty_lists_and_a_clean_error(sql: str) -> None:
    result = analyze(sql)
    assert (result.tables_touched, result.columns_by_clause) == ([], {})
    assert result.error
    assert "\x1b" not in result.error


def test_item_out_of_time_is_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_batch, "SQL_ITEM_SECONDS", 0.01)
    gc.disable()  # hypothesis times collections by a callback, and what is raised in that one is a warning
    try:
        result = analyze("select 1" + " + 1" * 50_000)
    finally:
        gc.enable()
    assert (result.tables_touched, result.columns_by_clause) == ([], {})
    assert result.error == "SQL took longer than 0.01 s to analyze; send a shorter statement"


def test_time_limit_lost_in_a_finaliser_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: lost.append(what.exc_type))

    def work(seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pass

    class Deaf:
        def __del__(self) -> None:
            work(30)

    with pytest.raises(OutOfTime), time_limit(0.05):
        Deaf()
        work(30)
    assert lost == [OutOfTime]


def test_one_bad_item_of_a_thousand_spoils_only_itself() -> None:
    items = [{"id": str(number), "sql": f"select a from t where b = {number}"} for number in range(1000)]
    items[500]["sql"] = "select " + "(" * 300 + "1" + ")" * 300
    results = analyze_batch_response(AnalyzeBatchRequest.model_validate({"dialect": "duckdb", "items": items})).results
    assert [key for key, result in results.items() if result.error] == ["500"]
    assert all(tables(result) == ["t"] for key, result in results.items() if key != "500")


def test_sixty_nested_cases_are_right() -> None:
    sql = "select " + "case when a then " * 60 + "b" + " else c end" * 60 + " from t"
    assert analyze(sql).columns_by_clause == {"select": ["a", "b", "c"]}


def test_last_of_equal_ids_decides() -> None:
    items = [{"id": "x", "sql": "select * from a"}, {"id": "x", "sql": "select * from b"}]
    request = AnalyzeBatchRequest.model_validate({"dialect": "postgres", "items": items, "max_workers": 4})
    assert tables(analyze_batch_response(request).results["x"]) == ["b"]


def test_whole_requests_are_refused() -> None:
    with pytest.raises(DaemonError, match="Unknown SQL dialect"):
        analyze("select 1", "nosuch")
    many = [{"id": "x", "sql": ""}] * 50_001
    with pytest.raises(LimitExceeded):
        analyze_batch_response(AnalyzeBatchRequest.model_validate({"dialect": "postgres", "items": many}))
