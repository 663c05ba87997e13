"""Places, and what scores that nobody knows could do to them."""

import pytest

from app.reports.ranking import Place, Standing, places


def test_the_better_mean_is_ahead_and_nothing_missing_leaves_nothing_open() -> None:
    found = places([Standing(60.0, 10, 10), Standing(90.0, 10, 10), Standing(30.0, 10, 10)])
    assert found == [
        Place(2, undecided=False),
        Place(1, undecided=False),
        Place(3, undecided=False),
    ]


def test_the_same_mean_is_the_same_place() -> None:
    found = places([Standing(80.0, 10, 10), Standing(80.0, 10, 10), Standing(10.0, 10, 10)])
    assert [place.rank for place in found] == [1, 1, 3]
    assert not any(place.undecided for place in found)


def test_a_failure_is_not_a_score_of_nought() -> None:
    # 9.0 on the five jobs it was judged on; with the others as 0 it would be 4.5.
    found = places([Standing(45.0, 5, 10), Standing(60.0, 10, 10)])
    assert [place.rank for place in found] == [1, 2]


@pytest.mark.parametrize(
    ("scored", "total", "undecided"),
    [
        # The other has 70 of 100. Were the missing ones all 0, this has 72 of 100, or 63.
        (9, 72.0, False),
        (7, 63.0, True),
    ],
)
def test_a_leader_is_undecided_if_noughts_could_put_it_second(
    scored: int, total: float, *, undecided: bool
) -> None:
    leader, other = places([Standing(total, scored, 10), Standing(70.0, 10, 10)])
    assert (leader.rank, leader.undecided) == (1, undecided)
    assert (other.rank, other.undecided) == (2, undecided)


@pytest.mark.parametrize(
    ("scored", "total", "undecided"),
    [
        # The leader has 80 of 100. Were the missing ones all 10, this has 74 of 100, or 85.
        (9, 64.0, False),
        (5, 35.0, True),
    ],
)
def test_a_follower_is_undecided_if_tens_could_put_it_first(
    scored: int, total: float, *, undecided: bool
) -> None:
    follower, leader = places([Standing(total, scored, 10), Standing(80.0, 10, 10)])
    assert (follower.rank, follower.undecided) == (2, undecided)
    assert (leader.rank, leader.undecided) == (1, undecided)


def test_only_those_whose_order_could_change_are_undecided() -> None:
    found = places([Standing(95.0, 10, 10), Standing(32.0, 8, 10), Standing(35.0, 10, 10)])
    assert [place.rank for place in found] == [1, 2, 3]
    assert [place.undecided for place in found] == [False, True, True]


def test_a_tie_is_undecided_while_scores_are_missing() -> None:
    first, second = places([Standing(50.0, 10, 10), Standing(45.0, 9, 10)])
    assert first == second == Place(1, undecided=True)


def test_without_a_score_there_is_no_place_but_there_could_be_one() -> None:
    without, other = places([Standing(0.0, 0, 10), Standing(50.0, 10, 10)])
    assert without == Place(None, undecided=True)
    assert other == Place(1, undecided=True)


def test_where_nothing_was_scored_nothing_is_undecided() -> None:
    assert places([Standing(0.0, 0, 10)] * 2) == [Place(None, undecided=False)] * 2
