"""Who may talk to the daemon, in the order it is checked. Raw bytes over real sockets."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from ktx_daemon.app import create_app
from ktx_daemon.limits import Limits

from .conftest import TOKEN, Daemon, Serve

SQL = {"dialect": "postgres", "sql": "select 1"}
ROUTES = ["/health", "/info", "/openapi.json", "/sql/validate-read-only", "/nowhere"]
BAD_HOSTS = [
    "evil.example",
    "",
    ":8765",
    "127.0.0.1.evil.example",
    "localhost@evil",
    "evil@localhost",
    "localhost:8765:1",
    "localhost.",
    "localhost evil",
    "[::1",
    "[::1]evil",
    "127.0.0.1:",
    "127.0.0.1:999999",
    "0.0.0.0",
    "testserver",
    "http://localhost",
    "2130706433",
]
BAD_ORIGINS = ["https://evil.example", "null", "", "http://127.0.0.1", "http://localhost:3000.evil.example"]
BAD_TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    None,
    "application/json; charset=latin-1",
    "application/jsonp",
    "text/json",
    "application/json, text/plain",
]


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("host", BAD_HOSTS)
def test_a_foreign_host_is_refused_on_every_route(daemon: Daemon, host: str, route: str) -> None:
    answer = daemon.raw(head("GET", route, f"Host: {host}", f"Authorization: Bearer {TOKEN}"))
    assert answer.startswith(b"HTTP/1.1 403"), answer
    assert b'"forbidden_host"' in answer


@pytest.mark.parametrize("lines", [(), ("Host: localhost", "Host: localhost")], ids=["missing", "doubled"])
def test_no_host_or_two_are_refused(daemon: Daemon, lines: tuple[str, ...]) -> None:
    assert daemon.raw(head("GET", "/health", *lines))[9:12] in {b"400", b"403"}
    assert daemon.raw(b"GET /health HTTP/1.0\r\n\r\n")[9:12] in {b"400", b"403"}


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "::1", "LOCALHOST:1", "[::1]:8765", "127.0.0.1:80"]
)
def test_loopback_hosts_pass_with_any_port(daemon: Daemon, host: str) -> None:
    assert daemon.raw(head("GET", "/health", f"Host: {host}")).startswith(b"HTTP/1.1 200")


def test_further_hosts_and_origins_can_be_allowed(serve: Serve) -> None:
    daemon = serve("--allowed-host", "ktx.example", "--allowed-origin", "https://ktx.example")
    assert daemon.raw(head("GET", "/health", "Host: ktx.example:99")).startswith(b"HTTP/1.1 200")
    assert daemon.raw(head("GET", "/health", "Host: ktx.example.evil")).startswith(b"HTTP/1.1 403")
    allowed = daemon.raw(head("GET", "/health", "Host: localhost", "Origin: https://ktx.example"))
    assert allowed.startswith(b"HTTP/1.1 200")
    assert b"access-control" not in allowed.lower()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("origin", BAD_ORIGINS)
def test_requests_of_web_pages_are_refused(daemon: Daemon, origin: str, route: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        lines = ("Host: localhost", f"Origin: {origin}", f"Authorization: Bearer {TOKEN}", "Content-Length: 0")
        answer = daemon.raw(head(method, route, *lines))
        assert answer.startswith(b"HTTP/1.1 403"), answer
        assert b'"forbidden_origin"' in answer
        assert b"access-control" not in answer.lower()


def test_cross_site_fetches_are_refused(daemon: Daemon) -> None:
    lines = ("Host: localhost", f"Authorization: Bearer {TOKEN}")
    assert daemon.raw(head("GET", "/info", *lines, "Sec-Fetch-Site: cross-site")).startswith(b"HTTP/1.1 403")
    assert daemon.raw(head("GET", "/info", *lines, "Sec-Fetch-Site: none")).startswith(b"HTTP/1.1 200")


def test_the_host_is_checked_before_the_origin_and_that_before_the_token(daemon: Daemon) -> None:
    both = daemon.raw(head("GET", "/info", "Host: evil", "Origin: https://evil"))
    assert b'"forbidden_host"' in both
    assert b'"forbidden_origin"' in daemon.raw(head("GET", "/info", "Host: localhost", "Origin: https://evil"))
    assert b'"unauthorized"' in daemon.raw(head("GET", "/nowhere", "Host: localhost"))


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
    ],
)
@pytest.mark.parametrize("route", ["/info", "/openapi.json", "/sql/validate-read-only", "/shutdown", "/nowhere"])
def test_everything_but_health_needs_the_token(daemon: Daemon, route: str, value: str | None) -> None:
    for method in ("GET", "POST"):
        answer = daemon.request(method, route, headers={"Authorization": value})  # type: ignore[dict-item]
        assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert daemon.request("GET", "/health", headers={"Authorization": value}).status == 200  # type: ignore[dict-item]
    assert daemon.request("POST", "/health", headers={"Authorization": value}).status == 401  # type: ignore[dict-item]


def test_two_authorization_headers_are_none(daemon: Daemon) -> None:
    lines = ("Host: localhost", f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}")
    assert daemon.raw(head("GET", "/info", *lines)).startswith(b"HTTP/1.1 401")


def test_unknown_routes_and_methods(daemon: Daemon) -> None:
    missing = daemon.get("/nowhere")
    assert (missing.status, missing.json) == (404, {"detail": "Not Found", "code": "not_found"})
    wrong = daemon.get("/sql/validate-read-only")
    assert (wrong.status, wrong.json["code"]) == (405, "method_not_allowed")
    for path in ("/docs", "/redoc", "/health/", "//health"):
        assert daemon.get(path).status == 404


def test_the_openapi_document_is_not_public(serve: Serve, daemon: Daemon) -> None:
    assert daemon.get("/openapi.json").json["openapi"].startswith("3.1")
    assert TOKEN not in daemon.get("/openapi.json").body.decode()
    assert serve().get("/openapi.json").status == 404


@pytest.mark.parametrize("kind", BAD_TYPES)
def test_bodies_are_declared_as_json(daemon: Daemon, kind: str | None) -> None:
    answer = daemon.post("/sql/validate-read-only", SQL, headers={"Content-Type": kind})  # type: ignore[dict-item]
    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")


def test_encoded_bodies_are_refused(daemon: Daemon) -> None:
    answer = daemon.post("/sql/validate-read-only", SQL, headers={"Content-Encoding": "gzip"})
    assert answer.status == 415


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_types_pass(daemon: Daemon, kind: str) -> None:
    assert daemon.post("/sql/validate-read-only", SQL, headers={"Content-Type": kind}).status == 200


def refused(*options: str, environment: dict[str, str] | None = None) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "ktx_daemon", "serve-http", "--port", "0", *options],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, ""), run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr
    return run.stderr


def token_file(directory: Path, content: str, mode: int = 0o600) -> str:
    path = directory / "token"
    path.write_text(content)
    path.chmod(mode)
    return str(path)


def test_open_to_others_or_running_code_needs_a_token(tmp_path: Path) -> None:
    assert "token" in refused("--host", "0.0.0.0")
    assert "token" in refused("--host", "::")
    assert "token" in refused("--enable-code-execution")


def test_a_bad_token_is_refused_before_binding(tmp_path: Path) -> None:
    assert "chmod 600" in refused("--token-file", token_file(tmp_path, "abc", 0o640))
    assert "one token" in refused("--token-file", token_file(tmp_path, ""))
    assert "one token" in refused("--token-file", token_file(tmp_path, "two words\n"))
    assert "regular file" in refused("--token-file", str(tmp_path))
    assert "cannot be opened" in refused("--token-file", str(tmp_path / "none"))
    link = tmp_path / "link"
    link.symlink_to(token_file(tmp_path, "abc"))
    assert "cannot be opened" in refused("--token-file", str(link))
    assert "one token" in refused(environment={"KTX_DAEMON_TOKEN": ""})


@pytest.mark.parametrize(
    "options",
    [
        ("--allowed-host", "http://a"),
        ("--allowed-host", "a@b"),
        ("--allowed-origin", "a.example"),
        ("--allowed-origin", "*"),
        ("--allow-database-host", "10.0.0.0/99"),
        ("--host", "no.such.host.invalid"),
        ("--ready-file", "/no/such/directory/ready"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: tuple[str, str]) -> None:
    refused(*options)


def test_the_token_file_beats_the_variable_and_shows_nowhere(serve: Serve, tmp_path: Path) -> None:
    daemon = serve("--token-file", token_file(tmp_path, "from-the-file\n"), environment={"KTX_DAEMON_TOKEN": "other"})
    assert daemon.get("/info", headers={"Authorization": "Bearer other"}).status == 401
    assert daemon.get("/info", headers={"Authorization": "Bearer from-the-file"}).status == 200
    family = [psutil.Process(daemon.process.pid), *psutil.Process(daemon.process.pid).children(recursive=True)]
    assert "from-the-file" not in " ".join(" ".join(process.cmdline()) for process in family)
    for process in family[1:]:
        assert "KTX_DAEMON_TOKEN" not in process.environ()
    daemon.end()
    assert "from-the-file" not in daemon.stderr + daemon.stdout


def test_a_declared_body_over_the_limit_is_refused_unread(serve: Serve) -> None:
    daemon = serve()
    before = psutil.Process(daemon.process.pid).memory_info().rss
    answer = daemon.post("/sql/validate-read-only", b"x" * (60 * 1024 * 1024))
    assert (answer.status, answer.json["code"]) == (413, "limit_exceeded")
    assert psutil.Process(daemon.process.pid).memory_info().rss - before < 10 * 1024 * 1024
    assert daemon.get("/health").status == 200


def test_an_undeclared_body_over_the_limit_is_refused_while_it_arrives(serve: Serve) -> None:
    daemon = serve("--max-body-bytes", "1000")
    with daemon.connect() as connection:
        lines = ("Host: localhost", "Content-Type: application/json", "Transfer-Encoding: chunked")
        connection.sendall(head("POST", "/sql/validate-read-only", *lines))
        connection.sendall(b"200\r\n" + b" " * 512 + b"\r\n" + b"200\r\n" + b" " * 512 + b"\r\n")
        connection.settimeout(10)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_too_many_requests_in_progress_are_told_to_retry(serve: Serve) -> None:
    daemon = serve("--max-concurrency", "1")
    with daemon.connect() as holder:
        lines = ("Host: localhost", "Content-Type: application/json", "Content-Length: 10")
        holder.sendall(head("POST", "/sql/validate-read-only", *lines) + b"{")
        time.sleep(0.3)
        answer = daemon.post("/sql/validate-read-only", SQL)
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "busy", "1")
        assert daemon.get("/health").status == 200
    time.sleep(0.3)
    assert daemon.post("/sql/validate-read-only", SQL).status == 200


def test_a_body_that_does_not_arrive_is_a_408() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/sql/validate-read-only",
        "raw_path": b"/sql/validate-read-only",
        "query_string": b"",
        "headers": [(b"host", b"testserver"), (b"content-type", b"application/json")],
        "server": ("testserver", None),
        "app": None,
    }
    app: Any = create_app(limits=Limits(body_read_seconds=0.1))
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["code"] == "request_timeout"


def test_slow_clients_leave_room_for_others(daemon: Daemon) -> None:
    slow = [daemon.connect() for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"POST /sql/validate-read-only HTTP/1.1\r\nHost: localhost\r\nX: ")
        assert daemon.get("/health", timeout=10).status == 200
        assert daemon.post("/sql/validate-read-only", SQL, timeout=60).status == 200
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"POST /sql/validate-read-only HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
    ids=["noise", "two lengths", "negative length", "long header"],
)
def test_broken_framing_is_a_400_and_harms_nobody(daemon: Daemon, data: bytes) -> None:
    try:
        answer = daemon.raw(data)
    except ConnectionError:
        answer = b""  # closed on us while sending
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert daemon.get("/health").status == 200


def test_an_upgrade_to_websocket_is_not_offered(daemon: Daemon) -> None:
    answer = daemon.raw(
        head(
            "GET",
            "/health",
            "Host: localhost",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        )
    )
    assert not answer.startswith(b"HTTP/1.1 101")


def test_a_connection_can_be_used_again_after_a_refusal(daemon: Daemon) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    for _ in range(2):
        connection.request("POST", "/sql/validate-read-only", b"{}", {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 401
        response.read()
    connection.close()
