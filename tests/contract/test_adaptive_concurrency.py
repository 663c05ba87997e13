"""Calls in flight of a lane: as many as are set at first, cut when there were too many, and back slowly."""

from itertools import pairwise

import pytest
from fakeredis import FakeAsyncRedis

from app.limits.governor import Governor
from app.limits.lanes import LaneLimits, Limiter, Refusal
from app.limits.link import Link
from app.limits.local import LocalGovernor
from tests.fakes.clock import FakeClock

FREE, SET = LaneLimits("lane_a"), LaneLimits("lane_a", in_flight=100)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["local", "shared"])
def governor(request: pytest.FixtureRequest, clock: FakeClock) -> Limiter:
    if request.param == "local":
        return LocalGovernor(clock=clock, jitter=lambda: 0.5)
    link = Link(FakeAsyncRedis(decode_responses=True), clock=clock, server_clock=clock.ms)
    return Governor(link, "wrk_1", clock=clock, jitter=lambda: 0.5)


async def room(governor: Limiter, lane: LaneLimits) -> int:
    """How many may be in flight now, of which none is."""
    granted = (await governor.acquire(lane, 1000, 0)).granted
    await governor.finished(lane.lane_id, granted)
    return granted


async def refuse_all(
    governor: Limiter, clock: FakeClock, lane: LaneLimits, calls: int, *, is_rate: bool
) -> None:
    """So many calls are sent together, and each is refused, one after the other."""
    assert (await governor.acquire(lane, calls, 0)).granted == calls
    clock.advance(1)
    for number in range(calls):
        clock.advance(0.0001)
        await governor.refused("lane_a", Refusal(None, 1.0 + 0.0001 * number, is_rate=is_rate))
    await governor.finished("lane_a", calls)


async def answer_one(governor: Limiter, clock: FakeClock) -> None:
    """The pause passes, and the single call that tries is answered."""
    clock.advance(governor.paused_for("lane_a") + 0.001)
    assert (await governor.acquire(FREE, 1, 0)).granted == 1
    governor.answered("lane_a", 0.0)
    await governor.finished("lane_a")
    await governor.refresh()


async def test_a_lane_starts_at_its_limit(governor: Limiter) -> None:
    assert await room(governor, SET) == 100


@pytest.mark.parametrize("lane", [FREE, SET], ids=["no limit", "limit"])
@pytest.mark.parametrize("is_rate", [True, False], ids=["429", "529"])
async def test_p1_refusals_of_calls_that_were_sent_together_cut_it_once_and_it_comes_back_slowly(
    governor: Limiter, clock: FakeClock, lane: LaneLimits, *, is_rate: bool
) -> None:
    await refuse_all(governor, clock, lane, 100, is_rate=is_rate)
    if is_rate:
        assert 1.5 <= governor.paused_for("lane_a") <= 2.0
        await answer_one(governor, clock)
    got = [await room(governor, lane)]
    for _ in range(8):
        clock.advance(15)
        got.append(await room(governor, lane))
    assert 70 <= got[0] <= 73
    assert got == sorted(got)
    back = [after - before for before, after in pairwise(got[:5])]
    assert back == sorted(back, reverse=True), "ever slower towards what was too much"
    assert 98 <= got[4] <= 100
    assert got[-1] == 100 if lane is SET else got[-1] > 120


async def test_a_refusal_after_a_cut_cuts_again_from_where_it_is(
    governor: Limiter, clock: FakeClock
) -> None:
    await refuse_all(governor, clock, FREE, 100, is_rate=False)
    await refuse_all(governor, clock, FREE, 50, is_rate=False)
    assert 48 <= await room(governor, FREE) <= 52
    assert governor.paused_for("lane_a") == 0
