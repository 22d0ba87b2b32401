"""A bounded pool of warm worker processes for CPU work.

`run` may be called from any thread and blocks it. A job has a worker to itself; a deadline kills the worker,
a crash loses that one job, and a replacement is made at once (see `template`). A job that its worker had not yet
taken when it died goes to another: an idle worker may be dying unseen.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import threading
import time

from ktx_daemon.capabilities import Capability
from ktx_daemon.errors import LimitExceeded, Timeout
from ktx_daemon.execution import Failure, Success, failure_of
from ktx_daemon.template import Source, WorkerProcess
from ktx_daemon.worker import read_frame, write_frame

__all__ = ["WorkerPool"]

_GROWN_TOO_FAR = 256 * 1024 * 1024  # replaced at once
_GROWN = 8 * 1024 * 1024  # replaced when idle, so that memory settles where it started
_IDLE_SECONDS = 1.0
_ENDED = "the request made its worker process end; send a smaller or simpler one"


class WorkerPool:
    """`size` worker processes; `start` begins warming them, `close` kills them until the next use."""

    def __init__(self, size: int | None = None) -> None:
        self.size = size or max(2, min(8, os.cpu_count() or 2))
        self._lock = threading.Lock()
        self._crew: _Crew | None = None
        self._closed_forever = False

    def start(self) -> None:
        """Start the workers in the background, unless they are there."""
        self._present()

    def run(self, row: Capability, body: bytes) -> Success | Failure:
        """The outcome of one job; waiting for a free worker counts towards the row's deadline."""
        ends = time.monotonic() + row.deadline
        crew = self._present()
        for _ in range(self.size + 1):  # all that are idle may be dying; the next one is new
            worker = None if crew is None else crew.take(ends)
            if crew is None or worker is None:
                return failure_of(Timeout(row.deadline))
            try:
                outcome = worker.run(row, body, ends)
            finally:
                crew.give_back(worker)
            if outcome is not None:
                return outcome
        return failure_of(LimitExceeded(_ENDED))

    def close(self, *, forever: bool = False) -> None:
        """Kill every worker. A later `run` starts new ones, unless this was `forever`."""
        with self._lock:
            crew, self._crew = self._crew, None
            self._closed_forever = self._closed_forever or forever
        if crew is not None:
            crew.dismiss()
        atexit.unregister(self.close)

    def _present(self) -> _Crew | None:
        with self._lock:
            if self._crew is None and not self._closed_forever:
                self._crew = _Crew(self.size)
                atexit.register(self.close)
            return self._crew


class _Crew:
    """The workers of a pool between two closings, and the thread that starts them."""

    def __init__(self, size: int) -> None:
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._alive: set[_Worker] = set()
        self._lock = threading.Lock()
        self._dismissed = False
        self._source = Source()
        for _ in range(size):
            self._wanted.put(True)
        threading.Thread(target=self._keep, name="worker-keeper", daemon=True).start()

    def take(self, ends: float) -> _Worker | None:
        """A worker to use, or None if none is free in time."""
        while True:
            try:
                worker = self._idle.get(timeout=max(0.0, ends - time.monotonic()))
            except queue.Empty:
                return None
            if worker.usable:
                return worker
            self._replace(worker)

    def give_back(self, worker: _Worker) -> None:
        if worker.usable and worker.grown < _GROWN_TOO_FAR:
            worker.idle_since = time.monotonic()
            self._idle.put(worker)
        else:
            self._replace(worker)

    def dismiss(self) -> None:
        with self._lock:
            self._dismissed = True
            workers = list(self._alive)
        self._wanted.put(False)
        self._source.close()
        for worker in workers:
            worker.process.kill()
        with contextlib.suppress(queue.Empty):  # busy ones are closed by their users
            while True:
                self._idle.get_nowait().process.close()

    def _replace(self, worker: _Worker) -> None:
        worker.process.close()
        with self._lock:
            self._alive.discard(worker)
        self._wanted.put(True)

    def _keep(self) -> None:
        """Start what is wanted; between starts, renew an idle worker that has grown."""
        while True:
            try:
                wanted = self._wanted.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                self._renew_one()
                continue
            if not wanted or not self._start_one():
                return

    def _start_one(self) -> bool:
        try:
            worker = _Worker(self._source.make())
        except OSError:  # out of processes or memory: try again rather than shrink for good
            if self._dismissed:
                return False
            time.sleep(0.5)
            self._wanted.put(True)
            return True
        with self._lock:
            if not self._dismissed:
                self._alive.add(worker)
                self._idle.put(worker)
                return True
        worker.process.close()
        return False

    def _renew_one(self) -> None:
        kept: list[_Worker] = []
        with contextlib.suppress(queue.Empty):
            while True:
                worker = self._idle.get_nowait()
                rested = time.monotonic() - worker.idle_since > _IDLE_SECONDS
                if not worker.usable or (worker.grown > _GROWN and rested):
                    self._replace(worker)
                    break
                kept.append(worker)
        for worker in reversed(kept):
            self._idle.put(worker)


class _Worker:
    """A worker process and what the pool knows of it. Used by one thread at a time."""

    def __init__(self, process: WorkerProcess) -> None:
        self.process = process
        self.grown = 0
        self.idle_since = time.monotonic()

    @property
    def usable(self) -> bool:
        return self.process.alive

    def run(self, row: Capability, body: bytes, ends: float) -> Success | Failure | None:
        """The outcome of the job, or None if the process ended before it took it."""
        timed_out = threading.Event()

        def stop() -> None:
            timed_out.set()
            self.process.kill()

        watchdog = threading.Timer(max(0.0, ends - time.monotonic()), stop)
        watchdog.daemon = True
        watchdog.start()
        try:
            taken, answer = self._exchange(row.command.encode(), body)
        finally:
            watchdog.cancel()
        if answer is None:
            self.process.kill()
            if timed_out.is_set():
                return failure_of(Timeout(row.deadline))
            return failure_of(LimitExceeded(_ENDED)) if taken else None
        header, result = answer
        fields = json.loads(header)
        self.grown = fields["grown"]
        failure = fields["failure"]
        if failure is None:
            return Success(result)
        details = failure.pop("details")
        return Failure(**failure, details=None if details is None else tuple(details))

    def _exchange(self, command: bytes, body: bytes) -> tuple[bool, tuple[bytes, bytes] | None]:
        """Whether the job was taken; header and body of the answer, or None if the process ended first."""
        taken = False
        try:
            write_frame(self.process.jobs, command)
            write_frame(self.process.jobs, body)
            self.process.jobs.flush()
            taken = read_frame(self.process.results) is not None
            header = read_frame(self.process.results)
            result = read_frame(self.process.results) if header is not None else None
        except (OSError, ValueError):  # a broken or closed pipe
            return taken, None
        return taken, None if header is None or result is None else (header, result)
