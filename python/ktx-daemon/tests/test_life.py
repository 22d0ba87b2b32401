"""The life of `serve-http`: starting, saying so, and every way it ends. Real processes and signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from .conftest import START_SECONDS, TOKEN, Serve

BUSY = {"dialect": "postgres", "items": [{"id": str(i), "sql": "select a + 1 from t where b = 2"} for i in range(5000)]}
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups of POSIX")


def wait_until(condition: object, seconds: float = 20) -> bool:
    assert callable(condition)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if condition():
            return True
        time.sleep(0.05)
    return False


def in_background(work: object) -> threading.Thread:
    def quietly() -> None:
        assert callable(work)
        with contextlib.suppress(OSError, ValueError, AssertionError):  # the daemon goes away meanwhile
            work()

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    return thread


def children_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def none_left(processes: list[psutil.Process]) -> bool:
    return all(not process.is_running() or process.status() == psutil.STATUS_ZOMBIE for process in processes)


def test_the_ready_line_is_the_only_output_and_the_ready_file(serve: Serve) -> None:
    daemon = serve(environment={"KTX_DAEMON_NONCE": "n0nce"}, token=TOKEN)
    assert daemon.ready == {
        "event": "listening",
        "host": "127.0.0.1",
        "port": daemon.port,
        "pid": daemon.process.pid,
        "nonce": "n0nce",
        "version": daemon.ready["version"],
    }
    assert stat.S_IMODE(daemon.ready_file.stat().st_mode) == 0o600
    assert daemon.get("/info").json["nonce"] == "n0nce"
    assert daemon.end() == -signal.SIGTERM
    assert json.loads(daemon.stdout) == daemon.ready
    assert not daemon.ready_file.exists()


def test_serves_with_every_standard_stream_closed(tmp_path: Path) -> None:
    """As a 0.1 client starts it: detached, nothing attached, its version in the environment."""
    ready = tmp_path / "ready"
    script = f"exec {sys.executable} -m ktx_daemon serve-http --port 0 --ready-file {ready} <&- >&- 2>&-"
    process = subprocess.Popen(
        ["/bin/sh", "-c", script], env={**os.environ, "KTX_DAEMON_VERSION": "0.1.7"}, start_new_session=True
    )
    try:
        assert wait_until(ready.exists, START_SECONDS)
        port = json.loads(ready.read_text())["port"]
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            connection.settimeout(10)
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b'\r\n\r\n{"status":"healthy","version":"0.1.7"}')
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM
    finally:
        process.kill()


@pytest.mark.parametrize(("version", "expected"), [("", {"status": "healthy"}), ("9", None), (None, None)])
def test_health_is_exact(serve: Serve, version: str | None, expected: dict[str, str] | None) -> None:
    daemon = serve(environment={} if version is None else {"KTX_DAEMON_VERSION": version})
    answer = daemon.get("/health")
    assert answer.status == 200
    assert answer.json == (expected or {"status": "healthy", **({"version": version} if version else {})})


def test_info_says_what_runs(serve: Serve) -> None:
    daemon = serve(environment={"KTX_DAEMON_VERSION": "0.1.7"})
    info = daemon.get("/info").json
    assert set(info) == {
        "status",
        "nonce",
        "pid",
        "version",
        "cli_version",
        "features",
        "python",
        "uptime_seconds",
        "code_execution",
    }
    assert info["pid"] == daemon.process.pid
    assert info["cli_version"] == "0.1.7"
    assert info["features"][0] == "core"
    assert info["nonce"] == daemon.ready["nonce"]
    assert not info["code_execution"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_under_load_without_leaving_children(serve: Serve, number: signal.Signals) -> None:
    daemon = serve("--enable-code-execution", token=TOKEN)
    code = "import subprocess; subprocess.Popen(['sleep', '300'], start_new_session=True)\nwhile True: pass"
    for body, route in ((BUSY, "/sql/analyze-batch"), (BUSY, "/sql/analyze-batch"), ({"code": code}, "/code/execute")):
        in_background(lambda body=body, route=route: daemon.post(route, body))
    assert wait_until(lambda: any("sleep" in child.name() for child in children_of(daemon.process.pid)))
    children = children_of(daemon.process.pid)
    assert daemon.end(number, timeout=5) == -number
    assert wait_until(lambda: none_left(children), 5)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", daemon.port))


def test_a_request_in_progress_is_drained(serve: Serve) -> None:
    daemon = serve()
    body = {"dialect": "postgres", "sql": "select 1"}
    assert daemon.post("/sql/validate-read-only", body).status == 200  # a warm worker
    with daemon.connect() as connection:
        lines = "Host: localhost", "Content-Type: application/json", f"Content-Length: {len(json.dumps(body))}"
        connection.sendall("\r\n".join(("POST /sql/validate-read-only HTTP/1.1", *lines, "", "{")).encode())
        time.sleep(0.3)
        daemon.process.terminate()
        connection.sendall(json.dumps(body)[1:].encode())
        connection.settimeout(5)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    assert daemon.process.wait(5) == -signal.SIGTERM


def test_workers_end_by_themselves_after_sigkill(serve: Serve) -> None:
    daemon = serve()
    in_background(lambda: daemon.post("/sql/analyze-batch", BUSY))
    assert wait_until(lambda: len(children_of(daemon.process.pid)) >= 2)
    children = children_of(daemon.process.pid)
    assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
    assert wait_until(lambda: none_left(children), 4)


def test_ends_with_its_parent(serve: Serve) -> None:
    parent = subprocess.Popen(["sleep", "300"])
    daemon = serve("--parent-pid", str(parent.pid))
    assert daemon.get("/health").status == 200
    parent.kill()  # a zombie until we wait for it: ended all the same
    assert daemon.process.wait(5) == 0
    parent.wait()
    assert not daemon.ready_file.exists()


def test_ends_when_its_parent_is_already_gone() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    command = [sys.executable, "-m", "ktx_daemon", "serve-http", "--port", "0", "--parent-pid", str(gone.pid)]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def test_idle_means_only_health(serve: Serve) -> None:
    daemon = serve("--idle-timeout", "3")
    started = time.monotonic()
    while time.monotonic() < started + 4:  # used: stays
        daemon.get("/info")
        time.sleep(0.2)
    assert daemon.process.poll() is None
    with contextlib.suppress(OSError):
        while daemon.process.poll() is None and time.monotonic() < started + 30:
            daemon.get("/health")  # polled: not used
            time.sleep(0.2)
    assert daemon.process.wait(5) == 0


def test_shutdown_needs_a_token_to_exist(serve: Serve) -> None:
    assert serve().request("POST", "/shutdown").status == 404
    daemon = serve(token=TOKEN)
    answer = daemon.request("POST", "/shutdown")
    assert (answer.status, answer.json) == (202, {"status": "stopping"})
    assert daemon.process.wait(5) == 0


def test_a_port_in_use_is_one_line_and_exit_3(serve: Serve) -> None:
    first = serve()
    second = subprocess.run(
        [sys.executable, "-m", "ktx_daemon", "serve-http", "--port", str(first.port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (second.returncode, second.stdout) == (3, "")
    assert len(second.stderr.splitlines()) == 1
    assert str(first.port) in second.stderr
    assert first.get("/health").status == 200


def test_logs_name_requests_but_not_their_content(serve: Serve) -> None:
    daemon = serve(token=TOKEN)
    daemon.post("/sql/validate-read-only?password=canary", {"dialect": "postgres", "sql": "select 'canary'"})
    daemon.get("/n%C3%B6t%0Afound%1b[31m")
    daemon.end()
    lines = [line for line in daemon.stderr.splitlines() if "ktx_daemon:" in line]
    assert any("POST /sql/validate-read-only 200" in line and line.endswith(" ms") for line in lines)
    assert "canary" not in daemon.stderr
    assert "\x1b" not in daemon.stderr
    assert TOKEN not in daemon.stderr
