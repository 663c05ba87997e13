"""How often somebody may ask the API: counts in fixed windows, shared by every API process.

A request that is refused is not counted, so that whoever waits gets through. Where Redis is
away each process counts on its own.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from app.limits.link import Link

_NAMES_KEPT = 10_000
_PREFIX = "overnight:requests:"

#: Every window is looked at before one is counted in. A key holds one window's number and count.
_TAKE = """
local counts = {}
local full = 0
for i, key in ipairs(KEYS) do
  local limit, seconds = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local window = math.floor(now / 1000 / seconds)
  local kept = redis.call('HMGET', key, 'window', 'count')
  counts[i] = tonumber(kept[1]) == window and tonumber(kept[2]) or 0
  if counts[i] >= limit and full == 0 then full = i end
end
if full == 0 then
  for i, key in ipairs(KEYS) do
    local seconds = tonumber(ARGV[2 * i + 1])
    counts[i] = counts[i] + 1
    redis.call('HSET', key, 'window', math.floor(now / 1000 / seconds), 'count', counts[i])
    redis.call('EXPIRE', key, seconds)
  end
end
local told = full == 0 and 1 or full
return {full == 0 and 1 or 0, told, counts[told], tostring(now)}
"""


class Window(NamedTuple):
    """At most so many requests in each of these spans of time."""

    limit: int
    seconds: int


class Take(NamedTuple):
    """Whether a request may go on, and what there is left of the window that decided.

    `reset_s` is in how many seconds the next window begins, `reset_at` when, in Unix seconds.
    """

    allowed: bool
    limit: int
    remaining: int
    reset_s: float
    reset_at: int


class RequestLimiter(Protocol):
    """Counts requests under a name."""

    async def take(self, name: str, windows: Sequence[Window]) -> Take:
        """Count one request, if every window has room for it; told is the first, or the full."""
        ...


class LocalRequests:
    """Counts of this process.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, int], tuple[int, int]] = {}

    async def take(self, name: str, windows: Sequence[Window]) -> Take:
        """Count one request, if every window has room for it; told is the first, or the full."""
        now = self._clock()
        if len(self._counts) >= _NAMES_KEPT:
            self._forget(now)
        counts = [self._count(name, window, now) for window in windows]
        for window, count in zip(windows, counts, strict=True):
            if count >= window.limit:
                return _told(window, count, now, allowed=False)
        for window, count in zip(windows, counts, strict=True):
            number = int(now // window.seconds)
            self._counts[name, window.seconds] = (number, count + 1)
        return _told(windows[0], counts[0] + 1, now, allowed=True)

    def _count(self, name: str, window: Window, now: float) -> int:
        number, count = self._counts.get((name, window.seconds), (0, 0))
        return count if number == int(now // window.seconds) else 0

    def _forget(self, now: float) -> None:
        """Drop what has passed; all of it, if somebody has made up too many names."""
        self._counts = {
            key: kept for key, kept in self._counts.items() if kept[0] == int(now // key[1])
        }
        if len(self._counts) >= _NAMES_KEPT:
            self._counts.clear()


class SharedRequests:
    """Counts that every API process shares, or while Redis is away this process's own."""

    def __init__(self, link: Link, local: LocalRequests | None = None) -> None:
        self._link = link
        self._local = local or LocalRequests()

    async def take(self, name: str, windows: Sequence[Window]) -> Take:
        """Count one request, if every window has room for it; told is the first, or the full."""
        keys = [f"{_PREFIX}{{{name}}}:{window.seconds}" for window in windows]
        sizes = [number for window in windows for number in window]
        reply = await self._link.run(_TAKE, keys, *sizes)
        if reply is None:
            return await self._local.take(name, windows)
        allowed, told, count, now_ms = reply
        return _told(windows[told - 1], count, float(now_ms) / 1000, allowed=bool(allowed))


def _told(window: Window, count: int, now: float, *, allowed: bool) -> Take:
    reset_at = (int(now // window.seconds) + 1) * window.seconds
    remaining = max(0, window.limit - count)
    return Take(allowed, window.limit, remaining, max(0.0, reset_at - now), reset_at)
