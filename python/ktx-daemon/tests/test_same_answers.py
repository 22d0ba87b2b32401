"""One corpus through the command line, HTTP and direct calls: equal answers, equal refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ktx_daemon.capabilities import BY_COMMAND
from ktx_daemon.execution import Failure, Success, execute

from .conftest import Daemon
from .test_semantic_layer import QUERY, SOURCES, orders

TABLES = [
    {
        "name": "orders",
        "db": "public",
        "columns": [{"name": "id", "type": "int", "primary_key": True}, {"name": "t", "type": "date"}],
    }
]
LOOKML = "view: orders { sql_table_name: public.orders ;; dimension: id { primary_key: yes type: number } measure: n { type: count } }"
CORPUS: list[tuple[str, dict[str, Any]]] = [
    ("semantic-query", {"sources": SOURCES, "query": QUERY}),
    ("semantic-query", {"sources": SOURCES, "query": QUERY, "dialect": "BigQuery", "projectId": "p"}),
    ("semantic-query", {"sources": SOURCES, "query": {"measures": ["orders.nosuch"]}}),
    (
        "semantic-query",
        {"sources": SOURCES, "query": {"measures": ["orders.nosuch"], "filters": ["orders.id > 0 " * 900]}},
    ),
    ("semantic-query", {"sources": SOURCES, "query": QUERY, "project_id": "p"}),
    ("semantic-query", {"sources": SOURCES}),
    ("semantic-validate", {"sources": SOURCES}),
    ("semantic-validate", {"sources": [*orders(measures=[{"name": "m", "expr": "sum("}]), {"name": "é"}]}),
    ("semantic-generate-sources", {"tables": TABLES, "links": []}),
    ("semantic-generate-sources", {"tables": [{"name": "empty", "columns": []}], "links": [], "dialect": "nosuch"}),
    (
        "sql-parse-table-identifier",
        {
            "items": [
                {"key": "k", "sql_table_name": '"A".b', "dialect": "postgres"},
                {"key": "l", "sql_table_name": "${x}", "dialect": "x"},
            ]
        },
    ),
    ("sql-validate-read-only", {"dialect": "postgres", "sql": "select 1; -- ok"}),
    ("sql-validate-read-only", {"dialect": "tsql", "sql": "select 1 delete from t"}),
    ("sql-validate-read-only", {"dialect": "nosuch", "sql": "select 1"}),
    (
        "sql-analyze-batch",
        {
            "dialect": "snowflake",
            "items": [
                {"id": "1", "sql": "select a from t"},
                {"id": "2", "sql": "select 1; select 2"},
                {"id": "3", "sql": "sel ect"},
            ],
        },
    ),
    ("lookml-parse", {"files": [{"path": "a.view.lkml", "content": LOOKML}, {"path": "b.lkml", "content": "view: {"}]}),
    ("embedding-compute-bulk", {"texts": ["a", " "]}),
    ("embedding-compute", {"text": ""}),
    ("database-introspect", {"connection_id": "c", "url": "postgres://u:pw@h/d?service=x"}),
    ("database-introspect", {"connection_id": "c", "url": "postgres://u@h/d", "schemas": []}),
    ("database-introspect", {"connection_id": "c", "url": "postgres://u@h/d", "driver": "mysql"}),
    ("code-execute", {"code": "print('é')\nresult = {'a': [1, None, 2.5]}"}),
    ("code-execute", {"code": "1/0"}),
]


@pytest.mark.parametrize(("command", "body"), CORPUS, ids=[f"{index}-{row[0]}" for index, row in enumerate(CORPUS)])
def test_every_form_gives_the_same_answer(daemon: Daemon, one_shot: Any, command: str, body: dict[str, Any]) -> None:
    row = BY_COMMAND[command]
    data = json.dumps(body).encode()
    options = ["--enable-code-execution"] if row.kind == "process" else []
    over_http = daemon.post(row.route, data)
    on_the_line = one_shot(command, data, "--error-format", "json", *options)
    direct = execute(row, data)
    if isinstance(direct, Success):
        assert (over_http.status, on_the_line.returncode, on_the_line.stderr) == (200, 0, b"")
        assert over_http.body == on_the_line.stdout.removesuffix(b"\n") == direct.body
    else:
        assert isinstance(direct, Failure)
        assert (over_http.status, on_the_line.returncode, on_the_line.stdout) == (direct.status, 1, b"")
        error = json.loads(on_the_line.stderr.splitlines()[-1])["error"]
        assert over_http.json["code"] == error["code"] == direct.code
        details = error.get("details")
        assert over_http.json.keys() == {"detail", "code"}
        assert over_http.json["detail"] == (details if isinstance(details, list) else error["message"])
        advice = over_http.headers.get("ktx-error-details")
        assert (None if advice is None else json.loads(advice)) == (details if isinstance(details, dict) else None)


def test_the_corpus_knows_every_command() -> None:
    assert {command for command, _ in CORPUS} == set(BY_COMMAND)
