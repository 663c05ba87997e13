"""What every counter of requests keeps to: the one in memory, and the one that is shared."""

import pytest
from fakeredis import FakeAsyncRedis

from app.limits.link import Link
from app.limits.requests import LocalRequests, RequestLimiter, SharedRequests, Take, Window
from tests.fakes.clock import FakeClock

MINUTE = Window(3, 60)
BURST = Window(2, 10)
YES, NO = (True,), (False,)


class UnixClock(FakeClock):
    """A clock that stands at the beginning of a minute."""

    def __init__(self) -> None:
        super().__init__()
        self.advance(-self() % 60)


@pytest.fixture
def clock() -> FakeClock:
    return UnixClock()


@pytest.fixture(params=["local", "shared", "away"])
def limiter(request: pytest.FixtureRequest, clock: FakeClock) -> RequestLimiter:
    local = LocalRequests(clock)
    if request.param == "local":
        return local
    client = FakeAsyncRedis(decode_responses=True, connected=request.param == "shared")
    return SharedRequests(Link(client, clock=clock, server_clock=clock.ms), local)


async def test_so_many_go_on_and_the_next_one_when_the_window_is_over(
    limiter: RequestLimiter, clock: FakeClock
) -> None:
    begun = int(clock())
    for left in (2, 1, 0):
        assert await limiter.take("a", [MINUTE]) == Take(*YES, 3, left, 60.0, begun + 60)
    clock.advance(59)
    assert await limiter.take("a", [MINUTE]) == Take(*NO, 3, 0, 1.0, begun + 60)
    clock.advance(1)
    assert await limiter.take("a", [MINUTE]) == Take(*YES, 3, 2, 60.0, begun + 120)


async def test_names_do_not_share(limiter: RequestLimiter) -> None:
    for _ in range(3):
        await limiter.take("a", [MINUTE])
    assert (await limiter.take("b", [MINUTE])).remaining == 2


async def test_the_window_that_is_full_is_the_one_that_is_told(
    limiter: RequestLimiter, clock: FakeClock
) -> None:
    windows = [MINUTE, BURST]
    assert [(await limiter.take("a", windows)).remaining for _ in range(2)] == [2, 1]
    burst = await limiter.take("a", windows)
    assert (burst.allowed, burst.limit, burst.reset_s) == (False, 2, 10.0)
    clock.advance(10)
    assert await limiter.take("a", windows) == Take(*YES, 3, 0, 50.0, int(clock()) + 50)
    full = await limiter.take("a", windows)
    assert (full.allowed, full.limit) == (False, 3)


async def test_what_is_refused_is_not_counted(limiter: RequestLimiter, clock: FakeClock) -> None:
    for _ in range(100):
        await limiter.take("a", [Window(10, 60), Window(1, 10)])
    clock.advance(10)
    assert (await limiter.take("a", [Window(10, 60), Window(1, 10)])).remaining == 8


async def test_many_names_take_no_more_memory_than_some(clock: FakeClock) -> None:
    limiter = LocalRequests(clock)
    for number in range(10_001):
        await limiter.take(f"name {number}", [MINUTE])
    assert len(limiter._counts) < 10_000
