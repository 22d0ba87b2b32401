"""Child processes that must not outlive the daemon, and the parent it must not outlive. Standard library only."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

__all__ = ["forget", "kill_all", "kill_group", "parent_alive_probe", "remember"]

_GRACE_SECONDS = 0.15
_groups: dict[int, bool] = {}
_lock = threading.Lock()


def remember(group: int, *, keeper: bool = False) -> None:
    """Note a process group to be killed with the daemon; a keeper is asked first, to kill what it keeps."""
    with _lock:
        _groups[group] = keeper


def forget(group: int) -> None:
    with _lock:
        _groups.pop(group, None)


def kill_all() -> None:
    """Kill every remembered group; keepers get a signal and a moment, and finish on their own if it is too short."""
    with _lock:
        groups = dict(_groups)
    keepers = [group for group, keeper in groups.items() if keeper]
    for group in keepers:
        with contextlib.suppress(OSError):
            os.kill(group, signal.SIGTERM)
            os.kill(group, signal.SIGCONT)
    for group in groups.keys() - set(keepers):
        kill_group(group)
    ends = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < ends and any(_start_of(group) is not None for group in keepers):
        time.sleep(0.005)


def kill_group(group: int) -> None:
    """Kill a process group; one that is gone is fine."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(group, signal.SIGKILL)
        else:
            os.kill(group, signal.SIGTERM)


def parent_alive_probe(pid: int | None) -> Callable[[], bool]:
    """A function telling whether process `pid` of now still runs; a later process of that number does not count.

    None is a parent that never ends; a pid without a process is one that has ended.
    """
    if pid is None:
        return lambda: True
    started = _start_of(pid)
    return lambda: started is not None and _start_of(pid) == started


def _start_of(pid: int) -> str | None:
    """When the process started, in the system's own words; None if there is none, or a zombie."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat", "rb") as stat:
                fields = stat.read().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in {b"Z", b"X"} else fields[19].decode()
    try:
        listing = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=2, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"  # no way to tell: never end for that reason
    state, _, started = listing.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()
