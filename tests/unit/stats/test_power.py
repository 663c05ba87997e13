"""The table of how many prompts it takes is what its script makes."""

from math import isclose
from pathlib import Path

import pytest

from tests.bench.judging import prompts_for, rounded

DOCS = (Path(__file__).parents[3] / "docs" / "judging.md").read_text()


@pytest.mark.parametrize(
    ("kind", "row", "cases"),
    [
        ("scores", "| 2 points |", [(2.0, 1.0), (2.0, 2.0), (2.0, 3.0)]),
        ("scores", "| 1 points |", [(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]),
        ("pairs", "| 80% | 10% | 10% |", [(0.8, 0.1)]),
        ("pairs", "| 60% | 20% | 20% |", [(0.6, 0.2)]),
    ],
)
def test_a_row_of_the_table_is_simulated_again(
    kind: str, row: str, cases: list[tuple[float, float]]
):
    cells = [rounded(prompts_for(kind, *case)) for case in cases]
    assert f"{row} {' | '.join(cells)} |" in DOCS


def test_the_simulation_agrees_with_the_textbook():
    """n = ((1.96 + 0.84) s / d)², and a little more for a spread that is estimated."""
    assert isclose(prompts_for("scores", 0.5, 2.0) or 0, (2.8 * 2.0 / 0.5) ** 2, rel_tol=0.1)


def test_more_than_two_digits_would_pretend():
    assert [rounded(count) for count in (7, 34, 128, 1_163, None)] == [
        *("7", "34", "130", "1,200", "> 200,000")
    ]
