"""What every governor keeps to: the one in memory, and the one that workers share."""

import pytest
from fakeredis import FakeAsyncRedis

from app.limits.governor import Governor
from app.limits.lanes import BURST_S, PAUSE_MAX_S, Grant, LaneLimits, Limiter
from app.limits.link import Link
from app.limits.local import LocalGovernor
from tests.fakes.clock import FakeClock

FREE = LaneLimits("lane_free")
BY_REQUESTS = LaneLimits("lane_a", rpm=60)
BY_TOKENS = LaneLimits("lane_a", tpm=6000)
BY_PLACES = LaneLimits("lane_a", in_flight=3)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["local", "shared"])
def governor(request: pytest.FixtureRequest, clock: FakeClock) -> Limiter:
    if request.param == "local":
        return LocalGovernor(clock=clock, jitter=lambda: 0.5)
    client = FakeAsyncRedis(decode_responses=True)
    link = Link(client, clock=clock, server_clock=clock.ms)
    return Governor(link, "wrk_1", clock=clock, jitter=lambda: 0.5)


async def test_a_lane_without_limits_gets_all_it_wants(governor: Limiter) -> None:
    assert await governor.acquire(FREE, 10_000, 10**6) == Grant(10_000)


async def test_a_burst_of_seconds_goes_out_at_once_and_then_the_rate(
    governor: Limiter, clock: FakeClock
) -> None:
    assert await governor.acquire(BY_REQUESTS, 100, 0) == Grant(5, 1.0, "rate_limited")
    assert await governor.acquire(BY_REQUESTS, 1, 0) == Grant(0, 1.0, "rate_limited")
    clock.advance(1)
    assert await governor.acquire(BY_REQUESTS, 1, 0) == Grant(1)
    clock.advance(2)
    assert await governor.acquire(BY_REQUESTS, 9, 0) == Grant(2, 1.0, "rate_limited")


async def test_over_minutes_no_more_goes_out_than_the_rate_and_one_burst(
    governor: Limiter, clock: FakeClock
) -> None:
    granted = 0
    for _ in range(600):
        granted += (await governor.acquire(BY_REQUESTS, 7, 0)).granted
        clock.advance(0.5)
    assert 300 <= granted <= 300 + BURST_S


async def test_a_slow_lane_still_sends_one_at_a_time(governor: Limiter, clock: FakeClock) -> None:
    slow = LaneLimits("lane_slow", rpm=2)
    assert await governor.acquire(slow, 5, 0) == Grant(1, 30.0, "rate_limited")
    clock.advance(29.5)
    assert await governor.acquire(slow, 5, 0) == Grant(0, 0.5, "rate_limited")
    clock.advance(0.5)
    assert (await governor.acquire(slow, 5, 0)).granted == 1


async def test_tokens_are_counted_as_well(governor: Limiter, clock: FakeClock) -> None:
    assert await governor.acquire(BY_TOKENS, 9, 100) == Grant(5, 1.0, "rate_limited")
    clock.advance(1)
    assert (await governor.acquire(BY_TOKENS, 1, 100)).granted == 1


async def test_a_call_larger_than_a_minute_s_tokens_goes_out_alone(
    governor: Limiter, clock: FakeClock
) -> None:
    assert await governor.acquire(BY_TOKENS, 2, 12_000) == Grant(1, 120.0, "rate_limited")
    clock.advance(60)
    assert await governor.acquire(BY_TOKENS, 1, 1) == Grant(0, 55.01, "rate_limited")


async def test_of_two_rates_the_tighter_holds(governor: Limiter) -> None:
    both = LaneLimits("lane_a", rpm=6000, tpm=6000)
    assert (await governor.acquire(both, 100, 200)).granted == 2
    assert (await governor.acquire(both, 100, 0)).granted == 100


async def test_no_more_calls_are_in_flight_than_there_are_places(governor: Limiter) -> None:
    assert await governor.acquire(BY_PLACES, 5, 0) == Grant(3, 0.25, "in_flight")
    assert await governor.acquire(BY_PLACES, 1, 0) == Grant(0, 0.25, "in_flight")
    await governor.finished("lane_a", 2)
    assert await governor.acquire(BY_PLACES, 2, 0) == Grant(2)


async def test_unused_permits_come_back(governor: Limiter) -> None:
    lane = LaneLimits("lane_a", rpm=60, tpm=6000, in_flight=5)
    assert (await governor.acquire(lane, 5, 100)).granted == 5
    await governor.release(lane, 3, 100)
    assert (await governor.acquire(lane, 5, 100)).granted == 3


async def test_giving_back_and_finishing_never_makes_more_places(governor: Limiter) -> None:
    await governor.finished("lane_a", 7)
    await governor.release(BY_PLACES, 7, 0)
    assert (await governor.acquire(BY_PLACES, 9, 0)).granted == 3


async def test_lanes_do_not_share_limits(governor: Limiter) -> None:
    for lane_id in ("lane_a", "lane_b"):
        lane = LaneLimits(lane_id, rpm=60, in_flight=5)
        assert (await governor.acquire(lane, 5, 0)).granted == 5


@pytest.mark.parametrize("lane_id", ["lane_free", "lane_a"])
async def test_a_paused_lane_sends_nothing_until_a_little_after(
    governor: Limiter, clock: FakeClock, lane_id: str
) -> None:
    lane = LaneLimits(lane_id, rpm=None if lane_id == "lane_free" else 60)
    await governor.pause(lane_id, 20.0, "retry_after")
    assert governor.paused_for(lane_id) == pytest.approx(21.0)
    assert await governor.acquire(lane, 5, 0) == Grant(0, pytest.approx(21.0), "retry_after")
    clock.advance(20)
    assert (await governor.acquire(lane, 5, 0)).granted == 0
    clock.advance(1.01)
    assert await governor.acquire(lane, 5, 0) == Grant(5)
    assert governor.paused_for(lane_id) == 0


async def test_a_later_pause_never_shortens_an_earlier(governor: Limiter, clock: FakeClock) -> None:
    await governor.pause("lane_a", 20.0, "long")
    await governor.pause("lane_a", 5.0, "short")
    assert governor.paused_for("lane_a") == pytest.approx(21.0)
    clock.advance(2)
    await governor.refresh()
    assert governor.paused_for("lane_a") == pytest.approx(19.0)
    await governor.pause("lane_a", 40.0, "longer")
    assert (await governor.acquire(BY_REQUESTS, 1, 0)).reason == "longer"


async def test_a_pause_is_of_one_lane(governor: Limiter) -> None:
    await governor.pause("lane_b", 20.0, "retry_after")
    assert governor.paused_for("lane_a") == 0
    assert (await governor.acquire(BY_REQUESTS, 1, 0)).granted == 1


@pytest.mark.parametrize(
    ("asked_s", "least_s", "most_s"),
    [
        (0, 0, 0.25),
        (-5, 0, 0.25),
        (float("nan"), 0, 0.25),
        (1e9, PAUSE_MAX_S, PAUSE_MAX_S + 5),
        (float("inf"), PAUSE_MAX_S, PAUSE_MAX_S + 5),
    ],
)
async def test_p2_a_pause_that_cannot_be_meant_is_cut(
    governor: Limiter, asked_s: float, least_s: float, most_s: float
) -> None:
    await governor.pause("lane_a", asked_s, "retry_after")
    assert least_s <= governor.paused_for("lane_a") <= most_s
