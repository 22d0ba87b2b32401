"""The HTTP routes. What they do is in the capability table; what every request passes first is in `gate`.

`create_app` works under a real server and with an in-process client; it keeps no event loop of its own, and
worker processes start with the application's lifespan or with the first request that needs one.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI

import ktx_daemon
from ktx_daemon.asgi import ClientGone, JSONResponse, Receive, Request, Response, RoutingError, Scope, Send
from ktx_daemon.bodies import drain, read_json_body
from ktx_daemon.capabilities import CAPABILITIES, Capability
from ktx_daemon.errors import DaemonError, LimitExceeded, Timeout
from ktx_daemon.execution import Failure, Handler, Success, execute, failure_of, handler_of
from ktx_daemon.gate import IN_PROCESS_SERVER, Activity, Gate, error_response, failure_response
from ktx_daemon.limits import Limits
from ktx_daemon.pool import WorkerPool

__all__ = ["create_app"]

_THREADS = {"thread": 8, "process": 4}


def create_app(
    *,
    embedding_provider: Any = None,
    database_introspector: Handler | None = None,
    enable_code_execution: bool = False,
    token: str | None = None,
    allowed_hosts: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
    limits: Limits | None = None,
) -> FastAPI:
    """The daemon's ASGI application.

    `embedding_provider` and `database_introspector` (request -> response) replace the defaults. A server may
    set `app.state.stop` to a callable that ends it (`POST /shutdown`) and read `app.state.activity`.
    """
    limits = limits or Limits()
    pool = WorkerPool()
    runner = _Runner(pool, limits, _replacements(embedding_provider, database_introspector))
    activity = Activity()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        pool.start()
        yield
        pool.close()

    app = FastAPI(
        title="ktx-daemon",
        version=ktx_daemon.VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        exception_handlers={RoutingError: _routing_error},
    )
    app.state.activity = activity
    app.state.pool = pool
    app.state.stop = None
    app.add_middleware(
        Gate,
        token=token,
        allowed_hosts=allowed_hosts,
        allowed_origins=allowed_origins,
        max_concurrency=limits.max_concurrency,
        activity=activity,
    )
    rows = [row for row in CAPABILITIES if row.kind != "process" or enable_code_execution]
    for row in rows:
        app.add_api_route(
            row.route, _endpoint(row, runner, limits, guarded=row.kind == "process" and token is None), methods=["POST"]
        )
    app.add_api_route("/health", _health, methods=["GET"])
    app.add_api_route("/info", _info(enable_code_execution), methods=["GET"])
    app.openapi = partial(_openapi, rows, token is not None)  # type: ignore[method-assign]
    if token is not None:
        app.add_api_route("/openapi.json", _document(app), methods=["GET"])
        app.add_api_route("/shutdown", _shutdown, methods=["POST"])
    return app


class _Runner:
    """Runs a row where its kind says, without blocking the event loop."""

    def __init__(self, pool: WorkerPool, limits: Limits, replacements: dict[str, Handler]) -> None:
        self._pool = pool
        self._replacements = replacements
        self._started: set[str] = set()
        # One set of threads per module: eight stuck database servers leave the embeddings alone.
        self._threads = {
            row.module: ThreadPoolExecutor(
                _THREADS.get(row.kind, limits.max_concurrency), thread_name_prefix=row.module.rpartition(".")[2]
            )
            for row in CAPABILITIES
            if row.kind != "cpu"
        }
        self._waiters = ThreadPoolExecutor(limits.max_concurrency, thread_name_prefix="worker-caller")

    async def run(self, row: Capability, body: bytes) -> Success | Failure:
        loop = asyncio.get_running_loop()
        if row.kind == "cpu":
            return await loop.run_in_executor(self._waiters, self._pool.run, row, body)
        work = loop.run_in_executor(self._threads[row.module], execute, row, body, self._replacements.get(row.handler))
        seconds = row.deadline if row.module in self._started else row.deadline + row.startup
        try:
            async with asyncio.timeout(seconds):
                outcome = await asyncio.shield(work)
        except TimeoutError:
            work.cancel()  # not yet begun: never will; begun: ends by its own limits
            return failure_of(Timeout(seconds))
        if isinstance(outcome, Success):
            self._started.add(row.module)
        return outcome


class _Early(JSONResponse):
    """An answer sent while the client still sends its body: complete at once, the connection closed after it."""

    def __init__(self, failure: Failure, request: Request) -> None:
        super().__init__(
            {"detail": failure.detail, "code": failure.code}, failure.status, headers={"Connection": "close"}
        )
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await drain(self._request)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _endpoint(
    row: Capability, runner: _Runner, limits: Limits, *, guarded: bool
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if guarded and (request.scope.get("server") or ("",))[0] != IN_PROCESS_SERVER:
            return failure_response(failure_of(DaemonError("unauthorized", "running code needs a token")))
        try:
            body = await read_json_body(request, limits)
        except ClientGone:
            return Response(status_code=400)
        except LimitExceeded as exc:
            return _Early(failure_of(exc), request)
        except DaemonError as exc:
            response = failure_response(failure_of(exc))
            if exc.code == "request_timeout":
                response.headers["Connection"] = "close"
            return response
        outcome = await runner.run(row, body)
        if isinstance(outcome, Failure):
            return failure_response(outcome)
        return Response(outcome.body, media_type="application/json")

    endpoint.__name__ = row.command.replace("-", "_")
    return endpoint


def _replacements(provider: Any, introspector: Handler | None) -> dict[str, Handler]:
    replaced: dict[str, Handler] = {}
    if introspector is not None:
        replaced["introspect_database_response"] = introspector
    if provider is not None:
        for row in CAPABILITIES:
            if row.module == "ktx_daemon.embeddings":
                replaced[row.handler] = partial(_with_provider, row, provider)
    return replaced


def _with_provider(row: Capability, provider: Any, request: Any) -> object:
    return handler_of(row)(request, provider=provider)


async def _health(request: Request) -> Response:
    version = os.environ.get("KTX_DAEMON_VERSION")
    return JSONResponse({"status": "healthy", **({"version": version} if version else {})})


def _info(code_execution: bool) -> Callable[[Request], Awaitable[Response]]:
    started = time.monotonic()
    nonce = os.environ.get("KTX_DAEMON_NONCE") or secrets.token_hex(16)

    async def info(request: Request) -> Response:
        nonlocal nonce
        nonce = getattr(request.app.state, "nonce", nonce)
        return JSONResponse(
            {
                "status": "healthy",
                "nonce": nonce,
                "pid": os.getpid(),
                "version": ktx_daemon.VERSION,
                "cli_version": os.environ.get("KTX_DAEMON_VERSION") or None,
                "features": _features(),
                "python": platform.python_version(),
                "uptime_seconds": round(time.monotonic() - started, 3),
                "code_execution": code_execution,
            }
        )

    return info


def _features() -> list[str]:
    found = all(importlib.util.find_spec(name) is not None for name in ("sentence_transformers", "torch"))
    return ["core", "local-embeddings"] if found else ["core"]


async def _shutdown(request: Request) -> Response:
    stop: Callable[[], None] | None = request.app.state.stop
    if stop is not None:
        asyncio.get_running_loop().call_soon(stop)
    return JSONResponse({"status": "stopping"}, status_code=202)


def _document(app: FastAPI) -> Callable[[Request], Awaitable[Response]]:
    async def document(request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(app.openapi))

    return document


def _openapi(rows: Sequence[Capability], with_token: bool) -> dict[str, Any]:
    from ktx_daemon.openapi import document

    return document(rows, with_token=with_token)


async def _routing_error(request: Request, exc: Exception) -> Response:
    status: int = getattr(exc, "status_code", 500)
    if status == 405:
        response = error_response(405, "method_not_allowed", "Method Not Allowed")
        response.headers.update(getattr(exc, "headers", None) or {})
        return response
    if status == 404:
        return error_response(404, "not_found", "Not Found")
    return failure_response(failure_of(exc))
