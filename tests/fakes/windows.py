"""Rate limits as providers keep them: a bucket that refills, minutes by the clock, the last minute.

Each takes or refuses one request at a moment, and says what a provider's headers would.
"""

from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import NamedTuple, Protocol

MINUTE_S = 60.0


class Left(NamedTuple):
    """What is left of a limit, and in how many seconds all of it is there again."""

    limit: int
    remaining: int
    reset_s: float
    retry_s: float = 0.0  # when one more of the size that was refused would be taken


class Window(Protocol):
    """So much a minute, counted in some way."""

    def fits(self, now: float, size: int) -> bool:
        """Whether it would be taken."""
        ...

    def take(self, now: float, size: int) -> None:
        """Count it."""
        ...

    def left(self, now: float, size: int) -> Left:
        """What is left."""
        ...


class Bucket:
    """Full at first, and refilled all the time: as OpenAI and Anthropic count."""

    def __init__(self, limit: int) -> None:
        self._limit, self._level, self._at = limit, float(limit), 0.0

    def _refill(self, now: float) -> None:
        gained = (now - self._at) * self._limit / MINUTE_S
        self._level, self._at = min(float(self._limit), self._level + gained), now

    def fits(self, now: float, size: int) -> bool:
        self._refill(now)
        return self._level >= size - 1e-9

    def take(self, now: float, size: int) -> None:
        self._refill(now)
        self._level -= size

    def left(self, now: float, size: int) -> Left:
        self._refill(now)
        per_s = self._limit / MINUTE_S
        reset_s, retry_s = (self._limit - self._level) / per_s, (size - self._level) / per_s
        return Left(self._limit, int(self._level), reset_s, max(0.0, retry_s))


class Minutes:
    """Counted anew every minute of the clock."""

    def __init__(self, limit: int) -> None:
        self._limit, self._minute, self._used = limit, -1, 0

    def _turn(self, now: float) -> None:
        if int(now // MINUTE_S) != self._minute:
            self._minute, self._used = int(now // MINUTE_S), 0

    def fits(self, now: float, size: int) -> bool:
        self._turn(now)
        return self._used + size <= self._limit

    def take(self, now: float, size: int) -> None:
        self._turn(now)
        self._used += size

    def left(self, now: float, size: int) -> Left:
        self._turn(now)
        reset_s = (self._minute + 1) * MINUTE_S - now
        return Left(self._limit, self._limit - self._used, reset_s, reset_s)


class LastMinute:
    """Whatever was taken in the last sixty seconds counts: the strictest there is."""

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._taken: deque[tuple[float, int]] = deque()

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] <= now - MINUTE_S:
            self._used -= self._taken.popleft()[1]

    def fits(self, now: float, size: int) -> bool:
        self._forget(now)
        return self._used + size <= self._limit

    def take(self, now: float, size: int) -> None:
        self._taken.append((now, size))
        self._used += size

    def left(self, now: float, size: int) -> Left:
        self._forget(now)
        whole_s = self._taken[-1][0] + MINUTE_S - now if self._taken else 0.0
        first_s = self._taken[0][0] + MINUTE_S - now if self._taken else 0.0
        return Left(self._limit, self._limit - self._used, whole_s, first_s)


WINDOWS: dict[str, type[Bucket] | type[Minutes] | type[LastMinute]] = {
    "bucket": Bucket,
    "minutes": Minutes,
    "last_minute": LastMinute,
}


class Answer(NamedTuple):
    """Whether a request was taken, and the headers beside that."""

    taken: bool
    headers: dict[str, str]


class Limits:
    """A provider's limits on requests and tokens.

    Args:
        kind: how it counts: a key of `WINDOWS`.
        rpm: requests a minute.
        tpm: tokens a minute; 0 is no limit.
        flavour: whose headers tell of it: openai, azure, anthropic, or none.
    """

    def __init__(self, kind: str, rpm: int, tpm: int = 0, flavour: str = "openai") -> None:
        self._requests = WINDOWS[kind](rpm)
        self._tokens = WINDOWS[kind](tpm) if tpm else None
        self._flavour = flavour

    def ask(self, now: float, tokens: int) -> Answer:
        """One request of so many tokens."""
        sized = [(self._requests, 1)] + ([(self._tokens, tokens)] if self._tokens else [])
        taken = all(window.fits(now, size) for window, size in sized)
        if taken:
            for window, size in sized:
                window.take(now, size)
        lefts = [window.left(now, size) for window, size in sized]
        headers = self._headers(now, lefts)
        if not taken and self._flavour != "none":
            tight = [window.left(now, s).retry_s for window, s in sized if not window.fits(now, s)]
            headers["retry-after"] = str(max(1, round(max(tight, default=1.0) + 0.5)))
        return Answer(taken, headers)

    def _headers(self, now: float, lefts: list[Left]) -> dict[str, str]:
        headers = {}
        for name, left in zip(("requests", "tokens"), lefts, strict=False):
            values = {
                "limit": str(left.limit),
                "remaining": str(left.remaining),
                "reset": self._reset(now, left.reset_s),
            }
            for field, value in values.items():
                match self._flavour:
                    case "openai" | "azure":
                        headers[f"x-ratelimit-{field}-{name}"] = value
                    case "anthropic":
                        headers[f"anthropic-ratelimit-{name}-{field}"] = value
        if self._flavour == "anthropic":
            headers["date"] = format_datetime(_moment(now), usegmt=True)
        return headers

    def _reset(self, now: float, reset_s: float) -> str:
        match self._flavour:
            case "azure":
                return str(round(reset_s + 0.5))
            case "anthropic":
                return (_moment(now) + timedelta(seconds=reset_s)).isoformat()
        return f"{reset_s:.3f}s"


def _moment(now: float) -> datetime:
    return datetime(2026, 11, 25, tzinfo=UTC) + timedelta(seconds=int(now))
