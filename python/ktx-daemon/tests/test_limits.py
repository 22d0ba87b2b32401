"""Hostile sizes and shapes: answered in time, as limits or item errors, never with a 500 or a hang."""

from __future__ import annotations

import gc
import time

import psutil
import pytest

from .conftest import Daemon, Serve

IN_TIME = {"limit_exceeded", "timeout"}


def test_nesting_in_one_item_is_that_items_error(daemon: Daemon) -> None:
    deep = "select " + "(" * 300 + "1" + ")" * 300
    items = [{"id": str(index), "sql": f"select a from t{index}"} for index in range(1000)]
    items[500]["sql"] = deep
    answer = daemon.post("/sql/analyze-batch", {"dialect": "postgres", "items": items})
    assert answer.status == 200
    failed = [key for key, result in answer.json["results"].items() if result["error"]]
    assert failed == ["500"]
    alone = daemon.post("/sql/validate-read-only", {"dialect": "postgres", "sql": deep})
    assert (alone.status, alone.json["ok"]) == (200, False)


def test_sixty_nested_cases_are_right_or_an_error(daemon: Daemon) -> None:
    sql = "a"
    for _ in range(60):
        sql = f"case when b = 1 then {sql} else 0 end"
    answer = daemon.post(
        "/sql/analyze-batch", {"dialect": "postgres", "items": [{"id": "x", "sql": f"select {sql} from t"}]}
    )
    assert answer.status == 200
    result = answer.json["results"]["x"]
    assert result["error"] or [table["name"] for table in result["tables_touched"]] == ["t"]


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/sql/validate-read-only", {"dialect": "postgres", "sql": "select 1\n" + "union all select 2\n" * 50_000}),
        ("/sql/validate-read-only", {"dialect": "postgres", "sql": "select '" + "a" * 2_000_000 + "'"}),
        ("/sql/validate-read-only", {"dialect": "postgres", "sql": "/*" * 300_000}),
        ("/sql/validate-read-only", {"dialect": "postgres", "sql": "case when " * 20_000}),
        ("/sql/validate-read-only", {"dialect": "bigquery", "sql": "select " + "[" * 100_000}),
        (
            "/sql/parse-table-identifier",
            {"items": [{"key": "k", "sql_table_name": "a." * 100_000, "dialect": "postgres"}]},
        ),
        (
            "/sql/parse-table-identifier",
            {"items": [{"key": "k", "sql_table_name": '"' * 99_999, "dialect": "postgres"}]},
        ),
        (
            "/lookml/parse",
            {
                "files": [
                    {"path": f"{i}.view.lkml", "content": f"view: v{i} {{ sql_table_name: t ;; }}"}
                    for i in range(10_000)
                ]
            },
        ),
        ("/lookml/parse", {"files": [{"path": "a", "content": "{" * 500_000}]}),
        (
            "/lookml/parse",
            {"files": [{"path": "a", "content": "view: a { dimension: b { sql: " + "${b" * 100_000 + " ;; } }"}]},
        ),
        (
            "/semantic-layer/generate-sources",
            {
                "tables": [{"name": "_" * 200_000 + "!", "columns": [{"name": "a" * 200_000, "type": "(" * 200_000}]}],
                "links": [],
            },
        ),
        (
            "/semantic-layer/query",
            {"sources": [], "query": {"measures": ["(" * 3000 + "a" + ")" * 3000], "filters": ["a" * 100_000]}},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_input_is_answered_in_time(daemon: Daemon, route: str, body: object) -> None:
    answer = daemon.post(route, body, timeout=150)
    assert answer.status in {200, 400, 504}, answer.body
    if answer.status == 504:
        assert answer.json["code"] == "timeout"
    assert daemon.get("/health").status == 200


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/sql/analyze-batch", {"dialect": "postgres", "items": [{"id": str(i), "sql": ""} for i in range(50_001)]}),
        (
            "/sql/parse-table-identifier",
            {"items": [{"key": "k", "sql_table_name": "t", "dialect": "postgres"}] * 50_001},
        ),
        ("/semantic-layer/generate-sources", {"tables": [{"name": "t", "columns": []}] * 50_001, "links": []}),
        ("/lookml/parse", {"files": [{"path": "p", "content": ""}] * 20_001}),
        ("/semantic-layer/validate", {"sources": [{}] * 5_001}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_counts_have_limits(daemon: Daemon, route: str, body: object) -> None:
    answer = daemon.post(route, body)
    assert (answer.status, answer.json["code"]) == (400, "limit_exceeded"), answer.body[:300]


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 65 + b"1" + b"}" * 65, b"{" * 2_000_000],
    ids=["deep list", "65 levels", "open braces"],
)
def test_deep_json_is_a_422(daemon: Daemon, body: bytes) -> None:
    for route in ("/sql/validate-read-only", "/embeddings/compute", "/code/execute", "/database/introspect"):
        answer = daemon.post(route, body)
        assert (answer.status, answer.json["code"]) == (422, "limit_exceeded")


def test_memory_settles_after_many_large_bodies(serve: Serve) -> None:
    daemon = serve()
    body = b'{"dialect":"postgres","sql":"' + b"x" * (15 * 1024 * 1024) + b'"}'
    small = {"dialect": "postgres", "sql": "select 1"}

    def settled() -> int:
        """Unshared memory of the daemon and its children, once workers that grew have been renewed."""
        seen: list[int] = []
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            family = [psutil.Process(daemon.process.pid), *psutil.Process(daemon.process.pid).children(recursive=True)]
            seen.append(sum(process.memory_full_info().uss for process in family))
            if len(seen) > 12 and max(seen[-8:]) - min(seen[-8:]) < 1024 * 1024:
                break
            time.sleep(0.5)
        return seen[-1]

    for _ in range(4):
        assert daemon.post("/sql/validate-read-only", small).status == 200
    before = settled()
    for _ in range(50):
        assert daemon.post("/sql/validate-read-only", body).status == 200
    gc.collect()
    assert settled() - before < 20 * 1024 * 1024
