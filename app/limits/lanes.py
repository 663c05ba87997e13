"""The words of the governor: a lane's limits, what it grants, and the sums it does.

Rates are kept as a generic cell rate algorithm (GCRA) does: one moment per lane and rate, at
which all that was granted is paid off. A grant moves it on by the price of what was granted, in
time; it may run ahead of the clock by a short burst, or by one call that takes longer.

A vendor that counts by the minute, whichever minute, is never asked for more than it allows:
with the burst, and a second's delay on the way, `HEADROOM` of a limit is still within it.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from app.domain.told import ToldLimits

#: How far ahead of the clock a rate may be: so many seconds' worth may go out at once.
BURST_S = 1.5
#: The part of a limit that is used: (60 s + burst + a second) / 60 s of it is the whole.
HEADROOM = 0.96
#: When to ask again for places that other workers hold: nobody tells us when they are free.
IN_FLIGHT_WAIT_S = 0.25
#: A longer Retry-After is cut: asking again after an hour costs one request, believing a
#: nonsensical header would cost the night.
PAUSE_MAX_S = 3600.0
RATE_LIMITED = "rate_limited"
IN_FLIGHT = "in_flight"

_MINUTE_S = 60.0
_RATE_MIN = 0.5
_SPREAD = 0.1
_SPREAD_MIN_S = 0.25
_SPREAD_MAX_S = 5.0
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """What a lane may do: requests and tokens per minute, calls in flight; None is no limit."""

    lane_id: str
    rpm: float | None = None
    tpm: float | None = None
    in_flight: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether anything limits it."""
        return self.rpm is not None or self.tpm is not None or self.in_flight is not None

    def prices_s(self, tokens_each: int, workers: int = 1) -> dict[str, float]:
        """What one call costs of each rate that limits the lane, in seconds of it.

        Where `workers` share the rates without telling each other, each pays for all.
        """
        prices = {}
        if self.rpm is not None:
            prices["requests"] = workers * _MINUTE_S / max(self.rpm, _RATE_MIN)
        if self.tpm is not None and tokens_each > 0:
            prices["tokens"] = workers * tokens_each * _MINUTE_S / max(self.tpm, _RATE_MIN)
        return prices


@dataclass(frozen=True, slots=True)
class Grant:
    """How many permits were granted; if fewer than wanted, why, and when to ask again.

    `reason` is `rate_limited`, `in_flight`, or what the lane is paused for.
    """

    granted: int
    wait_s: float = 0.0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A provider refused a call because there are too many.

    Attributes:
        retry_after_s: the wait it asks for; None if it named none.
        latency_s: how long ago the call was sent.
        reason: one word for why the lane pauses.
        is_rate: whether there are too many in a time, rather than at once.
    """

    retry_after_s: float | None
    latency_s: float
    reason: str = RATE_LIMITED
    is_rate: bool = True


class Limiter(Protocol):
    """Grants permits to send: the governor that workers share, or the one in memory."""

    async def acquire(self, lane: LaneLimits, wanted: int, tokens_each: int) -> Grant:
        """Permits for up to `wanted` calls of at most about so many tokens each."""
        ...

    async def release(self, lane: LaneLimits, unused: int, tokens_each: int) -> None:
        """Give back permits that nothing was sent with, and their places in flight."""
        ...

    async def finished(self, lane_id: str, n: int = 1) -> None:
        """So many calls are no longer in flight."""
        ...

    async def pause(self, lane_id: str, for_s: float, reason: str) -> None:
        """Send nothing for so long and a little more; an earlier, longer pause stays."""
        ...

    async def refused(self, lane_id: str, refusal: Refusal) -> None:
        """The provider refused a call: pause the lane, and send less from now on."""
        ...

    def answered(self, lane_id: str, latency_s: float, tokens_more: int = 0) -> None:
        """The provider answered a call, which took so many tokens more than its permit's."""
        ...

    def told(self, lane_id: str, limits: ToldLimits) -> None:
        """Take note of what an answer said of the lane's limits."""
        ...

    def paused_for(self, lane_id: str) -> float:
        """Seconds until the lane may send again, as far as is known here; 0 if it may."""
        ...

    async def refresh(self) -> None:
        """Say that this worker lives, and hear of the others; about once a second."""
        ...


def fitting(ahead_s: float, price_s: float) -> tuple[int, float]:
    """How many calls fit into a rate that is paid off so many seconds from now.

    Returns:
        The number, and the seconds until one more fits.
    """
    ahead_s = max(ahead_s, 0.0)
    capacity_s = max(BURST_S, price_s)
    fits = max(0, math.floor((capacity_s - ahead_s) / price_s + _TOLERANCE))
    return fits, max(0.0, ahead_s + (fits + 1) * price_s - capacity_s)


def pause_s(for_s: float, jitter: float) -> float:
    """How long to pause: never less than asked for, within reason, and spread a little.

    Args:
        for_s: what was asked for; negative or no number is none at all.
        jitter: between 0 and 1.
    """
    floor_s = min(for_s, PAUSE_MAX_S) if for_s > 0 else 0.0
    return floor_s + jitter * min(_SPREAD_MAX_S, max(_SPREAD_MIN_S, _SPREAD * floor_s))
