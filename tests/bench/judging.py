"""How many prompts it takes to tell two models apart: the table in docs/judging.md, simulated.

    python -m tests.bench.judging          prints the table

Each cell is the smallest number of prompts at which 80 of 100 simulated batches find the better of
two models to be so, by the paired test that a report shows, at 5 %. Everything is drawn from a
seed, so the table is the same on every run.
"""

import sys
from collections.abc import Iterator

import numpy as np

from app.stats.battles import Floats
from app.stats.student import t_critical

POWER, LEVEL = 0.8, 0.05
BATCHES = 4_000
SEED = 2026
#: Points on the scale of 10 by which one model is better on average.
DIFFERENCES = (2.0, 1.0, 0.5, 0.25, 0.1)
#: Within-prompt spread of the difference of two scores, in points: how noisy models and judge are.
SPREADS = {"steady": 1.0, "usual": 2.0, "noisy": 3.0}
#: How often the better wins a comparison in both orders, the worse wins, and the rest ties.
SHARES = ((0.8, 0.1), (0.6, 0.2), (0.5, 0.3), (0.45, 0.35), (0.42, 0.38))
PROMPTS_MAX = 200_000
_STEP = 1.02
_CELLS_MAX = 4_000_000


def found_share(draws: Floats) -> float:
    """In how many batches (rows) of differences the test finds the first to be better."""
    count = draws.shape[1]
    errors = draws.std(axis=1, ddof=1) / np.sqrt(count)
    means = draws.mean(axis=1)
    critical = t_critical(count - 1, 1 - LEVEL)
    return float(np.mean(means > critical * np.maximum(errors, 1e-12)))


def scores(draw: np.random.Generator, shape: tuple[int, int], gap: float, spread: float) -> Floats:
    """Differences of two scores in half points, as judges give them."""
    return np.round(2 * draw.normal(gap, spread, shape)) / 2


def outcomes(draw: np.random.Generator, shape: tuple[int, int], won: float, lost: float) -> Floats:
    """Outcomes of comparisons: 1 for the better, -1 for the worse, 0 for a tie."""
    drawn = draw.random(shape)
    return (drawn < won).astype(float) - (drawn > 1 - lost)


def prompts_for(kind: str, first: float, second: float) -> int | None:
    """The smallest number of prompts that is enough; None if no number tried is."""
    draw = np.random.default_rng(SEED)
    make = scores if kind == "scores" else outcomes
    count = 5
    while count < PROMPTS_MAX:
        batches = max(200, min(BATCHES, _CELLS_MAX // count))
        if found_share(make(draw, (batches, count), first, second)) >= POWER:
            return count
        count = max(count + 1, int(count * _STEP))
    return None


def rounded(count: int | None) -> str:
    """Two digits: more would pretend."""
    if count is None:
        return f"> {PROMPTS_MAX:,}"
    unit = 10 ** max(0, len(str(count)) - 2)
    return f"{-(-count // unit) * unit:,}"


def table() -> Iterator[str]:
    """The tables, in Markdown."""
    yield "| better by | " + " | ".join(f"{name} ({sd:g})" for name, sd in SPREADS.items()) + " |"
    yield "|---|" + "---:|" * len(SPREADS)
    for gap in DIFFERENCES:
        cells = [rounded(prompts_for("scores", gap, spread)) for spread in SPREADS.values()]
        yield f"| {gap:g} points | " + " | ".join(cells) + " |"
    yield ""
    yield "| better wins | worse wins | ties | prompts |"
    yield "|---:|---:|---:|---:|"
    for won, lost in SHARES:
        count = rounded(prompts_for("pairs", won, lost))
        yield f"| {won:.0%} | {lost:.0%} | {1 - won - lost:.0%} | {count} |"


if __name__ == "__main__":
    for line in table():
        print(line)
        sys.stdout.flush()
