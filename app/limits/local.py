"""A governor in memory: for when the broker is away, and for tests.

It knows of no other worker. So that several do not exceed a limit together, each keeps to its
share of it.
"""

import random
import time
from collections.abc import Callable

from app.limits.lanes import (
    IN_FLIGHT,
    IN_FLIGHT_WAIT_S,
    RATE_LIMITED,
    Grant,
    LaneLimits,
    fitting,
    pause_s,
)


class LocalGovernor:
    """The rates, calls in flight and pauses of this process.

    Args:
        workers: how many share each limit; each may always have one call.
        clock: seconds that only ever rise.
        jitter: between 0 and 1, how much of a pause's spread to add.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.workers = workers
        self._clock = clock
        self._jitter = jitter
        self._paid_off: dict[tuple[str, str], float] = {}
        self._held: dict[str, int] = {}
        self._paused: dict[str, tuple[float, str]] = {}

    async def acquire(self, lane: LaneLimits, wanted: int, tokens_each: int) -> Grant:
        """Permits for up to `wanted` calls of at most about so many tokens each."""
        pause = self.pause_of(lane.lane_id)
        if pause is not None:
            return pause
        granted, wait_s = min(wanted, self._room(lane)), 0.0
        prices_s = lane.prices_s(tokens_each, self.workers)
        now = self._clock()
        for rate, price_s in prices_s.items():
            ahead_s = self._paid_off.get((lane.lane_id, rate), now) - now
            fits, next_s = fitting(ahead_s, price_s)
            if fits < wanted:
                wait_s = max(wait_s, next_s)
            granted = min(granted, fits)
        for rate, price_s in prices_s.items():
            self._pay(lane.lane_id, rate, granted * price_s)
        self.hold(lane.lane_id, granted)
        if granted == wanted:
            return Grant(granted)
        return Grant(granted, wait_s or IN_FLIGHT_WAIT_S, RATE_LIMITED if wait_s else IN_FLIGHT)

    async def release(self, lane: LaneLimits, unused: int, tokens_each: int) -> None:
        """Give back permits that nothing was sent with, and their places in flight."""
        for rate, price_s in lane.prices_s(tokens_each, self.workers).items():
            self._pay(lane.lane_id, rate, -unused * price_s)
        self.hold(lane.lane_id, -unused)

    async def finished(self, lane_id: str, n: int = 1) -> None:
        """So many calls are no longer in flight."""
        self.hold(lane_id, -n)

    async def pause(self, lane_id: str, for_s: float, reason: str) -> None:
        """Send nothing for so long and a little more; an earlier, longer pause stays."""
        self.note_pause(lane_id, pause_s(for_s, self._jitter()), reason)

    def paused_for(self, lane_id: str) -> float:
        """Seconds until the lane may send again; 0 if it may."""
        pause = self.pause_of(lane_id)
        return 0.0 if pause is None else pause.wait_s

    async def refresh(self) -> None:
        """There is nobody to tell, and nobody to hear of."""

    def hold(self, lane_id: str, n: int) -> None:
        """Count so many calls more, or fewer, in flight."""
        held = self._held.get(lane_id, 0) + n
        if held > 0:
            self._held[lane_id] = held
        else:
            self._held.pop(lane_id, None)

    def held(self, lane_id: str) -> int:
        """How many calls of the lane this process has in flight."""
        return self._held.get(lane_id, 0)

    def note_pause(self, lane_id: str, for_s: float, reason: str) -> None:
        """Take note of a pause, unless a longer one is known."""
        until = self._clock() + for_s
        if lane_id not in self._paused or until > self._paused[lane_id][0]:
            self._paused[lane_id] = (until, reason)

    def pause_of(self, lane_id: str) -> Grant | None:
        """Nothing, and for how long, if the lane is paused."""
        if lane_id not in self._paused:
            return None
        until, reason = self._paused[lane_id]
        left_s = until - self._clock()
        if left_s > 0:
            return Grant(0, left_s, reason)
        del self._paused[lane_id]
        return None

    def _room(self, lane: LaneLimits) -> int:
        if lane.in_flight is None:
            return 2**31
        return max(0, max(1, lane.in_flight // self.workers) - self.held(lane.lane_id))

    def _pay(self, lane_id: str, rate: str, price_s: float) -> None:
        now = self._clock()
        paid_off = max(self._paid_off.get((lane_id, rate), now), now) + price_s
        if paid_off > now:
            self._paid_off[lane_id, rate] = paid_off
        else:
            self._paid_off.pop((lane_id, rate), None)
