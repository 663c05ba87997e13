"""Kill any process at any moment: the batch still finishes, and the ledger still balances."""

import signal
import time
from collections import Counter

import pytest
from sqlmodel import select

from app.models import Attempt, StoredCompletion
from tests.e2e.system import System, ended
from tests.servers import family_of

JOBS = 300
RECOVERY_MAX_S = 60


def check_all_answered(system: System, batch_id: str) -> None:
    """Every job is answered, every result is there once, and the books balance."""
    batch = system.wait_closed(batch_id, RECOVERY_MAX_S)
    assert batch["state"] == "completed"
    assert batch["counts"]["jobs"]["succeeded"] == JOBS
    lines = system.results(batch_id)
    assert Counter(line["custom_id"] for line in lines) == {f"c{n}": 1 for n in range(JOBS)}
    assert all(len(line["completions"]) == 1 and line["completions"][0]["text"] for line in lines)
    with system.store.read() as session:
        assert len(session.exec(select(StoredCompletion)).all()) == JOBS
    system.check_laws()


def start_batch(system: System) -> str:
    """A batch that is under way, with calls in flight."""
    batch_id = system.submit(JOBS, latency_ms=400, webhook=None)
    system.wait_under_way(batch_id, 20)
    return batch_id


def test_q1_kill_9_of_a_worker_loses_no_call_and_answers_none_twice(system: System) -> None:
    batch_id = start_batch(system)
    system.kill9("worker")
    killed_at = time.monotonic()
    system.start("worker-2")
    check_all_answered(system, batch_id)
    assert time.monotonic() - killed_at < RECOVERY_MAX_S
    with system.store.read() as session:
        states = Counter(session.exec(select(Attempt.state)).all())
    assert states["unknown"] > 0
    assert system.batch(batch_id)["cost"]["unknown_attempts"] == states["unknown"]


def test_kill_9_of_the_scheduler_and_then_of_a_worker_is_survived(on_sqlite: System) -> None:
    batch_id = start_batch(on_sqlite)
    on_sqlite.kill9("scheduler")
    on_sqlite.kill9("worker")
    on_sqlite.start("worker-2", "scheduler-2")
    check_all_answered(on_sqlite, batch_id)


def test_kill_9_of_the_api_costs_nothing_that_was_accepted(on_sqlite: System) -> None:
    batch_id = start_batch(on_sqlite)
    on_sqlite.kill9("api")
    time.sleep(1)
    on_sqlite.start("api")
    check_all_answered(on_sqlite, batch_id)


def test_q9_a_wiped_broker_loses_nothing(system: System) -> None:
    batch_id = system.submit(JOBS, latency_ms=400)
    system.valkey.flushall()
    system.wait_under_way(batch_id, 20)
    for _ in range(10):
        system.valkey.flushall()
        time.sleep(0.05)
    check_all_answered(system, batch_id)


def test_q10_a_killed_broker_stops_neither_submits_nor_workers(on_sqlite: System) -> None:
    first = start_batch(on_sqlite)
    on_sqlite.valkey.kill9()
    second = on_sqlite.submit(5)
    on_sqlite.wait_closed(second)
    check_count = on_sqlite.wait_closed(first, RECOVERY_MAX_S)["counts"]["jobs"]["succeeded"]
    assert check_count == JOBS
    on_sqlite.valkey.restart()
    third = on_sqlite.submit(5)
    on_sqlite.wait_closed(third)
    on_sqlite.check_laws()


def test_q6_sigterm_lets_calls_finish_and_leaves_nothing_behind(system: System) -> None:
    batch_id = system.submit(50, latency_ms=1500)
    system.wait(batch_id, lambda shown: shown["state"] == "running", 120)
    time.sleep(1.0)
    worker = system.processes["worker"]
    family = family_of(worker.pid)
    worker.stop(signal.SIGTERM)
    assert ended(family, 12)
    with system.store.read() as session:
        states = Counter(session.exec(select(Attempt.state)).all())
    assert set(states) <= {"succeeded", "cancelled"}, states
    assert states["succeeded"] > 0
    system.start("worker-2")
    assert system.wait_closed(batch_id)["counts"]["jobs"]["succeeded"] == 50
    system.check_laws()


def test_q7_sigterm_to_the_whole_group_and_twice_ends_the_same_way(on_sqlite: System) -> None:
    import os  # noqa: PLC0415

    batch_id = on_sqlite.submit(50, latency_ms=1500)
    on_sqlite.wait(batch_id, lambda shown: shown["state"] == "running", 120)
    time.sleep(1.0)
    worker = on_sqlite.processes["worker"]
    family = family_of(worker.pid)
    os.killpg(worker.pid, signal.SIGTERM)
    time.sleep(0.2)
    os.killpg(worker.pid, signal.SIGTERM)
    assert ended(family, 12)
    with on_sqlite.store.read() as session:
        states = Counter(session.exec(select(Attempt.state)).all())
    assert set(states) <= {"succeeded", "cancelled"}, states
    on_sqlite.check_laws()


def test_q8_a_call_longer_than_the_grace_time_is_recorded_as_unknown(
    on_sqlite: System,
) -> None:
    on_sqlite.env["OVERNIGHT_GRACE_S"] = "1"
    on_sqlite.kill9("worker")
    on_sqlite.start("worker")
    batch_id = on_sqlite.submit(3, latency_ms=6000)
    on_sqlite.wait(batch_id, lambda shown: shown["state"] == "running", 120)
    time.sleep(1.5)
    on_sqlite.processes["worker"].stop(signal.SIGTERM)
    with on_sqlite.store.read() as session:
        rows = session.exec(select(Attempt.state, Attempt.reason)).all()
    assert set(rows) == {("unknown", "shutdown")}
    on_sqlite.check_laws()


@pytest.mark.parametrize("stopped_s", [10])
def test_q5_a_stopped_worker_that_wakes_up_late_overwrites_nothing(
    on_sqlite: System, stopped_s: float
) -> None:
    batch_id = start_batch(on_sqlite)
    sleeper = family_of(on_sqlite.processes["worker"].pid)
    for process in sleeper:
        process.suspend()
    on_sqlite.start("worker-2")
    time.sleep(stopped_s)
    for process in sleeper:
        process.resume()
    check_all_answered(on_sqlite, batch_id)
