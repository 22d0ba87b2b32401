"""The processes of the pool: a template that has loaded everything, and the workers it forks.

Loading the engine costs more than most jobs, so it is done once, in a process without threads that can fork;
a worker that was killed for its deadline is replaced in milliseconds. Where there is no fork, each worker loads
for itself (`main` instead of `template_main`).

Frames of the job protocol are a 4-byte big-endian length and that many bytes. A job is two frames (command,
body); an empty frame says that it is taken, and a result is a header frame (JSON, see `_header`) and a body frame.
Each process ends when its input does, even in the middle of a job, and on Linux also when its parent dies: nothing
outlives the daemon.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
from queue import SimpleQueue
from typing import BinaryIO, NoReturn

from ktx_daemon.capabilities import BY_COMMAND, CAPABILITIES
from ktx_daemon.deadlines import deep_thread
from ktx_daemon.execution import Failure, Success, execute, quieten

__all__ = ["ORDER", "main", "read_frame", "resident_bytes", "steady_allocator", "template_main", "write_frame"]

_LENGTH = struct.Struct(">I")
ORDER = struct.Struct(">cI")  # to the template: b"f" and 0, with two descriptors, or b"k" and a process id
_ADDRESS_SPACE = 6 * 1024**3  # a request that needs more gets a MemoryError, not the machine
_PR_SET_PDEATHSIG = 1
_M_MMAP_THRESHOLD = -3
_LARGE = 1024 * 1024


def main() -> None:
    """Be a worker that loads for itself: jobs from fd 0, results to fd 1."""
    _prepare()
    _serve(os.dup(0), os.dup(1))


def template_main() -> None:
    """Be the template: orders (`ORDER`) from the Unix socket whose descriptor is the first argument.

    Answers `ready`, then each order with a process id of 4 bytes, 0 if there is nothing to say.
    """
    control = socket.socket(fileno=int(sys.argv[1]))
    _prepare()
    control.sendall(b"ready")
    workers: set[int] = set()
    while True:
        readable, _, _ = select.select([control], [], [], 1.0)
        if readable:
            order, descriptors, _, _ = socket.recv_fds(control, ORDER.size, 2)
            if len(order) < ORDER.size:
                os.killpg(0, signal.SIGKILL)  # the daemon is gone: so are we and every worker
            verb, number = ORDER.unpack(order)
            if verb == b"f":
                number = os.fork()
                if number == 0:
                    control.close()
                    _die_with_parent()
                    _serve(*descriptors)
                workers.add(number)
                for descriptor in descriptors:
                    os.close(descriptor)
            elif number in workers:  # not yet reaped, so the id is still its own
                os.kill(number, signal.SIGKILL)
            control.sendall(_LENGTH.pack(number))
        for worker in list(workers):
            if os.waitpid(worker, os.WNOHANG)[0]:
                workers.discard(worker)


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame, or None at the end of the stream (a torn frame included)."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = stream.read(length)
    return body if len(body) == length else None


def write_frame(stream: BinaryIO, body: bytes) -> None:
    stream.write(_LENGTH.pack(len(body)))
    stream.write(body)


def resident_bytes() -> int:
    """Memory of this process now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def steady_allocator() -> None:
    """Give large buffers back to the system when freed: glibc otherwise raises its own threshold and keeps them."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 256 * 1024)


def trim_memory() -> None:
    """Return freed heap to the system, where the C library can."""
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def _prepare() -> None:
    """Settle everything that workers share."""
    _die_with_parent()
    steady_allocator()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory()
    quieten()
    for module in sorted({row.module for row in CAPABILITIES if row.kind == "cpu"}):
        with contextlib.suppress(ImportError):  # the job that needs it will say so
            importlib.import_module(module)
    gc.collect()
    gc.freeze()


def _serve(jobs_from: int, results_to: int) -> NoReturn:
    """Work until the jobs end."""
    jobs_in, results_out = os.fdopen(jobs_from, "rb"), os.fdopen(results_to, "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # a stray print must not become a frame
    jobs: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
    deep_thread(lambda: _work(jobs, results_out), "job")
    while (command := read_frame(jobs_in)) is not None and (body := read_frame(jobs_in)) is not None:
        write_frame(results_out, b"")  # taken: from here on the job may be what ends this process
        results_out.flush()
        jobs.put((command.decode(), body))
        del body
    os._exit(0)


def _work(jobs: SimpleQueue[tuple[str, bytes]], results: BinaryIO) -> None:
    try:
        baseline = resident_bytes()
        while True:
            command, body = jobs.get()
            large = len(body) > _LARGE
            outcome = execute(BY_COMMAND[command], body)
            del body
            answer = outcome.body if isinstance(outcome, Success) else b""
            if large or len(answer) > _LARGE:
                trim_memory()
            write_frame(results, _header(outcome, resident_bytes() - baseline))
            write_frame(results, answer)
            results.flush()
            del outcome, answer
    except BaseException:  # the daemon is gone, or this process is beyond repair
        os._exit(1)


def _header(outcome: Success | Failure, grown: int) -> bytes:
    """`{"grown": bytes since the start, "failure": null or the fields of Failure}`."""
    failure = None
    if isinstance(outcome, Failure):
        failure = {
            "code": outcome.code,
            "status": outcome.status,
            "message": outcome.message,
            "details": outcome.details,
            "kind": outcome.kind,
            "advice": outcome.advice,
        }
    return json.dumps({"grown": grown, "failure": failure}).encode()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = _ADDRESS_SPACE if hard == resource.RLIM_INFINITY else min(_ADDRESS_SPACE, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
