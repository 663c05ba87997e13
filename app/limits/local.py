"""A governor in memory: for when the broker is away, and for tests.

It knows of no other worker. So that several do not exceed a limit together, each keeps to its
share of it.
"""

import random
import time
from collections.abc import Callable

from app.domain.told import ToldLimits
from app.limits.lanes import (
    IN_FLIGHT,
    IN_FLIGHT_WAIT_S,
    RATE_LIMITED,
    Grant,
    LaneLimits,
    Refusal,
    fitting,
    pause_s,
)
from app.limits.learned import NOTHING, Learned, Measured, backoff_s, narrowed, spent_for_s


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
        self._debts: dict[str, int] = {}
        self._free = Measured()
        self._free_tokens = Measured()
        self._measured = Measured()
        self.learned: dict[str, Learned] = {}

    async def acquire(self, lane: LaneLimits, wanted: int, tokens_each: int) -> Grant:
        """Permits for up to `wanted` calls of at most about so many tokens each."""
        pause = self.pause_of(lane.lane_id)
        return pause or self.grant(self.narrowed(lane), wanted, tokens_each)

    def grant(self, lane: LaneLimits, wanted: int, tokens_each: int) -> Grant:
        """The same of a lane that is not paused, with the limits that are to be kept now."""
        if not lane.is_limited:
            self.free(lane.lane_id, wanted, tokens_each)
            return Grant(wanted)
        self._settle(lane)
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
        lane = self.narrowed(lane)
        for rate, price_s in lane.prices_s(tokens_each, self.workers).items():
            self._pay(lane.lane_id, rate, -unused * price_s)
        self.hold(lane.lane_id, -unused)

    async def finished(self, lane_id: str, n: int = 1) -> None:
        """So many calls are no longer in flight."""
        self.hold(lane_id, -n)

    async def pause(self, lane_id: str, for_s: float, reason: str) -> None:
        """Send nothing for so long and a little more; an earlier, longer pause stays."""
        self.note_pause(lane_id, pause_s(for_s, self._jitter()), reason)

    async def refused(self, lane_id: str, refusal: Refusal) -> None:
        """The provider refused a call: pause the lane, and send less from now on."""
        self.strike(lane_id, refusal)
        if for_s := self.pause_after(lane_id, refusal):
            self.note_pause(lane_id, for_s, refusal.reason)

    def answered(self, lane_id: str, latency_s: float, tokens_more: int = 0) -> None:
        """The provider answered a call, which took so many tokens more than its permit's."""
        now = self._clock()
        self._measured.count(lane_id, now)
        self.owe(lane_id, tokens_more)
        learned = self.learned.get(lane_id)
        if learned is not None and learned.strikes:
            self.learned[lane_id] = learned.heard(now - latency_s)

    def told(self, lane_id: str, limits: ToldLimits) -> None:
        """Take note of what an answer said of the lane's limits."""
        self.learned[lane_id] = self.learned.get(lane_id, NOTHING).telling(limits)
        if spent_s := spent_for_s(limits):
            self.note_pause(lane_id, pause_s(spent_s, self._jitter()), RATE_LIMITED)

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

    def narrowed(self, lane: LaneLimits) -> LaneLimits:
        """The limits that are to be kept now, with what was learnt."""
        return narrowed(lane, self.learned.get(lane.lane_id, NOTHING), self._clock())

    def strike(self, lane_id: str, refusal: Refusal) -> bool:
        """Learn from a refusal; answers whether it said anything new."""
        now, known = self._clock(), self.learned.get(lane_id, NOTHING)
        if not known.is_news(refusal, now):
            return False
        measured = self._measured.rate(lane_id, now, self.workers)
        held = self.held(lane_id) * self.workers
        self.learned[lane_id] = known.struck(refusal, now, measured, held)
        return True

    def pause_after(self, lane_id: str, refusal: Refusal) -> float:
        """How long the lane pauses: as long as it is asked to, and longer after every refusal."""
        asked_s = 0.0
        if refusal.retry_after_s is not None:
            asked_s = pause_s(refusal.retry_after_s, self._jitter())
        strikes = self.learned.get(lane_id, NOTHING).strikes
        if not refusal.is_rate or (strikes <= 1 and refusal.retry_after_s is not None):
            return asked_s
        return max(asked_s, backoff_s(strikes, self._jitter()))

    def owe(self, lane_id: str, tokens_more: int) -> None:
        """So many tokens more were taken than permits were for; or fewer, if it is negative."""
        if tokens_more:
            self._debts[lane_id] = self._debts.get(lane_id, 0) + tokens_more

    def free(self, lane_id: str, granted: int, tokens_each: int) -> None:
        """Take note of what was granted while nothing limited the lane."""
        self._debts.pop(lane_id, None)
        self.hold(lane_id, granted)
        now = self._clock()
        self._free.count(lane_id, now, granted)
        self._free_tokens.count(lane_id, now, granted * tokens_each)

    def debts(self, lane: LaneLimits) -> tuple[int, int]:
        """Requests and tokens that are owed since the last time; asking settles them.

        A limit that was not known counts what was sent in the last minute all the same, once it
        is; one that was found by refusals was passed by then, and is waited for anyway.
        """
        lane_id, now = lane.lane_id, self._clock()
        requests, tokens = self._free.total(lane_id, now), self._free_tokens.total(lane_id, now)
        self._free.forget(lane_id)
        self._free_tokens.forget(lane_id)
        learned = self.learned.get(lane_id, NOTHING)
        owed = self._debts.pop(lane_id, 0) + (tokens if learned.tpm else 0)
        owed = owed if lane.tpm is None else min(owed, int(lane.tpm))
        return min(requests, int(lane.rpm or 0)) if learned.rpm else 0, owed

    def _settle(self, lane: LaneLimits) -> None:
        requests, tokens = self.debts(lane)
        prices_s = lane.prices_s(1, self.workers)
        for rate, owed in (("requests", requests), ("tokens", tokens)):
            if owed and rate in prices_s:
                self._pay(lane.lane_id, rate, owed * prices_s[rate])

    def note_pause(self, lane_id: str, for_s: float, reason: str) -> None:
        """Take note of a pause, unless a longer one is known."""
        until = self._clock() + for_s
        if lane_id not in self._paused or until > self._paused[lane_id][0]:
            self._paused[lane_id] = (until, reason)

    def forget(self, lane_id: str) -> None:
        """Start anew with a lane, but for what it has in flight: it has another key."""
        for rate in ("requests", "tokens"):
            self._paid_off.pop((lane_id, rate), None)
        for known in (self._paused, self._debts, self.learned):
            known.pop(lane_id, None)
        for measured in (self._free, self._free_tokens, self._measured):
            measured.forget(lane_id)

    def paused(self) -> list[str]:
        """Lanes that are, or were, paused."""
        return list(self._paused)

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
