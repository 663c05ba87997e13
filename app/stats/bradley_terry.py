"""Bradley-Terry strengths by maximum likelihood, and how sure they are.

P(i beats j) = 1 / (1 + exp(θj - θi)), a tie being half a win for both: R. A. Bradley and M. E.
Terry, "Rank analysis of incomplete block designs", Biometrika 39 (1952), 324-345; A. Agresti,
"Categorical Data Analysis" (3rd ed., 2013), 11.6. θ has the mean 0.
"""

from collections.abc import Callable

import numpy as np

from app.stats.battles import Battles, Floats, Integers
from app.stats.graph import is_balanced

_STEPS_MAX = 200
#: Newton's steps are no longer than this, so that they cannot run away from a far optimum.
_STEP_MAX = 1.5
_DONE = 1e-11
#: Games against a player of mean strength, half of them won, where no maximum would exist.
PRIOR_GAMES = 1.0
_BATCH = 200


def strengths(wins: Floats, prior: float | Floats = 0.0) -> Floats:
    """The θ of a matrix of wins (row beat column), or of each matrix of a stack.

    `prior` adds as many games against a player of strength 0, half of them won: a penalty
    that makes the maximum finite where `graph.is_balanced` says that there is none.

    By Newton's method: the likelihood is concave.
    """
    games = wins + np.swapaxes(wins, -1, -2)
    theta = np.zeros(wins.shape[:-1])
    weight = np.broadcast_to(np.asarray(prior, dtype=float)[..., None], theta.shape)
    for _ in range(_STEPS_MAX):
        chance = _logistic(theta[..., :, None] - theta[..., None, :])
        own = _logistic(theta)
        slope = (wins - games * chance).sum(axis=-1) + weight * (0.5 - own)
        step = np.linalg.solve(
            _information(games, chance, weight * own * (1 - own)), slope[..., None]
        )[..., 0]
        theta = theta + np.clip(step, -_STEP_MAX, _STEP_MAX)
        if np.abs(step).max(initial=0.0) < _DONE:
            break
    return np.asarray(theta - theta.mean(axis=-1, keepdims=True))


def _logistic(value: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(value / 2)))


def _information(games: Floats, chance: Floats, own: Floats) -> Floats:
    """Minus the second derivative, made invertible by fixing the mean where nothing else does."""
    weight = games * chance * (1 - chance)
    size = games.shape[-1]
    eye = np.eye(size)
    matrix = eye * (weight.sum(axis=-1) + own)[..., None] - weight
    # The likelihood does not change if every θ is moved alike; the slope has no such part.
    free = (own.sum(axis=-1) == 0)[..., None, None]
    return np.asarray(matrix + free * np.full((size, size), 1 / size))


def covariance(battles: Battles, theta: Floats) -> Floats:
    """The sandwich estimate of the covariance of θ, clustered by prompt.

    H⁻¹ J H⁻¹ with H the information and J the sum, over prompts, of the outer products of
    their scores: P. J. Huber (1967); H. White, Econometrica 50 (1982), 1-25; for clusters
    with the factor G / (G - 1), A. C. Cameron and D. L. Miller, Journal of Human Resources 50
    (2015), 317-372. Without prompts each battle is a cluster, and there is no factor.
    """
    wins = battles.wins()
    chance = _logistic(theta[:, None] - theta[None, :])
    bread = np.linalg.inv(_information(wins + wins.T, chance, np.zeros(len(theta))))
    rest = battles.share - chance[battles.first, battles.second]
    meat = _meat(battles, rest)
    projected = bread @ meat @ bread
    return np.asarray(projected)


def _meat(battles: Battles, rest: Floats) -> Floats:
    size = len(battles.names)
    if battles.prompts is None:
        pair = battles.first * size + battles.second
        square = np.bincount(pair, weights=rest * rest, minlength=size * size)
        square = square.reshape(size, size)
        square = square + square.T
        return np.asarray(np.diag(square.sum(axis=1)) - square)
    _, cluster = np.unique(battles.prompts, return_inverse=True)
    count = int(cluster.max()) + 1
    places = np.concatenate([cluster * size + battles.first, cluster * size + battles.second])
    scores = np.bincount(places, weights=np.concatenate([rest, -rest]), minlength=count * size)
    scores = scores.reshape(count, size)
    factor = count / (count - 1) if count > 1 else 1.0
    return np.asarray(factor * (scores.T @ scores))


def model_covariance(wins: Floats, theta: Floats, prior: float) -> Floats:
    """The inverse of the penalised information: what is known of θ where a prior holds it.

    Where one side won everything, the residuals vanish, and a sandwich would be far too sure.
    """
    chance = _logistic(theta[:, None] - theta[None, :])
    own = _logistic(theta)
    return np.asarray(np.linalg.inv(_information(wins + wins.T, chance, prior * own * (1 - own))))


def bootstrap(battles: Battles, *, resamples: int, seed: int) -> Floats:
    """The θ of resamples of the prompts, a row for each; of the battles, if there are none.

    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap" (1993). A resample in
    which no maximum exists is held by a prior of `PRIOR_GAMES`.
    """
    draw = np.random.default_rng(seed)
    prompts = battles.prompts
    again = _by_battle(battles) if prompts is None else _by_prompt(battles, prompts)
    found = []
    for start in range(0, resamples, _BATCH):
        wins = again(draw, min(_BATCH, resamples - start))
        prior = np.where(is_balanced(wins), 0.0, PRIOR_GAMES)
        found.append(strengths(wins, prior))
    return np.concatenate(found)


Again = Callable[[np.random.Generator, int], Floats]


def _by_battle(battles: Battles) -> Again:
    """Resamples of the battles, of which many are alike and need not be told apart."""
    size = len(battles.names)
    shares, share = np.unique(battles.share, return_inverse=True)
    codes = (battles.first * size + battles.second) * len(shares) + share
    kinds, counts = np.unique(codes, return_counts=True)
    first, second = np.divmod(kinds // len(shares), size)
    won = shares[kinds % len(shares)]

    def again(draw: np.random.Generator, resamples: int) -> Floats:
        times = draw.multinomial(len(battles), counts / len(battles), size=resamples)
        wins = np.zeros((resamples, size, size))
        for kind in range(len(counts)):
            wins[:, first[kind], second[kind]] += times[:, kind] * won[kind]
            wins[:, second[kind], first[kind]] += times[:, kind] * (1 - won[kind])
        return wins

    return again


def _by_prompt(battles: Battles, prompts: Integers) -> Again:
    size = len(battles.names)
    found = np.unique(prompts, return_inverse=True)[1]
    cluster: Integers = np.concatenate([found, found])
    pair = np.concatenate(
        [battles.first * size + battles.second, battles.second * size + battles.first]
    )
    share = np.concatenate([battles.share, 1 - battles.share])
    count = int(found.max()) + 1

    def again(draw: np.random.Generator, resamples: int) -> Floats:
        wins = np.empty((resamples, size * size))
        for row in range(resamples):
            times = np.bincount(draw.integers(0, count, count), minlength=count)
            wins[row] = np.bincount(pair, weights=share * times[cluster], minlength=size * size)
        return wins.reshape(resamples, size, size)

    return again
