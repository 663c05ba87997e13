"""The governor that workers share: what a lane may send, kept in Redis.

A lane without limits and without a pause costs no round trip: pauses, and what was learnt of lanes,
are read once a second for all of them together, and told once a second of those that were used;
an idle lane costs nothing. One with limits costs one per acquire. Places in flight are counted per worker,
as each last told, and forgotten where a worker has not told for a while, so that a dead worker's
come back; each telling is of the whole count, so that a wiped server is soon right again. A wiped
server is known by its new name, and told again what pauses there are and what was learnt.

While the server is away, every worker keeps to its share of the limits by itself.
"""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from app.domain.told import ToldLimits
from app.limits import scripts
from app.limits.lanes import (
    BURST_S,
    IN_FLIGHT_WAIT_S,
    RATE_LIMITED,
    Grant,
    LaneLimits,
    Refusal,
    pause_s,
)
from app.limits.learned import FORGET_S, NOTHING, learned_from, spent_for_s
from app.limits.link import Link
from app.limits.local import LocalGovernor

#: How long a worker's places in flight count without its telling.
LEASE_S = 30.0
REFRESH_S = 1.0

_PAUSES = "overnight:pauses"
_REASONS = "overnight:pause-reasons"
_WORKERS = "overnight:workers"
_INDEX = "overnight:learned"
_GENERATION = "overnight:generation"
#: No generation's name.
_LOST = "lost"
_TELL_MAX = 500
_FIELDS = ("rpm", "tpm", "rate", "rate_at", "in_flight", "cut_at", "strikes")


class Governor:
    """Grants permits to all workers of an installation together.

    Args:
        link: the way to the server.
        worker_id: who this is, among the workers.
        workers: how many there are, until the server has told.
        clock: seconds that only ever rise.
        jitter: between 0 and 1, how much of a pause's spread to add.
    """

    def __init__(
        self,
        link: Link,
        worker_id: str,
        *,
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._link = link
        self._worker_id = worker_id
        self._clock = clock
        self._jitter = jitter
        # What this worker knows by itself is kept there, whether the server is away or not.
        self._local = LocalGovernor(workers=workers, clock=clock, jitter=jitter)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._counted: set[str] = set()
        self._looked_at = -REFRESH_S
        # What the server was told last, and is to be told next.
        self._seen_until, self._generation = "0", ""
        self._answers: Counter[str] = Counter()
        self._began: dict[str, float] = {}
        self._news: set[str] = set()
        self._keys: dict[str, str] = {}

    async def meet(self, lane_id: str, key_id: str) -> bool:
        """Which key a lane has now; answers whether it is another, and forgets the former's limits."""
        before = self._keys.get(lane_id, "" if not key_id else None)
        self._keys[lane_id] = key_id
        if before == key_id:
            return False
        keys = [_key(lane_id, what) for what in ("key", "learned", "rates", "done")]
        keys += [_INDEX, _PAUSES, _REASONS]
        is_new = before is not None
        if (
            not await self._link.run(scripts.MEET, keys, lane_id, key_id, int(is_new))
            and not is_new
        ):
            return False
        self._news.discard(lane_id)
        self._local.forget(lane_id)
        return True

    def has_other_key(self, lane_id: str, key_id: str) -> bool:
        """Whether a lane has another key by now than a call was sent with."""
        return self._keys.get(lane_id, key_id) != key_id

    async def acquire(self, lane: LaneLimits, wanted: int, tokens_each: int) -> Grant:
        """Permits for up to `wanted` calls of at most about so many tokens each."""
        await self._look_if_due()
        pause = self._local.pause_of(lane.lane_id)
        if pause is not None:
            return pause
        lane = self._local.narrowed(lane)
        if not lane.is_limited:
            self._local.free(lane.lane_id, wanted, tokens_each)
            return Grant(wanted)
        # One at a time, for each tells the whole count of what this worker has in flight.
        async with self._locks[lane.lane_id]:
            reply = await self._ask(lane, wanted, tokens_each)
            if reply is None:
                return self._local.grant(lane, wanted, tokens_each)
            self._local.hold(lane.lane_id, reply.granted)
            return reply

    async def release(self, lane: LaneLimits, unused: int, tokens_each: int) -> None:
        """Give back permits that nothing was sent with, and their places in flight."""
        self._local.hold(lane.lane_id, -unused)
        lane = self._local.narrowed(lane)
        prices_s = lane.prices_s(tokens_each)
        if prices_s:
            refunds = [
                word
                for rate, price_s in prices_s.items()
                for word in (rate, unused * price_s * 1000)
            ]
            await self._link.run(scripts.RELEASE, [_key(lane.lane_id, "rates")], *refunds)

    async def finished(self, lane_id: str, n: int = 1) -> None:
        """So many calls are no longer in flight; the others hear of it within a second."""
        self._local.hold(lane_id, -n)

    async def pause(self, lane_id: str, for_s: float, reason: str) -> None:
        """Send nothing for so long and a little more; an earlier, longer pause stays."""
        await self._pause(lane_id, pause_s(for_s, self._jitter()), reason)

    async def refused(self, lane_id: str, refusal: Refusal) -> None:
        """The provider refused a call: pause the lane, and send less from now on."""
        known = self._local.learned.get(lane_id, NOTHING)
        if self._local.strike(lane_id, refusal):
            await self._strike(lane_id, refusal, known.found(self._clock()))
            await self._pause(lane_id, self._local.pause_after(lane_id, refusal), refusal.reason)
        elif (refusal.retry_after_s or 0.0) > self._local.paused_for(lane_id):
            await self.pause(lane_id, refusal.retry_after_s or 0.0, refusal.reason)

    def answered(self, lane_id: str, latency_s: float, tokens_more: int = 0) -> None:
        """The provider answered a call, which took so many tokens more than its permit's."""
        self._local.answered(lane_id, latency_s, tokens_more)
        self._answers[lane_id] += 1
        self._began[lane_id] = max(self._began.get(lane_id, 0.0), self._clock() - latency_s)

    def owe(self, lane_id: str, tokens_more: int) -> None:
        """A call that got no answer took so many tokens more than its permit's; or fewer."""
        self._local.owe(lane_id, tokens_more)

    def told(self, lane_id: str, limits: ToldLimits) -> None:
        """Take note of what an answer said of the lane's limits; the others soon hear of it."""
        before = self._local.learned.get(lane_id, NOTHING)
        self._local.told(lane_id, limits)
        if before != self._local.learned[lane_id] or spent_for_s(limits):
            self._news.add(lane_id)

    def paused_for(self, lane_id: str) -> float:
        """Seconds until the lane may send again, as of the last second; 0 if it may."""
        return self._local.paused_for(lane_id)

    async def refresh(self) -> None:
        """Say that this worker lives and what it has in flight, and hear of pauses.

        Meant to be called about once a second; acquiring does it, too.
        """
        self._looked_at = self._clock()
        await self._tell()
        lease_ms = LEASE_S * 1000
        keys = [_PAUSES, _REASONS, _WORKERS, _INDEX, _GENERATION]
        seen = (self._worker_id, lease_ms, self._seen_until, FORGET_S * 1000)
        reply = await self._link.run(scripts.LOOK, keys, *seen)
        if reply is None:
            self._generation = _LOST
            return
        self._local.workers, paused, self._seen_until, generation, learnt = reply
        for lane_id, left_ms, reason in paused:
            self._local.note_pause(lane_id, left_ms / 1000, reason)
        for lane_id, fields in learnt:
            self._local.learned[lane_id] = learned_from(fields, self._clock())
        if self._generation != generation:
            await self._retell()
        self._generation = generation
        for lane_id in list(self._counted):
            async with self._locks[lane_id]:
                held = self._local.held(lane_id)
                keys = [_key(lane_id, "leases"), _key(lane_id, "counts")]
                await self._link.run(scripts.RENEW, keys, self._worker_id, held, lease_ms)
                if not held:
                    self._counted.discard(lane_id)

    async def _pause(self, lane_id: str, for_s: float, reason: str) -> None:
        if for_s <= 0:
            return
        self._local.note_pause(lane_id, for_s, reason)
        await self._link.run(scripts.PAUSE, [_PAUSES, _REASONS], lane_id, for_s * 1000, reason)

    async def _strike(self, lane_id: str, refusal: Refusal, found: float | None) -> None:
        """Cut the lane for all workers, by what all of them together were answered."""
        await self._tell()
        keys = [_key(lane_id, "learned"), _key(lane_id, "done"), _INDEX]
        places = self._local.learned[lane_id].in_flight or 1.0
        is_rate, found = int(refusal.is_rate), -1.0 if found is None else found
        reply = await self._link.run(
            scripts.STRIKE, keys, lane_id, refusal.latency_s * 1000, places, is_rate, found
        )
        if reply is not None:
            self._local.learned[lane_id] = learned_from(reply, self._clock())

    async def _tell(self) -> None:
        """Tell what was answered, and what the answers told, since the last time."""
        lanes = sorted(self._news | set(self._answers))
        answers, began, self._answers, self._began = self._answers, self._began, Counter(), {}
        now, news, self._news = self._clock(), self._news, set()
        for some in (lanes[at : at + _TELL_MAX] for at in range(0, len(lanes), _TELL_MAX)):
            keys, words = [_INDEX], list[Any]()
            for lane_id in some:
                keys += [_key(lane_id, "learned"), _key(lane_id, "done")]
                learned = self._local.learned.get(lane_id, NOTHING)
                told = (learned.rpm, learned.tpm) if lane_id in news else (None, None)
                ago_ms = (now - began.get(lane_id, now)) * 1000
                words += [lane_id, answers[lane_id], ago_ms, *map(_word, told)]
            if await self._link.run(scripts.HEAR, keys, *words) is None:
                self._news |= news
        for lane_id in news:
            if pause := self._local.pause_of(lane_id):
                await self._pause(lane_id, pause.wait_s, pause.reason or RATE_LIMITED)

    async def _retell(self) -> None:
        """The server was wiped, or away: tell what it may not know."""
        for lane_id in self._local.paused():
            if pause := self._local.pause_of(lane_id):
                await self._pause(lane_id, pause.wait_s, pause.reason or RATE_LIMITED)
        now = self._clock()
        for lane_id, learned in list(self._local.learned.items()):
            ages = {name: getattr(learned, name) for name in _FIELDS}
            for name in ("rate_at", "cut_at"):
                ages[name] = None if ages[name] is None else (now - ages[name]) * 1000
            keys, words = [_INDEX, _key(lane_id, "learned")], map(_word, ages.values())
            await self._link.run(scripts.RETELL, keys, lane_id, *words)

    async def _look_if_due(self) -> None:
        if self._clock() - self._looked_at >= REFRESH_S:
            await self.refresh()

    async def _ask(self, lane: LaneLimits, wanted: int, tokens_each: int) -> Grant | None:
        if lane.in_flight is not None:
            self._counted.add(lane.lane_id)
        prices_s, owed = lane.prices_s(tokens_each), self._local.debts(lane)
        price_s = lane.prices_s(1)
        reply = await self._link.run(
            scripts.ACQUIRE,
            [
                *(_key(lane.lane_id, what) for what in ("rates", "leases", "counts")),
                _PAUSES,
                _REASONS,
            ],
            lane.lane_id,
            self._worker_id,
            self._local.held(lane.lane_id),
            LEASE_S * 1000,
            wanted,
            -1 if lane.in_flight is None else lane.in_flight,
            BURST_S * 1000,
            prices_s.get("requests", 0.0) * 1000,
            prices_s.get("tokens", 0.0) * 1000,
            owed[0] * price_s.get("requests", 0.0) * 1000,
            owed[1] * price_s.get("tokens", 0.0) * 1000,
        )
        if reply is None:
            self._local.owe(lane.lane_id, owed[1])
            return None
        granted, wait_ms, reason = reply
        if granted == wanted:
            return Grant(granted)
        return Grant(granted, wait_ms / 1000 or IN_FLIGHT_WAIT_S, reason or None)


def _word(number: float | None) -> str:
    return "" if number is None else f"{number:.3f}"


def _key(lane_id: str, what: str) -> str:
    return f"overnight:lane:{lane_id}:{what}"
