"""One connection to one checked address, one read-only snapshot, one time limit over both.

Nothing of the process's surroundings takes part: no `PG*` variable, password, service or key file. What
the driver or the server says about a failure stays here, as it may quote what it was given.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ktx_daemon.database_introspection._addresses import resolve
from ktx_daemon.database_introspection._dsn import Dsn
from ktx_daemon.errors import DaemonError

if TYPE_CHECKING:
    import psycopg

__all__ = ["APPLICATION_NAME", "Snapshot", "snapshot"]

APPLICATION_NAME = "ktx-daemon-database-introspection"
_MORE_VARIABLES = ("PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGREALM", "PGTZ", "PGDATESTYLE", "PGGEQO")
_GRACE_SECONDS = 1.0  # for the server to report its statement_timeout itself
_environment = threading.Lock()

# By SQLSTATE, then by its class. https://www.postgresql.org/docs/current/errcodes-appendix.html
_CATEGORIES = {
    "28": "the database refused the user or the password",
    "3D": "the database does not exist",
    "42501": "the user lacks a privilege",
    "53": "the database has no resources left",
    "57P03": "the database is starting up or shutting down",
    "57P01": "the database ended the connection",
    "08": "the connection broke",
}
# A failed connection has no SQLSTATE; libpq's own words tell the kinds apart.
_WORDS = {
    "refused": "the server refuses connections",
    "password": "the database refused the user or the password",
    "authentication": "the database refused the user or the password",
    "pg_hba": "the database refused the user or the password",
    "role": "the database refused the user or the password",
    "does not exist": "the database does not exist",
    "SSL": "the TLS settings do not fit the server",
    "certificate": "the TLS settings do not fit the server",
    "timeout": "the server did not answer in time",
    "timed out": "the server did not answer in time",
    "too many": "the database has no resources left",
    "starting up": "the database is starting up or shutting down",
    "shutting down": "the database is starting up or shutting down",
}


class Snapshot:
    """A read-only transaction; every query gets what is left of the time."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]], ends: float) -> None:
        self._connection, self._ends = connection, ends

    def rows(self, query: str, parameters: dict[str, object]) -> list[dict[str, Any]]:
        left = max(1, int((self._ends - time.monotonic()) * 1000))
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_catalog.set_config('statement_timeout', %(left)s, true),"
                " pg_catalog.set_config('search_path', 'public', true)",
                {"left": str(left)},
            )
            cursor.execute(query.encode(), parameters)
            return cursor.fetchall()


@contextmanager
def snapshot(
    dsn: Dsn, *, allowed_hosts: Sequence[str], connect_seconds: float, statement_seconds: float
) -> Iterator[Snapshot]:
    """Connect within `connect_seconds` and read for what then remains of both times together."""
    try:
        import psycopg
        from psycopg.rows import dict_row
    except ImportError as error:
        raise DaemonError(
            "missing_dependency", "introspection needs the Python package psycopg[binary]; reinstall the ktx runtime"
        ) from error

    began = time.monotonic()
    if dsn.connect_timeout:
        connect_seconds = min(connect_seconds, dsn.connect_timeout)
    addresses = resolve(dsn, allowed_hosts, connect_seconds)
    parameters = _parameters(dsn)
    connection: psycopg.Connection[dict[str, Any]] | None = None
    for number, address in enumerate(addresses, start=1):
        left = connect_seconds - (time.monotonic() - began)
        try:
            connection = psycopg.connect(
                **parameters,
                hostaddr=address,
                connect_timeout=max(1, round(left)),
                row_factory=dict_row,
            )
            break
        except psycopg.Error as error:
            if number == len(addresses) or left <= 0 or not _unreachable(error):
                raise _failure(error, dsn) from None
    assert connection is not None
    ends = began + connect_seconds + statement_seconds
    hang_up = threading.Timer(ends + _GRACE_SECONDS - time.monotonic(), _shut, [connection])
    hang_up.daemon = True
    hang_up.start()
    try:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield Snapshot(connection, ends)
        connection.rollback()
    except psycopg.Error as error:
        hung = error.sqlstate is None and time.monotonic() > ends
        raise (_too_long(dsn) if hung else _failure(error, dsn)) from None
    finally:
        hang_up.cancel()
        connection.close()


def _shut(connection: psycopg.Connection[dict[str, Any]]) -> None:
    """End the wait for a server that neither answers nor keeps its own statement_timeout."""
    with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def _parameters(dsn: Dsn) -> dict[str, Any]:
    """Every parameter libpq knows, given, so that nothing is taken from elsewhere."""
    from psycopg import pq

    _forget_environment()
    known = {option.keyword.decode(): option.compiled for option in pq.Conninfo.get_defaults()}
    given: dict[str, Any] = {
        "host": dsn.host,
        "port": dsn.port,
        "user": dsn.user,
        "dbname": dsn.database,
        "password": dsn.password,
        # Below a file there is no file: libpq finds no password file, and does not warn about it.
        "passfile": os.path.join(os.path.abspath(__file__), "none"),
        "options": "",
        "client_encoding": "UTF8",
        "application_name": APPLICATION_NAME,
        "sslcertmode": "disable",
        "gssencmode": "disable",
        **dsn.options,
    }
    return {key: value for key, value in given.items() if value is not None and key in known}


def _forget_environment() -> None:
    """Remove what libpq would read from the environment; nothing else here uses it."""
    from psycopg import pq

    names = {option.envvar.decode() for option in pq.Conninfo.get_defaults() if option.envvar}
    with _environment:
        for name in names.union(_MORE_VARIABLES).intersection(os.environ):
            del os.environ[name]


def _unreachable(error: psycopg.Error) -> bool:
    """Whether another address of the same host may fare better."""
    words = str(error)
    return error.sqlstate is None and not any(mark in words for mark in ("FATAL", "SSL", "certificate"))


def _failure(error: psycopg.Error, dsn: Dsn) -> DaemonError:
    state = error.sqlstate
    if state == "57014":
        return _too_long(dsn, f"SQLSTATE {state}, ")
    if state:
        category = _CATEGORIES.get(state) or _CATEGORIES.get(state[:2]) or "the database reported an error"
        return DaemonError("connection_failed", f"{category} (SQLSTATE {state}, {dsn.place})")
    words = str(error)
    category = next((text for mark, text in _WORDS.items() if mark in words), "the database cannot be reached")
    return DaemonError("connection_failed", f"{category} ({dsn.place})")


def _too_long(dsn: Dsn, state: str = "") -> DaemonError:
    return DaemonError("timeout", f"the introspection took too long and was stopped ({state}{dsn.place})")
