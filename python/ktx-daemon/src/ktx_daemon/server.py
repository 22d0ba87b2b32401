"""`serve-http`: the life of the server process, from configuration to its last signal.

The process that was spawned serves and is never replaced. Ends:

* SIGTERM, SIGINT: stop accepting, drain for a quarter of a second, kill children, die by that signal;
* idle, lost parent, `POST /shutdown`: the same, exit 0;
* refused configuration: exit 2; port in use: exit 3, each with one line.

It leaves without joining threads: a blocked one must not hold up the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from functools import partial
from typing import Any

from ktx_daemon.processes import kill_all, parent_alive_probe
from ktx_daemon.redaction import redact
from ktx_daemon.settings import TOKEN_VARIABLE, Refused, Settings, judge

__all__ = ["run_http_server"]

_REFUSED = 2
_PORT_IN_USE = 3
_DRAIN_SECONDS = 0.25
_WATCH_SECONDS = 0.5
_LEVELS = {"trace": logging.DEBUG}


def run_http_server(*, host: str, port: int, log_level: str, enable_code_execution: bool, **options: Any) -> int:
    """Serve until told to end. Returns an exit status if it could not start; else the process ends in here."""
    _open_standard_streams()
    try:
        settings = judge(
            host=host, port=port, log_level=log_level, enable_code_execution=enable_code_execution, **options
        )
    except Refused as exc:
        return _complain(str(exc), _REFUSED)
    nonce = os.environ.get("KTX_DAEMON_NONCE") or secrets.token_hex(16)
    os.environ.pop(TOKEN_VARIABLE, None)
    try:
        listener = _listen(settings)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            return _complain(f"port {port} on {host} is already in use; choose another with --port", _PORT_IN_USE)
        return _complain(f"cannot listen on {host} port {port}: {exc.strerror}", _REFUSED)
    _configure_logging(settings)
    asyncio.run(_Life(settings, listener, nonce).run())
    return 0


class _Life:
    """One run of the server."""

    def __init__(self, settings: Settings, listener: socket.socket, nonce: str) -> None:
        self._settings = settings
        self._listener = listener
        self._nonce = nonce
        self._signal: signal.Signals | None = None
        self._ending = False

    async def run(self) -> None:
        import uvicorn

        from ktx_daemon.app import create_app
        from ktx_daemon.execution import quieten
        from ktx_daemon.http import Protocol, Server
        from ktx_daemon.worker import steady_allocator

        quieten()
        steady_allocator()
        settings = self._settings
        app = create_app(
            database_introspector=_introspector(settings),
            enable_code_execution=settings.enable_code_execution,
            token=settings.token,
            allowed_hosts=settings.allowed_hosts,
            allowed_origins=settings.allowed_origins,
            limits=settings.limits,
        )
        app.state.nonce = self._nonce
        app.state.stop = partial(self._begin_end, None)
        self._app = app
        config = uvicorn.Config(
            app,
            http=partial(Protocol, header_seconds=settings.limits.header_read_seconds),  # type: ignore[arg-type]
            ws="none",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=15,
            backlog=512,
        )
        self._server = Server(config)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, self._begin_end, number)
            except NotImplementedError:  # no such loop support (Windows)
                signal.signal(number, lambda got, _: loop.call_soon_threadsafe(self._begin_end, signal.Signals(got)))
        self._server.on_started = self._announce
        await self._server.serve(sockets=[self._listener])
        self._finish()

    def _announce(self) -> None:
        """Say that requests are answered: the only line on standard output, and the ready file."""
        import ktx_daemon

        address = self._listener.getsockname()
        line = json.dumps(
            {
                "event": "listening",
                "host": address[0],
                "port": address[1],
                "pid": os.getpid(),
                "nonce": self._nonce,
                "version": ktx_daemon.VERSION,
            },
            separators=(",", ":"),
        )
        if self._settings.ready_file is not None:
            temporary = self._settings.ready_file.with_name(f"{self._settings.ready_file.name}.{os.getpid()}")
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(line + "\n")
            temporary.replace(self._settings.ready_file)
        with contextlib.suppress(OSError):  # nobody reads it
            os.write(1, line.encode() + b"\n")
            os.dup2(2, 1)
        self._watch = asyncio.get_running_loop().create_task(self._watch_reasons_to_end())

    async def _watch_reasons_to_end(self) -> None:
        parent_alive = parent_alive_probe(self._settings.parent_pid)
        idle_timeout = self._settings.idle_timeout
        activity = self._app.state.activity
        loop = asyncio.get_running_loop()
        activity.last = loop.time()
        while True:
            if not parent_alive():
                logging.getLogger("ktx_daemon").info("the parent process ended")
                return self._begin_end(None)
            if idle_timeout and not activity.in_progress and loop.time() - activity.last >= idle_timeout:
                logging.getLogger("ktx_daemon").info("idle for %g s", idle_timeout)
                return self._begin_end(None)
            await asyncio.sleep(min(_WATCH_SECONDS, idle_timeout / 4) if idle_timeout else _WATCH_SECONDS)

    def _begin_end(self, number: signal.Signals | None) -> None:
        if self._ending:
            return
        self._ending = True
        self._signal = number
        # The event loop should get there first; this does not need it to.
        watchdog = threading.Timer(_DRAIN_SECONDS + 0.2, self._finish)
        watchdog.daemon = True
        watchdog.start()
        self._server.begin_shutdown(_DRAIN_SECONDS)

    def _finish(self) -> None:
        """Leave nothing behind, then end: by the signal received, or with status 0."""
        if self._settings.ready_file is not None:
            with contextlib.suppress(OSError):
                if f'"pid":{os.getpid()},' in self._settings.ready_file.read_text(encoding="utf-8"):
                    self._settings.ready_file.unlink()
        self._app.state.pool.close(forever=True)
        kill_all()
        with contextlib.suppress(OSError):
            self._listener.close()
        if self._signal is None:
            os._exit(0)
        if threading.current_thread() is threading.main_thread():
            signal.signal(self._signal, signal.SIG_DFL)
            signal.raise_signal(self._signal)
        os._exit(128 + self._signal)


def _introspector(settings: Settings) -> Any:
    """The default introspection, bound to the database hosts the operator allows; None leaves it as it is."""
    if not settings.allowed_database_hosts:
        return None

    def introspect(request: Any) -> Any:
        from ktx_daemon.database_introspection import introspect_database_response

        return introspect_database_response(request, allowed_hosts=settings.allowed_database_hosts)

    return introspect


def _listen(settings: Settings) -> socket.socket:
    # With the protocol named, asyncio turns Nagle's algorithm off; else each answer waits 40 ms for an ACK.
    listener = socket.socket(settings.family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(settings.address)
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener


def _configure_logging(settings: Settings) -> None:
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(_OneCleanLine("%(asctime)s %(levelname)s %(name)s: %(message)s", settings.token))
    root.addHandler(output)
    level = _LEVELS.get(settings.log_level) or getattr(logging, settings.log_level.upper())
    root.setLevel(max(level, logging.WARNING))  # libraries speak up only when something is wrong
    logging.getLogger("ktx_daemon").setLevel(level)
    logging.raiseExceptions = False


class _OneCleanLine(logging.Formatter):
    """One line per record: no control characters, credentials or tracebacks."""

    def __init__(self, form: str, token: str | None) -> None:
        super().__init__(form)
        self._secrets = () if token is None else (token,)

    def format(self, record: logging.LogRecord) -> str:
        record.exc_info = record.exc_text = record.stack_info = None
        return redact(super().format(record), self._secrets)


def _open_standard_streams() -> None:
    """Fill closed fds 0, 1 and 2, so that no socket is mistaken for one of them."""
    for descriptor, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _complain(sentence: str, status: int) -> int:
    print(redact(f"ktx-daemon: {sentence}"), file=sys.stderr)
    return status
