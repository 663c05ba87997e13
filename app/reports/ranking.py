"""Places by mean score, and which of them the scores that nobody knows could change.

A contestant that a provider failed, or that was never asked, has no score on that job: it is
missing, not bad. Its mean is over the jobs that it has a score on, and what the others could
do to it is bounded simply: all of them 0, or all of them 10.
"""

from collections.abc import Sequence
from typing import NamedTuple

from app.modes.judge_prompt import SCORE_MAX

#: Sums of floats that should be equal are this close.
_CLOSE = 1e-9


class Standing(NamedTuple):
    """The sum of one contestant's scores, on how many jobs it has one, and how many ask it."""

    total: float
    scored: int
    jobs: int

    @property
    def mean(self) -> float | None:
        """The mean of the scores there are."""
        return self.total / self.scored if self.scored else None


class Place(NamedTuple):
    """A contestant's rank, shared by those with the same mean; None without any score."""

    rank: int | None
    undecided: bool


def places(standings: Sequence[Standing]) -> list[Place]:
    """Where each contestant stands, in the order they are given.

    A place is undecided if some other contestant could end on the other side of it, whichever
    of the two has the scores missing.
    """
    means = [standing.mean for standing in standings]
    bounds = [_bounds(standing) for standing in standings]
    found = []
    for here, mean in enumerate(means):
        others = [there for there in range(len(means)) if there != here]
        if mean is None:
            found.append(Place(None, undecided=any(means[there] is not None for there in others)))
            continue
        ahead = sum(_is_more(means[there], mean) for there in others)
        undecided = any(
            _could_flip(mean, bounds[here], means[there], bounds[there]) for there in others
        )
        found.append(Place(1 + ahead, undecided))
    return found


def _bounds(standing: Standing) -> tuple[float, float]:
    missing = max(0, standing.jobs - standing.scored)
    count = max(1, standing.scored + missing)
    return standing.total / count, (standing.total + SCORE_MAX * missing) / count


def _is_more(mean: float | None, than: float) -> bool:
    return mean is not None and mean > than + _CLOSE


def _could_flip(
    mean: float,
    bounds: tuple[float, float],
    other_mean: float | None,
    other_bounds: tuple[float, float],
) -> bool:
    """Whether the two could end in another order than they are in; a tie may become none."""
    could_fall_behind = other_bounds[1] > bounds[0] + _CLOSE
    could_get_ahead = bounds[1] > other_bounds[0] + _CLOSE
    if other_mean is None or _is_more(mean, other_mean):
        return could_fall_behind
    if _is_more(other_mean, mean):
        return could_get_ahead
    return could_fall_behind or could_get_ahead
