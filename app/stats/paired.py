"""Tests between two contestants on the prompts that both have a score on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import sqrt
from typing import Literal

import numpy as np

from app.stats.battles import CLOSE, Floats
from app.stats.intervals import CONFIDENCE
from app.stats.student import t_critical, t_outside

Finding = Literal["better", "worse", "equivalent", "unclear"]


@dataclass(frozen=True, slots=True)
class PairedTest:
    """How much more `first` scores than `second`, on average over `prompts` that both share.

    `p` is of the test that there is no difference, `p_equivalent` of the test that the
    difference is `margin` or more, in one direction or the other; each is adjusted by Holm's
    method over all pairs. The difference is None where they share no prompt, the rest where
    they share one.
    """

    first: str
    second: str
    prompts: int
    margin: float
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    p_equivalent: float | None = None
    p_equivalent_adjusted: float | None = None
    finding: Finding = "unclear"


def paired_tests(
    names: Sequence[str], scores: Floats, *, margin: float, confidence: float = CONFIDENCE
) -> list[PairedTest]:
    """A test for every two columns of scores, of which rows are prompts and NaN is missing.

    Prompts are what is drawn, so a prompt is one observation, whatever number of scores went
    into its mean.

    Raises:
        ValueError: the margin is not more than 0.
    """
    pairs = [
        ((names[one], names[other]), scores[:, one] - scores[:, other])
        for one, other in combinations(range(len(names)), 2)
    ]
    return pairs_tested(pairs, margin=margin, confidence=confidence)


def pairs_tested(
    pairs: Sequence[tuple[tuple[str, str], Floats]],
    *,
    margin: float,
    confidence: float = CONFIDENCE,
) -> list[PairedTest]:
    """A test for each pair of names with its differences on each prompt, NaN where one is missing.

    The finding is `better` or `worse` where the adjusted p is below 1 - confidence, `equivalent`
    where that of equivalence is, and otherwise `unclear`: too few prompts to say.

    Raises:
        ValueError: the margin is not more than 0.
    """
    if margin <= 0:
        raise ValueError("a margin of equivalence is more than 0")
    tests = [_test(names, differences, margin, confidence) for names, differences in pairs]
    return _adjusted(tests, 1 - confidence)


def _test(
    names: tuple[str, str], differences: Floats, margin: float, confidence: float
) -> PairedTest:
    """Student's paired test, and two one-sided tests of equivalence.

    "Student", Biometrika 6 (1908), 1-25; D. J. Schuirmann, Journal of Pharmacokinetics and
    Biopharmaceutics 15 (1987), 657-680.
    """
    kept = differences[~np.isnan(differences)]
    count = len(kept)
    test = PairedTest(*names, prompts=count, margin=margin)
    if count == 0:
        return test
    mean = float(kept.mean())
    if count == 1:
        return replace(test, difference=mean)
    error = float(kept.std(ddof=1)) / sqrt(count)
    if error < CLOSE:
        return _without_spread(replace(test, difference=mean, low=mean, high=mean), mean)
    reach = t_critical(count - 1, confidence) * error
    return replace(
        test,
        difference=mean,
        low=mean - reach,
        high=mean + reach,
        p=t_outside(abs(mean) / error, count - 1),
        p_equivalent=max(
            _above((mean + margin) / error, count - 1), _above((margin - mean) / error, count - 1)
        ),
    )


def _without_spread(test: PairedTest, mean: float) -> PairedTest:
    """Where all differences are the same, the sign test has to do.

    All of the same sign have the chance 2 · 0.5ⁿ under no difference; for equivalence nothing
    else than the number of prompts can speak either.
    """
    chance: float = min(1.0, 2 * 0.5**test.prompts)
    differs = abs(mean) > CLOSE
    within = abs(mean) < test.margin
    return replace(test, p=chance if differs else 1.0, p_equivalent=chance if within else 1.0)


def _above(t: float, freedom: int) -> float:
    """P(T > t)."""
    half = t_outside(abs(t), freedom) / 2
    return half if t >= 0 else 1 - half


def _adjusted(tests: Sequence[PairedTest], level: float) -> list[PairedTest]:
    differs = holm([test.p for test in tests])
    equals = holm([test.p_equivalent for test in tests])
    return [
        replace(
            test,
            p_adjusted=p,
            p_equivalent_adjusted=same,
            finding=_finding(test.difference, p, same, level),
        )
        for test, p, same in zip(tests, differs, equals, strict=True)
    ]


def _finding(
    difference: float | None, p: float | None, same: float | None, level: float
) -> Finding:
    if difference is None or p is None or same is None:
        return "unclear"
    if p < level:
        return "better" if difference > 0 else "worse"
    return "equivalent" if same < level else "unclear"


def holm(chances: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values: whichever are below a level, the chance of any false one is below it.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6 (1979), 65-70. None is no test, and is not counted.
    """
    known = sorted((chance, place) for place, chance in enumerate(chances) if chance is not None)
    adjusted: list[float | None] = [None] * len(chances)
    most = 0.0
    for rank, (chance, place) in enumerate(known):
        most = max(most, min(1.0, (len(known) - rank) * chance))
        adjusted[place] = most
    return adjusted
