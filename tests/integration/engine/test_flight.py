"""What workers learn from what lands: vendors' limits, refusals and failures, of all workers together."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.db import Store
from app.domain.states import CallState
from app.limits.governor import REFRESH_S
from app.limits.lanes import HEADROOM, LaneLimits
from app.models import Call
from app.pipeline.laws import check_laws
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine
from tests.fakes.provider import USAGE, FakeProvider, answer, drop, respond
from tests.integration.engine.failing import the_call
from tests.integration.engine.flights import (
    anthropic_error,
    attempts_counted,
    claimed,
    google_error,
    lane_of,
    openai_error,
    set_key,
    workers,
)

DATE = "Wed, 25 Nov 2026 22:00:00 GMT"
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
QUOTA = "type.googleapis.com/google.rpc.QuotaFailure"
A_MINUTE = {"@type": QUOTA, "violations": [{"quotaId": "RequestsPerMinute", "quotaValue": "10"}]}
TOKENS = USAGE["prompt_tokens"] + USAGE["completion_tokens"]


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


REFUSALS: dict[str, tuple[str, dict[str, str], Any, float]] = {
    "Go durations": (
        "openai",
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "1m6.5s",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "500ms",
        },
        openai_error("Slow down.", "rate_limit_exceeded"),
        66.5,
    ),
    "whole seconds": (
        "openai",
        {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "17",
            "retry-after": "3",
        },
        openai_error("Slow down.", "rate_limit_exceeded"),
        17,
    ),
    "moments": (
        "anthropic",
        {
            "date": DATE,
            "retry-after": "20",
            "anthropic-ratelimit-output-tokens-limit": "8000",
            "anthropic-ratelimit-output-tokens-remaining": "0",
            "anthropic-ratelimit-output-tokens-reset": "2026-11-25T22:00:59Z",
        },
        anthropic_error("rate_limit_error"),
        59,
    ),
    "RetryInfo": (
        "google",
        {},
        google_error(429, "RESOURCE_EXHAUSTED", A_MINUTE, RETRY_INFO),
        34,
    ),
    "only Retry-After": ("anthropic", {"retry-after": "21"}, anthropic_error("ramp"), 21),
}


@pytest.mark.parametrize("flavour", REFUSALS)
async def test_p1_p2_a_refusal_pauses_the_lane_for_all_workers_as_long_as_it_asks_in_any_flavour(
    engine: Engine, provider: FakeProvider, clock: FakeClock, flavour: str
) -> None:
    vendor, headers, body, wait_s = REFUSALS[flavour]
    provider.reply_always(respond(429, body, headers))
    calls = claimed(engine, provider, vendor, 1)
    async with workers(engine, clock) as (ada, bob):
        await ada.send(calls)
        clock.advance(REFRESH_S)
        await bob.governor.refresh()
        for worker in (ada, bob):
            left_s = worker.governor.paused_for(calls[0].call.lane_id)
            assert left_s == pytest.approx(wait_s - REFRESH_S, abs=0.01)
    call = the_call(engine)
    assert (call.state, call.attempts, call.wait_reason) == (CallState.QUEUED, 0, "rate_limited")


async def test_limits_that_an_answer_tells_are_kept_by_all_workers(
    engine: Engine, provider: FakeProvider, clock: FakeClock
) -> None:
    headers = {
        "x-ratelimit-limit-requests": "120",
        "x-ratelimit-remaining-requests": "119",
        "x-ratelimit-reset-requests": "500ms",
    }
    provider.reply_always(answer(headers=headers))
    calls = claimed(engine, provider, "openai", 1)
    lane = LaneLimits(calls[0].call.lane_id)
    async with workers(engine, clock) as (ada, bob):
        assert (await bob.governor.acquire(lane, 50, 0)).granted == 50
        await ada.send(calls)
        await ada.governor.refresh()
        clock.advance(60)
        assert (await bob.governor.acquire(lane, 50, 0)).granted == 2
        assert (await ada.governor.acquire(lane, 50, 0)).granted == 0


async def test_p5_an_overloaded_vendor_gets_fewer_calls_at_once_of_all_workers_and_no_pause(
    engine: Engine, provider: FakeProvider, clock: FakeClock
) -> None:
    provider.reply_always(respond(529, anthropic_error("overloaded_error")))
    calls = claimed(engine, provider, "anthropic", 10)
    lane = LaneLimits(calls[0].call.lane_id)
    async with workers(engine, clock) as (ada, bob):
        assert (await ada.governor.acquire(lane, 10, 0)).granted == 10
        await ada.send(calls)
        assert ada.governor.paused_for(lane.lane_id) == 0
        await ada.governor.refresh()
        clock.advance(REFRESH_S)
        # Cut once, not by each of the ten: to 70 %, and a little has come back in the second.
        assert (await bob.governor.acquire(lane, 50, 0)).granted == 7
        assert (await ada.governor.acquire(lane, 50, 0)).granted == 0
        assert await bob.breaker.open_models([lane.lane_id])
    assert attempts_counted(engine, calls) == {1}


async def test_what_a_call_took_is_settled_against_what_its_permit_was_for(
    engine: Engine, provider: FakeProvider, clock: FakeClock
) -> None:
    provider.reply_with(answer(), respond(500))
    calls = claimed(engine, provider, "openai", 2)
    # 150 tokens go out at once.
    lane = LaneLimits(calls[0].call.lane_id, tpm=6000 / HEADROOM)
    async with workers(engine, clock, 1) as (ada,):
        for call in calls:
            call.call.tokens_permitted = 75
        assert (await ada.governor.acquire(lane, 3, 75)).granted == 2
        assert (await ada.governor.acquire(lane, 1, 1)).granted == 0
        await ada.send(calls)
        left = 150 - TOKENS  # the call that failed took nothing
        assert (await ada.governor.acquire(lane, 200, 1)).granted == left


FAILURES = {
    "500": respond(500),
    "503": respond(503),
    "dropped": drop(),
    "html": respond(200, "<p>"),
}


@pytest.mark.parametrize("reply", FAILURES.values(), ids=FAILURES)
async def test_p17_three_failures_in_a_row_open_the_breaker_for_all_workers(
    engine: Engine, provider: FakeProvider, clock: FakeClock, reply: Any
) -> None:
    provider.reply_always(reply)
    calls = claimed(engine, provider, "openai", 3)
    circuit = (calls[0].call.lane_id, "gpt-4o")
    async with workers(engine, clock) as (ada, bob):
        await ada.send(calls[:2])
        assert await bob.breaker.open_models([circuit[0]]) == {}
        await bob.send(calls[2:])
        clock.advance(REFRESH_S)
        for worker in (ada, bob):
            assert set(await worker.breaker.open_models([circuit[0]])) == {circuit}


@pytest.mark.parametrize(
    "reply", [answer(), respond(400, openai_error("No such parameter."))], ids=["good", "refused"]
)
async def test_an_answer_of_any_kind_closes_the_breaker(
    engine: Engine, provider: FakeProvider, clock: FakeClock, reply: Any
) -> None:
    provider.reply_always(respond(500))
    calls = claimed(engine, provider, "openai", 5)
    async with workers(engine, clock, 1) as (ada,):
        await ada.send(calls[:2])
        provider.reply_always(reply)
        await ada.send(calls[2:3])
        provider.reply_always(respond(500))
        await ada.send(calls[3:])
        assert await ada.breaker.open_models([calls[0].call.lane_id]) == {}


@pytest.mark.parametrize("status", [401, 429])
async def test_what_is_said_of_a_key_that_was_replaced_meanwhile_says_nothing_of_the_new_one(
    engine: Engine, provider: FakeProvider, clock: FakeClock, status: int
) -> None:
    provider.reply_always(respond(status, openai_error("No."), {"retry-after": "60"}))
    calls = claimed(engine, provider, "openai", 1)
    lane_id, key_id = calls[0].call.lane_id, calls[0].provider_key_id or ""
    async with workers(engine, clock, 1) as (ada,):
        await ada.governor.meet(lane_id, key_id)
        set_key(engine, provider, "openai", "sk-made-up-2")
        await ada.governor.meet(lane_id, "another")
        await ada.send(calls)
        assert ada.governor.paused_for(lane_id) == 0
    assert lane_of(engine).state == "open"
    with engine.store.read() as session:
        assert session.get_one(Call, calls[0].call.id).attempts == 0
