"""Run caller's Python code in a fresh child process with limits. **Not a security sandbox**: the code runs as
the daemon's user, can read its files and use the network. Off unless the operator switches it on.

What is limited: 30 s of wall and CPU time, 2 GiB of memory, 1 MiB of output (cut with a note), 64 MiB per
file, 64 processes. The child works in a directory of its own that is deleted afterwards, with a minimal
environment and no inherited file descriptors; everything it started is killed when it ends.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ktx_daemon.errors import DaemonError
from ktx_daemon.limits import MAX_RESPONSE_BYTES
from ktx_daemon.models import Request, Response
from ktx_daemon.processes import forget, kill_group, remember
from ktx_daemon.redaction import clean

__all__ = ["ExecuteCodeRequest", "ExecuteCodeResponse", "Visualization", "execute_code_response"]

WALL_SECONDS = 30.0
_LOAD_SECONDS = 60.0  # for the interpreter and the libraries, before the code's own time begins
MAX_OUTPUT_BYTES = 1024 * 1024
_STOP_SECONDS = 5.0
_CHUNK = 256 * 1024
_NO_RESULT = "The code ran to its end without setting the variable `result`."
_CUT = f"\n[output cut at {MAX_OUTPUT_BYTES} bytes]"
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from ktx_daemon.code_child import main; main()"
)


class ExecuteCodeRequest(Request):
    code: str
    source_id: str | None = None
    message_id: str | None = None


class Visualization(Response):
    type: str
    vis_type: str
    config: dict[str, Any]
    data: Any
    title: str | None


class ExecuteCodeResponse(Response):
    formatted_result: str
    result: Any
    console_output: str
    error: str | None
    message: str | None
    visualizations: list[Visualization] | None


def execute_code_response(request: ExecuteCodeRequest) -> ExecuteCodeResponse:
    """Run `request.code`; whatever it does, the answer says so. `result` is the value of that variable."""
    if os.name != "posix":
        raise DaemonError("missing_dependency", "running code needs process groups and limits: Linux or macOS")
    run = _run(request.code)
    console = run.console.decode("utf-8", "replace") + (_CUT if run.cut else "")
    answer = run.answer()
    error = answer.get("error")
    message = None if error is not None or "result" in answer else _NO_RESULT
    visualizations = answer.get("visualizations") if error is None else None
    result = answer.get("result")
    return ExecuteCodeResponse(
        formatted_result=_formatted(console, result, error, message),
        result=result,
        console_output=console,
        error=error,
        message=message,
        visualizations=None if visualizations is None else [Visualization(**item) for item in visualizations],
    )


def _formatted(console: str, result: Any, error: str | None, message: str | None) -> str:
    plain = _CONTROL.sub("", _ANSI.sub("", console))
    head = f"=== Console Output ===\n\n{plain}" if plain.strip() else ""
    if error is not None:
        return f"{head}\n\n=== Error ===\n\n{error}"
    if message is not None:
        return f"{head}\n\n=== Message ===\n\n{message}"
    text = result if isinstance(result, str) else json.dumps(result, indent=2, ensure_ascii=False)
    return f"{head}\n\n=== Result ===\n\n{text}"


@dataclass(slots=True)
class _Run:
    """What came out of one child: console bytes, the raw answer, and why there may be none."""

    console: bytearray = field(default_factory=bytearray)
    cut: bool = False
    raw: bytearray = field(default_factory=bytearray)
    timed_out: bool = False
    status: int | None = None
    group: int | None = None

    def answer(self) -> dict[str, Any]:
        body = bytes(self.raw).rpartition(b"\n")[2]
        if not self.timed_out and body:
            with suppress(ValueError, RecursionError):
                answer: dict[str, Any] = json.loads(body)
                return answer
        if self.timed_out:
            return {"error": f"TimeoutError: the code ran longer than {WALL_SECONDS:g} s and was stopped"}
        return {"error": clean(self._ending())}

    def _ending(self) -> str:
        # Statuses above 128 are the child's way of reporting the signal that ended the code.
        if self.status is not None and 128 < self.status < 193:
            number = self.status - 128
            name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
            reason = " (a limit on time, memory or processes)" if name in {"SIGKILL", "SIGXCPU"} else ""
            return f"RuntimeError: the code's process was ended by {name}{reason}"
        return f"RuntimeError: the code ended its own process with status {self.status}"


def _run(code: str) -> _Run:
    directory = tempfile.mkdtemp(prefix="ktx-code-")
    result_read, result_write = os.pipe()
    run = _Run()
    try:
        child = subprocess.Popen(
            [sys.executable, "-u", "-c", _BOOTSTRAP, json.dumps(sys.path), str(result_write), directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=_environment(directory),
            pass_fds=(result_write,),
            start_new_session=True,
        )
        remember(child.pid, keeper=True)
        try:
            os.close(result_write)
            result_write = -1
            assert child.stdin is not None
            assert child.stdout is not None
            with suppress(BrokenPipeError):
                child.stdin.write(code.encode("utf-8", "replace"))
                child.stdin.close()
            _collect(run, child, result_read)
        finally:
            _end(run, child)
            forget(child.pid)
            if run.group is not None:
                forget(run.group)
    finally:
        for descriptor in (result_read, result_write):
            if descriptor >= 0:
                os.close(descriptor)
        shutil.rmtree(directory, ignore_errors=True)
    return run


def _collect(run: _Run, child: subprocess.Popen[bytes], result_read: int) -> None:
    """Read console and result until both end or time is over; output past its limit is read and dropped."""
    assert child.stdout is not None
    ends = time.monotonic() + _LOAD_SECONDS
    begun = False
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout.fileno(), selectors.EVENT_READ, _console_taker(run))
        selector.register(result_read, selectors.EVENT_READ, _result_taker(run))
        while selector.get_map():
            if not begun and run.raw.count(b"\n") > 1:
                begun, ends = True, time.monotonic() + WALL_SECONDS
            left = ends - time.monotonic()
            if left <= 0:
                run.timed_out = True
                return
            for key, _ in selector.select(min(left, 1.0)):
                if run.cut and key.fd == child.stdout.fileno():
                    more = _discard(key.fd)
                else:
                    data = os.read(key.fd, _CHUNK)
                    more = bool(data)
                    key.data(data)
                if not more:
                    selector.unregister(key.fd)


def _discard(descriptor: int) -> bool:
    """Drop what can be read; False at the end. Without copying it through this process, where the system can."""
    if not hasattr(os, "splice"):
        return bool(os.read(descriptor, _CHUNK))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        return os.splice(descriptor, nowhere, _CHUNK * 4) > 0
    finally:
        os.close(nowhere)


def _console_taker(run: _Run) -> Any:
    def take(data: bytes) -> None:
        room = MAX_OUTPUT_BYTES - len(run.console)
        run.console += data[:room]
        run.cut = run.cut or len(data) > room

    return take


def _result_taker(run: _Run) -> Any:
    """First line: the process group of the code. Second, empty: libraries are loaded, it begins. Then the answer."""

    def take(data: bytes) -> None:
        if len(run.raw) <= MAX_RESPONSE_BYTES:
            run.raw += data
        if run.group is None and b"\n" in run.raw:
            with suppress(ValueError):
                run.group = int(run.raw.partition(b"\n")[0])
                remember(run.group)

    return take


def _end(run: _Run, child: subprocess.Popen[bytes]) -> None:
    """Ask the keeper to kill everything, then make sure."""
    try:
        if run.timed_out:
            child.terminate()
        child.wait(_STOP_SECONDS if run.timed_out else WALL_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    if run.group is not None and run.group > 1:
        kill_group(run.group)
    kill_group(child.pid)
    run.status = child.wait()
    assert child.stdout is not None
    child.stdout.close()


def _environment(directory: str) -> dict[str, str]:
    kept = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if key in os.environ}
    return {
        **kept,
        "HOME": directory,
        "TMPDIR": directory,
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        # Threads of numerical libraries would reserve memory and processes that the code may want.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
