"""Providers that are down, refuse everything, or refuse the key: for how long, and at what cost."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from sqlmodel import func, select

from app.domain.errors import (
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
)
from app.domain.states import CallState
from app.limits.lanes import LaneLimits, Refusal
from app.limits.local import LocalGovernor
from app.models import Attempt, Backlog, Call, Event
from app.pipeline.backlog import due_backlog, note_wait
from app.pipeline.dispatch import Prepared
from app.pipeline.outcomes import Finished, erred
from app.pipeline.park import park_lane
from app.pipeline.record import record
from app.queue import Step
from app.reports.results import result_page
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine
from tests.integration.engine.failing import failing, make_due
from tests.integration.engine.test_flow import QUICK, batch_of

THREE = ["simulated/gold", "simulated/silver", "simulated/tin"]


def test_p17_one_provider_down_for_an_hour_is_missing_and_the_others_are_judged(
    engine: Engine,
) -> None:
    batch_id = engine.submit(
        ["one", "two"],
        mode="judge",
        models=THREE,
        judge={"judges": ["simulated/judge"]},
        params=QUICK,
    )

    def carry(one: Prepared) -> Finished:
        if one.call.model == "tin":
            error = ProviderUnavailableError("down", reason="overloaded", status_code=503)
            return erred(one.call, error, engine.policy, 5)
        return engine.carry_all([one])[0]

    engine.drain(carry)
    make_due(engine)
    for entry in due_backlog(engine.store):
        note_wait(engine.store, entry, "circuit_open", counts=True)
    with engine.store.transaction() as tx:  # its breaker is open for more than an hour
        for call in tx.exec(select(Call)):
            call.created_at -= timedelta(hours=2)
        for row in tx.exec(select(Backlog)):
            row.waiting_since = row.waiting_since and row.waiting_since - timedelta(hours=2)
    engine.queue.send(Step.RECONCILE)
    engine.drain(carry)
    with engine.store.read() as session:
        batch = batch_of(session, batch_id)
        ends = Counter(session.exec(select(Call.model, Call.state)).all())
        lines, _ = result_page(session, engine.account_id, batch_id)
    assert (batch.state, batch.jobs_succeeded) == ("completed", 2)
    assert ends["tin", CallState.FAILED] == 2
    assert ends["judge", CallState.SUCCEEDED] == 2
    for line in lines:
        assert line.verdict is not None
        missing = [one for one in line.completions if one.error is not None]
        assert [one.label for one in missing] == ["simulated/tin"]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_p18_eight_hours_of_nothing_but_429_cost_no_attempt_and_few_rows(engine: Engine) -> None:
    batch_id = engine.submit([f"prompt {n}" for n in range(20)], params=QUICK, deadline=None)
    engine.follow(*engine.queue.hints.popleft())
    clock = FakeClock()
    governor, lane, began = LocalGovernor(clock=clock), LaneLimits("lane"), clock.now_s

    async def night() -> None:
        while clock.now_s < began + 8 * 3600:
            got = (await governor.acquire(lane, 16, 100)).granted
            if got:
                make_due(engine)
                calls = engine.claim(wanted=got)
                refuse = failing(engine, lambda: ProviderRateLimitedError("no", status_code=429))
                record(engine.services, [refuse(one) for one in calls])
                for _ in range(got):
                    await governor.refused("lane", Refusal(None, 0.0))
                    await governor.finished("lane")
            clock.advance(max(1.0, governor.paused_for("lane")))

    asyncio.run(night())
    with engine.store.read() as session:
        assert session.exec(select(func.max(Call.attempts))).one() == 0
        assert session.exec(select(func.count()).select_from(Attempt)).one() < 16 + 8 * 60 * 1.4
    make_due(engine)
    engine.drain()
    with engine.store.read() as session:
        assert batch_of(session, batch_id).jobs_succeeded == 20


def test_p19_a_key_that_is_revoked_in_the_middle_stops_its_calls_and_is_told_once(
    engine: Engine,
) -> None:
    batch_id = engine.submit([f"prompt {n}" for n in range(60)], params=QUICK)
    engine.follow(*engine.queue.hints.popleft())
    engine.pump_once(wanted=20)
    calls = engine.claim(wanted=10)
    refused = failing(engine, lambda: ProviderKeyRefusedError("revoked", reason="unauthorized"))
    record(engine.services, [refused(one) for one in calls])
    parked = [
        park_lane(engine.services, one.call.lane_id, one.provider_key_id, "unauthorized: revoked")
        for one in calls
    ]
    assert parked == [True] + [False] * 9
    make_due(engine)
    engine.queue.send(Step.RECONCILE)
    engine.drain(carry=lambda _: pytest.fail("sent with a refused key"))
    with engine.store.read() as session:
        told = session.exec(select(Event).where(Event.type == "overnight.lane.parked")).all()
        states = Counter(session.exec(select(Call.state)).all())
        assert [event.batch_id for event in told] == [batch_id]
    assert states == {CallState.SUCCEEDED: 20, CallState.QUEUED: 40}
