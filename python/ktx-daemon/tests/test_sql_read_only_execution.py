"""Whatever the read-only gate accepts is run on real databases, where nothing may change.

`KTX_TEST_MUTATIONS` sets how many statements per database are tried (default 500).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from ktx_daemon.sql_analysis import read_only_problem
from sql_mutations import DIALECT_WRITES, WRITES, statements

COUNT = int(os.environ.get("KTX_TEST_MUTATIONS", "500"))
START = int(os.environ.get("KTX_TEST_MUTATIONS_START", "0"))


@dataclass
class Database:
    """A throw-away database: run a text as a driver would, and see all that could have changed."""

    dialect: str
    run: Callable[[str], None]
    state: Callable[[], str]


def _answer(connection: Any, query: str) -> str:
    try:
        return repr(connection.execute(query).fetchall())
    except (duckdb.Error, psycopg.Error) as error:  # a table it asks about is gone: that is a change too
        return type(error).__name__


def _duckdb(directory: Path) -> Iterator[Database]:
    connection = duckdb.connect(str(directory / "db"))
    connection.execute(
        "create table t(a int, b varchar); insert into t values (1, 'x'), (2, 'y'), (3, 'x');"
        "create view w as select 1; create sequence s; create sequence s2; select nextval('s2'); checkpoint"
    )

    def run(text: str) -> None:
        connection.execute(text).fetchmany(5)

    def state() -> str:
        queries = (
            "from t order by all",
            "select table_name, sql from duckdb_tables() order by 1",
            "select view_name from duckdb_views() where not internal order by 1",
            "select sequence_name, last_value from duckdb_sequences() order by 1",
            "select type_name from duckdb_types() where not internal order by 1",
            "select name, value from duckdb_settings() order by 1",
            "select * from duckdb_variables()",
            "select database_name from duckdb_databases() order by 1",
        )
        files = sorted(path.name for path in directory.iterdir())
        return repr([*(_answer(connection, query) for query in queries), files])

    yield Database("duckdb", run, state)
    connection.close()


def _sqlite(directory: Path) -> Iterator[Database]:
    connection = sqlite3.connect(directory / "db", isolation_level=None)
    connection.executescript(
        "create table t(a int, b text); insert into t values (1, 'x'), (2, 'y'), (3, 'x');"
        "create view w as select 1; create index i on t(a); analyze; create temp table q(a); drop table q"
    )

    def state() -> str:
        queries = (
            "select * from sqlite_temp_master",
            "pragma user_version",
            "pragma database_list",
            "pragma foreign_keys",
            "pragma journal_mode",
        )
        files = sorted(path.name for path in directory.iterdir())
        content = hashlib.sha256((directory / "db").read_bytes()).hexdigest()
        answers = [connection.execute(query).fetchall() for query in queries]
        return repr([content, files, connection.in_transaction, *answers])

    def run(text: str) -> None:
        connection.executescript(text)

    yield Database("sqlite", run, state)
    connection.close()


def _postgres(server: Any) -> Iterator[Database]:
    with server.database() as name, server.connect(name) as connection:
        for statement in (
            "create table t(a int, b varchar)",
            "insert into t values (1, 'x'), (2, 'y'), (3, 'x')",
            "create view w as select 1",
            "create sequence s",
            "create sequence s2",
            "select nextval('s2')",
            "create function f() returns int language sql as 'select 1'",
            "create procedure p() language sql as 'delete from t'",
            "set statement_timeout = 5000",
        ):
            connection.execute(statement)

        def run(text: str) -> None:
            result = connection.pgconn.exec_(text.encode())  # the simple protocol: takes several statements
            if result.error_message:
                raise psycopg.ProgrammingError(result.error_message.decode(errors="replace"))

        def state() -> str:
            queries = (
                "select ctid, xmin, xmax, * from t order by 1",
                "select relname, relkind, relacl::text from pg_class where relnamespace = 'public'::regnamespace"
                " order by 1",
                "select last_value, is_called from s",
                "select last_value, is_called from s2",
                "select count(*) from pg_largeobject_metadata",
                "select name, setting from pg_settings where source = 'session' order by 1",
                "select count(*) from pg_locks where locktype = 'advisory'",
                "select name from pg_prepared_statements where from_sql",
                "select obj_description('t'::regclass)",
                "select nspname from pg_namespace where nspname !~ '^pg_' order by 1",
            )
            return repr([_answer(connection, query) for query in queries])

        yield Database("postgres", run, state)


@pytest.fixture(params=["duckdb", "sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.chdir(tmp_path)  # where relative file names of hostile statements would land
    if request.param == "postgres":
        yield from _postgres(request.getfixturevalue("postgres_server"))
    else:
        yield from {"duckdb": _duckdb, "sqlite": _sqlite}[request.param](tmp_path)


def test_nothing_accepted_changes_anything(database: Database) -> None:
    before, accepted, ran = database.state(), 0, 0
    since: list[str] = []
    for seed, text in statements(database.dialect, COUNT, START):
        if read_only_problem(text, database.dialect) is not None:
            continue
        accepted += 1
        try:
            database.run(text)
            ran += 1
        except (duckdb.Error, sqlite3.Error, psycopg.Error):
            pass  # a query may be wrong; it may not write
        since.append(f"{seed}: {text!r}")
        if accepted % 20 == 0:
            assert database.state() == before, "one of these wrote:\n" + "\n".join(since)
            since.clear()
    assert database.state() == before, "one of these wrote:\n" + "\n".join(since)
    # Otherwise the test proves nothing.
    assert accepted > COUNT / 20
    assert ran > COUNT / 40


def test_every_write_is_refused_and_would_be_noticed(database: Database) -> None:
    noticed, last = 0, database.state()
    for text in (*WRITES, *DIALECT_WRITES[database.dialect]):
        if text not in HARMLESS:
            assert read_only_problem(text, database.dialect) is not None, text
        try:
            database.run(text)
        except (duckdb.Error, sqlite3.Error, psycopg.Error):
            continue
        now = database.state()
        noticed, last = noticed + (now != last), now
    assert noticed >= 8


# A function of the user's own cannot be judged by its name; an identifier of a transaction is no change.
HARMLESS = ("select f()", "select txid_current()")
