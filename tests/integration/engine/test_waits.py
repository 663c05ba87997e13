"""What the engine waits for, and for how long: limits, keys, providers, budgets, deadlines."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlmodel import select

from app.domain.errors import (
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
)
from app.domain.states import CallState, LaneState
from app.models import Backlog, Batch, Call, Lane
from app.pipeline.backlog import due_backlog, note_wait
from app.pipeline.park import park_lane
from app.pipeline.record import record
from app.queue import Step
from tests.fakes.engine import Engine
from tests.integration.engine.failing import failing, make_due, the_call
from tests.integration.engine.test_flow import QUICK, batch_of


def test_p1_a_rate_limit_costs_no_attempt_and_is_waited_for(engine: Engine) -> None:
    engine.submit(["one"], params=QUICK)
    limited = failing(engine, lambda: ProviderRateLimitedError("slow down", retry_after_s=30))
    engine.drain(limited)
    for _ in range(7):
        make_due(engine)
        engine.drain(limited)
    call = the_call(engine)
    assert (call.state, call.attempts, call.wait_reason) == (CallState.QUEUED, 0, "rate_limited")
    with engine.store.read() as session:
        wait = (call.due_at - engine.store.now(session)).total_seconds()
    assert 25 < wait <= 31
    make_due(engine)
    engine.drain()
    assert the_call(engine).state == CallState.SUCCEEDED


def test_a_spent_budget_ends_the_batch_and_is_never_exceeded(engine: Engine) -> None:
    batch_id = engine.submit(
        [f"prompt {n}" for n in range(40)],
        budget_usd=0.04,
        params={"max_tokens": 100, "extra": {"simulated": {"latency_ms": 0, "output_tokens": 100}}},
    )
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        reasons = Counter(session.exec(select(Call.reason)).all())
    assert batch.state == "completed"
    assert batch.ending == "budget_exhausted"
    assert 0 < batch.jobs_succeeded < 40
    assert reasons["budget_exhausted"] == 40 - batch.jobs_succeeded
    assert batch.cap_nanos is not None
    assert batch.spent_nanos <= batch.cap_nanos
    assert batch.overrun_nanos == 0


def test_a_budget_with_no_room_for_one_call_sends_nothing(engine: Engine) -> None:
    batch_id = engine.submit(["one"], budget_usd=0.000001, params=QUICK)
    engine.drain()
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert (batch.state, batch.jobs_failed, batch.spent_nanos) == ("failed", 1, 0)
    assert engine.carried == []


def test_a_passed_deadline_keeps_what_finished_and_expires_the_rest(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    record(engine.services, engine.carry_all(engine.claim(wanted=1)))
    with engine.store.transaction() as tx:
        tx.get_one(Batch, batch_id).deadline = engine.store.now(tx) - timedelta(seconds=1)
    engine.queue.send(Step.RECONCILE)
    engine.drain(carry=lambda _: pytest.fail("nothing is sent after the deadline"))
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
    assert (batch.state, batch.jobs_succeeded, batch.jobs_expired) == ("expired", 1, 1)


def test_a_refused_key_parks_the_lane_for_everybody_and_says_so_once(engine: Engine) -> None:
    engine.submit(["one", "two"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    calls = engine.claim(wanted=1)
    refused = failing(engine, lambda: ProviderKeyRefusedError("no", reason="unauthorized"))
    record(engine.services, [refused(one) for one in calls])
    lane_id = calls[0].call.lane_id
    assert park_lane(engine.services, lane_id, None, "unauthorized") is True
    assert park_lane(engine.services, lane_id, None, "unauthorized") is False
    make_due(engine)
    assert engine.claim() == []


def test_calls_of_a_lane_parked_too_long_end_as_provider_unavailable(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    with engine.store.transaction() as tx:
        lane = tx.exec(select(Lane)).one()
        lane.state = LaneState.PARKED.value
        lane.parked_at = engine.store.now(tx) - timedelta(hours=2)
        for call in tx.exec(select(Call)):
            call.created_at = call.created_at - timedelta(hours=2)
    engine.queue.send(Step.RECONCILE)
    engine.drain()
    with engine.store.read() as session:
        reasons = set(session.exec(select(Call.reason)).all())
        assert batch_of(session, batch_id).state == "failed"
    assert reasons == {"provider_unavailable"}


def test_calls_that_wait_for_a_failing_provider_too_long_end_and_others_do_not(
    engine: Engine,
) -> None:
    batch_id = engine.submit(
        ["one", "two"], models=["simulated/gold", "simulated/tin"], params=QUICK
    )
    engine.follow(*engine.queue.hints.popleft())
    for entry in due_backlog(engine.store):
        if entry.model == "gold":
            note_wait(engine.store, entry, "circuit_open", counts=True)
    with engine.store.transaction() as tx:
        for call in tx.exec(select(Call)):
            call.created_at = call.created_at - timedelta(hours=2)
        for row in tx.exec(select(Backlog)):
            row.waiting_since = row.waiting_since and row.waiting_since - timedelta(hours=2)
    engine.queue.send(Step.RECONCILE)
    engine.drain()
    with engine.store.read() as session:
        ends = Counter(session.exec(select(Call.model, Call.state, Call.reason)).all())
        batch = batch_of(session, batch_id)
    assert ends == {
        ("gold", CallState.FAILED, "provider_unavailable"): 2,
        ("tin", CallState.SUCCEEDED, None): 2,
    }
    assert (batch.state, batch.jobs_succeeded) == ("completed", 2)


def test_a_wait_that_is_over_is_forgotten(engine: Engine) -> None:
    engine.submit(["one"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    (entry,) = due_backlog(engine.store)
    note_wait(engine.store, entry, "circuit_open", counts=True)
    (entry,) = due_backlog(engine.store)
    assert entry.noted
    note_wait(engine.store, entry, None)
    (entry,) = due_backlog(engine.store)
    assert not entry.noted
    engine.drain()


def test_k8_deleting_a_key_ends_its_queued_calls_with_a_reason(engine: Engine) -> None:
    batch_id = engine.submit(["one", "two"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    with engine.store.transaction() as tx:
        tx.exec(select(Lane)).one().state = LaneState.CLOSED.value
    assert engine.claim() == []
    engine.queue.send(Step.RECONCILE)
    engine.drain()
    with engine.store.read() as session:
        assert set(session.exec(select(Call.reason)).all()) == {"key_deleted"}
        assert batch_of(session, batch_id).state == "failed"
    assert engine.carried == []
