"""The child process of `code_execution`: a keeper, and below it the process that runs the code.

The keeper limits, forks, waits, and at the end kills every descendant, those in sessions of their own
included, and removes their directory: as a "child subreaper" (Linux) it inherits all orphans. It ends on
SIGTERM, sent by the daemon or by the system when the daemon dies. Standard library only: the libraries for the
code are loaded by the code's own process, and only those it names.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import json
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, NoReturn

from ktx_daemon.code_values import BadVisualization, Unserialisable, plain, visualizations_in

__all__ = ["main"]

CPU_SECONDS = 30
MEMORY_BYTES = 2 * 1024**3
FILE_BYTES = 64 * 1024**2
MAX_PROCESSES = 64
_MAX_ANSWER_BYTES = 60 * 1024**2
_POLL_SECONDS = 0.01
_COUNT_EVERY = 50  # polls
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_NICENESS = 5  # below its keeper and the daemon, which must get their turn whatever it does
_FILE_NAME = "<code>"
_LIBRARIES = {"pd": "pandas", "np": "numpy", "json": "json", "requests": "requests"}
_LOOKS_AROUND = re.compile(r"\b(globals|locals|vars|dir|eval|exec)\b")


def main() -> None:
    """Code on standard input; the answer to the descriptor of the first argument; then remove the second and exit."""
    result, directory = int(sys.argv[1]), sys.argv[2]
    os.set_inheritable(result, False)
    code = sys.stdin.buffer.read().decode("utf-8", "replace")
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    runner = os.fork()
    if runner == 0:
        _become_runner(code, result)
    with contextlib.suppress(OSError):
        os.setpgid(runner, runner)  # both sides do it: neither can be too late
    os.close(result)
    _lead_nowhere(1, 2)  # the ends of the pipes are the runner's
    status = _watch(runner, lambda: stopped)
    _kill_everything(runner)
    _remove(directory)
    os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def _watch(runner: int, stopped: Callable[[], bool]) -> int:
    """Wait status of the runner once it ended, or was killed for us being told to stop or too many processes."""
    before = _tasks()
    for poll in range(sys.maxsize):
        done, status = os.waitpid(runner, os.WNOHANG)
        if done:
            return status
        # Counting processes is dear, the system's own total is not. A fork bomb must be seen at once, and held
        # still while it is counted: it would starve us.
        suspicious = _tasks() - before > MAX_PROCESSES
        if suspicious:
            _signal_group(runner, signal.SIGSTOP)
        if stopped() or ((suspicious or poll % _COUNT_EVERY == 0) and sum(1 for _ in _descendants()) > MAX_PROCESSES):
            _signal_group(runner)
            return os.waitpid(runner, 0)[1]
        if suspicious:
            _signal_group(runner, signal.SIGCONT)
            before = _tasks()  # it was somebody else
        time.sleep(_POLL_SECONDS)
    raise AssertionError


def _tasks() -> int:
    """All tasks of the system (Linux; elsewhere 0)."""
    try:
        with open("/proc/loadavg", "rb") as loadavg:
            return int(loadavg.read().split()[3].partition(b"/")[2])
    except (OSError, IndexError, ValueError):
        return 0


def _kill_everything(runner: int) -> None:
    """Kill the group at once (no member can fork away from that), then whatever else became our child."""
    _signal_group(runner)
    for _ in range(200):
        for pid in _descendants():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def _remove(directory: str) -> None:
    """Here and not in the daemon alone, which may be gone."""
    import shutil  # slow to load, and only now needed

    shutil.rmtree(directory, ignore_errors=True)


def _signal_group(group: int, number: signal.Signals = signal.SIGKILL) -> None:
    with contextlib.suppress(OSError):
        os.killpg(group, number)


def _descendants() -> Iterator[int]:
    """Processes below this one (Linux; elsewhere none)."""
    parents: dict[int, list[int]] = {}
    try:
        entries = os.listdir("/proc")
    except OSError:
        return
    for entry in entries:
        if entry.isdecimal():
            with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{entry}/stat", "rb") as stat:
                parents.setdefault(int(stat.read().rpartition(b")")[2].split()[1]), []).append(int(entry))
    below = parents.get(os.getpid(), [])
    while below:
        pid = below.pop()
        yield pid
        below += parents.get(pid, [])


def _become_runner(code: str, result: int) -> NoReturn:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.write(result, f"{os.getpid()}\n".encode())
    _lead_nowhere(0)
    sys.argv[:] = [_FILE_NAME]
    sys.path.insert(0, "")
    _limit()
    os.nice(_NICENESS)
    me = os.getpid()
    answer = _answer(code, result)
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    if os.getpid() == me:  # not a process the code forked
        _write(result, answer)
    os._exit(0)


def _answer(code: str, result: int) -> bytes:
    """`{"result", "visualizations"}`, `{}` without a result, or `{"error"}`; encoded."""
    dumps = json.dumps  # the code may replace it
    try:
        compiled = _compiled(code)
        scope = _scope(code)
        _limit_cpu()
        os.write(result, b"\n")  # its time begins
        exec(compiled, scope)
        if "result" not in scope:
            return b"{}"
        value = plain(scope["result"])
        answer = dumps({"result": value, "visualizations": visualizations_in(value)}, allow_nan=False).encode()
        if len(answer) > _MAX_ANSWER_BYTES:
            raise Unserialisable(f"the result is larger than {_MAX_ANSWER_BYTES} bytes")
        return answer
    except (Unserialisable, BadVisualization) as exc:
        return dumps({"error": f"{type(exc).__name__}: {exc}"}).encode()
    except BaseException as exc:
        return dumps({"error": _described(exc)}).encode()


def _compiled(code: str) -> CodeType:
    return compile(code, _FILE_NAME, "exec", dont_inherit=True)


def _scope(code: str) -> dict[str, Any]:
    """Globals for the code. A library is loaded only if its name occurs in the text: pandas alone costs seconds."""
    all_of_them = _LOOKS_AROUND.search(code) is not None
    scope: dict[str, Any] = {"__name__": "__main__", "__builtins__": builtins}
    for name, module in _LIBRARIES.items():
        if all_of_them or re.search(rf"\b{name}\b", code):
            scope[name] = __import__(module)
    for name in ("save_df_to_scratchpad", "read_scratchpad_file"):
        scope[name] = _refusing(name, "scratchpad")
    scope["save_visualization"] = _refusing("save_visualization", "visualization")
    return scope


def _refusing(name: str, what: str) -> Any:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise RuntimeError(f"source_id and message_id are required for {what} operations")

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


def _described(exc: BaseException) -> str:
    """Class, text and line of the code; the text of an exception may itself raise."""
    try:
        text = str(exc)
        lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == _FILE_NAME]
        where = f" (line {lines[-1]})" if lines else ""
        described = f"{type(exc).__name__}: {text}{where}" if text else f"{type(exc).__name__}{where}"
    except BaseException:
        described = type(exc).__name__
    described = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", described)[:10_000]
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", " ", described)


def _limit_cpu() -> None:
    used = int(time.process_time()) + 1
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_SECONDS, used + CPU_SECONDS + 1))


def _limit() -> None:
    for what, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # macOS knows no RLIMIT_AS
            resource.setrlimit(what, (value, value))


def _lead_nowhere(*descriptors: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    with contextlib.suppress(OSError):
        while view:
            view = view[os.write(descriptor, view) :]
