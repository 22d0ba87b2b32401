"""One request from standard input, one answer on standard output.

The answer goes to a private copy of fd 1, while fd 1 itself points at standard error: nothing that a library
or user code prints can become part of it.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ktx_daemon.capabilities import Capability
from ktx_daemon.deadlines import deep_thread
from ktx_daemon.errors import DaemonError, LimitExceeded, Timeout
from ktx_daemon.execution import Failure, Handler, Success, execute, failure_of, quieten
from ktx_daemon.limits import MAX_STDIN_BYTES
from ktx_daemon.processes import kill_all

__all__ = ["run_one_shot"]

_FAILED = 1
_INTERRUPTED = 130


def run_one_shot(row: Capability, error_format: str, handler: Handler | None = None) -> int:
    """Serve one request with `handler` (default: the row's own); returns the exit status."""
    quieten()
    try:
        with _private_stdout() as write:
            outcome = _run(row, handler)
            if isinstance(outcome, Success):
                write(outcome.body + b"\n")
                return 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as exc:
        outcome = Failure("internal_error", 500, f"standard input or output failed: {exc.strerror}")
    finally:
        kill_all()  # what an abandoned job started
    _write_stderr(_error_line(outcome, error_format))
    return _FAILED


def _run(row: Capability, handler: Handler | None) -> Success | Failure:
    with suppress(Exception):  # told when the request needs it
        importlib.import_module(row.module)  # while the caller still writes its request
    try:
        body = _read_stdin()
    except DaemonError as exc:
        return failure_of(exc)
    outcome: list[Success | Failure] = []
    thread = deep_thread(lambda: outcome.append(execute(row, body, handler)), "job")
    thread.join(row.deadline + row.startup)
    return outcome[0] if outcome else failure_of(Timeout(row.deadline + row.startup))


def _error_line(failure: Failure, error_format: str) -> str:
    if error_format == "text":
        return failure.line
    error: dict[str, Any] = {"code": failure.code, "message": failure.line}
    if failure.details is not None:
        error["details"] = list(failure.details)
    elif failure.advice is not None:
        error["details"] = failure.advice
    return json.dumps({"error": error}, separators=(",", ":"))


def _read_stdin() -> bytes:
    stream: Any = getattr(sys.stdin, "buffer", sys.stdin)
    if stream is None:  # started with standard input closed
        return b""
    data = stream.read(MAX_STDIN_BYTES + 1)
    body = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
    if len(body) > MAX_STDIN_BYTES:
        raise LimitExceeded(f"standard input is larger than {MAX_STDIN_BYTES} bytes", status=413)
    return body


@contextmanager
def _private_stdout() -> Iterator[Callable[[bytes], None]]:
    """Yield a writer to the real standard output while fd 1 leads to standard error."""
    stream: Any = sys.stdout
    if stream is not sys.__stdout__:  # replaced inside this process (a caller capturing it): use that
        yield lambda data: _write_stream(stream, data)
        return
    _flush(stream)
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield lambda data: _write_all(saved, data)
    finally:
        _flush(stream)
        os.dup2(saved, 1)
        os.close(saved)


def _write_stderr(line: str) -> None:
    stream: Any = sys.stderr
    if stream is not sys.__stderr__:
        _write_stream(stream, f"{line}\n".encode())
    elif stream is not None:  # UTF-8 in any locale
        _flush(stream)
        with suppress(OSError):
            _write_all(2, f"{line}\n".encode())


def _write_stream(stream: Any, data: bytes) -> None:
    stream.write(data.decode("utf-8"))
    _flush(stream)


def _flush(stream: Any) -> None:
    with suppress(OSError, ValueError, AttributeError, io.UnsupportedOperation):
        stream.flush()


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
