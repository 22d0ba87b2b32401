"""What every request passes before it reaches a route: Host, Origin, token, a place among those in progress.

A pure ASGI middleware, outermost. It also gives each request its id and log line, counts activity, and turns
anything that escapes a route into a clean 500, so that no server ever prints a traceback.
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import logging
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ktx_daemon.asgi import ASGIApp, JSONResponse, Message, Receive, Scope, Send
from ktx_daemon.errors import STATUS, DaemonError
from ktx_daemon.execution import Failure, failure_of
from ktx_daemon.redaction import redact

__all__ = ["ADVICE_HEADER", "IN_PROCESS_SERVER", "Activity", "Gate", "error_response", "failure_response"]

IN_PROCESS_SERVER = "testserver"  # the ASGI scope's server of in-process clients; no socket can have it
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_HEALTH = "/health"
_SEND_SECONDS = 60.0
ADVICE_HEADER = "KTX-Error-Details"
"""On a refused query: what `details` is of the one-shot error, as ASCII JSON."""

log = logging.getLogger("ktx_daemon")


@dataclass(slots=True)
class Activity:
    """Requests other than `/health`: how many are in progress, and when the last one ended (monotonic seconds)."""

    in_progress: int = 0
    last: float = field(default_factory=time.monotonic)


class Gate:
    """Refuse by Host, then Origin, then token, then load; pass the rest on."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        allowed_hosts: Sequence[str],
        allowed_origins: Sequence[str],
        max_concurrency: int,
        activity: Activity,
    ) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._hosts = frozenset(_bracketed(host.lower()) for host in allowed_hosts) | _LOOPBACK_HOSTS
        self._origins = frozenset(origin.lower().rstrip("/") for origin in allowed_origins)
        self._max_concurrency = max_concurrency
        self._activity = activity
        self._ids = itertools.count(1)
        self._run_id = secrets.token_hex(3)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            async with asyncio.timeout(_SEND_SECONDS):  # a client that stops reading must not keep its place
                await send(message)

        counted = scope["path"] != _HEALTH
        if counted:
            self._activity.in_progress += 1
        try:
            refusal = self._refusal(scope, counted)
            answer = self._app if refusal is None else failure_response(refusal)
            await answer(scope, receive, noting_status)
        except Exception as exc:
            failure = failure_of(exc)
            log.error("%s %s", failure.kind or failure.code, failure.message)
            if not status:
                await failure_response(failure)(scope, receive, noting_status)
        finally:
            if counted:
                self._activity.in_progress -= 1
                self._activity.last = time.monotonic()
            self._log(scope, status, time.perf_counter() - started)

    def _refusal(self, scope: Scope, counted: bool) -> Failure | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        in_process = (scope.get("server") or ("",))[0] == IN_PROCESS_SERVER
        if not self._host_allowed([value for name, value in headers if name == b"host"], in_process):
            return _failure("forbidden_host", "the Host header does not name this daemon; use 127.0.0.1 or localhost")
        if not self._origin_allowed(headers):
            return _failure("forbidden_origin", "requests from web pages of other origins are not accepted")
        if self._token is not None and not (scope["method"] == "GET" and scope["path"] == _HEALTH):
            given = [value for name, value in headers if name == b"authorization"]
            if not _bearer_matches(given, self._token):
                return _failure("unauthorized", "send the daemon's token as Authorization: Bearer <token>")
        if counted and self._activity.in_progress > self._max_concurrency:
            return _failure("busy", f"{self._max_concurrency} requests are in progress; retry shortly")
        return None

    def _host_allowed(self, values: list[bytes], in_process: bool) -> bool:
        if len(values) != 1:
            return False
        value = values[0].decode("latin-1").lower()
        if value == "::1" or value in self._hosts:
            return True
        match = _HOST.fullmatch(value)
        if match is None:
            return False
        return match["name"] in self._hosts or (in_process and match["name"] == IN_PROCESS_SERVER)

    def _origin_allowed(self, headers: list[tuple[bytes, bytes]]) -> bool:
        for name, value in headers:
            text = value.decode("latin-1").lower()
            if name == b"origin" and text not in self._origins:
                return False
            if name == b"sec-fetch-site" and text.strip() == "cross-site":
                return False
        return True

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        # The path only: a query string may hold what should have been a header.
        path = redact(scope["path"])[:200]
        request_id = f"{self._run_id}-{next(self._ids)}"
        log.info("%s %s %s %d %.1f ms", request_id, redact(scope["method"])[:20], path, status, seconds * 1000)


def failure_response(failure: Failure) -> JSONResponse:
    """The HTTP error answer of a failure. Clients of 0.1 know the body's two keys, so advice is a header."""
    response = error_response(failure.status, failure.code, failure.detail)
    if (advice := failure.advice_text) is not None:
        response.headers[ADVICE_HEADER] = advice
    return response


def error_response(status: int, code: str, detail: object) -> JSONResponse:
    headers = {"busy": {"Retry-After": "1"}, "unauthorized": {"WWW-Authenticate": "Bearer"}}.get(code)
    return JSONResponse({"detail": detail, "code": code}, status_code=status, headers=headers)


def _failure(code: str, message: str) -> Failure:
    assert code in STATUS
    return failure_of(DaemonError(code, message))


def _bearer_matches(given: list[bytes], token: bytes) -> bool:
    if len(given) != 1:
        return False
    scheme, _, credentials = given[0].partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(credentials.strip(), token)


def _bracketed(host: str) -> str:
    """An IPv6 address as it appears in a Host header."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
