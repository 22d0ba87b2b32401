"""The pool of worker processes: a deadline kills the job, a crash is only its error."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
from ktx_daemon.capabilities import BY_COMMAND
from ktx_daemon.execution import Failure, Success
from ktx_daemon.pool import WorkerPool

READ_ONLY = BY_COMMAND["sql-validate-read-only"]
BATCH = BY_COMMAND["sql-analyze-batch"]
SQL = json.dumps({"dialect": "postgres", "sql": "select 1"}).encode()
LONG = json.dumps(
    {
        "dialect": "postgres",
        "items": [{"id": str(i), "sql": f"select a + {i} from t where b = 2"} for i in range(20_000)],
    }
).encode()


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    workers = WorkerPool(2)
    yield workers
    workers.close()


def workers_of_this_process() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # a zombie, or gone
            if "ktx_daemon.worker" in " ".join(child.cmdline()):
                found.append(child)
    return found


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all have ended within some seconds; zombies have."""
    ends = time.monotonic() + 20
    while any(map(_lives, processes)) and time.monotonic() < ends:
        time.sleep(0.05)
    return not any(map(_lives, processes))


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_closing_leaves_no_process() -> None:
    workers = WorkerPool(2)
    assert isinstance(workers.run(READ_ONLY, SQL), Success)
    mine = workers_of_this_process()
    assert mine
    workers.close()
    assert gone(mine)


def test_a_job_returns_its_answer_or_its_failure(pool: WorkerPool) -> None:
    assert pool.run(READ_ONLY, SQL) == Success(b'{"ok":true,"error":null}')
    failure = pool.run(READ_ONLY, b"{}")
    assert isinstance(failure, Failure)
    assert (failure.code, failure.status) == ("invalid_request", 422)
    assert failure.details
    assert failure.details[0]["loc"] == ["body", "dialect"]


def test_a_deadline_kills_the_worker_and_the_next_job_runs(pool: WorkerPool) -> None:
    pool.run(READ_ONLY, SQL)
    before = {child.pid for child in workers_of_this_process()}
    failure = pool.run(BATCH._replace(deadline=0.5), LONG)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.status) == ("timeout", 504)
    assert isinstance(pool.run(READ_ONLY, SQL), Success)
    ends = time.monotonic() + 20
    while len({child.pid for child in workers_of_this_process()} - before) < 1 and time.monotonic() < ends:
        time.sleep(0.05)
    assert {child.pid for child in workers_of_this_process()} - before


def test_waiting_for_a_worker_counts_towards_the_deadline() -> None:
    single = WorkerPool(1)
    try:
        assert isinstance(single.run(READ_ONLY, SQL), Success)
        holder = threading.Thread(target=single.run, args=(BATCH._replace(deadline=4), LONG))
        holder.start()
        time.sleep(0.3)
        failure = single.run(READ_ONLY._replace(deadline=0.5), SQL)
        assert isinstance(failure, Failure)
        assert failure.code == "timeout"
        holder.join()
        assert isinstance(single.run(READ_ONLY, SQL), Success)
    finally:
        single.close()


def test_a_worker_that_dies_loses_only_its_job() -> None:
    single = WorkerPool(1)
    others = {child.pid for child in workers_of_this_process()}
    try:
        assert isinstance(single.run(READ_ONLY, SQL), Success)
        mine = [child for child in workers_of_this_process() if child.pid not in others]
        worker = next(child for child in mine if child.ppid() != os.getpid())  # the other is its template
        outcomes: list[Success | Failure] = []
        job = threading.Thread(target=lambda: outcomes.append(single.run(BATCH, LONG)))
        job.start()
        time.sleep(0.5)
        worker.kill()
        job.join()
        assert isinstance(outcomes[0], Failure)
        assert (outcomes[0].code, outcomes[0].status) == ("limit_exceeded", 400)
        assert isinstance(single.run(READ_ONLY, SQL), Success)
    finally:
        single.close()


def test_a_job_that_a_dying_worker_never_took_is_done_by_another() -> None:
    single = WorkerPool(1)
    others = {child.pid for child in workers_of_this_process()}
    try:
        assert isinstance(single.run(READ_ONLY, SQL), Success)
        mine = [child for child in workers_of_this_process() if child.pid not in others]
        worker = next(child for child in mine if child.ppid() != os.getpid())  # the other is its template
        worker.suspend()
        outcomes: list[Success | Failure] = []
        job = threading.Thread(target=lambda: outcomes.append(single.run(READ_ONLY, SQL)))
        job.start()
        time.sleep(0.5)
        worker.kill()
        job.join()
        assert outcomes == [Success(b'{"ok":true,"error":null}')]
    finally:
        single.close()


def test_an_idle_worker_that_was_killed_is_replaced_unnoticed(pool: WorkerPool) -> None:
    pool.run(READ_ONLY, SQL)
    killed = workers_of_this_process()
    for child in killed:
        child.kill()
    assert gone(killed)
    for _ in range(4):
        assert isinstance(pool.run(READ_ONLY, SQL), Success)


def test_a_closed_pool_opens_again_when_it_is_used() -> None:
    workers = WorkerPool(1)
    try:
        assert isinstance(workers.run(READ_ONLY, SQL), Success)
        workers.close()
        assert isinstance(workers.run(READ_ONLY, SQL), Success)
    finally:
        workers.close()
