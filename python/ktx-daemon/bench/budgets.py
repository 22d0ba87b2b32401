"""The daemon's budgets, measured: `python bench/budgets.py [--runs 20]`.

Figures are medians of interleaved runs, so that a busy machine slows both sides of a ratio alike. The exit
status is 1 if an audit or a ratio breaks its budget; absolute times are printed and judged by people, because
they say as much about the machine as about the daemon.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

TOKEN = "bench-token"
MEBIBYTE = 1024 * 1024
SOURCES = [
    {
        "name": f"facts_{index}",
        "table": f"public.facts_{index}",
        "grain": ["id"],
        "columns": [
            {"name": "id", "type": "number"},
            {"name": "status", "type": "string"},
            {"name": "amount", "type": "number"},
            {"name": "created", "type": "time", "role": "time"},
        ],
        "measures": [{"name": "n", "expr": "count(id)"}, {"name": "total", "expr": "sum(amount)"}],
    }
    for index in range(10)
]
QUERY = {"measures": ["facts_0.n", "facts_0.total"], "dimensions": ["facts_0.status"]}
SEMANTIC = json.dumps({"sources": SOURCES, "query": QUERY}).encode()
ENGINE = (
    "import json, sys\nfrom semantic_layer import SemanticEngine\n"
    "from semantic_layer.models import SourceDefinition\n"
    "body = json.load(sys.stdin)\n"
    "sources = {s['name']: SourceDefinition.model_validate(s) for s in body['sources']}\n"
    "print(SemanticEngine.from_sources(sources).query(body['query']).sql)"
)
BATCH_ITEMS = [{"id": str(i), "sql": f"select a, sum(b) from s.t{i} where c = 1 group by a"} for i in range(500)]
STAND_IN = """
import time
class SentenceTransformer:
    def __init__(self, *_, **__):
        end = time.monotonic() + 5
        while time.monotonic() < end: sum(range(1000))  # what importing and unpickling does: Python, with the GIL
    def encode(self, texts): raise OSError("bench")
"""


class Report:
    """Lines of figures; `failed` once an audit or ratio is over its budget."""

    def __init__(self) -> None:
        self.failed = False

    def ratio(self, what: str, value: float, budget: float) -> None:
        self._line(what, f"{value:.2f} x", f"<= {budget:g} x", value <= budget)

    def audit(self, what: str, found: object, good: bool) -> None:
        self._line(what, str(found), "audit", good)

    def figure(self, what: str, value: float, unit: str, budget: float) -> None:
        """An absolute figure: shown against its budget, never failing."""
        shown = "within" if value <= budget else "OVER"
        print(f"{what:<52} {value:>10.1f} {unit:<3} budget {budget:g} {unit:<4} {shown}", flush=True)

    def _line(self, what: str, value: str, budget: str, good: bool) -> None:
        self.failed |= not good
        print(f"{what:<52} {value:>14} {budget:<16} {'ok' if good else 'FAILED'}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    report = Report()
    # users' runtimes are installed with their bytecode; what a first run compiles is none of the figures
    cache = tempfile.TemporaryDirectory()
    os.environ["PYTHONPYCACHEPREFIX"] = cache.name
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, {runs} runs\n")
    measure_command_line(report, runs)
    measure_one_shot(report, runs)
    measure_calls(report, runs)
    measure_health(report)
    measure_bodies(report)
    measure_life(report, max(3, runs // 4))
    return 1 if report.failed else 0


def measure_command_line(report: Report, runs: int) -> None:
    for option in ("--help", "--version"):
        audit = (
            "import sys\nfrom ktx_daemon.__main__ import main\n"
            f"try: main(['{option}'])\nexcept SystemExit: pass\n"
            "extra = {m.partition('.')[0] for m in sys.modules} - set(sys.stdlib_module_names) - {'ktx_daemon', '__main__'}\n"
            "own = {m for m in extra if (getattr(sys.modules[m], '__file__', None) or '').find('site-packages') >= 0}\n"
            "print(sorted(m for m in own if not m.startswith(('_', 'sitecustomize'))))"
        )
        found = subprocess.run([sys.executable, "-c", audit], capture_output=True, text=True, check=True).stdout
        report.audit(f"{option}: third-party modules", found.splitlines()[-1], found.splitlines()[-1] == "[]")
    bare, helped, versioned = interleaved(
        runs,
        lambda: timed([sys.executable, "-c", "pass"]),
        lambda: timed([sys.executable, "-m", "ktx_daemon", "--help"]),
        lambda: timed([sys.executable, "-m", "ktx_daemon", "--version"]),
    )
    report.figure("--help over a bare interpreter", (helped - bare) * 1000, "ms", 60)
    report.figure("--version over a bare interpreter", (versioned - bare) * 1000, "ms", 60)


def measure_one_shot(report: Report, runs: int) -> None:
    peaks: dict[str, list[float]] = {"engine": [], "daemon": []}

    def run(name: str, command: list[str]) -> float:
        seconds, peak = timed_with_peak(command, SEMANTIC)
        peaks[name].append(peak)
        return seconds

    engine, daemon = interleaved(
        runs,
        lambda: run("engine", [sys.executable, "-c", ENGINE]),
        lambda: run("daemon", [sys.executable, "-m", "ktx_daemon", "semantic-query"]),
    )
    report.ratio("one-shot semantic-query, time over bare engine", daemon / engine, 1.4)
    memory = statistics.median(peaks["daemon"]) / statistics.median(peaks["engine"])
    report.ratio("one-shot semantic-query, memory over bare engine", memory, 1.4)


def measure_calls(report: Report, runs: int) -> None:
    from ktx_daemon.capabilities import BY_COMMAND
    from ktx_daemon.execution import execute

    batch = json.dumps({"dialect": "postgres", "items": BATCH_ITEMS[:2]}).encode()
    with daemon() as server:
        for command, body, budget in (("semantic-query", SEMANTIC, 10), ("sql-analyze-batch", batch, 5)):
            row = BY_COMMAND[command]
            for _ in range(5):
                server.post(row.route, body)
                execute(row, body)
            direct, http = interleaved(
                max(runs, 40),
                partial(clocked, partial(execute, row, body)),
                partial(clocked, partial(server.post, row.route, body)),
            )
            report.figure(f"{command} over warm HTTP, above in-process", (http - direct) * 1000, "ms", budget)


def measure_health(report: Report) -> None:
    with tempfile.TemporaryDirectory() as directory, black_hole() as port:
        Path(directory, "sentence_transformers.py").write_text(STAND_IN)
        with daemon({"PYTHONPATH": directory}) as server:
            introspection = {
                "connection_id": "c",
                "url": f"postgres://u:p@127.0.0.1:{port}/d",
                "connection_timeout_seconds": 10,
            }
            batch = {"dialect": "postgres", "items": BATCH_ITEMS * 4}
            code = {"code": "import time\nend = time.time() + 5\nwhile time.time() < end: pass"}
            report.figure("/health p99 of an idle daemon, for comparison", health_p99(server) * 1000, "ms", 50)
            for what, route, body in (
                ("a 10 s introspection", "/database/introspect", introspection),
                ("a model load", "/embeddings/compute", {"text": "a"}),
                ("500-item batches", "/sql/analyze-batch", batch),
                ("user code", "/code/execute", code),
            ):
                report.figure(f"/health p99 during {what}", health_p99(server, route, body) * 1000, "ms", 50)


def measure_bodies(report: Report) -> None:
    with daemon() as server:
        before = resident(server.pid)
        body = b"x" * (60 * MEBIBYTE)
        times = []
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                head = (
                    "POST /sql/validate-read-only HTTP/1.1\r\nHost: localhost\r\n"
                    f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                started = time.perf_counter()
                connection.sendall(head.encode())
                assert connection.recv(4096).startswith(b"HTTP/1.1 413")
                times.append(time.perf_counter() - started)
            server.post("/sql/validate-read-only", body)
        report.figure("413 for 60 MB", statistics.median(times) * 1000, "ms", 100)
        report.figure("memory growth from 60 MB bodies", (resident(server.pid) - before) / MEBIBYTE, "MB", 10)
        large = b'{"dialect":"postgres","sql":"' + b"x" * (15 * MEBIBYTE) + b'"}'
        for _ in range(4):
            server.post("/sql/validate-read-only", large[:40] + b'"}')
        before = settled(server.pid)
        for _ in range(50):
            server.post("/sql/validate-read-only", large)
        report.figure("settled growth after 50 bodies of 15 MiB", (settled(server.pid) - before) / MEBIBYTE, "MB", 20)


def measure_life(report: Report, runs: int) -> None:
    starts, ends = [], []
    for _ in range(runs):
        began = time.perf_counter()
        with daemon() as server:
            starts.append(time.perf_counter() - began)
            busy = {"dialect": "postgres", "items": BATCH_ITEMS * 20}
            for _ in range(2):
                threading.Thread(target=server.post, args=("/sql/analyze-batch", busy), daemon=True).start()
            time.sleep(0.5)
            began = time.perf_counter()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait()
            ends.append(time.perf_counter() - began)
    report.figure("start to healthy", statistics.median(starts) * 1000, "ms", 2000)
    report.figure("SIGTERM under load to the end", statistics.median(ends) * 1000, "ms", 500)


class Server:
    """A running daemon to send requests to."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.pid = process.pid
        self.port = port
        self._local = threading.local()

    def post(self, route: str, body: Any) -> int:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._send("POST", route, data)

    def health(self) -> int:
        return self._send("GET", "/health", None)

    def _send(self, method: str, route: str, data: bytes | None) -> int:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            connection.request(
                method, route, data, {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
            )
            response = connection.getresponse()
            response.read()
            if response.will_close:
                connection.close()
            return int(response.status)
        except OSError:  # the daemon was ended
            connection.close()
            return 0


@contextmanager
def daemon(environment: dict[str, str] | None = None) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as directory:
        ready = Path(directory, "ready")
        command = [sys.executable, "-m", "ktx_daemon", "serve-http", "--port", "0", "--ready-file", str(ready)]
        process = subprocess.Popen(
            [*command, "--enable-code-execution", "--log-level", "error"],
            env={**os.environ, **(environment or {}), "KTX_DAEMON_TOKEN": TOKEN},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        while not ready.exists():
            time.sleep(0.005)
        server = Server(process, json.loads(ready.read_text())["port"])
        assert server.health() == 200
        try:
            yield server
        finally:
            process.kill()
            process.wait()


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that accepts and never answers, as a database behind a broken network does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


def health_p99(server: Server, route: str | None = None, body: Any = None) -> float:
    """p99 of `/health` asked every 10 ms while one request runs, or none for two seconds."""
    done = threading.Event()

    def work() -> None:
        if route is None:
            time.sleep(2)
        else:
            server.post(route, body)
        done.set()

    threading.Thread(target=work, daemon=True).start()
    times: list[float] = []
    while not done.is_set() or len(times) < 100:
        times.append(clocked(server.health))
        time.sleep(0.01)
    return statistics.quantiles(times, n=100)[98]


def interleaved(runs: int, *measures: Callable[[], float]) -> list[float]:
    """The median of each measure, taken in turns."""
    taken: list[list[float]] = [[] for _ in measures]
    for _ in range(runs):
        for results, measure in zip(taken, measures, strict=True):
            results.append(measure())
    return [statistics.median(results) for results in taken]


def clocked(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def timed(command: list[str]) -> float:
    return clocked(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True))


def timed_with_peak(command: list[str], body: bytes) -> tuple[float, float]:
    """Seconds and peak resident bytes of one run."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(body)
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    process.returncode = 0
    return time.perf_counter() - started, _peak(usage)


def _peak(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def resident(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def settled(pid: int) -> int:
    """Unshared memory of the daemon and its children once it stops changing."""
    seen: list[int] = []
    while len(seen) < 10 or (max(seen[-6:]) - min(seen[-6:]) > MEBIBYTE and len(seen) < 60):
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        seen.append(sum(process.memory_full_info().uss for process in family))
        time.sleep(0.5)
    return seen[-1]


if __name__ == "__main__":
    sys.exit(main())
