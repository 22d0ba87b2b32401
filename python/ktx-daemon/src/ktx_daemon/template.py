"""Worker processes as the pool sees them: two pipes and a way to kill. Forked from a template, or spawned.

The template and all its workers are one process group, so that ending the daemon kills them at once. Whether
a worker lives is read off its pipe, never off its process id, which the system may have given away.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from typing import Any, BinaryIO

from ktx_daemon.worker import ORDER

__all__ = ["Source", "WorkerProcess"]

_PRIVATE = ("KTX_DAEMON_TOKEN", "KTX_DAEMON_NONCE")
_BOOTSTRAP = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from ktx_daemon.worker import {0}; {0}()"
_CAN_FORK = hasattr(os, "fork") and hasattr(socket, "send_fds")
_LOAD_SECONDS = 120.0
_FORK_SECONDS = 20.0


class WorkerProcess:
    """One worker: write jobs to `jobs`, read results from `results`."""

    def __init__(
        self, jobs: BinaryIO, results: BinaryIO, process: subprocess.Popen[bytes] | int, source: Source
    ) -> None:
        self.jobs = jobs
        self.results = results
        self._process = process
        self._source = source
        self._killed = False

    @property
    def alive(self) -> bool:
        """Whether it may get a job; meaningful between jobs, when nothing but its end can be read."""
        if self._killed:
            return False
        if isinstance(self._process, subprocess.Popen):
            return self._process.poll() is None
        return not select.select([self.results], [], [], 0)[0]

    def kill(self) -> None:
        """End it now; the pipes are closed by whoever reads them last."""
        if not self._killed:
            self._killed = True
            if isinstance(self._process, subprocess.Popen):
                with contextlib.suppress(OSError):
                    self._process.kill()
                    self._process.wait(5)
            else:
                self._source.kill(self._process)

    def close(self) -> None:
        """Kill it and release its pipes."""
        self.kill()
        for pipe in (self.jobs, self.results):
            with contextlib.suppress(OSError, ValueError):
                pipe.close()


class Source:
    """Where workers come from. All are made by one thread: Linux ties a child's life to the thread that made it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._template: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False

    def make(self) -> WorkerProcess:
        """A new worker; raises `OSError` if the system has no room for one."""
        if not _CAN_FORK:
            process = _python("main", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert process.stdin is not None
            assert process.stdout is not None
            return WorkerProcess(process.stdin, process.stdout, process, self)  # type: ignore[arg-type]
        try:
            self._ensure_template()
            return self._fork()
        except OSError:
            self._end_template()
            raise

    def kill(self, worker: int) -> None:
        """Kill a forked worker, by way of the template, which knows whether the id is still its own."""
        with contextlib.suppress(OSError):
            self._order(b"k", worker)

    def close(self) -> None:
        """Kill the template and every worker forked from it."""
        self._closed = True
        self._end_template()

    def _ensure_template(self) -> None:
        if self._control is not None and self._template is not None and self._template.poll() is None:
            return
        self._end_template()
        ours, theirs = socket.socketpair()
        with theirs:
            template = _python(
                "template_main", str(theirs.fileno()), pass_fds=(theirs.fileno(),), start_new_session=True
            )
        self._template = template
        ours.settimeout(_LOAD_SECONDS)
        if ours.recv(5, socket.MSG_WAITALL) != b"ready":
            ours.close()
            raise OSError("the template process did not start")
        ours.settimeout(_FORK_SECONDS)
        self._control = ours
        if self._closed:
            self._end_template()
            raise OSError("closed")

    def _fork(self) -> WorkerProcess:
        jobs_out, jobs_in = os.pipe()
        results_out, results_in = os.pipe()
        try:
            worker = self._order(b"f", 0, [jobs_out, results_in])
        except OSError:
            os.close(jobs_in)
            os.close(results_out)
            raise
        finally:
            os.close(jobs_out)
            os.close(results_in)
        return WorkerProcess(os.fdopen(jobs_in, "wb"), os.fdopen(results_out, "rb"), worker, self)

    def _order(self, verb: bytes, number: int, descriptors: list[int] | None = None) -> int:
        with self._lock:
            if self._control is None:
                raise OSError("no template process")
            socket.send_fds(self._control, [ORDER.pack(verb, number)], descriptors or [])
            answer = self._control.recv(4, socket.MSG_WAITALL)
        if len(answer) < 4:
            raise OSError("the template process ended")
        (worker,) = struct.unpack(">I", answer)
        return int(worker)

    def _end_template(self) -> None:
        template, self._template = self._template, None
        if template is not None:
            with contextlib.suppress(OSError):
                os.killpg(template.pid, signal.SIGKILL)
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                template.kill()
                template.wait(5)
        control, self._control = self._control, None
        if control is not None:
            control.close()


def _python(entry: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Python at a function of `worker`, with our module path, without credentials in its environment."""
    environment = {key: value for key, value in os.environ.items() if key not in _PRIVATE}
    environment.setdefault("MALLOC_ARENA_MAX", "2")
    command = [sys.executable, "-c", _BOOTSTRAP.format(entry), json.dumps(sys.path), *arguments]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **options}
    process: subprocess.Popen[bytes] = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment, **pipes)
    return process
