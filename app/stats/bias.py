"""Where judges are not to be trusted: for position, for length, for their own model."""

from math import sqrt

import numpy as np

from app.stats.battles import Floats
from app.stats.intervals import CONFIDENCE, Estimate, mean_by_prompt, win_share
from app.stats.student import t_critical

_PROMPTS_MIN = 3


def flip_rate(flipped: int, pairs: int, *, confidence: float = CONFIDENCE) -> Estimate | None:
    """The share of pairs on which a judge changed its mind when the two changed places.

    With Wilson's interval. L. Zheng et al., "Judging LLM-as-a-judge with MT-Bench and Chatbot
    Arena" (NeurIPS 2023), call what is left the consistency.
    """
    return win_share(flipped, pairs, confidence=confidence)


def length_slope(
    scores: Floats, lengths: Floats, *, confidence: float = CONFIDENCE
) -> Estimate | None:
    """By how much a score rises when an answer is twice as long, within prompt and contestant.

    The slope of a least-squares fit of the scores on log₂ of the lengths, each less the mean of
    its prompt and of its contestant (two-way fixed effects), so that neither hard prompts nor
    a good, wordy contestant make a slope. Its interval is clustered by prompt (Cameron and
    Miller, as in `bradley_terry.covariance`). Rows are prompts, columns contestants, NaN is
    missing. None where lengths do not differ, or prompts are fewer than 3.
    """
    there = ~np.isnan(scores) & (lengths > 0)
    there &= (there.sum(axis=1) > 1)[:, None]
    count = int(there.any(axis=1).sum())
    if count < _PROMPTS_MIN:
        return None
    logs = np.log2(np.where(there, lengths, 1.0))
    x, y = _centred(logs, there), _centred(np.where(there, scores, 0.0), there)
    square = float((x * x).sum())
    if square < 1e-9 * max(1, there.sum()):
        return None
    slope = float((x * y).sum()) / square
    per_prompt = (x * (y - slope * x)).sum(axis=1)
    error = sqrt(count / (count - 1) * float(per_prompt @ per_prompt)) / square
    reach = t_critical(count - 1, confidence) * error
    return Estimate(slope, slope - reach, slope + reach, count)


def _centred(values: Floats, there: np.typing.NDArray[np.bool_]) -> Floats:
    """Values less the means of their row and column, where they are there; else 0.

    By turns, until neither changes: cells may be missing.
    """
    left = np.where(there, values, 0.0)
    rows = np.maximum(1, there.sum(axis=1, keepdims=True))
    columns = np.maximum(1, there.sum(axis=0, keepdims=True))
    for _ in range(100):
        by_row = left.sum(axis=1, keepdims=True) / rows
        left = np.where(there, left - by_row, 0.0)
        by_column = left.sum(axis=0, keepdims=True) / columns
        left = np.where(there, left - by_column, 0.0)
        if np.abs(by_column).max(initial=0.0) < 1e-10:  # noqa: PLR2004 - both means are 0
            break
    return left


def self_preference(
    own: Floats, others: Floats, panel_own: Floats, panel_others: Floats
) -> Estimate | None:
    """By how many points more a judge favours its own model than the other judges do.

    Each prompt gives a difference of differences: what the judge gave its own model above the
    other contestants, less what the other judges gave that model above them. A model that is
    simply better is so for the others too. After A. Panickssery, S. Bowman and S. Feng, "LLM
    evaluators recognize and favor their own generations" (NeurIPS 2024). NaN is missing.
    """
    excess = (own - others) - (panel_own - panel_others)
    kept = excess[~np.isnan(excess)]
    return mean_by_prompt((str(place), float(value)) for place, value in enumerate(kept))
