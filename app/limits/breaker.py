"""The circuit breakers that workers share, per lane and model, kept in Redis.

Three failures in a row, in order of completion, open one for 30 s; then exactly one worker may
try one call; an answer closes it. What is open is read once a second for all lanes together, and
an answer of a model that nobody has seen fail costs no round trip. So a failure that another
worker saw within the last second may count as one in a row though an answer came between.

While the server is away, every worker has breakers of its own. A server that comes back, or was
wiped meanwhile, is told of those that are open.
"""

import time
from collections.abc import Callable, Collection
from typing import Any

from app.limits.link import Link
from app.limits.local_breaker import FAILURES_MAX, OPEN_S, TRIED_WAIT_S, Circuit, LocalBreaker

REFRESH_S = 1.0
#: How long a trial counts without its worker's telling that it is under way.
TRIAL_LEASE_S = 30.0
#: How long a worker goes on telling so: an answer that takes longer does not keep the others
#: from trying, and neither does a trial whose end was never told.
TRIAL_MAX_S = 120.0
#: Failures this old are no longer in a row with anything, nor is an open breaker still known.
FORGET_S = 3600.0

OPEN = "overnight:breakers:open"
_FAILING = "overnight:breakers:failing"
_GENERATION = "overnight:generation"
_LOST = "lost"

#: Answers for how many ms the breaker is open now; 0 if it is closed.
_FAIL = """
local open, failing, count, trial = unpack(KEYS)
local circuit, failures_max, open_ms, forget = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local open_until = redis.call('ZSCORE', open, circuit)
if open_until and tonumber(open_until) > now then
  return math.ceil(open_until - now)
end
if not open_until then
  redis.call('ZADD', failing, now, circuit)
  local failures = redis.call('INCR', count)
  redis.call('PEXPIRE', count, forget)
  if failures < failures_max then return 0 end
end
redis.call('ZADD', open, now + open_ms, circuit)
redis.call('DEL', trial)
return open_ms
"""
_SUCCEED = """
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[3], KEYS[4])
"""
#: Answers whether the caller may send, whether that is the trial, and for how many ms else not.
_TRY = """
local open, _, _, trial = unpack(KEYS)
local circuit, worker, lease = ARGV[2], ARGV[3], ARGV[4]
local open_until = redis.call('ZSCORE', open, circuit)
if not open_until then return { 1, 0, 0 } end
if tonumber(open_until) > now then return { 0, 0, math.ceil(open_until - now) } end
if redis.call('SET', trial, worker, 'NX', 'PX', lease) then return { 1, 1, 0 } end
return { 0, 0, 0 }
"""
_KEEP_TRIAL = """
if redis.call('GET', KEYS[1]) == ARGV[2] then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
"""
_ABANDON_TRIAL = """
if redis.call('GET', KEYS[1]) == ARGV[2] then redis.call('DEL', KEYS[1]) end
"""
_LOOK = """
local open, failing, generation = unpack(KEYS)
redis.call('SET', generation, string.format('%.3f', now), 'NX')
redis.call('ZREMRANGEBYSCORE', open, '-inf', now - ARGV[2])
redis.call('ZREMRANGEBYSCORE', failing, '-inf', now - ARGV[2])
local seen = {}
local scored = redis.call('ZRANGE', open, 0, -1, 'WITHSCORES')
for at = 1, #scored, 2 do
  local left = math.ceil(scored[at + 1] - now)
  if left <= 0 and redis.call('EXISTS', 'overnight:breaker:' .. scored[at] .. ':trial') == 1 then
    left = tonumber(ARGV[3])
  end
  table.insert(seen, { scored[at], left })
end
return { seen, redis.call('ZRANGE', failing, 0, -1), redis.call('GET', generation) }
"""
_RETELL = """
for at = 2, #ARGV, 2 do redis.call('ZADD', KEYS[1], 'NX', now + ARGV[at + 1], ARGV[at]) end
return 1
"""


class Breaker:
    """The breakers of all workers of an installation together.

    Args:
        link: the way to the server.
        worker_id: who this is, among the workers.
        clock: seconds that only ever rise.
    """

    def __init__(
        self, link: Link, worker_id: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._link = link
        self._worker_id = worker_id
        self._clock = clock
        self._local = LocalBreaker(clock=clock)
        self._open: dict[Circuit, float] = {}
        self._failing: set[Circuit] = set()
        self._trials: dict[Circuit, float] = {}
        self._looked_at = -REFRESH_S
        self._generation = ""

    async def failed(self, lane_id: str, model: str) -> None:
        """A call failed in a way that says that the provider is not well."""
        circuit = (lane_id, model)
        self._failing.add(circuit)
        self._trials.pop(circuit, None)
        open_ms = await self._run(
            _FAIL, circuit, FAILURES_MAX, int(OPEN_S * 1000), int(FORGET_S * 1000)
        )
        self._failing.add(circuit)  # a look in the meantime may have come too early to see it
        if open_ms is None:
            await self._local.failed(lane_id, model)
        elif int(open_ms) > 0:
            self._open[circuit] = self._clock() + int(open_ms) / 1000

    async def succeeded(self, lane_id: str, model: str) -> None:
        """The provider answered a call: whatever was counted is forgotten."""
        circuit = (lane_id, model)
        await self._local.succeeded(lane_id, model)
        if circuit in self._failing or circuit in self._open:
            self._failing.discard(circuit)
            self._open.pop(circuit, None)
            self._trials.pop(circuit, None)
            await self._run(_SUCCEED, circuit)

    async def open_models(self, lane_ids: Collection[str]) -> dict[Circuit, float]:
        """Which models of these lanes may not be sent to, and for how many seconds yet.

        At 0 the wait is over, and one call may be tried: see `try_trial`.
        """
        if self._clock() - self._looked_at >= REFRESH_S:
            await self.refresh()
        if self._link.is_away:
            return await self._local.open_models(lane_ids)
        now = self._clock()
        return {
            circuit: max(0.0, until - now)
            for circuit, until in self._open.items()
            if circuit[0] in lane_ids
        }

    async def try_trial(self, lane_id: str, model: str) -> bool:
        """Whether the caller may send, and if the breaker was open, the one call that tries.

        Whoever is told so calls `succeeded`, `failed` or `abandon_trial` when that is over.
        """
        circuit = (lane_id, model)
        reply = await self._run(_TRY, circuit, self._worker_id, int(TRIAL_LEASE_S * 1000))
        if reply is None:
            return await self._local.try_trial(lane_id, model)
        may_send, is_trial, wait_ms = reply
        now = self._clock()
        if is_trial:
            self._trials[circuit] = now
        if may_send and not is_trial:
            self._open.pop(circuit, None)
        else:
            # Others, and this worker's other calls, need not ask before the next look.
            self._open[circuit] = now + (wait_ms / 1000 or TRIED_WAIT_S)
        return bool(may_send)

    async def abandon_trial(self, lane_id: str, model: str) -> None:
        """The call that tried told nothing, say because it was rate limited: another may."""
        circuit = (lane_id, model)
        await self._local.abandon_trial(lane_id, model)
        if self._trials.pop(circuit, None) is not None:
            await self._link.run(_ABANDON_TRIAL, [_keys(circuit)[-1]], self._worker_id)

    async def refresh(self) -> None:
        """Keep the trials that are under way, and hear of the others'.

        Meant to be called about once a second; `open_models` does it, too.
        """
        now = self._looked_at = self._clock()
        reply = await self._link.run(
            _LOOK, [OPEN, _FAILING, _GENERATION], FORGET_S * 1000, int(TRIED_WAIT_S * 1000)
        )
        if reply is None:
            self._generation = _LOST
            return
        if self._generation != reply[2] and await self._retell():
            self._looked_at = now - REFRESH_S  # what is there now is seen at the next look
            self._generation = reply[2]
            return
        self._generation = reply[2]
        self._open = {circuit_of(name): now + left_ms / 1000 for name, left_ms in reply[0]}
        self._failing = {circuit_of(name) for name in reply[1]}
        for circuit, began in list(self._trials.items()):
            if now - began > TRIAL_MAX_S:
                del self._trials[circuit]
                continue
            key = _keys(circuit)[-1]
            await self._link.run(_KEEP_TRIAL, [key], self._worker_id, int(TRIAL_LEASE_S * 1000))

    async def _retell(self) -> bool:
        """The server was wiped, or away: tell which are open here; answers whether any is."""
        now = self._clock()
        left = {circuit: until - now for circuit, until in self._open.items() if until > now}
        for circuit, left_s in self._local.opened().items():
            left[circuit] = max(left_s, left.get(circuit, 0.0))
        words = [word for one, left_s in left.items() for word in (_name(one), left_s * 1000)]
        return bool(words) and await self._link.run(_RETELL, [OPEN], *words) is not None

    async def _run(self, script: str, circuit: Circuit, *args: Any) -> Any | None:
        return await self._link.run(script, _keys(circuit), _name(circuit), *args)


def _name(circuit: Circuit) -> str:
    """Neither an id nor a model's name holds a space."""
    return " ".join(circuit)


def circuit_of(name: str) -> Circuit:
    """The lane and the model that a name on the server stands for."""
    lane_id, _, model = name.partition(" ")
    return lane_id, model


def _keys(circuit: Circuit) -> list[str]:
    name = _name(circuit)
    return [OPEN, _FAILING, f"overnight:breaker:{name}:count", f"overnight:breaker:{name}:trial"]
