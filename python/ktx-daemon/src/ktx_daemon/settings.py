"""The configuration of `serve-http`, judged before anything is bound.

Every refusal is a `Refused`, one sentence, exit status 2.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ktx_daemon.limits import Limits

__all__ = ["Refused", "Settings", "judge"]

TOKEN_VARIABLE = "KTX_DAEMON_TOKEN"
_TOKEN = re.compile(r"[!-~]+")
_MAX_TOKEN_BYTES = 4096
_HOST_VALUE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?|[0-9A-Fa-f:]+")
_ORIGIN_VALUE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")


class Refused(ValueError):
    """The server will not start like this; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the server runs with. `address` is what to bind: family and the tuple of `socket.bind`."""

    family: socket.AddressFamily
    address: tuple[object, ...]
    log_level: str
    enable_code_execution: bool
    token: str | None
    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    allowed_database_hosts: tuple[str, ...]
    ready_file: Path | None
    parent_pid: int | None
    idle_timeout: float
    limits: Limits


def judge(
    *,
    host: str,
    port: int,
    log_level: str,
    enable_code_execution: bool,
    token_file: str | None = None,
    allowed_host: Sequence[str] = (),
    allowed_origin: Sequence[str] = (),
    allow_database_host: Sequence[str] = (),
    ready_file: str | None = None,
    parent_pid: int | None = None,
    idle_timeout: float = 0,
    max_body_bytes: int | None = None,
    max_concurrency: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Settings from the options as given; raises `Refused`."""
    if log_level not in _LEVELS:
        raise Refused(f"--log-level must be one of {', '.join(_LEVELS)}")
    family, address = _resolve(host, port)
    token = _token(token_file, environment)
    loopback = ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback
    if token is None and not loopback:
        raise Refused(f"binding {host} opens the daemon to other machines; set a token with --token-file first")
    if token is None and enable_code_execution:
        raise Refused("--enable-code-execution needs a token; set one with --token-file")
    _check(allowed_host, _HOST_VALUE, "--allowed-host must be a host name or address, with or without a port")
    _check(allowed_origin, _ORIGIN_VALUE, "--allowed-origin must look like https://name:port")
    for value in allow_database_host:
        _check_database_host(value)
    if ready_file is not None and not Path(ready_file).absolute().parent.is_dir():
        raise Refused("the directory of --ready-file does not exist")
    defaults = Limits()
    return Settings(
        family=family,
        address=address,
        log_level=log_level,
        enable_code_execution=enable_code_execution,
        token=token,
        allowed_hosts=tuple(allowed_host),
        allowed_origins=tuple(allowed_origin),
        allowed_database_hosts=tuple(allow_database_host),
        ready_file=None if ready_file is None else Path(ready_file).absolute(),
        parent_pid=parent_pid,
        idle_timeout=idle_timeout,
        limits=Limits(
            max_body_bytes=max_body_bytes or defaults.max_body_bytes,
            max_concurrency=max_concurrency or defaults.max_concurrency,
        ),
    )


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    name = host.removeprefix("[").removesuffix("]")
    if not name:
        raise Refused("--host must not be empty")
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise Refused(f"--host {name[:100]!r} does not resolve to an address of this machine") from None
    family, _, _, _, address = found[0]
    return socket.AddressFamily(family), address


def _token(token_file: str | None, environment: Mapping[str, str]) -> str | None:
    if token_file is not None:
        token = _read_token_file(Path(token_file))
    elif TOKEN_VARIABLE in environment:
        token = environment[TOKEN_VARIABLE]
    else:
        return None
    if not _TOKEN.fullmatch(token):
        where = "--token-file" if token_file is not None else TOKEN_VARIABLE
        raise Refused(f"{where} must hold one token of printable ASCII without spaces")
    return token


def _read_token_file(path: Path) -> str:
    """The content of a file that only its owner, us, may read. Checked on the open file, not on its name."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as exc:
        raise Refused(f"--token-file cannot be opened: {exc.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Refused("--token-file must be a regular file")
        if hasattr(os, "geteuid"):
            if status.st_uid != os.geteuid():
                raise Refused("--token-file must belong to the user that runs the daemon")
            if status.st_mode & 0o077:
                raise Refused("--token-file must not be open to group or others: chmod 600")
        content = os.read(descriptor, _MAX_TOKEN_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > _MAX_TOKEN_BYTES:
        raise Refused(f"--token-file is larger than {_MAX_TOKEN_BYTES} bytes")
    return content.decode("utf-8", "replace").strip("\r\n")


def _check(values: Sequence[str], shape: re.Pattern[str], complaint: str) -> None:
    for value in values:
        if not shape.fullmatch(value.rstrip("/")):
            raise Refused(complaint)


def _check_database_host(value: str) -> None:
    if "/" in value:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise Refused("--allow-database-host: not a CIDR such as 10.0.0.0/8") from None
    elif not _HOST_VALUE.fullmatch(value):
        raise Refused("--allow-database-host must be a host name, an address or a CIDR")
