"""Limits that last: a lane is parked until they are over, which costs no attempt and is shown."""

from datetime import timedelta

import pytest
from sqlmodel import select

from app.domain.errors import ProviderRateLimitedError
from app.domain.states import CallState, LaneState
from app.models import Backlog, Batch, Call, Lane
from app.pipeline.backlog import due_backlog, hold
from app.pipeline.park import park_lane, reopen_lanes
from app.pipeline.record import record
from app.queue import Step
from app.reports.views import WaitingOn
from app.reports.waiting import waiting_on
from tests.fakes.engine import Engine
from tests.integration.engine.failing import failing, make_due, the_call
from tests.integration.engine.test_flow import QUICK, batch_of

DAY_S = 8 * 3600.0


@pytest.fixture
def batch_id(engine: Engine) -> str:
    """A batch of one call whose lane's quota is used up for eight hours."""
    batch_id = engine.submit(["one"], params=QUICK, deadline=None)
    engine.follow(*engine.queue.hints.popleft())
    spent = failing(
        engine,
        lambda: ProviderRateLimitedError(
            "no more today", reason="quota_exhausted", retry_after_s=DAY_S
        ),
    )
    calls = engine.claim()
    record(engine.services, [spent(one) for one in calls])
    lane_id = calls[0].call.lane_id
    assert park_lane(engine.services, lane_id, None, "quota_exhausted: no more today", DAY_S)
    assert not park_lane(engine.services, lane_id, None, "quota_exhausted: again", DAY_S)
    return batch_id


def waits(engine: Engine, batch_id: str) -> WaitingOn | None:
    """What the batch says that it waits for."""
    with engine.store.read() as session:
        return waiting_on(session, batch_of(session, batch_id), engine.store.now(session))


def pass_time(engine: Engine, hours: float) -> None:
    """Let so much time pass for lane, calls and batch."""
    span = timedelta(hours=hours)
    with engine.store.transaction() as tx:
        for lane in tx.exec(select(Lane).where(Lane.state == LaneState.PARKED)):
            lane.parked_at = lane.parked_at and lane.parked_at - span
            lane.parked_until = lane.parked_until and lane.parked_until - span
        for call in tx.exec(select(Call)):
            call.created_at -= span
        for batch in tx.exec(select(Batch)):
            batch.created_at -= span
    make_due(engine)


def test_a_quota_is_shown_with_when_it_is_there_again(engine: Engine, batch_id: str) -> None:
    shown = waits(engine, batch_id)
    assert shown is not None
    assert shown.reason == "quota_exhausted"
    with engine.store.read() as session:
        assert shown.lane == the_call(engine).lane_id
        assert shown.until is not None
        left_s = (shown.until - engine.store.now(session)).total_seconds()
    assert DAY_S - 60 < left_s <= DAY_S


@pytest.mark.usefixtures("batch_id")
def test_a_quota_costs_no_attempt_and_is_waited_for_longer_than_a_failing_provider(
    engine: Engine,
) -> None:
    pass_time(engine, 7)
    engine.queue.send(Step.RECONCILE)
    engine.drain(carry=lambda _: pytest.fail("nothing is sent while the quota is used up"))
    call = the_call(engine)
    assert (call.state, call.attempts) == (CallState.QUEUED, 0)


def test_a_lane_opens_by_itself_when_its_quota_is_there_again(
    engine: Engine, batch_id: str
) -> None:
    assert reopen_lanes(engine.services) == 0
    pass_time(engine, 8.1)
    engine.queue.send(Step.RECONCILE)
    engine.drain()
    with engine.store.read() as session:
        lane = session.exec(select(Lane)).one()
        assert batch_of(session, batch_id).jobs_succeeded == 1
    assert (lane.state, lane.parked_reason, lane.parked_until) == ("open", None, None)


def test_a_limit_that_only_the_broker_knows_is_shown_and_costs_nothing_meanwhile(
    engine: Engine,
) -> None:
    batch_id = engine.submit(["one"], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    (entry,) = due_backlog(engine.store)
    assert waits(engine, batch_id) is None
    hold(engine.store, entry, "rate_limited", 40.0)
    shown = waits(engine, batch_id)
    assert shown is not None
    assert (shown.reason, shown.lane) == ("rate_limited", entry.lane_id)
    assert shown.until is not None
    assert due_backlog(engine.store) == []
    hold(engine.store, entry, "in_flight", 5.0)
    assert waits(engine, batch_id) == shown, "a shorter wait does not hide a longer one"
    with engine.store.transaction() as tx:
        tx.exec(select(Backlog)).one().due_at -= timedelta(hours=1)
    engine.drain()
    assert the_call(engine).state == CallState.SUCCEEDED
