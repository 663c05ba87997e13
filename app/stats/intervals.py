"""Means and shares with the interval that belongs to them.

What varies independently is the prompt, not the score: two scores on one prompt, by two
repeats of a model say, are alike. So scores are first averaged within their prompt, and the
interval is made from those means.
"""

from collections import defaultdict
from collections.abc import Iterable
from math import fsum, sqrt
from statistics import NormalDist, stdev

import msgspec

from app.stats.student import t_critical

CONFIDENCE = 0.95


class Estimate(msgspec.Struct, frozen=True):
    """A number with its interval, and how many prompts it rests on.

    One prompt tells nothing about the spread: there the interval is None.
    """

    value: float
    low: float | None
    high: float | None
    count: int


def mean_by_prompt(
    scores: Iterable[tuple[str, float]],
    *,
    bounds: tuple[float, float] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate | None:
    """The mean of scores given as (prompt, score), every prompt counting once; None without any.

    The interval is Student's, on the means of the prompts: m ± t(n-1) · s / √n. With equally
    many scores on each prompt its standard error is the clustered one of E. Miller, "Adding
    Error Bars to Evals" (arXiv:2411.00640), but for the factor n / (n - 1) under the root,
    which matters when prompts are few. `bounds` are the ends of
    the scale: a mean cannot lie beyond them, so the interval is not shown to.

    Scores that are all equal give an interval of no width, which says only that no
    difference was seen.
    """
    by_prompt: defaultdict[str, list[float]] = defaultdict(list)
    for prompt, score in scores:
        by_prompt[prompt].append(score)
    if not by_prompt:
        return None
    means = [fsum(values) / len(values) for values in by_prompt.values()]
    count = len(means)
    mean = fsum(means) / count
    if count == 1:
        return Estimate(mean, None, None, count)
    reach = t_critical(count - 1, confidence) * stdev(means) / sqrt(count)
    low, high = mean - reach, mean + reach
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return Estimate(mean, low, high, count)


def win_share(wins: float, judged: int, *, confidence: float = CONFIDENCE) -> Estimate | None:
    """The share of wins among the prompts that were judged; None where none was.

    The interval is Wilson's score interval: E. B. Wilson, "Probable inference, the law of
    succession, and statistical inference", JASA 22 (1927), 209-212; recommended by Brown,
    Cai and DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16
    (2001), 101-133. It holds its confidence where shares are near 0 or 1 and prompts few. A
    win that is shared may be counted as a part of one.

    Raises:
        ValueError: there are fewer than no wins, or more than prompts.
    """
    if not 0 <= wins <= judged:
        raise ValueError("wins must be from 0 to the number of prompts judged")
    if judged == 0:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = wins / judged, z * z / judged
    centre = (share + spread / 2) / (1 + spread)
    reach = z * sqrt(share * (1 - share) / judged + spread / (4 * judged)) / (1 + spread)
    # At the ends the formula is exactly 0 and 1; floats miss that by a hair.
    low = 0.0 if wins == 0 else centre - reach
    high = 1.0 if wins == judged else centre + reach
    return Estimate(share, low, high, judged)
