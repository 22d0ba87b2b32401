"""A time limit on a stretch of pure Python work, and threads with room to recurse. Standard library only.

A worker's job runs in a thread (deep stack), so `signal.alarm` cannot reach it: the exception is raised
asynchronously in that thread instead, and withdrawn if the work ends first.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["OutOfTime", "deep_thread", "time_limit"]

_AGAIN_SECONDS = 0.25
_RECURSION_LIMIT = 50_000
# Address space, touched only as deep as the recursion goes; the smaller ones for machines that refuse it.
_STACK_BYTES = (512 * 1024 * 1024, 64 * 1024 * 1024, 0)


class OutOfTime(BaseException):
    """Raised inside a `time_limit` block whose time is over.

    No `Exception`: the tokenizer and others turn any of those into an error of their own.
    """


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` in the calling thread if the block runs longer than `seconds`.

    It interrupts Python code between two instructions, not a single long call into C. Blocks do not nest.
    """
    target = threading.get_ident()
    lock = threading.Lock()
    over = threading.Event()

    def interrupt() -> None:
        wait = seconds
        # again and again: what is raised inside a finaliser or a callback of the collector is lost
        while not over.wait(wait):
            with lock:
                if not over.is_set():
                    _raise_in(target, OutOfTime)
            wait = _AGAIN_SECONDS

    threading.Thread(target=interrupt, name="time limit", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        with lock:
            _raise_in(target, None)  # raised, but not yet delivered


def deep_thread(work: Callable[[], None], name: str) -> threading.Thread:
    """Start a daemon thread in which deeply nested input may recurse."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_LIMIT))
    before = threading.stack_size()
    try:
        for size in _STACK_BYTES:
            threading.stack_size(size)
            thread = threading.Thread(target=work, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if size == _STACK_BYTES[-1]:
                    raise
            else:
                break
    finally:
        threading.stack_size(before)
    return thread


def _raise_in(thread_id: int, exception: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), None if exception is None else ctypes.py_object(exception)
    )
