"""What every governor keeps to: the one in memory, and the one that workers share."""

import pytest
from fakeredis import FakeAsyncRedis

from app.domain.told import ToldLimits, ToldRate
from app.limits.governor import Governor
from app.limits.lanes import (
    BURST_S,
    HEADROOM,
    PAUSE_MAX_S,
    Grant,
    LaneLimits,
    Limiter,
    Refusal,
)
from app.limits.link import Link
from app.limits.local import LocalGovernor
from tests.fakes.clock import FakeClock

FREE = LaneLimits("lane_free")
#: Five go out at once, and one every 0.3 s.
BY_REQUESTS = LaneLimits("lane_a", rpm=200 / HEADROOM)
#: As many, of 100 tokens.
BY_TOKENS = LaneLimits("lane_a", tpm=20_000 / HEADROOM)
NEXT_S = pytest.approx(0.3)
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


async def test_a_short_burst_goes_out_at_once_and_then_the_rate(
    governor: Limiter, clock: FakeClock
) -> None:
    assert await governor.acquire(BY_REQUESTS, 100, 0) == Grant(5, NEXT_S, "rate_limited")
    assert await governor.acquire(BY_REQUESTS, 1, 0) == Grant(0, NEXT_S, "rate_limited")
    clock.advance(0.3)
    assert await governor.acquire(BY_REQUESTS, 1, 0) == Grant(1)
    clock.advance(0.6)
    assert await governor.acquire(BY_REQUESTS, 9, 0) == Grant(2, NEXT_S, "rate_limited")


async def test_in_no_minute_goes_out_more_than_the_limit_allows(
    governor: Limiter, clock: FakeClock
) -> None:
    lane, began, sent = LaneLimits("lane_a", rpm=200), clock.now_s, list[float]()
    while clock.now_s < began + 300:
        sent += [clock.now_s] * (await governor.acquire(lane, 7, 0)).granted
        clock.advance(0.5)
    busiest = max(sum(start <= at < start + 60 for at in sent) for start in sent)
    assert 190 <= busiest <= 200
    assert len(sent) <= 5 * 200 * HEADROOM + BURST_S * 200 / 60


async def test_a_slow_lane_still_sends_one_at_a_time(governor: Limiter, clock: FakeClock) -> None:
    slow = LaneLimits("lane_slow", rpm=2 / HEADROOM)
    assert await governor.acquire(slow, 5, 0) == Grant(1, 30.0, "rate_limited")
    clock.advance(29.5)
    assert await governor.acquire(slow, 5, 0) == Grant(0, 0.5, "rate_limited")
    clock.advance(0.5)
    assert (await governor.acquire(slow, 5, 0)).granted == 1


async def test_tokens_are_counted_as_well(governor: Limiter, clock: FakeClock) -> None:
    assert await governor.acquire(BY_TOKENS, 9, 100) == Grant(5, NEXT_S, "rate_limited")
    clock.advance(0.3)
    assert (await governor.acquire(BY_TOKENS, 1, 100)).granted == 1


async def test_a_call_larger_than_a_minute_s_tokens_goes_out_alone(
    governor: Limiter, clock: FakeClock
) -> None:
    assert await governor.acquire(BY_TOKENS, 2, 40_000) == Grant(1, 120.0, "rate_limited")
    clock.advance(60)
    grant = await governor.acquire(BY_TOKENS, 1, 100)
    assert (grant.granted, grant.wait_s) == (0, pytest.approx(60 + 0.3 - BURST_S, abs=0.01))


async def test_tokens_that_were_taken_beyond_a_permit_are_paid_for_later(
    governor: Limiter, clock: FakeClock
) -> None:
    assert (await governor.acquire(BY_TOKENS, 1, 100)).granted == 1
    governor.answered("lane_a", 0.1, tokens_more=400)
    assert await governor.acquire(BY_TOKENS, 1, 100) == Grant(0, NEXT_S, "rate_limited")
    clock.advance(0.3)
    assert (await governor.acquire(BY_TOKENS, 9, 100)).granted == 1


async def test_tokens_that_were_not_taken_come_back(governor: Limiter) -> None:
    assert (await governor.acquire(BY_TOKENS, 9, 100)).granted == 5
    for _ in range(5):
        governor.answered("lane_a", 0.1, tokens_more=-60)
    assert (await governor.acquire(BY_TOKENS, 9, 100)).granted == 3


async def test_of_two_rates_the_tighter_holds(governor: Limiter) -> None:
    both = LaneLimits("lane_a", rpm=20_000, tpm=20_000 / HEADROOM)
    assert (await governor.acquire(both, 100, 250)).granted == 2
    assert (await governor.acquire(both, 100, 0)).granted == 100


async def test_no_more_calls_are_in_flight_than_there_are_places(governor: Limiter) -> None:
    assert await governor.acquire(BY_PLACES, 5, 0) == Grant(3, 0.25, "in_flight")
    assert await governor.acquire(BY_PLACES, 1, 0) == Grant(0, 0.25, "in_flight")
    await governor.finished("lane_a", 2)
    assert await governor.acquire(BY_PLACES, 2, 0) == Grant(2)


async def test_unused_permits_come_back(governor: Limiter) -> None:
    lane = LaneLimits("lane_a", rpm=BY_REQUESTS.rpm, tpm=BY_TOKENS.tpm, in_flight=5)
    assert (await governor.acquire(lane, 5, 100)).granted == 5
    await governor.release(lane, 3, 100)
    assert (await governor.acquire(lane, 5, 100)).granted == 3


async def test_giving_back_and_finishing_never_makes_more_places(governor: Limiter) -> None:
    await governor.finished("lane_a", 7)
    await governor.release(BY_PLACES, 7, 0)
    assert (await governor.acquire(BY_PLACES, 9, 0)).granted == 3


async def test_lanes_do_not_share_limits(governor: Limiter) -> None:
    for lane_id in ("lane_a", "lane_b"):
        lane = LaneLimits(lane_id, rpm=BY_REQUESTS.rpm, in_flight=5)
        assert (await governor.acquire(lane, 5, 0)).granted == 5


@pytest.mark.parametrize("lane_id", ["lane_free", "lane_a"])
async def test_a_paused_lane_sends_nothing_until_a_little_after(
    governor: Limiter, clock: FakeClock, lane_id: str
) -> None:
    lane = LaneLimits(lane_id, rpm=None if lane_id == "lane_free" else BY_REQUESTS.rpm)
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


TOLD = ToldLimits(ToldRate(200, 199, 0.3))


async def test_a_limit_that_is_told_is_kept_where_none_is_set(governor: Limiter) -> None:
    governor.told("lane_free", TOLD)
    assert (await governor.acquire(FREE, 100, 0)).granted == 4


async def test_of_what_is_set_and_what_is_told_the_less_is_kept(
    governor: Limiter, clock: FakeClock
) -> None:
    governor.told("lane_a", TOLD)
    tighter, looser = (LaneLimits("lane_a", rpm=rpm) for rpm in (90, 90_000))
    assert (await governor.acquire(tighter, 100, 0)).granted == 2
    clock.advance(10)
    assert (await governor.acquire(looser, 100, 0)).granted == 4


async def test_a_window_that_is_told_to_be_used_up_is_waited_for(
    governor: Limiter, clock: FakeClock
) -> None:
    governor.told("lane_free", ToldLimits(ToldRate(200, 0, 20.0)))
    assert (await governor.acquire(FREE, 1, 0)).granted == 0
    clock.advance(22)
    assert (await governor.acquire(FREE, 1, 0)).granted == 1


async def test_p1_a_refusal_is_waited_for_as_long_as_it_asks(
    governor: Limiter, clock: FakeClock
) -> None:
    await governor.refused("lane_free", Refusal(2.0, 0.1))
    clock.advance(1.99)
    assert (await governor.acquire(FREE, 1, 0)).granted == 0
    clock.advance(0.5)
    assert (await governor.acquire(FREE, 9, 0)).granted == 1  # a single call tries


async def test_p18_refusals_without_an_answer_are_tried_ever_more_rarely_one_at_a_time(
    governor: Limiter, clock: FakeClock
) -> None:
    sent, began = 0, clock.now_s
    while clock.now_s < began + 8 * 3600:
        got = (await governor.acquire(FREE, 64, 0)).granted
        sent += got
        for _ in range(got):
            await governor.refused("lane_free", Refusal(None, 0.0))
        await governor.finished("lane_free", got)
        clock.advance(max(0.5, governor.paused_for("lane_free")))
    assert sent <= 64 + 8 * 3600 / (60 * 0.75) + 10
    clock.advance(61)
    assert (await governor.acquire(FREE, 64, 0)).granted == 1
    governor.answered("lane_free", 0.0)
    await governor.finished("lane_free")
    assert (await governor.acquire(FREE, 64, 0)).granted > 1


@pytest.mark.parametrize("refused_at", [44.0, 56.5, 58.9])
async def test_a_burst_is_the_measure_of_its_minute_until_that_minute_s_end(
    governor: Limiter, clock: FakeClock, refused_at: float
) -> None:
    clock.advance(3.9)  # the minute begins within one of the steps in which answers are counted
    assert (await governor.acquire(FREE, 1000, 0)).granted == 1000
    for answers in (6000, 4000):
        for _ in range(answers):
            governor.answered("lane_free", 0.1)
        await governor.refresh()
        clock.advance(2)
    for refused_s in (6.0, 10.0, 14.0, 29.0, refused_at):
        clock.now_s = 1_000_003.9 + refused_s
        await governor.refused("lane_free", Refusal(None, 0.1))
    await governor.finished("lane_free", 1000)
    clock.advance(60)
    assert (await governor.acquire(FREE, 1, 0)).granted == 1
    governor.answered("lane_free", 0.1)
    await governor.refresh()
    # A second and a half of all that went through in the minute.
    assert (await governor.acquire(FREE, 1000, 0)).granted == pytest.approx(250, abs=3)
