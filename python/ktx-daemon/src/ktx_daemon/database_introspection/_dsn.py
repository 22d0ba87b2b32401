"""Read a PostgreSQL URL strictly, before anything is resolved or connected.

libpq would also take sockets, several hosts, service files, keys and server options from such a text.
Only what names one TCP server, a user and a database is accepted. No error repeats a part of the URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from ktx_daemon.errors import DaemonError, RequestInvalid

__all__ = ["ConnectionRefused", "Dsn", "parse_dsn"]

_SCHEMES = ("postgres://", "postgresql://")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_VALUES: Mapping[str, frozenset[str] | None] = {
    "sslmode": frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}),
    "channel_binding": frozenset({"disable", "prefer", "require"}),
    "target_session_attrs": frozenset({"any", "read-write", "read-only", "primary", "standby", "prefer-standby"}),
    "sslrootcert": frozenset({"system"}),
    "connect_timeout": None,
    "application_name": None,
}
_MAX_URL = 8192


class ConnectionRefused(RequestInvalid):
    """A host or an option the daemon will not connect with; status 400, before any packet."""

    def __init__(self, message: str) -> None:
        super().__init__(message, [{"type": "connection_refused", "loc": ["url"], "msg": message}])

    @property
    def status(self) -> int:
        return 400


@dataclass(frozen=True, slots=True)
class Dsn:
    """One TCP server. `options` are libpq's; `connect_timeout` is in seconds, 0 for none given."""

    host: str
    port: int
    database: str | None
    user: str | None
    password: str | None
    options: Mapping[str, str]
    connect_timeout: int

    def __repr__(self) -> str:  # never the credentials
        return f"Dsn(host={self.host!r}, port={self.port}, database={self.database!r})"

    @property
    def place(self) -> str:
        named = f", database {self.database!r}" if self.database else ""
        return f"host {self.host!r}, port {self.port}{named}"


def parse_dsn(url: str) -> Dsn:
    """The server named by a `postgres://` or `postgresql://` URL.

    Raises `DaemonError("invalid_connection")` for text that is no such URL, `ConnectionRefused` for one that
    asks for more than a TCP connection to one host.
    """
    text = url.strip()
    scheme = next((scheme for scheme in _SCHEMES if text[: len(scheme)].lower() == scheme), None)
    if scheme is None:
        raise _invalid("must begin with postgres:// or postgresql://; key=value strings are not accepted")
    if len(text) > _MAX_URL or any(character.isspace() or not character.isprintable() for character in text):
        raise _invalid("holds blanks or control characters, or is too long; percent-encode them")
    address, _, query = text[len(scheme) :].partition("?")
    authority, _, path = address.partition("/")
    credentials, at, location = authority.rpartition("@")
    user, colon, password = credentials.partition(":")
    host, port = _location(location)
    if "@" in path or "@" in query:
        # A password with a bare / or ? ends up here, and from here in messages.
        raise _invalid("holds a bare @ after the host; percent-encode @ / ? and % in user and password")
    options = _options(query)
    timeout = options.pop("connect_timeout", "0")
    if not timeout.isdecimal() or len(timeout) > 4:
        raise _invalid("has a connect_timeout that is not a number of seconds")
    return Dsn(
        host=host,
        port=port,
        database=_decoded(path, "database") or None,
        user=_decoded(user, "user") or None if at else None,
        password=_decoded(password, "password") if colon else None,
        options=options,
        connect_timeout=int(timeout),
    )


def _location(location: str) -> tuple[str, int]:
    if "," in location:
        raise ConnectionRefused("the database URL must name one host, not several")
    if location.startswith("["):
        host, bracket, rest = location[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _invalid("has an IPv6 address that is not closed by ]")
        port = rest[1:]
    else:
        host, _, port = location.partition(":")
        host = _decoded(host, "host")
    if not host or host.startswith(("/", "@")) or "/" in host or "\\" in host:
        raise ConnectionRefused("the database URL must name a TCP host; sockets are not accepted")
    if re.fullmatch(r"[A-Za-z0-9._:%-]+|[^\x00-\x7f.]+(\.[^\x00-\x7f.]+)*", host) is None or len(host) > 253:
        raise _invalid("has a host that is neither a name nor an address")
    if not port:
        return host, 5432
    if not port.isascii() or not port.isdecimal() or not 1 <= int(port[:6]) <= 65535 or len(port) > 5:
        raise _invalid("has a port outside 1 to 65535")
    return host, int(port)


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        key, equals, value = pair.partition("=")
        key, value = _decoded(key, "option name"), _decoded(value, "option")
        if key not in _VALUES:
            known = ", ".join(sorted(_VALUES))
            raise ConnectionRefused(f"the database URL has an option that is not allowed; allowed are {known}")
        allowed = _VALUES[key]
        if not equals or key in options or (allowed is not None and value not in allowed):
            raise ConnectionRefused(f"the database URL has a value for {key} that is not allowed")
        options[key] = value
    if "sslrootcert" in options and options.setdefault("sslmode", "verify-full") != "verify-full":
        raise ConnectionRefused("the database URL has sslrootcert=system, which needs sslmode=verify-full")
    options.pop("application_name", None)  # the daemon names itself
    return options


def _decoded(text: str, what: str) -> str:
    if _PERCENT.search(text):
        raise _invalid(f"has a % in the {what} that is not followed by two hexadecimal digits")
    try:
        decoded = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise _invalid(f"has a percent-encoded {what} that is not UTF-8") from None
    if "\0" in decoded:
        raise _invalid(f"has a null character in the {what}")
    return decoded


def _invalid(problem: str) -> DaemonError:
    return DaemonError("invalid_connection", f"the database URL {problem}")
