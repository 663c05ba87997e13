"""Ratings from battles: Bradley-Terry on the scale of chess, with what can be said and what not."""

from dataclasses import dataclass, replace
from math import log, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

from app.stats.battles import CLOSE, Battles, Floats
from app.stats.bradley_terry import (
    PRIOR_GAMES,
    bootstrap,
    covariance,
    model_covariance,
    strengths,
)
from app.stats.graph import groups, is_balanced
from app.stats.intervals import CONFIDENCE
from app.stats.student import t_critical

#: Ratings are 400 apart where one wins ten times as often as the other.
SCALE = 400 / log(10)
CENTRE = 1000.0


@dataclass(frozen=True, slots=True)
class Rating:
    """One contestant's strength: rating = 1000 + 400 / ln 10 · θ.

    `group` numbers the contestants that battles join: ratings of different groups are on
    different scales, each with a mean of 1000. `regularised` says that its group has no maximum of likelihood,
    for somebody won or lost every battle; a prior holds it, and its interval is wide.
    `theta`, `error` and the rest are None for who is alone, without any battle.
    """

    name: str
    theta: float | None = None
    error: float | None = None  # the standard error of theta
    low: float | None = None  # of the rating
    high: float | None = None
    bootstrap_low: float | None = None
    bootstrap_high: float | None = None
    wins: float = 0.0  # a tie is half a win
    battles: int = 0
    group: int = 1
    regularised: bool = False

    @property
    def rating(self) -> float | None:
        """The rating, None where there is no θ."""
        return None if self.theta is None else rating_of(self.theta)


def rating_of(theta: float) -> float:
    """θ on the scale of chess."""
    return CENTRE + SCALE * theta


def rate(
    battles: Battles, *, resamples: int = 0, seed: int = 0, confidence: float = CONFIDENCE
) -> list[Rating]:
    """The rating of every name, in their order.

    The interval is by the sandwich error, normal or, with prompts, Student's; with `resamples`, there is the percentile
    interval of that many bootstrap resamples beside it.
    """
    wins = battles.wins()
    games = wins + wins.T
    found = [
        Rating(name, wins=float(wins[place].sum()), battles=round(games[place].sum()))
        for place, name in enumerate(battles.names)
    ]
    for number, group in enumerate(groups(wins), start=1):
        rated = _rate_group(battles, group, confidence) if len(group) > 1 else {}
        draws = _draws(battles, group, resamples, seed) if rated else None
        for column, place in enumerate(group):
            one = replace(found[place], group=number, **rated.get(place, {}))
            found[place] = one if draws is None else _with_draws(one, draws[:, column], confidence)
    return found


def _rate_group(battles: Battles, group: list[int], confidence: float) -> dict[int, dict[str, Any]]:
    inside = _inside(battles, group)
    wins = inside.wins()
    balanced = bool(is_balanced(wins))
    theta = strengths(wins, 0.0 if balanced else PRIOR_GAMES)
    spread = covariance(inside, theta) if balanced else None
    if spread is None or bool((np.diag(spread) < CLOSE).any()):
        # Everybody tied, say, or all battles are of one prompt: there is no spread to see.
        spread = model_covariance(wins, theta, 0.0 if balanced else PRIOR_GAMES)
    reach = _reach(inside, confidence)
    found: dict[int, dict[str, Any]] = {}
    for column, place in enumerate(group):
        value, error = float(theta[column]), sqrt(max(0.0, float(spread[column, column])))
        found[place] = {
            "theta": value,
            "error": error,
            "low": rating_of(value - reach * error),
            "high": rating_of(value + reach * error),
            "regularised": not balanced,
        }
    return found


def _reach(battles: Battles, confidence: float) -> float:
    """How many errors an interval reaches; prompts that are few make it Student's."""
    if battles.prompts is None:
        return NormalDist().inv_cdf((1 + confidence) / 2)
    return t_critical(max(1, len(np.unique(battles.prompts)) - 1), confidence)


def _inside(battles: Battles, group: list[int]) -> Battles:
    """The battles of a group, whose contestants are numbered anew."""
    place = np.full(len(battles.names), -1)
    place[group] = np.arange(len(group))
    chosen = battles.where(place[battles.first] >= 0)
    names = tuple(battles.names[one] for one in group)
    return replace(chosen, names=names, first=place[chosen.first], second=place[chosen.second])


def _draws(battles: Battles, group: list[int], resamples: int, seed: int) -> Floats | None:
    if not resamples:
        return None
    return bootstrap(_inside(battles, group), resamples=resamples, seed=seed)


def _with_draws(one: Rating, draws: Floats, confidence: float) -> Rating:
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    return replace(one, bootstrap_low=rating_of(float(low)), bootstrap_high=rating_of(float(high)))
