"""Bradley-Terry with a covariate: who would win if all answers were equally long.

P(i beats j) = 1 / (1 + exp(-(θi - θj + β·x))) where x says how much more of a style i's answer
has, here its length: (Li - Lj) / (Li + Lj), put on a scale of standard deviations. The model
and the feature are those of T. Li, A. Angelopoulos and W.-L. Chiang, "Does style matter?
Disentangling style and substance in Chatbot Arena" (LMSYS, 2024). A positive β says that
longer answers win more than their authors' strength explains; that is no proof of a bias, for
longer answers may be better.
"""

from dataclasses import dataclass

import numpy as np

from app.stats.battles import Battles, Floats
from app.stats.graph import groups, is_balanced
from app.stats.intervals import CONFIDENCE, Estimate
from app.stats.student import t_critical

_STEPS_MAX = 100
_STEP_MAX = 1.5
_DONE = 1e-10


@dataclass(frozen=True, slots=True)
class Styled:
    """θ with the covariate held equal, with its errors, and the covariate's own coefficient.

    `length` is β, for one standard deviation of the relative difference in length.
    """

    theta: Floats
    errors: Floats
    length: Estimate


def length_feature(first: Floats, second: Floats) -> Floats:
    """How much longer the first answer is, from -1 to 1, in standard deviations.

    Nothing is taken from it to centre it: equal lengths are 0.
    """
    total = first + second
    relative = np.divide(first - second, total, out=np.zeros_like(total), where=total > 0)
    spread = float(np.sqrt(np.mean(relative**2))) if len(relative) else 0.0
    return np.asarray(relative / spread if spread > 0 else relative)


def rate_styled(
    battles: Battles, feature: Floats, *, confidence: float = CONFIDENCE
) -> Styled | None:
    """Strengths with a feature of the battles held equal; None where they cannot be told.

    They cannot where battles do not join all names, where somebody won or lost all, where the
    feature never differs, or where it alone foretells every outcome.
    """
    wins = battles.wins()
    if len(groups(wins)) != 1 or not is_balanced(wins) or not np.any(feature):
        return None
    found = _fit(battles, feature)
    if found is None:
        return None
    point, bread = found
    spread = _sandwich(battles, feature, point, bread)
    size = len(battles.names)
    errors = np.sqrt(np.maximum(0.0, np.diag(spread)))
    count = len(battles) if battles.prompts is None else len(np.unique(battles.prompts))
    reach = t_critical(max(1, count - 1), confidence) * float(errors[size])
    beta = float(point[size])
    return Styled(point[:size], errors[:size], Estimate(beta, beta - reach, beta + reach, count))


def _fit(battles: Battles, feature: Floats) -> tuple[Floats, Floats] | None:
    """θ and β by Newton's method, and the inverse of the information at them."""
    size = len(battles.names)
    point = np.zeros(size + 1)
    for _ in range(_STEPS_MAX):
        chance = _chance(battles, feature, point)
        rest, weight = battles.share - chance, chance * (1 - chance)
        slope = _gather(battles, feature, rest)
        try:
            bread: Floats = np.asarray(
                np.linalg.inv(_information(battles, feature, weight)), dtype=float
            )
        except np.linalg.LinAlgError:
            return None
        step = bread @ slope
        point = point + np.clip(step, -_STEP_MAX, _STEP_MAX)
        if np.abs(step).max() < _DONE:
            point[:size] -= point[:size].mean()
            return np.asarray(point), bread
    return None


def _chance(battles: Battles, feature: Floats, point: Floats) -> Floats:
    lead = point[battles.first] - point[battles.second] + point[-1] * feature
    return np.asarray(0.5 * (1 + np.tanh(lead / 2)))


def _gather(battles: Battles, feature: Floats, values: Floats) -> Floats:
    """The sum over battles of a value times their row of the design."""
    size = len(battles.names)
    first = np.bincount(battles.first, weights=values, minlength=size)
    second = np.bincount(battles.second, weights=values, minlength=size)
    return np.append(first - second, values @ feature)


def _information(battles: Battles, feature: Floats, weight: Floats) -> Floats:
    size = len(battles.names)
    pair = battles.first * size + battles.second
    games = np.bincount(pair, weights=weight, minlength=size * size).reshape(size, size)
    games = games + games.T
    matrix = np.empty((size + 1, size + 1))
    matrix[:size, :size] = np.diag(games.sum(axis=1)) - games + 1 / size
    matrix[size] = matrix[:, size] = _gather(battles, feature, weight * feature)
    return matrix


def _sandwich(battles: Battles, feature: Floats, point: Floats, bread: Floats) -> Floats:
    """As `bradley_terry.covariance`, with a column for the feature."""
    size = len(battles.names)
    rest = battles.share - _chance(battles, feature, point)
    if battles.prompts is None:
        cluster, count = np.arange(len(battles)), len(battles)
    else:
        cluster = np.unique(battles.prompts, return_inverse=True)[1]
        count = int(cluster.max()) + 1
    width = size + 1
    places = np.concatenate(
        [cluster * width + battles.first, cluster * width + battles.second, cluster * width + size]
    )
    weights = np.concatenate([rest, -rest, rest * feature])
    scores = np.bincount(places, weights=weights, minlength=count * width).reshape(count, width)
    factor = count / (count - 1) if count > 1 else 1.0
    return np.asarray(factor * (bread @ (scores.T @ scores) @ bread))
