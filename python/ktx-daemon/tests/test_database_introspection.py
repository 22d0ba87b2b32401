"""Introspection of a real PostgreSQL, and the refusal of everything that is not one TCP server."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ktx_daemon.database_introspection import (
    ConnectionRefused,
    DatabaseIntrospectionRequest,
    DatabaseIntrospectionResponse,
    DatabaseIntrospectionRows,
    introspect_database_response,
)
from ktx_daemon.database_introspection._addresses import resolve
from ktx_daemon.database_introspection._connection import snapshot
from ktx_daemon.database_introspection._dsn import parse_dsn
from ktx_daemon.errors import DaemonError
from psycopg import sql
from pydantic import ValidationError

CANARY = "c4nary-p4ss"


def introspect(url: str, allowed_hosts: tuple[str, ...] = (), **more: Any) -> DatabaseIntrospectionResponse:
    request = DatabaseIntrospectionRequest.model_validate({"connection_id": "c", "url": url, **more})
    return introspect_database_response(request, allowed_hosts=allowed_hosts)


def dump(response: DatabaseIntrospectionResponse) -> dict[str, Any]:
    answer = response.model_dump(exclude_unset=True)
    del answer["extracted_at"]
    return answer


SCHEMA = """
CREATE TYPE mood AS ENUM ('ok', 'bad');
CREATE DOMAIN key AS bigint NOT NULL;
CREATE TABLE customers (
  id integer PRIMARY KEY, name varchar(40) NOT NULL, tags text[], "Mixed Case" numeric(10, 2), dropped int,
  feeling mood, k key
);
ALTER TABLE customers DROP COLUMN dropped;
COMMENT ON TABLE customers IS 'who buys';
COMMENT ON COLUMN customers.name IS 'full name';
CREATE SCHEMA other;
CREATE TABLE other.shops (id integer PRIMARY KEY);
CREATE TABLE parts (b integer, a integer, PRIMARY KEY (a, b));
CREATE TABLE orders (
  id integer PRIMARY KEY,
  customer_id integer CONSTRAINT same REFERENCES customers (id),
  shop_id integer REFERENCES other.shops (id),
  part_a integer, part_b integer,
  CONSTRAINT parts_of FOREIGN KEY (part_a, part_b) REFERENCES parts (a, b)
);
CREATE TABLE returns (id integer, customer_id integer CONSTRAINT same REFERENCES customers (id));
CREATE TABLE events (id integer, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE notes (event_id integer, event_day date,
  CONSTRAINT about FOREIGN KEY (event_id, event_day) REFERENCES events (id, day));
CREATE TABLE tree (id integer PRIMARY KEY, parent_id integer REFERENCES tree (id));
CREATE VIEW ignored AS SELECT 1;
"""


@pytest.fixture(scope="module")
def filled(postgres_server: Any) -> Iterator[str]:
    with postgres_server.database() as name:
        with postgres_server.connect(name) as connection:
            connection.execute(SCHEMA)
        yield name


@pytest.fixture
def url(postgres_server: Any, filled: str) -> str:
    return str(postgres_server.url_of(filled))


def test_reports_tables_columns_keys_and_comments(url: str, filled: str) -> None:
    answer = dump(introspect(url))
    assert answer["connection_id"] == "c"
    assert answer["metadata"] == {"driver": "postgres", "schemas": ["public"]}
    names = [table["name"] for table in answer["tables"]]
    assert names == ["customers", "events", "events_2025", "notes", "orders", "parts", "returns", "tree"]
    assert {(table["catalog"], table["db"]) for table in answer["tables"]} == {(filled, "public")}
    tables = {table["name"]: table for table in answer["tables"]}
    assert tables["customers"]["comment"] == "who buys"
    column = dict.fromkeys(("comment",))
    assert tables["customers"]["columns"] == [
        {"name": "id", "type": "integer", "nullable": False, "primary_key": True, **column},
        {
            "name": "name",
            "type": "character varying(40)",
            "nullable": False,
            "primary_key": False,
            "comment": "full name",
        },
        {"name": "tags", "type": "text[]", "nullable": True, "primary_key": False, **column},
        {"name": "Mixed Case", "type": "numeric(10,2)", "nullable": True, "primary_key": False, **column},
        {"name": "feeling", "type": "mood", "nullable": True, "primary_key": False, **column},
        {"name": "k", "type": "key", "nullable": False, "primary_key": False, **column},
    ]
    assert [(c["name"], c["primary_key"]) for c in tables["parts"]["columns"]] == [("b", True), ("a", True)]


def test_reports_foreign_keys_pair_by_pair(url: str) -> None:
    tables = {table["name"]: table["foreign_keys"] for table in dump(introspect(url))["tables"]}

    def key(from_column: str, to_table: str, to_column: str, constraint_name: str, **more: str) -> dict[str, str]:
        return {
            "from_column": from_column,
            "to_table": to_table,
            "to_column": to_column,
            "constraint_name": constraint_name,
            **more,
        }

    assert tables["orders"] == [
        key("shop_id", "shops", "id", "orders_shop_id_fkey", to_db="other"),
        key("part_a", "parts", "a", "parts_of"),
        key("part_b", "parts", "b", "parts_of"),
        key("customer_id", "customers", "id", "same"),
    ]
    assert tables["returns"] == [key("customer_id", "customers", "id", "same")]
    # A key to a partitioned table is one key, not one more for each partition.
    assert tables["notes"] == [key("event_id", "events", "id", "about"), key("event_day", "events", "day", "about")]
    assert tables["tree"] == [key("parent_id", "tree", "id", "tree_parent_id_fkey")]


def test_select_only_role_gets_the_owners_answer(postgres_server: Any, url: str, filled: str) -> None:
    with postgres_server.role("s3lect") as role:
        with postgres_server.connect(filled) as connection:
            name = sql.Identifier(role)
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
            connection.execute(sql.SQL("GRANT SELECT ON orders TO {}").format(name))
            connection.execute(sql.SQL("ALTER ROLE {} SET search_path = other").format(name))
        try:
            theirs = dump(introspect(postgres_server.url_of(filled, role, "s3lect"), schemas=["public", "other"]))
        finally:
            with postgres_server.connect(filled) as connection:
                connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
    assert theirs == dump(introspect(url, schemas=["public", "other"]))


def test_warns_of_unknown_schemas(url: str) -> None:
    answer = dump(introspect(url, schemas=["nosuch", "other", "other"]))
    assert answer["metadata"] == {
        "driver": "postgres",
        "schemas": ["nosuch", "other"],
        "warnings": ["schema 'nosuch' does not exist"],
    }
    assert [table["name"] for table in answer["tables"]] == ["shops"]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (None, 9),
        ([], 0),
        ([{"name": "shops"}], 1),
        ([{"db": "public", "name": "shops"}], 0),
        ([{"db": "other", "name": "shops"}, {"catalog": "nosuch", "name": "orders"}], 1),
        ([{"name": "Orders"}, {"name": "ignored"}], 0),
    ],
)
def test_scope_chooses_tables(url: str, scope: list[dict[str, str]] | None, expected: int) -> None:
    assert len(introspect(url, schemas=["public", "other"], table_scope=scope).tables) == expected


def test_names_are_bound_not_spliced(postgres_server: Any) -> None:
    hostile = 'it\'s "x"; DROP TABLE t; -- \\ %s %(names)s'
    with postgres_server.database() as name:
        with postgres_server.connect(name) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(hostile)))
            connection.execute(sql.SQL("CREATE TABLE {} ({} int)").format(*[sql.Identifier(hostile)] * 2))
            connection.execute(sql.SQL("CREATE TABLE {} (a int)").format(sql.Identifier(hostile, hostile)))
        answer = introspect(postgres_server.url_of(name), schemas=["public", hostile], table_scope=[{"name": hostile}])
    assert [(table.name, table.columns[0].name) for table in answer.tables] in (
        [(hostile, "a"), (hostile, hostile)],
        [(hostile, hostile), (hostile, "a")],
    )


def test_reads_in_one_read_only_snapshot(url: str) -> None:
    names = ("transaction_isolation", "transaction_read_only", "application_name", "statement_timeout")
    query = "SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in names)
    with snapshot(parse_dsn(url), allowed_hosts=(), connect_seconds=2, statement_seconds=3) as reading:
        first = reading.rows(query + ", now() AS began, pg_backend_pid() AS pid", {})[0]
        second = reading.rows("SELECT now() AS began, pg_backend_pid() AS pid", {})[0]
    assert (first["transaction_isolation"], first["transaction_read_only"]) == ("repeatable read", "on")
    assert first["application_name"] == "ktx-daemon-database-introspection"
    assert re.fullmatch(r"[1-4]\d{3}ms", first["statement_timeout"])  # what is left of 5 s
    assert (first["began"], first["pid"]) == (second["began"], second["pid"])


def test_lock_ends_with_the_local_statement_timeout(postgres_server: Any, filled: str) -> None:
    with postgres_server.connect(filled) as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE pg_catalog.pg_constraint IN ACCESS EXCLUSIVE MODE")
        error = _failing(postgres_server.url_of(filled), statement_timeout_ms=1000, connection_timeout_seconds=1)
        holder.execute("ROLLBACK")
    assert (error.code, error.status) == ("timeout", 504)
    assert "SQLSTATE 57014" in error.message


def test_environment_and_files_have_no_effect(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, postgres_server: Any
) -> None:
    service = tmp_path / "services"
    service.write_text("[evil]\nhost=192.0.2.1\noptions=-c default_transaction_read_only=off\n")
    passwords = tmp_path / "passwords"
    passwords.write_text(f"*:*:*:*:{psycopg.conninfo.conninfo_to_dict(postgres_server.url)['password']}\n")
    passwords.chmod(0o600)
    for name, value in {
        "PGHOST": "192.0.2.1",
        "PGHOSTADDR": "192.0.2.1",
        "PGPORT": "1",
        "PGSERVICE": "evil",
        "PGSERVICEFILE": str(service),
        "PGOPTIONS": "-c statement_timeout=1",
        "PGSSLMODE": "require",
        "PGPASSFILE": str(passwords),
        "PGPASSWORD": "wrong",
        "PGTARGETSESSIONATTRS": "standby",
    }.items():
        monkeypatch.setenv(name, value)
    assert introspect(url).tables
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    without = url.replace(url[url.index(":", 12) : url.index("@")], "")
    with pytest.raises(DaemonError) as caught:
        introspect(without)
    assert caught.value.code == "connection_failed"


BAD_URLS = [
    ("", "invalid_connection"),
    (f"host=localhost password={CANARY}", "invalid_connection"),
    (f"mysql://u:{CANARY}@localhost/db", "invalid_connection"),
    (f"postgres://u:{CANARY}@localhost:0/db", "invalid_connection"),
    (f"postgres://u:{CANARY}@localhost:99999/db", "invalid_connection"),
    (f"postgres://u:{CANARY}@localhost:{CANARY}/db", "invalid_connection"),
    (f"postgres://u:{CANARY}@loc alhost/db", "invalid_connection"),
    (f"postgres://u:{CANARY}%zz@localhost/db", "invalid_connection"),
    (f"postgres://u:{CANARY}%00@localhost/db", "invalid_connection"),
    (f"postgres://u:{CANARY}%ff@localhost/db", "invalid_connection"),
    (f"postgres://u:a/{CANARY}@localhost/db", "invalid_connection"),
    (f"postgres://u:5432/{CANARY}@localhost/db", "invalid_connection"),
    (f"postgres://u:x?{CANARY}@localhost/db", "invalid_connection"),
    (f"postgres://u:{CANARY}", "invalid_connection"),
    (f"postgres://u:{CANARY}@[::1/db", "invalid_connection"),
    (f"postgres://u:{CANARY}@/db", "invalid_request"),
    (f"postgres://u:{CANARY}@%2Fvar%2Frun/db", "invalid_request"),
    (f"postgres://u:{CANARY}@a,b/db", "invalid_request"),
    *(
        (f"postgres://u:{CANARY}@localhost/db?{query}", "invalid_request")
        for query in (
            "service=x",
            "passfile=/etc/passwd",
            "sslkey=/x",
            "sslcert=/x",
            "sslrootcert=/x",
            "sslrootcert=system&sslmode=require",
            "options=-c%20x%3D1",
            "host=/tmp",
            "hostaddr=169.254.169.254",
            f"password={CANARY}",
            "sslmode=nosuch",
            "sslmode=disable&sslmode=require",
            "SSLMODE=disable",
            "sslmode",
            "ssl=true",
        )
    ),
]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise AssertionError("tried to connect")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(psycopg, "connect", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(("url", "code"), BAD_URLS)
def test_refuses_before_any_packet_without_repeating_the_url(url: str, code: str) -> None:
    with pytest.raises(DaemonError) as caught:
        introspect(url)
    assert (caught.value.code, caught.value.status) == (code, 400)
    assert CANARY not in repr(caught.value) + str(caught.value.details)


@given(st.text(max_size=60), st.text(alphabet="@/:?#%[], =&", max_size=12))
def test_no_url_is_a_crash(text: str, marks: str) -> None:
    for url in (f"postgres://{text}", f"postgres://u:{text}{marks}@localhost/{marks}", text):
        try:
            dsn = parse_dsn(url)
        except DaemonError as error:
            assert error.status == 400
        else:
            assert dsn.host
            assert 1 <= dsn.port <= 65535


def test_reads_a_url_as_libpq_does() -> None:
    dsn = parse_dsn("PostgreSQL://a%40b:p%2Fw%3A@[::1]:6000/d%20b?sslmode=require&connect_timeout=3&application_name=x")
    assert (dsn.user, dsn.password, dsn.host, dsn.port, dsn.database) == ("a@b", "p/w:", "::1", 6000, "d b")
    assert (dsn.options, dsn.connect_timeout) == ({"sslmode": "require"}, 3)
    assert "p/w" not in repr(dsn)
    plain = parse_dsn("postgres://localhost")
    assert (plain.user, plain.password, plain.port, plain.database) == (None, None, 5432, None)
    assert parse_dsn("postgres://h/d?sslrootcert=system").options["sslmode"] == "verify-full"


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "224.0.0.1",
        "[ff02::1]",
        "0.0.0.0",
        "[::]",
        "0",
        "2852039166",
        "0xa9fea9fe",
        "255.255.255.255",
    ],
)
def test_refuses_addresses_no_database_has(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **more: object) -> None:
        raise AssertionError("tried to connect")

    monkeypatch.setattr(psycopg, "connect", refuse)
    with pytest.raises(ConnectionRefused):
        introspect(f"postgres://u@{host}/db")


@pytest.mark.parametrize(
    ("host", "allowed", "fine"),
    [
        ("127.0.0.1", (), True),
        ("127.0.0.1", ("127.0.0.0/8",), True),
        ("127.0.0.1", ("127.0.0.1",), True),
        ("127.0.0.1", ("10.0.0.0/8", "::1"), False),
        ("127.0.0.1", ("db.example.org",), False),
        ("LocalHost", ("localhost",), True),
        ("169.254.169.254", ("169.254.0.0/16",), False),
    ],
)
def test_allow_list_refuses_all_other_hosts(host: str, allowed: tuple[str, ...], fine: bool) -> None:
    dsn = parse_dsn(f"postgres://{host}/db")
    if fine:
        assert resolve(dsn, allowed, 5)
    else:
        with pytest.raises(ConnectionRefused):
            resolve(dsn, allowed, 5)


def test_connects_to_the_address_that_was_checked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = socket.getaddrinfo, []

    def rebinding(host: Any, *arguments: Any, **more: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "192.0.2.1", *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert introspect(url.replace("127.0.0.1", "localhost")).tables
    assert asked == ["localhost"]


def _failing(url: str, **more: Any) -> DaemonError:
    with pytest.raises(DaemonError) as caught:
        introspect(url, **more)
    assert CANARY not in str(caught.value)
    return caught.value


def test_failures_say_what_and_where_without_driver_text(postgres_server: Any, filled: str) -> None:
    place = f"host '127.0.0.1', port {postgres_server.port}, database"
    wrong = _failing(postgres_server.url_of(filled, "postgres", CANARY))
    assert (wrong.code, wrong.status) == ("connection_failed", 502)
    assert wrong.message == f"the database refused the user or the password ({place} {filled!r})"
    missing = _failing(postgres_server.url_of("nosuch"))
    assert missing.message == f"the database does not exist ({place} 'nosuch')"
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    refused = _failing(f"postgres://u:{CANARY}@127.0.0.1:{closed}/db")
    assert refused.message == f"the server refuses connections (host '127.0.0.1', port {closed}, database 'db')"
    unknown = _failing(f"postgres://u:{CANARY}@nosuch.invalid/db")
    assert unknown.message.startswith("the database host cannot be resolved")


def test_silent_server_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = _failing(f"postgres://u:{CANARY}@127.0.0.1:{port}/db", connection_timeout_seconds=1)
    assert error.code == "connection_failed"
    assert "did not answer in time" in error.message


def _request(**more: Any) -> DatabaseIntrospectionRequest:
    return DatabaseIntrospectionRequest.model_validate({"connection_id": "c", "url": "postgres://h/d", **more})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("schemas", [], "at least one schema"),
        ("statement_timeout_ms", 0, "greater than or equal to 1"),
        ("statement_timeout_ms", 600_001, "less than or equal to 600000"),
        ("connection_timeout_seconds", 61, "less than or equal to 60"),
    ],
)
def test_refuses_requests_out_of_bounds(field: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _request(**{field: value})


def _rows(**more: Any) -> Callable[[DatabaseIntrospectionRequest], DatabaseIntrospectionRows]:
    empty: dict[str, Any] = {"table_rows": [], "column_rows": [], "foreign_key_rows": []}
    return lambda request: DatabaseIntrospectionRows(**{**empty, **more})


def test_driver_is_postgres_in_any_case() -> None:
    assert introspect_database_response(_request(driver=" PostgreSQL "), load_rows=_rows()).tables == []
    with pytest.raises(DaemonError, match='supports only driver "postgres"') as caught:
        introspect_database_response(_request(driver="mysql"), load_rows=_rows())
    assert caught.value.code == "unsupported_driver"


def test_time_is_iso_with_offset() -> None:
    when = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    answer = introspect_database_response(_request(), load_rows=_rows(), now=lambda: when)
    assert answer.extracted_at == "2025-01-02T03:04:05+00:00"


def test_rows_without_a_key_are_an_error_and_of_unknown_tables_ignored() -> None:
    with pytest.raises(ValueError, match="has no 'catalog'"):
        introspect_database_response(_request(), load_rows=_rows(table_rows=[{}]))
    column = {"db": "x", "table_name": "y"}
    assert introspect_database_response(_request(), load_rows=_rows(column_rows=[column])).tables == []
