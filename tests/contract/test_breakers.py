"""What every circuit breaker keeps to: the one in memory, and the one that workers share."""

import pytest
from fakeredis import FakeAsyncRedis

from app.limits.breaker import Breaker
from app.limits.link import Link
from app.limits.local_breaker import OPEN_S, CircuitBreaker, LocalBreaker
from tests.fakes.clock import FakeClock

LANE, MODEL = "lane_a", "acme/large"
ELSEWHERE = [("lane_a", "acme/small"), ("lane_b", "acme/large")]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["local", "shared"])
def breaker(request: pytest.FixtureRequest, clock: FakeClock) -> CircuitBreaker:
    if request.param == "local":
        return LocalBreaker(clock=clock)
    client = FakeAsyncRedis(decode_responses=True)
    return Breaker(Link(client, clock=clock, server_clock=clock.ms), "wrk_1", clock=clock)


async def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        await breaker.failed(LANE, MODEL)


async def seconds_open(breaker: CircuitBreaker) -> float | None:
    """None if the breaker is closed."""
    return (await breaker.open_models([LANE])).get((LANE, MODEL))


async def test_two_failures_in_a_row_do_not_open_it(breaker: CircuitBreaker) -> None:
    await fail(breaker, 2)
    assert await seconds_open(breaker) is None
    assert await breaker.try_trial(LANE, MODEL)


async def test_three_failures_in_a_row_open_it(breaker: CircuitBreaker) -> None:
    await fail(breaker, 3)
    assert await seconds_open(breaker) == pytest.approx(OPEN_S)
    assert not await breaker.try_trial(LANE, MODEL)


async def test_an_answer_in_between_begins_the_count_again(breaker: CircuitBreaker) -> None:
    for _ in range(5):
        await fail(breaker, 2)
        await breaker.succeeded(LANE, MODEL)
    assert await seconds_open(breaker) is None


async def test_it_is_of_one_lane_and_model(breaker: CircuitBreaker) -> None:
    await fail(breaker, 3)
    assert set(await breaker.open_models(["lane_a", "lane_b"])) == {(LANE, MODEL)}
    assert await breaker.open_models(["lane_b"]) == {}
    for lane_id, model in ELSEWHERE:
        assert await breaker.try_trial(lane_id, model)


async def test_after_thirty_seconds_exactly_one_call_is_tried(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await fail(breaker, 3)
    clock.advance(OPEN_S - 0.1)
    assert not await breaker.try_trial(LANE, MODEL)
    clock.advance(2)
    assert await seconds_open(breaker) == 0
    assert [await breaker.try_trial(LANE, MODEL) for _ in range(5)] == [True] + [False] * 4


async def test_while_a_call_is_tried_nobody_is_told_to_try(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await fail(breaker, 3)
    clock.advance(OPEN_S + 1)
    await breaker.try_trial(LANE, MODEL)
    assert await seconds_open(breaker) != 0


async def test_an_answer_to_the_trial_closes_it(breaker: CircuitBreaker, clock: FakeClock) -> None:
    await fail(breaker, 3)
    clock.advance(OPEN_S + 1)
    assert await breaker.try_trial(LANE, MODEL)
    await breaker.succeeded(LANE, MODEL)
    assert await seconds_open(breaker) is None
    await fail(breaker, 2)
    assert await seconds_open(breaker) is None


async def test_a_failed_trial_opens_it_again_at_once(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await fail(breaker, 3)
    clock.advance(OPEN_S + 1)
    assert await breaker.try_trial(LANE, MODEL)
    await fail(breaker, 1)
    assert await seconds_open(breaker) == pytest.approx(OPEN_S)
    clock.advance(OPEN_S + 1)
    assert await breaker.try_trial(LANE, MODEL)


async def test_a_trial_that_told_nothing_leaves_another_to_be_tried(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await fail(breaker, 3)
    clock.advance(OPEN_S + 1)
    assert await breaker.try_trial(LANE, MODEL)
    await breaker.abandon_trial(LANE, MODEL)
    assert await breaker.try_trial(LANE, MODEL)


async def test_calls_sent_before_it_opened_do_not_keep_it_open(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await fail(breaker, 3)
    clock.advance(20)
    await fail(breaker, 50)
    assert await seconds_open(breaker) == pytest.approx(OPEN_S - 20)


async def test_an_answer_to_a_call_sent_before_it_opened_closes_it(
    breaker: CircuitBreaker,
) -> None:
    await fail(breaker, 3)
    await breaker.succeeded(LANE, MODEL)
    assert await seconds_open(breaker) is None


async def test_what_never_failed_may_be_abandoned_and_answered(breaker: CircuitBreaker) -> None:
    await breaker.succeeded(LANE, MODEL)
    await breaker.abandon_trial(LANE, MODEL)
    await breaker.refresh()
    assert await seconds_open(breaker) is None
