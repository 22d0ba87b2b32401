"""Real daemons for the tests: processes of their own, loopback sockets, raw bytes where it matters."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent / "_support"))
from postgres_server import postgres_server

__all__ = ["postgres_server"]

START_SECONDS = 60
TOKEN = "t0ken-of-the-tests"


def pytest_runtest_setup() -> None:
    """Begin every test with the recursion limit that the analysis of SQL wants.

    It and `deep_thread` raise the limit of their process for good, to different heights, and Hypothesis warns of a
    limit that a test found otherwise: whether it did hung on which tests had run before in the same process.
    """
    sys.setrecursionlimit(20_000)


@dataclass
class Answer:
    """An HTTP answer; `json` is its body, decoded."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Daemon:
    """A running `serve-http`."""

    process: subprocess.Popen[bytes]
    port: int
    ready: dict[str, Any]
    ready_file: Path
    stdout_path: Path
    stderr_path: Path
    token: str | None = None
    host: str = "127.0.0.1"
    family: socket.AddressFamily = field(default=socket.AF_INET)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> Answer:
        """One request; a dict body is sent as JSON, `None` as a header value leaves that header out."""
        sent: dict[str, str] = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, data, {key: value for key, value in sent.items() if value is not None})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **more: Any) -> Answer:
        return self.request("GET", path, **more)

    def post(self, path: str, body: Any, **more: Any) -> Answer:
        return self.request("POST", path, body, **more)

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=30)

    def raw(self, data: bytes) -> bytes:
        """What the server answers to these bytes until it closes the connection or stays silent."""
        with self.connect() as connection:
            connection.sendall(data)
            connection.settimeout(10)
            answer = b""
            try:
                while chunk := connection.recv(65536):
                    answer += chunk
                    if _complete(answer):
                        break
            except TimeoutError:
                pass
            return answer

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text(encoding="utf-8")

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text(encoding="utf-8")

    def end(self, number: signal.Signals = signal.SIGTERM, timeout: float = 10) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)


type Serve = Callable[..., Daemon]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a daemon with further options, environment and token; ended after the test."""
    yield from _server(tmp_path)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon with a token and code execution, shared by the tests of a module."""
    starting = _server(tmp_path_factory.mktemp("daemon"))
    yield next(starting)("--enable-code-execution", token=TOKEN)
    starting.close()


class InProcess:
    """A client that calls the ASGI application itself, each time on an event loop of its own."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
                return await client.request(method, path, **more)

        return asyncio.run(send())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)


@pytest.fixture(scope="session")
def one_shot() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run one subcommand on a body: a dict, or bytes as they are."""

    def run(
        command: str, body: Any, *options: str, environment: Mapping[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[bytes]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return subprocess.run(
            [sys.executable, "-m", "ktx_daemon", command, *options],
            input=data,
            capture_output=True,
            env={**os.environ, **(environment or {})},
            timeout=timeout,
            check=False,
        )

    return run


def _server(directory: Path) -> Generator[Serve]:
    started: list[Daemon] = []

    def start(
        *options: str, token: str | None = None, environment: Mapping[str, str] | None = None, host: str = "127.0.0.1"
    ) -> Daemon:
        number = len(started)
        ready_file = directory / f"ready-{number}.json"
        out, err = directory / f"stdout-{number}", directory / f"stderr-{number}"
        variables = {k: v for k, v in os.environ.items() if not k.startswith("KTX_DAEMON")} | dict(environment or {})
        if token is not None:
            variables["KTX_DAEMON_TOKEN"] = token
        arguments = ["serve-http", "--host", host, "--port", "0", "--ready-file", str(ready_file), *options]
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "ktx_daemon", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=variables,
                cwd=directory,
            )
        ends = time.monotonic() + START_SECONDS
        while not ready_file.exists():
            if process.poll() is not None or time.monotonic() > ends:
                process.kill()
                pytest.fail(f"the daemon did not start: {err.read_text(encoding='utf-8')}")
            time.sleep(0.02)
        ready = json.loads(ready_file.read_text(encoding="utf-8"))
        daemon = Daemon(process, ready["port"], ready, ready_file, out, err, token, host=host)
        started.append(daemon)
        return daemon

    try:
        yield start
    finally:
        for daemon in started:
            if daemon.process.poll() is None:
                daemon.process.kill()
                daemon.process.wait(10)


def _complete(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False
