"""Introspection through real processes: equal answers, no credentials anywhere, no connection it should not make."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest
from postgres_server import PostgresServer

from .conftest import TOKEN, Daemon, Serve
from .test_database_introspection import BAD_URLS, CANARY

type OneShot = Callable[..., CompletedProcess[bytes]]


def body(url: str, **more: Any) -> dict[str, Any]:
    return {"connection_id": "c", "url": url, **more}


def test_both_forms_give_the_same_answer(daemon: Daemon, one_shot: OneShot, postgres_server: PostgresServer) -> None:
    with postgres_server.database() as name:
        with postgres_server.connect(name) as connection:
            connection.execute("create table a (id int primary key, n text)")
            connection.execute("create table b (a_id int references a)")
        request = body(postgres_server.url_of(name), schemas=["public", "nosuch"])
        over_http = daemon.post("/database/introspect", request)
        alone = one_shot("database-introspect", request)
    assert (over_http.status, alone.returncode, alone.stderr) == (200, 0, b"")
    answers = [over_http.json, json.loads(alone.stdout)]
    for answer in answers:
        del answer["extracted_at"]
    assert answers[0] == answers[1]
    assert [table["name"] for table in answers[0]["tables"]] == ["a", "b"]
    assert answers[0]["tables"][1]["foreign_keys"] == [
        {"from_column": "a_id", "to_table": "a", "to_column": "id", "constraint_name": "b_a_id_fkey"}
    ]
    assert answers[0]["metadata"]["warnings"] == ["schema 'nosuch' does not exist"]


def test_the_password_shows_nowhere(daemon: Daemon, one_shot: OneShot, postgres_server: PostgresServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    failing = [
        postgres_server.url_of("postgres", "postgres", CANARY),
        postgres_server.url_of(CANARY[::-1], "postgres", CANARY),
        f"postgres://u:{CANARY}@127.0.0.1:{closed}/db",
        f"postgres://u:{CANARY}@nosuch.invalid/db",
        f"postgres://u:{CANARY}@169.254.169.254/db",
        f"postgres://{CANARY}:{CANARY}@127.0.0.1:{closed}/db",
        f"postgresql://u:x%40{CANARY}@127.0.0.1:{closed}/db?sslmode=require",
    ]
    requests = [body(url) for url in [*failing, *(url for url, _ in BAD_URLS)]]
    requests += [
        body(f"postgres://u:{CANARY}@h/d", schemas=[]),
        body(f"postgres://u:{CANARY}@h/d", statement_timeout_ms=CANARY),
        body(f"postgres://u:{CANARY}@h/d", driver=f"mysql://u:{CANARY}@h"),
        {"url": f"postgres://u:{CANARY}@h/d"},
    ]
    for request in requests:
        answer = daemon.post("/database/introspect", request)
        assert answer.status in (400, 422, 502), (request, answer.body)
        assert CANARY not in answer.body.decode() + str(answer.headers), request
    for request in [*requests[:7], *requests[-3:]]:
        alone = one_shot("database-introspect", request, "--error-format", "json")
        assert (alone.returncode, alone.stdout) == (1, b"")
        assert CANARY not in alone.stderr.decode(), request
    assert CANARY not in daemon.stderr + daemon.stdout


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "%2Fvar%2Frun", "224.0.0.1"])
def test_hosts_no_database_has_are_refused(daemon: Daemon, host: str) -> None:
    answer = daemon.post("/database/introspect", body(f"postgres://u:{CANARY}@{host}/db"))
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")
    assert isinstance(answer.json["detail"], list)


def test_only_allowed_hosts_are_connected_to(serve: Serve, postgres_server: PostgresServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        elsewhere = serve("--allow-database-host", "db.example.org", "--allow-database-host", "10.0.0.0/8", token=TOKEN)
        port = listening.getsockname()[1]
        answer = elsewhere.post("/database/introspect", body(f"postgres://u:{CANARY}@127.0.0.1:{port}/db"))
        assert (answer.status, answer.json["code"]) == (400, "invalid_request")
        with pytest.raises(TimeoutError):
            listening.accept()
    here = serve("--allow-database-host", "127.0.0.0/8", "--allow-database-host", "localhost", token=TOKEN)
    assert here.post("/database/introspect", body(postgres_server.url)).status == 200


def test_tables_in_mixed_case_are_introspected_drafted_and_queried(
    daemon: Daemon, postgres_server: PostgresServer
) -> None:
    with postgres_server.database() as name, postgres_server.connect(name) as connection:
        connection.execute('create table "Customers" ("CustomerID" int primary key, "Full Name" text, "order" int)')
        connection.execute(
            'create table "Orders" ("OrderID" int primary key, "CustomerID" int references "Customers", "Net" int)'
        )
        connection.execute("""insert into "Customers" values (1, 'Ada', 1), (2, 'Ben', 2)""")
        connection.execute('insert into "Orders" values (10, 1, 5), (11, 1, 7), (12, 2, 9)')
        tables = daemon.post("/database/introspect", body(postgres_server.url_of(name))).json["tables"]
        links = [
            {
                "from_table": table["name"],
                "from_column": key["from_column"],
                "to_table": key["to_table"],
                "to_column": key["to_column"],
                "relationship_type": "many_to_one",
            }
            for table in tables
            for key in table["foreign_keys"]
        ]
        drafted = daemon.post("/semantic-layer/generate-sources", {"tables": tables, "links": links}).json
        assert "warnings" not in drafted
        sources = drafted["sources"]
        assert daemon.post("/semantic-layer/validate", {"sources": sources}).json["errors"] == []
        answers = {}
        for dimension in ("Customers.Full Name", "Customers.order", "Orders.CustomerID"):
            query = {"measures": ["Orders.total_Net", "Customers.record_count"], "dimensions": [dimension]}
            query |= {"include_empty": False, "order_by": [{"field": dimension}]}
            if dimension.startswith("Orders"):
                del query["measures"][1]
            answer = daemon.post("/semantic-layer/query", {"sources": sources, "query": query})
            assert answer.status == 200, answer.json
            answers[dimension] = connection.execute(answer.json["sql"]).fetchall()
    assert answers == {
        "Customers.Full Name": [("Ada", 12, 1), ("Ben", 9, 1)],
        "Customers.order": [(1, 12, 1), (2, 9, 1)],
        "Orders.CustomerID": [(1, 12), (2, 9)],
    }
