"""The way to Redis: one script at a time, and never for long. Away is an answer, not an error."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

TIMEOUT_S = 0.5
#: How long a server that failed is left alone, so that not every call waits for it.
AWAY_S = 2.0

#: Every script's first argument is the time in ms; without one it asks the server's own clock,
#: which all workers share.
NOW = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + time[2] / 1000
end
"""


def connect(url: str, timeout_s: float = TIMEOUT_S) -> "Redis":
    """A client that gives up soon: its caller knows what to do without."""
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )


class Link:
    """Runs scripts on a server that may be away.

    Args:
        client: answers text, not bytes.
        clock: seconds that only ever rise.
        server_clock: milliseconds, in place of the server's own clock.
    """

    def __init__(
        self,
        client: "Redis",
        *,
        clock: Callable[[], float] = time.monotonic,
        server_clock: Callable[[], float] | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._server_clock = server_clock
        self._away_until = 0.0
        self._scripts: dict[str, Any] = {}

    @property
    def is_away(self) -> bool:
        """Whether the server failed a moment ago, and is left alone."""
        return self._clock() < self._away_until

    async def run(self, script: str, keys: Sequence[str], *args: Any) -> Any | None:
        """What the script answers; None if the server is away."""
        if self.is_away:
            return None
        if script not in self._scripts:
            self._scripts[script] = self._client.register_script(NOW + script)
        now = "" if self._server_clock is None else self._server_clock()
        try:
            return await self._scripts[script](keys=keys, args=[now, *args])
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = self._clock() + AWAY_S
            log.warning("limits_unshared", error=type(error).__name__, detail=str(error)[:200])
            return None

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
