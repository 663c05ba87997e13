"""How far raters agree, beyond what chance would do."""

from collections import Counter
from collections.abc import Hashable, Sequence
from math import nan

import numpy as np

from app.stats.battles import Floats

_PAIR = 2


def alpha(ratings: Floats) -> float | None:
    """Krippendorff's alpha for numbers: rows are what is rated, columns raters, NaN is missing.

    1 is full agreement, 0 what chance would give, less is worse than chance. K. Krippendorff,
    "Content Analysis" (4th ed., 2019), chapter 12, with the interval metric δ² = (c - k)².
    None where nothing was rated twice, or where no two ratings differ at all, so that
    agreement says nothing.
    """
    pairable = ratings[(~np.isnan(ratings)).sum(axis=1) >= _PAIR]
    if not len(pairable):
        return None
    counts = (~np.isnan(pairable)).sum(axis=1)
    within = _square_differences(pairable, counts) / (counts - 1)
    total = int(counts.sum())
    values = pairable[~np.isnan(pairable)]
    expected = float(_square_differences(values[None, :], np.array([total]))[0]) / (total - 1)
    if expected <= 0:
        return None
    return float(1 - within.sum() / expected)


def _square_differences(rows: Floats, counts: np.typing.NDArray[np.int64]) -> Floats:
    """Of each row, the sum over ordered pairs of (x - y)²: 2 (n Σx² - (Σx)²)."""
    sums, squares = np.nansum(rows, axis=1), np.nansum(rows * rows, axis=1)
    return np.asarray(2 * np.maximum(0.0, counts * squares - sums * sums))


def alpha_ordinal(ratings: Floats) -> float | None:
    """Krippendorff's alpha with the ordinal metric: only the order of the ratings counts.

    Its δ is the difference between the middle ranks of two values among all values that can
    be paired, so it is the interval alpha of those ranks.
    """
    pairable = ratings[(~np.isnan(ratings)).sum(axis=1) >= _PAIR]
    there = ~np.isnan(pairable)
    values, places, counts = np.unique(pairable[there], return_inverse=True, return_counts=True)
    if not len(values):
        return None
    ranks = np.cumsum(counts) - (counts - 1) / 2
    ranked = np.full(pairable.shape, nan)
    ranked[there] = ranks[places]
    return alpha(ranked)


def alpha_nominal(units: Sequence[Sequence[Hashable]]) -> float | None:
    """Krippendorff's alpha for categories: what each unit's raters said, in any number."""
    pairable = [Counter(unit) for unit in units if len(unit) >= _PAIR]
    totals: Counter[Hashable] = Counter()
    for unit in pairable:
        totals.update(unit)
    count = totals.total()
    unlike = sum(_unlike(unit) / (unit.total() - 1) for unit in pairable)
    expected = _unlike(totals) / (count - 1) if count > 1 else 0.0
    return None if expected <= 0 else 1 - unlike / expected


def _unlike(counts: Counter[Hashable]) -> int:
    """How many ordered pairs differ."""
    return counts.total() ** 2 - sum(count**2 for count in counts.values())


def kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Cohen's κ of two raters, from what each said of the same things; None if chance is sure.

    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological
    Measurement 20 (1960), 37-46.
    """
    places: dict[Hashable, int] = {}
    for said in pairs:
        for what in said:
            places.setdefault(what, len(places))
    counts = np.zeros((len(places), len(places)))
    for one, other in pairs:
        counts[places[one], places[other]] += 1
    return kappa_of(counts)


def kappa_of(counts: Floats) -> float | None:
    """Cohen's kappa from a square table: how often one rater said the row, the other the column."""
    total = counts.sum()
    if not total:
        return None
    agreed = np.trace(counts) / total
    chance = counts.sum(axis=1) @ counts.sum(axis=0) / total**2
    return None if chance >= 1 else float((agreed - chance) / (1 - chance))
