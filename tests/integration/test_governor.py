"""Rates, places, pauses and breakers on a real Valkey, by its own clock, raced by many workers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
import redis

from app.limits.breaker import Breaker
from app.limits.governor import Governor
from app.limits.lanes import HEADROOM, LaneLimits, Limiter
from app.limits.link import TIMEOUT_S, Link, connect
from app.limits.local_breaker import OPEN_S
from tests.fakes.clock import FakeClock
from tests.servers import valkey_server

#: So slow that nothing is paid off while a test runs: one goes out.
SLOW = LaneLimits("lane_a", rpm=1)
BY_PLACES = LaneLimits("lane_a", in_flight=10)

MakeLink = Callable[..., Link]


@pytest.fixture
async def make_link(valkey_url: str) -> AsyncIterator[MakeLink]:
    """Links to the server, closed after the test."""
    links: list[Link] = []

    def make(url: str = valkey_url, timeout_s: float = 10.0, **options: object) -> Link:
        links.append(Link(connect(url, timeout_s), **options))
        return links[-1]

    yield make
    for link in links:
        await link.close()


async def granted(governors: list[Limiter], lane: LaneLimits, wanted: int, tokens: int = 0) -> int:
    """What all get together, who ask at once."""
    asking = [governor.acquire(lane, wanted, tokens) for governor in governors]
    return sum([grant.granted for grant in await asyncio.gather(*asking)])


async def test_workers_that_race_for_a_rate_get_no_more_than_its_burst(
    make_link: MakeLink,
) -> None:
    governors = [Governor(make_link(), f"wrk_{number}") for number in range(20)]
    fast = LaneLimits("lane_fast", rpm=4000 / HEADROOM)
    assert await granted(governors, SLOW, 3) == 1
    began = time.monotonic()
    got = await granted(governors, fast, 50)
    assert 100 <= got <= 101 + (time.monotonic() - began) * 4000 / 60


async def test_workers_that_race_for_tokens_get_no_more_than_their_burst(
    make_link: MakeLink,
) -> None:
    governors = [Governor(make_link(), f"wrk_{number}") for number in range(20)]
    assert await granted(governors, LaneLimits("lane_a", tpm=600), 3, tokens=600) == 1


async def test_workers_that_race_for_places_get_no_more_than_there_are(
    make_link: MakeLink,
) -> None:
    governors = [Governor(make_link(), f"wrk_{number}") for number in range(20)]
    for _ in range(3):
        assert await granted(governors, BY_PLACES, 4) == 10
        assert await granted(governors, BY_PLACES, 4) == 0
        for governor in governors:
            await governor.finished("lane_a", 10)
            await governor.refresh()


async def test_one_worker_that_asks_many_times_at_once_is_not_given_a_place_twice(
    make_link: MakeLink,
) -> None:
    governor = Governor(make_link(), "wrk_1")
    assert await granted([governor] * 50, BY_PLACES, 1) == 10


async def test_a_pause_lasts_by_the_server_s_clock(make_link: MakeLink) -> None:
    one, another = (Governor(make_link(), f"wrk_{number}") for number in range(2))
    await one.pause("lane_a", 30, "retry_after")
    grant = await another.acquire(SLOW, 1, 0)
    assert (grant.granted, grant.reason) == (0, "retry_after")
    assert 29 < grant.wait_s < 34


async def test_what_is_kept_has_an_end(make_link: MakeLink, valkey_url: str) -> None:
    governor = Governor(make_link(), "wrk_1")
    await governor.acquire(LaneLimits("lane_a", rpm=60, tpm=600, in_flight=5), 5, 10)
    client = connect(valkey_url)
    lasting = [key for key in await client.keys("*") if await client.ttl(key) == -1]
    await client.aclose()
    assert sorted(lasting) == ["overnight:generation", "overnight:workers"]


async def test_without_a_server_work_goes_on_and_limits_hold_here(make_link: MakeLink) -> None:
    with valkey_server() as server:
        governor = Governor(make_link(server.url), "wrk_1")
        breaker = Breaker(make_link(server.url), "wrk_1")
        assert (await governor.acquire(BY_PLACES, 4, 0)).granted == 4
        server.kill9()
        assert (await governor.acquire(BY_PLACES, 9, 0)).granted == 6
        for _ in range(3):
            await breaker.failed("lane_a", "acme")
        assert await breaker.open_models(["lane_a"])


async def test_a_server_that_came_back_is_used_again(make_link: MakeLink) -> None:
    clock = FakeClock()
    with valkey_server() as server:
        one, another = (
            Governor(make_link(server.url, clock=clock), f"wrk_{number}", clock=clock)
            for number in range(2)
        )
        assert (await one.acquire(BY_PLACES, 4, 0)).granted == 4
        server.restart()
        clock.advance(5)
        await one.refresh()  # its connection was lost with the server
        clock.advance(5)
        await one.refresh()
        assert (await another.acquire(BY_PLACES, 10, 0)).granted == 6


async def test_a_server_that_hangs_holds_nobody_up_for_long(make_link: MakeLink) -> None:
    with valkey_server() as server:
        governor = Governor(make_link(server.url, TIMEOUT_S), "wrk_1")
        with redis.Redis.from_url(server.url) as client:
            client.client_pause(60_000)
        async with asyncio.timeout(10):
            assert (await governor.acquire(SLOW, 1, 0)).granted == 1


async def test_of_twenty_workers_that_race_to_try_exactly_one_does(make_link: MakeLink) -> None:
    clock = FakeClock()
    breakers = [
        Breaker(make_link(clock=clock, server_clock=clock.ms), f"wrk_{number}", clock=clock)
        for number in range(20)
    ]
    await asyncio.gather(*(breaker.failed("lane_a", "acme") for breaker in breakers))
    assert not any(await asyncio.gather(*(one.try_trial("lane_a", "acme") for one in breakers)))
    for _ in range(3):
        clock.advance(OPEN_S + 1)
        tries = await asyncio.gather(*(one.try_trial("lane_a", "acme") for one in breakers))
        assert sum(tries) == 1
        await breakers[tries.index(True)].failed("lane_a", "acme")
