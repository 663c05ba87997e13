"""What workers learn from a refused key and a used-up quota: the lane is parked, for all of them, once."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from app.db import Store
from app.domain.states import LaneState
from app.limits.lanes import LaneLimits
from app.models import Call, Event, Lane
from app.pipeline.backlog import due_backlog
from app.pipeline.dispatch import Room, claim
from app.pipeline.laws import check_laws
from app.pipeline.park import reopen_lanes
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine
from tests.fakes.provider import FakeProvider, answer, respond
from tests.integration.engine.failing import make_due
from tests.integration.engine.flights import (
    anthropic_error,
    attempts_counted,
    claimed,
    google_error,
    lane_of,
    openai_error,
    seconds_left,
    shown,
    workers,
)

QUOTA = "type.googleapis.com/google.rpc.QuotaFailure"
A_DAY = {"@type": QUOTA, "violations": [{"quotaId": "RequestsPerDay", "quotaValue": "250"}]}
SECONDS = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
HOUR_S = 3600.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


@pytest.fixture
def engine(store: Store, tmp_path: Path) -> Iterator[Engine]:
    made = Engine(store, tmp_path, OVERNIGHT_TRUSTED_HOSTS="127.0.0.0/8")
    yield made
    with store.read() as session:
        assert check_laws(session, store) == []


Said = tuple[str, int, dict[str, str], Any, str, float, float]
RPD = "Rate limit reached for gpt-4o on requests per day (RPD): Limit 200."
#: A vendor, what it answers, why the lane is parked, and for how many seconds at least and at most.
QUOTAS: dict[str, Said] = {
    "Google's day": (
        "google",
        429,
        {},
        google_error(429, "RESOURCE_EXHAUSTED", A_DAY, SECONDS),
        "quota_exhausted",
        0,
        24 * HOUR_S,
    ),
    "OpenAI's day": (
        "openai",
        429,
        {"retry-after": "432"},
        openai_error(RPD, "rate_limit_exceeded"),
        "quota_exhausted",
        430,
        432,
    ),
    "a day that does not say until when": (
        "openai",
        429,
        {},
        openai_error(RPD, "rate_limit_exceeded"),
        "quota_exhausted",
        HOUR_S - 2,
        HOUR_S,
    ),
    "Anthropic's spend limit": (
        "anthropic",
        429,
        {"retry-after": "7200"},
        anthropic_error("rate_limit_error", "enforced_spend_limit_reached"),
        "spend_limit",
        2 * HOUR_S - 2,
        2 * HOUR_S,
    ),
}
#: The same of what passes only when somebody does something about it.
REFUSED: dict[str, tuple[str, int, Any]] = {
    "401": ("openai", 401, openai_error("Incorrect API key provided.", "invalid_api_key")),
    "403": ("google", 403, google_error(403, "PERMISSION_DENIED")),
    "402": ("anthropic", 402, anthropic_error("billing_error")),
    "OpenAI's credits": ("openai", 429, openai_error("No credits.", "insufficient_quota")),
    "OpenAI's spend limit": ("openai", 429, openai_error("No.", "billing_hard_limit_reached")),
    "Anthropic's spend limit": (
        "anthropic",
        429,
        anthropic_error("rate_limit_error", "contract_spend_limit_reached"),
    ),
    "Google's spend limit": (
        "google",
        429,
        google_error(429, "RESOURCE_EXHAUSTED", message="It exceeded its monthly spending cap."),
    ),
    "xAI's spend limit": (
        "xai",
        403,
        openai_error("Your team reached its monthly spending limit."),
    ),
}


def told(engine: Engine) -> Counter[str]:
    """How often each batch was told that a lane is parked."""
    with engine.store.read() as session:
        events = session.exec(select(Event).where(Event.type == "overnight.lane.parked")).all()
    return Counter(str(event.batch_id) for event in events)


async def refuse_to_two(engine: Engine, calls: list[Any], clock: FakeClock) -> None:
    """Two workers have some of the calls on their way each; a third finds nothing to claim."""
    entries = due_backlog(engine.store)
    async with workers(engine, clock) as (ada, bob):
        await ada.send(calls[:3])
        await bob.send(calls[3:6])
        assert (set(ada.parked), set(bob.parked)) == ({calls[0].call.lane_id},) * 2
    assert len(entries) == 1, "a third worker that read the backlog before"
    got = claim(engine.services, engine.new_worker(), entries[0], 16)
    assert (got.calls, got.short) == ((), Room.STOPPED)
    assert attempts_counted(engine, calls) == {0}
    assert set(told(engine).values()) == {1}


@pytest.mark.parametrize("said", QUOTAS)
async def test_p1_a_quota_parks_the_lane_until_it_is_there_again_and_costs_no_attempt(
    engine: Engine, provider: FakeProvider, clock: FakeClock, said: str
) -> None:
    vendor, status, headers, body, reason, least_s, most_s = QUOTAS[said]
    provider.reply_always(respond(status, body, headers))
    await refuse_to_two(engine, claimed(engine, provider, vendor, 8, claim_of=6), clock)
    lane, waits = lane_of(engine), shown(engine)
    assert waits is not None
    assert (waits.reason, waits.until, waits.lane) == (reason, lane.parked_until, lane.id)
    assert least_s <= seconds_left(engine, waits.until) <= most_s
    # When that is over it goes on by itself, with what was left.
    assert reopen_lanes(engine.services) == 0
    with engine.store.transaction() as tx:
        tx.get_one(Lane, lane.id).parked_until = engine.store.now(tx) - timedelta(seconds=1)
    assert reopen_lanes(engine.services) == 1
    make_due(engine)
    assert len(engine.claim()) == 8


@pytest.mark.parametrize("said", REFUSED)
async def test_p3_a_refused_key_parks_the_lane_at_once_for_all_workers_and_is_told_once(
    engine: Engine, provider: FakeProvider, clock: FakeClock, said: str
) -> None:
    vendor, status, body = REFUSED[said]
    provider.reply_always(respond(status, body))
    await refuse_to_two(engine, claimed(engine, provider, vendor, 8, claim_of=6), clock)
    lane, waits = lane_of(engine), shown(engine)
    assert (lane.state, lane.parked_until) == (LaneState.PARKED, None)
    assert waits is not None
    assert (waits.reason, waits.until, waits.lane) == ("lane_parked", None, lane.id)
    assert len(provider.journal) == 6
    with engine.store.read() as session:
        assert {call.wait_reason for call in session.exec(select(Call))} <= {None, "lane_parked"}


async def test_after_a_quota_a_single_call_tries_before_all_others_go_on(
    engine: Engine, provider: FakeProvider, clock: FakeClock
) -> None:
    provider.reply_with(respond(429, openai_error(RPD), {"retry-after": "432"}), answer())
    calls = claimed(engine, provider, "openai", 2)
    lane = LaneLimits(calls[0].call.lane_id)
    async with workers(engine, clock, 1) as (ada,):
        assert (await ada.governor.acquire(lane, 1, 0)).granted == 1
        await ada.send(calls[:1])
        clock.advance(432)
        assert (await ada.governor.acquire(lane, 50, 0)).granted == 1
        await ada.send(calls[1:])
        assert (await ada.governor.acquire(lane, 50, 0)).granted > 1
