"""The governor that workers share: what a lane may send, kept in Redis.

A lane without limits and without a pause costs no round trip: pauses are read once a second for
all lanes together. One with limits costs one per acquire. Places in flight are counted per worker,
as each last told, and forgotten where a worker has not told for a while, so that a dead worker's
come back; each telling is of the whole count, so that a wiped server is soon right again.

While the server is away, every worker keeps to its share of the limits by itself.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable

from app.limits.lanes import (
    BURST_S,
    IN_FLIGHT_WAIT_S,
    Grant,
    LaneLimits,
    pause_s,
)
from app.limits.link import Link
from app.limits.local import LocalGovernor

#: How long a worker's places in flight count without its telling.
LEASE_S = 30.0
REFRESH_S = 1.0

_PAUSES = "overnight:pauses"
_REASONS = "overnight:pause-reasons"
_WORKERS = "overnight:workers"

#: `tell` is this worker's count of a lane's calls in flight, and until when it counts.
_TELL = """
local function tell(leases, counts, worker, count, lease)
  if count > 0 then
    redis.call('HSET', counts, worker, count)
    redis.call('ZADD', leases, now + lease, worker)
    redis.call('PEXPIRE', counts, 10 * lease)
    redis.call('PEXPIRE', leases, 10 * lease)
  else
    redis.call('HDEL', counts, worker)
    redis.call('ZREM', leases, worker)
  end
end
"""
#: `fitting` and `pay` are those of lanes.py, in milliseconds.
_ACQUIRE = (
    _TELL
    + """
local rates, leases, counts, pauses, reasons = unpack(KEYS)
local lane, worker, held, lease = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local wanted, in_flight, burst = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local prices = { requests = tonumber(ARGV[9]), tokens = tonumber(ARGV[10]) }

local paused = redis.call('ZSCORE', pauses, lane)
if paused and tonumber(paused) > now then
  local reason = redis.call('HGET', reasons, lane) or 'paused'
  return { 0, math.ceil(tonumber(paused) - now), reason }
end

local granted, wait, reason = wanted, 0, ''
if in_flight >= 0 then
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do
    redis.call('HDEL', counts, gone)
    redis.call('ZREM', leases, gone)
  end
  local room, told = in_flight - held, redis.call('HGETALL', counts)
  for at = 1, #told, 2 do
    if told[at] ~= worker then room = room - tonumber(told[at + 1]) end
  end
  if room < granted then
    granted, reason = math.max(room, 0), 'in_flight'
  end
end

local paid_off = {}
for rate, price in pairs(prices) do
  if price > 0 then
    paid_off[rate] = math.max(tonumber(redis.call('HGET', rates, rate) or '0'), now)
    local ahead, capacity = paid_off[rate] - now, math.max(burst, price)
    local fits = math.max(0, math.floor((capacity - ahead) / price + 1e-6))
    granted = math.min(granted, fits)
    if fits < wanted then
      wait, reason = math.max(wait, ahead + (fits + 1) * price - capacity), 'rate_limited'
    end
  end
end
for rate, moment in pairs(paid_off) do
  moment = moment + granted * prices[rate]
  redis.call('HSET', rates, rate, string.format('%.3f', moment))
  redis.call('PEXPIRE', rates, math.ceil(math.max(moment - now + 60000, redis.call('PTTL', rates))))
end
if in_flight >= 0 then tell(leases, counts, worker, held + granted, lease) end
return { granted, math.ceil(wait), reason }
"""
)
_RELEASE = """
for at = 2, #ARGV, 2 do
  local moment = redis.call('HGET', KEYS[1], ARGV[at])
  if moment then
    redis.call('HSET', KEYS[1], ARGV[at], string.format('%.3f', moment - ARGV[at + 1]))
  end
end
"""
_RENEW = (
    _TELL
    + """
tell(KEYS[1], KEYS[2], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
"""
)
_PAUSE = """
local untold, known = now + ARGV[3], redis.call('ZSCORE', KEYS[1], ARGV[2])
if not known or untold > tonumber(known) then
  redis.call('ZADD', KEYS[1], untold, ARGV[2])
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
end
"""
#: This worker lives; how many do; and every pause there is.
_LOOK = """
local pauses, reasons, workers = unpack(KEYS)
redis.call('ZADD', workers, now + ARGV[3], ARGV[2])
redis.call('ZREMRANGEBYSCORE', workers, '-inf', now)
for _, over in ipairs(redis.call('ZRANGEBYSCORE', pauses, '-inf', now)) do
  redis.call('ZREM', pauses, over)
  redis.call('HDEL', reasons, over)
end
local seen = {}
local paused = redis.call('ZRANGE', pauses, 0, -1, 'WITHSCORES')
for at = 1, #paused, 2 do
  local reason = redis.call('HGET', reasons, paused[at]) or 'paused'
  table.insert(seen, { paused[at], math.ceil(paused[at + 1] - now), reason })
end
return { redis.call('ZCARD', workers), seen }
"""


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

    async def acquire(self, lane: LaneLimits, wanted: int, tokens_each: int) -> Grant:
        """Permits for up to `wanted` calls of at most about so many tokens each."""
        await self._look_if_due()
        pause = self._local.pause_of(lane.lane_id)
        if pause is not None:
            return pause
        if not lane.is_limited:
            self._local.hold(lane.lane_id, wanted)
            return Grant(wanted)
        # One at a time, for each tells the whole count of what this worker has in flight.
        async with self._locks[lane.lane_id]:
            reply = await self._ask(lane, wanted, tokens_each)
            if reply is None:
                return await self._local.acquire(lane, wanted, tokens_each)
            self._local.hold(lane.lane_id, reply.granted)
            return reply

    async def release(self, lane: LaneLimits, unused: int, tokens_each: int) -> None:
        """Give back permits that nothing was sent with, and their places in flight."""
        self._local.hold(lane.lane_id, -unused)
        prices_s = lane.prices_s(tokens_each)
        if prices_s:
            refunds = [
                word
                for rate, price_s in prices_s.items()
                for word in (rate, unused * price_s * 1000)
            ]
            await self._link.run(_RELEASE, [_key(lane.lane_id, "rates")], *refunds)

    async def finished(self, lane_id: str, n: int = 1) -> None:
        """So many calls are no longer in flight; the others hear of it within a second."""
        self._local.hold(lane_id, -n)

    async def pause(self, lane_id: str, for_s: float, reason: str) -> None:
        """Send nothing for so long and a little more; an earlier, longer pause stays."""
        spread_s = pause_s(for_s, self._jitter())
        self._local.note_pause(lane_id, spread_s, reason)
        await self._link.run(_PAUSE, [_PAUSES, _REASONS], lane_id, spread_s * 1000, reason)

    def paused_for(self, lane_id: str) -> float:
        """Seconds until the lane may send again, as of the last second; 0 if it may."""
        return self._local.paused_for(lane_id)

    async def refresh(self) -> None:
        """Say that this worker lives and what it has in flight, and hear of pauses.

        Meant to be called about once a second; acquiring does it, too.
        """
        self._looked_at = self._clock()
        lease_ms = LEASE_S * 1000
        keys = [_PAUSES, _REASONS, _WORKERS]
        reply = await self._link.run(_LOOK, keys, self._worker_id, lease_ms)
        if reply is None:
            return
        workers, paused = reply
        self._local.workers = workers
        for lane_id, left_ms, reason in paused:
            self._local.note_pause(lane_id, left_ms / 1000, reason)
        for lane_id in list(self._counted):
            async with self._locks[lane_id]:
                held = self._local.held(lane_id)
                keys = [_key(lane_id, "leases"), _key(lane_id, "counts")]
                await self._link.run(_RENEW, keys, self._worker_id, held, lease_ms)
                if not held:
                    self._counted.discard(lane_id)

    async def _look_if_due(self) -> None:
        if self._clock() - self._looked_at >= REFRESH_S:
            await self.refresh()

    async def _ask(self, lane: LaneLimits, wanted: int, tokens_each: int) -> Grant | None:
        if lane.in_flight is not None:
            self._counted.add(lane.lane_id)
        prices_s = lane.prices_s(tokens_each)
        reply = await self._link.run(
            _ACQUIRE,
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
        )
        if reply is None:
            return None
        granted, wait_ms, reason = reply
        if granted == wanted:
            return Grant(granted)
        return Grant(granted, wait_ms / 1000 or IN_FLIGHT_WAIT_S, reason or None)


def _key(lane_id: str, what: str) -> str:
    return f"overnight:lane:{lane_id}:{what}"
