"""Battles of tournaments: real ones, and simulated ones with a planted truth."""

import numpy as np

from app.stats.battles import Battle, Battles, Floats

#: Baseball, American League East, 1987: row beats column (Agresti, Categorical Data Analysis).
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WINS_1987 = (
    (0, 7, 9, 7, 7, 9, 11),
    (6, 0, 7, 5, 11, 9, 9),
    (4, 6, 0, 7, 7, 8, 12),
    (6, 8, 6, 0, 6, 7, 10),
    (6, 2, 6, 7, 0, 7, 12),
    (4, 4, 5, 6, 6, 0, 6),
    (2, 4, 1, 3, 1, 7, 0),
)


def make_season() -> list[Battle]:
    """Every game of 1987 as a battle."""
    return [
        Battle(TEAMS[row], TEAMS[column], 1.0)
        for row, wins in enumerate(WINS_1987)
        for column, count in enumerate(wins)
        for _ in range(count)
    ]


def make_battles(*games: tuple[str, str, float]) -> Battles:
    """Battles, each as (first, second, share of the first)."""
    return Battles.of(Battle(*game) for game in games)


def draw_scores(
    draw: np.random.Generator, truth: Floats, *, prompts: int, tie_within: float = 0.25
) -> Floats:
    """Scores whose comparisons follow Bradley-Terry with these strengths, and some ties.

    A prompt's difficulty moves all its scores alike; Gumbel noise makes the comparisons logistic.
    """
    noise = draw.gumbel(size=(prompts, len(truth)))
    scores = truth + noise + draw.normal(size=(prompts, 1))
    return np.round(scores / tie_within) * tie_within if tie_within else scores
