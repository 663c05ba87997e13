"""Losses and clocks, by their ids in the list of what an engine has to take."""

import socket
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import select

from app.db import Commit
from app.domain.errors import UnavailableError
from app.domain.secret import Secret
from app.domain.spec import BatchBody
from app.models import Attempt, Backlog, Batch, Call, Event, Job, StoredCompletion, Worker
from app.pipeline.control import cancel
from app.pipeline.keys import set_key
from app.pipeline.lines import RawLine
from app.pipeline.plan import plan
from app.pipeline.reconcile import reconcile, recover_lost_workers
from app.pipeline.record import record
from app.pipeline.submit import Submission, submit
from app.vault.provider_keys import KeySetting
from tests.factories.racing import run_at_once
from tests.fakes.engine import Engine
from tests.integration.engine.failing import make_due
from tests.integration.engine.test_flow import QUICK, batch_of


def attempts_of(engine: Engine) -> Counter[str]:
    with engine.store.read() as session:
        return Counter(session.exec(select(Attempt.state)).all())


def shift(engine: Engine, by: timedelta) -> None:
    """Let the store's clock jump by so much: every moment it wrote is as much the other way."""
    moments = {
        Worker: ("lease_until", "started_at"),
        Call: ("due_at",),
        Backlog: ("due_at",),
        Batch: ("created_at", "deadline"),
    }
    with engine.store.transaction() as tx:
        for model, names in moments.items():
            for row in tx.exec(select(model)):
                for name in names:
                    if (moment := getattr(row, name)) is not None:
                        setattr(row, name, moment - by)


def test_q2_an_answer_that_died_with_its_worker_is_bought_again_and_charged_once(
    engine: Engine,
) -> None:
    batch_id = engine.submit(["one"], params={"max_tokens": 100, **QUICK})
    engine.follow(*engine.queue.hints.popleft())
    assert engine.carry_all(engine.claim())[0].completion is not None  # it never reaches the store
    engine.lose_worker()
    reconcile(engine.services)
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        assert len(session.exec(select(StoredCompletion)).all()) == 1
    assert attempts_of(engine) == {"unknown": 1, "succeeded": 1}
    assert (batch.state, batch.unknown_attempts) == ("completed", 1)
    assert batch.possible_duplicate_nanos >= batch.spent_nanos > 0


def test_q18_the_same_hint_fifty_times_at_once_plans_and_claims_once(engine: Engine) -> None:
    batch_id = engine.submit([f"prompt {n}" for n in range(20)], params=QUICK)

    def follow(_: int) -> int:
        try:
            return plan(engine.services, batch_id)
        except UnavailableError:  # two that met in the store; the hint comes again
            return 0

    assert sum(run_at_once(follow, 50, threads=8)) == 20
    claimed = run_at_once(lambda _: len(engine.claim(20)), 50, threads=8)
    assert sum(claimed) == 20
    engine.lose_worker()
    reconcile(engine.services)
    engine.drain()
    with engine.store.read() as session:
        assert len(session.exec(select(Call.id)).all()) == 20


def test_q22_two_reconcilers_at_once_give_a_lost_workers_calls_back_once(engine: Engine) -> None:
    batch_id = engine.submit([f"prompt {n}" for n in range(30)], params=QUICK)
    engine.drain(carry=lambda _: None)
    engine.lose_worker()

    def look(_: int) -> None:
        with suppress(UnavailableError):
            reconcile(engine.services)

    run_at_once(look, 8, threads=4)
    reconcile(engine.services)
    with engine.store.read() as session:
        assert set(session.exec(select(Call.unknowns)).all()) == {1}
        assert batch_of(session, batch_id).unknown_attempts == 30
    engine.drain()
    assert attempts_of(engine) == {"unknown": 30, "succeeded": 30}
    with engine.store.read() as session:
        assert session.exec(select(Event.type)).all() == ["batch.completed"]


def test_q24_a_clock_that_jumps_back_makes_leases_late_and_loses_nothing(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params=QUICK)
    engine.drain(carry=lambda _: None)
    engine.lose_worker()
    shift(engine, timedelta(minutes=-10))
    assert recover_lost_workers(engine.services) in {0, 2}  # late at worst
    shift(engine, timedelta(minutes=10))  # ten minutes later
    reconcile(engine.services)
    make_due(engine)
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert (batch.state, batch.jobs_succeeded, batch.unknown_attempts) == ("completed", 2, 2)


def test_q24_a_clock_that_jumps_ahead_takes_a_living_workers_calls_and_answers_once(
    engine: Engine,
) -> None:
    engine.submit(["one"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    flying = engine.claim()
    shift(engine, timedelta(minutes=30))
    assert recover_lost_workers(engine.services) == 1
    engine.worker_id = engine.new_worker()
    engine.drain()
    assert record(engine.services, engine.carry_all(flying)) == frozenset()
    assert attempts_of(engine) == {"unknown": 1, "succeeded": 1}


def test_q26_a_batch_that_took_more_than_a_day_still_says_that_it_is_done(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params=QUICK, deadline=None)
    engine.follow(*engine.queue.hints.popleft())
    engine.queue.hints.clear()
    shift(engine, timedelta(hours=30))
    engine.worker_id = engine.new_worker()
    reconcile(engine.services)
    engine.drain()
    with engine.store.read() as session:
        assert batch_of(session, batch_id).state == "completed"
        assert session.exec(select(Event.type)).all() == ["batch.completed"]


def test_q27_what_is_in_flight_when_a_batch_is_cancelled_is_recorded_and_nothing_more_is_sent(
    engine: Engine,
) -> None:
    batch_id = engine.submit(["one", "two", "three", "four"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    flying = engine.claim(2)
    cancel(engine.services, engine.account_id, batch_id)
    assert engine.claim() == []
    record(engine.services, engine.carry_all(flying[:1]))  # the other is lost with its worker
    engine.lose_worker()
    for _ in range(3):
        reconcile(engine.services)
        engine.drain(carry=lambda one: pytest.fail(f"{one.call.id} was sent"))
        make_due(engine)
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        jobs = Counter(session.exec(select(Job.state)).all())
    assert batch.state == "cancelled"
    assert jobs == {"succeeded": 1, "cancelled": 3}
    assert batch.spent_nanos > 0


def test_s2_a_submit_whose_commit_was_not_answered_is_the_same_batch_when_sent_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost:
        def pass_by(self, commit: Commit | None, side: str) -> None:
            if (commit, side) == (Commit.SUBMIT, "after"):
                raise UnavailableError

    def send() -> Any:
        body = BatchBody.model_validate({"mode": "chat", "models": ["simulated/gold"]})
        lines = [RawLine("jobs[0]", b'{"prompt":"one"}')]
        return submit(engine.services, Submission(engine.account_id, body, lines, "key", "sha"))

    with monkeypatch.context() as patched:
        patched.setattr(engine.store, "_crash", Lost())
        with pytest.raises(UnavailableError):
            send()
    again = send()
    assert not again.created
    with engine.store.read() as session:
        assert session.exec(select(Batch.id)).all() == [again.batch_id]


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
def test_s4_a_deadlock_is_rolled_back_and_told_as_worth_trying_again(engine: Engine) -> None:
    first, second = (engine.submit([name], params=QUICK) for name in ("one", "two"))
    both_hold_one = Barrier(2, timeout=30)

    def cross(number: int) -> bool:
        held, wanted = (first, second) if number else (second, first)
        statement = sa.text("UPDATE batch SET calls_cached = calls_cached WHERE id = :id")
        try:
            with engine.store.transaction() as tx:
                tx.run(statement, {"id": held})
                both_hold_one.wait()
                tx.run(statement, {"id": wanted})
        except UnavailableError:
            return False
        return True

    assert sorted(run_at_once(cross, 2, threads=2)) == [False, True]
    engine.drain()
    with engine.store.read() as session:
        assert {one.state for one in session.exec(select(Batch))} == {"completed"}


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_s5_a_full_disk_refuses_a_submit_whole_and_is_recovered_from(engine: Engine) -> None:
    driver: Any
    with engine.store.engine.connect() as connection:
        driver = connection.connection.driver_connection
        pages = driver.execute("PRAGMA page_count").fetchone()[0]

    def limit(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages + 8}")

    sa.event.listen(engine.store.engine, "connect", limit)
    engine.store.close()  # the next connection has little room
    many = [f"prompt {n} {'x' * 200}" for n in range(500)]
    with pytest.raises(UnavailableError):
        engine.submit(many, params=QUICK)
    with engine.store.read() as session:
        assert session.exec(select(Batch.id)).all() == []
        assert session.exec(select(Job.id)).all() == []
    sa.event.remove(engine.store.engine, "connect", limit)
    engine.store.close()
    batch_id = engine.submit(many[:20], params=QUICK)
    engine.drain()
    with engine.store.read() as session:
        assert batch_of(session, batch_id).state == "completed"


def test_s10_a_reader_that_takes_its_time_holds_up_no_claim(engine: Engine) -> None:
    engine.submit([f"prompt {n}" for n in range(50)], params=QUICK)
    with engine.store.read() as session:
        rows = iter(session.exec(select(Job.id).execution_options(yield_per=1)))
        next(rows)
        other = engine.submit(["one", "two"], params=QUICK)
        engine.drain()
        with engine.store.read() as second:
            assert batch_of(second, other).state == "completed"
        assert len(list(rows)) == 49


def test_o7_a_name_that_cannot_be_looked_up_is_tried_again_and_no_poison(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    setting = KeySetting("custom:far", Secret("sk-made-up-key"), "https://far.example/v1")
    set_key(engine.services, engine.account_id, setting)
    engine.submit(["one"], models=["custom:far/one"])
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    for _ in range(2):
        engine.drain()
        make_due(engine)
    with engine.store.read() as session:
        call = session.exec(select(Call)).one()
        reasons = set(session.exec(select(Attempt.state)).all())
    assert (call.state, call.attempts, call.unknowns, call.crash_count) == ("queued", 2, 0, 0)
    assert reasons == {"failed"}
