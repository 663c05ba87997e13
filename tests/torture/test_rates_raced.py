"""A rate on a real Valkey, by its own clock, over half a minute: never passed, and never wasted."""

import asyncio
import time
from contextlib import AsyncExitStack

from app.limits.governor import Governor
from app.limits.lanes import BURST_S, HEADROOM, LaneLimits
from app.limits.link import Link, connect

WORKERS = 8
SECONDS = 30.0
#: Ten a second.
LANE = LaneLimits("lane_a", rpm=600)


async def send(governor: Governor, until: float) -> int:
    """Ask whenever the governor says so; answers how much was granted."""
    granted = 0
    while time.monotonic() < until:
        grant = await governor.acquire(LANE, 16, 0)
        granted += grant.granted
        await governor.finished(LANE.lane_id, grant.granted)
        await asyncio.sleep(max(0.001, grant.wait_s))
    return granted


async def test_workers_that_race_for_half_a_minute_keep_a_rate_and_use_it(valkey_url: str) -> None:
    async with AsyncExitStack() as stack:
        links = [Link(connect(valkey_url, 10.0)) for _ in range(WORKERS)]
        for link in links:
            stack.push_async_callback(link.close)
        governors = [Governor(link, f"wrk_{number}") for number, link in enumerate(links)]
        began = time.monotonic()
        granted = await asyncio.gather(*(send(one, began + SECONDS) for one in governors))
        took_s = time.monotonic() - began
    assert sum(granted) <= 10 * (took_s + BURST_S) + 1
    assert sum(granted) >= 10 * SECONDS * 0.9 * HEADROOM
