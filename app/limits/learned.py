"""What is learnt of a lane while it is used: what its provider tells, and what it refuses.

Limits that are told are kept to. Where none is told, refusals say it: a refusal cuts the rate to a
part of what went through in the last minute, and the calls in flight to a part of what they were.
Both come back as CUBIC does it (RFC 9438): fast at first, slowly about the mark at which it was
too much, then ever faster, so that a mark that was far too low is soon forgotten. Until the provider
answers again, the lane tries with one call at a time, ever more rarely: as long as it may be the end
of a minute that it waits for, so often that little of the next one is lost.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.domain.told import ToldLimits, ToldRate
from app.limits.lanes import HEADROOM, LaneLimits, Refusal

#: After so long a lane is back at the mark at which it was refused; it begins at 0.7 of it.
REGAIN_S = 60.0
GROW_S = 90.0
#: A refusal this old says nothing any more.
FORGET_S = 3600.0
BACKOFF_FIRST_S = 2.0
BACKOFF_MINUTE_S = 15.0
BACKOFF_MAX_S = 60.0
#: So many refusals later more than a minute has passed.
_MINUTE_STRIKES = 8
#: What is refused for longer than so many refusals, a quarter of a minute, has a limit by the minute.
LASTING_STRIKES = 3
#: The time over which a rate is measured, and the steps in which it is counted.
MEASURE_S = 60.0
STEP_S = 5.0
_STEPS = int(MEASURE_S // STEP_S)
_MEASURE_MIN_S = 1.0
#: A lane that was idle for longer begins anew.
IDLE_MINUTES = 10
#: A limit that comes back within this is one of a minute, and a shorter reset than the whole of
#: it is that of a window which ends then; a bucket that refills is whole only after all of it.
_WINDOW_MAX_S = 54.0


class Rate(NamedTuple):
    """So many a minute; in the first minute of a lane, by what there was of it.

    `so_far` is how many there were in that minute, however much of it has passed.
    """

    per_minute: float
    is_first: bool
    so_far: float


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of a lane beside what is set.

    Attributes:
        rpm: requests a minute, as told.
        tpm: tokens a minute, as told.
        rate: requests a minute that were too many.
        rate_at: when they were, by the clock of whoever keeps this.
        in_flight: calls in flight that were too many.
        cut_at: when the lane was last refused.
        strikes: refusals of its rate since the provider last answered.
    """

    rpm: float | None = None
    tpm: float | None = None
    rate: float | None = None
    rate_at: float | None = None
    in_flight: float | None = None
    cut_at: float | None = None
    strikes: int = 0

    def telling(self, limits: ToldLimits) -> "Learned":
        """The same, with limits that an answer told."""
        rpm, tokens = limits.requests.limit, [one.limit for one in limits.tokens if one.limit]
        return replace(
            self,
            rpm=float(rpm) if rpm else self.rpm,
            tpm=float(sum(tokens)) if tokens else self.tpm,
        )

    def is_news(self, refusal: Refusal, now: float) -> bool:
        """Whether a refusal says more than the last one: if its call was sent after that."""
        return self.cut_at is None or now - refusal.latency_s > self.cut_at

    def struck(self, refusal: Refusal, now: float, measured: "Rate", held: int) -> "Learned":
        """The same after a refusal that is news.

        Args:
            refusal: what was refused.
            now: the time.
            measured: answers, lately.
            held: calls in flight.
        """
        again = replace(self, cut_at=now, strikes=self.strikes + refusal.is_rate)
        if not self.strikes:
            again = replace(again, in_flight=self.places(now) or float(max(held, 1)))
        if not refusal.is_rate:
            return again
        # While the first minute lasts, what was taken in it is spread over an ever longer time, and
        # over all of it once it is clear that no more is taken in it.
        mark = self.rate if self.strikes else self.found(now)
        if (self.strikes and not measured.is_first) or not measured.per_minute:
            return replace(again, rate=self.rate, rate_at=now)
        lasts = self.strikes >= LASTING_STRIKES
        rate = measured.so_far if lasts else measured.per_minute
        rate = rate if mark is None else min(mark, rate)
        return replace(again, rate=rate, rate_at=now)

    def heard(self, began: float) -> "Learned":
        """The same after an answer to a call that was sent at that time."""
        if self.strikes and (self.cut_at is None or began > self.cut_at):
            return replace(self, strikes=0)
        return self

    def found(self, now: float) -> float | None:
        """Requests a minute by what was refused; None if nothing was, for long."""
        return _regrown(self.rate, self.rate_at, now)

    def places(self, now: float) -> float | None:
        """Calls in flight by what was refused; None if nothing was, for long."""
        return _regrown(self.in_flight, self.cut_at, now)


NOTHING = Learned()
_FIELDS = 7


def learned_from(fields: Sequence[str | float | None], now: float) -> Learned:
    """What the server tells of a lane, by the clock that is at `now`: moments come as their ages."""
    if len(fields) != _FIELDS:
        return NOTHING
    rpm, tpm, rate, rate_age, in_flight, cut_age, strikes = (
        None if field in {None, ""} else float(field or 0.0) for field in fields
    )
    rate_at = None if rate_age is None else now - rate_age / 1000
    cut_at = None if cut_age is None else now - cut_age / 1000
    return Learned(rpm, tpm, rate, rate_at, in_flight, cut_at, int(strikes or 0))


def regrown(mark: float, since_s: float) -> float:
    """How much of a mark may be used again, so many seconds after it was too much."""
    return float(mark * (1 + ((since_s - REGAIN_S) / GROW_S) ** 3))


def _regrown(mark: float | None, at: float | None, now: float) -> float | None:
    if mark is None or at is None or now - at >= FORGET_S:
        return None
    return regrown(mark, max(0.0, now - at))


def narrowed(lane: LaneLimits, learned: Learned, now: float) -> LaneLimits:
    """A lane's limits as they are to be kept now: what is set, told and found, whichever is less."""
    rates = [limit * HEADROOM for limit in (lane.rpm, learned.rpm) if limit is not None]
    tokens = [limit * HEADROOM for limit in (lane.tpm, learned.tpm) if limit is not None]
    in_flight = [] if lane.in_flight is None else [lane.in_flight]
    if (found := learned.found(now)) is not None:
        rates.append(found)
    if (places := learned.places(now)) is not None:
        in_flight.append(1 if learned.strikes else max(1, int(places)))
    return LaneLimits(
        lane.lane_id,
        min(rates, default=None),
        min(tokens, default=None),
        min(in_flight, default=None),
    )


def backoff_s(strikes: int, jitter: float) -> float:
    """How long to pause after so many refusals that named no wait.

    Args:
        strikes: refusals since the last answer, from 1 on.
        jitter: between 0 and 1.
    """
    longest = BACKOFF_MINUTE_S if strikes <= _MINUTE_STRIKES else BACKOFF_MAX_S
    whole = min(longest, BACKOFF_FIRST_S * 2.0 ** min(max(strikes - 1, 0), 16))
    return float(whole * (0.75 + 0.25 * jitter))


def spent_for_s(limits: ToldLimits) -> float:
    """How long there is nothing left to send, by an answer's own words; 0 if there is something.

    A bucket that refills has room again long before it is whole, so it is not waited for: the
    rate that is kept to is below its own.
    """
    return max((_spent_s(rate) for rate in limits.rates), default=0.0)


def _spent_s(rate: ToldRate) -> float:
    if not rate.is_spent or rate.reset_s is None or rate.limit is None:
        return 0.0
    return rate.reset_s if rate.reset_s < _WINDOW_MAX_S else 0.0


class Measured:
    """What happened a minute, by lane, in this process: counted in steps, forgotten after a minute."""

    def __init__(self) -> None:
        self._steps: dict[str, deque[list[int]]] = {}
        self._since: dict[str, float] = {}

    def count(self, lane_id: str, now: float, n: int = 1) -> None:
        """So many more."""
        step, steps = int(now // STEP_S), self._steps.setdefault(lane_id, deque(maxlen=_STEPS))
        if not steps or step - steps[-1][0] > _STEPS * IDLE_MINUTES:
            self._since[lane_id] = now
        if steps and steps[-1][0] == step:
            steps[-1][1] += n
        else:
            steps.append([step, n])

    def total(self, lane_id: str, now: float) -> int:
        """How many there were in the last minute."""
        oldest = int(now // STEP_S) - _STEPS
        return sum(count for step, count in self._steps.get(lane_id, ()) if step > oldest)

    def age_s(self, lane_id: str, now: float) -> float:
        """For how long it has been counted, up to a minute; never less than a second."""
        return min(MEASURE_S, max(_MEASURE_MIN_S, now - self._since.get(lane_id, now)))

    def forget(self, lane_id: str) -> None:
        """Count anew."""
        self._steps.pop(lane_id, None)
        self._since.pop(lane_id, None)

    def rate(self, lane_id: str, now: float, workers: int) -> "Rate":
        """How many a minute that is, of so many workers that do the same."""
        so_far = self.total(lane_id, now) * workers
        # A minute of steps ends before the minute does that began within the first of them.
        is_first = int(self._since.get(lane_id, now) // STEP_S) > int(now // STEP_S) - _STEPS
        return Rate(so_far * MEASURE_S / self.age_s(lane_id, now), is_first, so_far)
