"""Bradley-Terry ratings against published values, and where there are none to be had."""

from math import exp, log

import numpy as np
import pytest

from app.stats.battles import Battle, Battles
from app.stats.bradley_terry import strengths
from app.stats.graph import is_balanced
from app.stats.ratings import rate
from tests.factories.battles import TEAMS, make_battles, make_season

close = pytest.approx
TO_THE_DIGIT = 1e-4
THETA = (0.531153, 0.386206, 0.244283, 0.197415, 0.057495, -0.366350, -1.050203)
ERRORS = (0.207649, 0.207656, 0.195075, 0.205769, 0.193760, 0.214017, 0.228446)
FOUR = {"AB": 2, "BA": 3, "AD": 1, "DA": 4, "BC": 5, "CB": 3, "CD": 1, "DC": 3}
SCALE = 400 / log(10)


def test_the_season_of_1987_has_its_published_strengths_and_sandwich_errors():
    ratings = rate(Battles.of(make_season(), TEAMS))
    assert [one.name for one in ratings] == list(TEAMS)
    assert [one.theta for one in ratings] == close(THETA, abs=TO_THE_DIGIT)
    assert [one.error for one in ratings] == close(ERRORS, abs=TO_THE_DIGIT)


def test_the_season_of_1987_has_its_published_ratings_and_intervals():
    first, *_, last = rate(Battles.of(make_season(), TEAMS))
    shown = [(one.rating, one.low, one.high) for one in (first, last)]
    published = [(1092.27, 1021.58, 1162.96), (817.56, 739.79, 895.33)]
    assert np.array(shown) == close(np.array(published), abs=TO_THE_DIGIT * SCALE)


def test_four_players_of_22_games_have_their_published_strengths():
    battles = Battles.of(
        (Battle(*pair, 1.0) for pair, count in FOUR.items() for _ in range(count)), "ABCD"
    )
    odds = [exp(one.theta) for one in rate(battles)]
    assert odds == close((0.639835, 1.043314, 0.659810, 2.270377), abs=TO_THE_DIGIT)


def test_a_tie_is_half_a_win_for_both():
    tied = rate(make_battles(*[("a", "b", 0.5)] * 2, *[("a", "b", 1.0)] * 3))
    halves = strengths(np.array([[0.0, 4.0], [1.0, 0.0]]))
    assert [one.theta for one in tied] == close(halves)
    assert exp(tied[0].theta - tied[1].theta) == close(4)
    assert (tied[0].wins, tied[0].battles) == (4.0, 5)


def test_names_and_sides_change_nothing():
    games = [("a", "b", 1.0), ("b", "c", 1.0), ("c", "a", 1.0), ("a", "c", 0.5), ("a", "b", 1.0)]
    there = {one.name: one.theta for one in rate(make_battles(*games))}
    back = {
        one.name: one.theta for one in rate(make_battles(*[(b, a, 1 - s) for a, b, s in games]))
    }
    assert back == close(there)


def test_the_bootstrap_is_seeded_and_agrees_with_the_sandwich():
    battles = Battles.of(make_season(), TEAMS)
    one, again = (rate(battles, resamples=400, seed=7) for _ in range(2))
    assert one == again
    assert one != rate(battles, resamples=400, seed=8)
    for rating in one:
        assert rating.bootstrap_low == close(rating.low, abs=25)
        assert rating.bootstrap_high == close(rating.high, abs=25)


def test_who_won_everything_has_a_finite_rating_a_wide_interval_and_a_mark():
    battles = make_battles(*[("a", "b", 1.0)] * 6, *[("b", "c", 1.0), ("c", "b", 1.0)] * 3)
    best, *others = rate(battles, resamples=50)
    assert all(
        one.regularised and np.isfinite([one.low, one.high]).all() for one in (best, *others)
    )
    assert all(
        np.isfinite([one.bootstrap_low, one.bootstrap_high]).all() for one in (best, *others)
    )
    assert best.rating > max(one.rating for one in others)
    assert best.high - best.low > 600


def test_those_whom_no_battle_joins_are_in_groups_of_their_own():
    battles = Battles.of(
        [Battle("a", "b", 1.0), Battle("b", "a", 1.0), Battle("c", "d", 0.5)],
        ("a", "b", "c", "d", "nobody"),
    )
    ratings = rate(battles, resamples=20)
    assert [one.group for one in ratings] == [1, 1, 2, 2, 3]
    assert (ratings[4].theta, ratings[4].rating, ratings[4].low) == (None, None, None)
    assert all(one.rating == close(1000) for one in ratings[:4])


def test_one_tie_is_no_certainty():
    [one, _] = rate(make_battles(("a", "b", 0.5)))
    assert one.rating == close(1000)
    assert one.high - one.low > 400


def test_without_battles_nobody_is_rated():
    assert rate(Battles.of([])) == []


def test_a_stack_of_tournaments_is_rated_as_each_alone():
    draw = np.random.default_rng(3)
    stack = draw.integers(1, 20, (5, 4, 4)).astype(float)
    stack[:, range(4), range(4)] = 0
    assert strengths(stack) == close(np.array([strengths(wins) for wins in stack]), abs=1e-9)


def test_balance_wants_a_chain_of_wins_from_everybody_to_everybody():
    ring = np.roll(np.eye(5), 1, axis=1)
    broken = ring.copy()
    broken[4, 0] = 0
    assert is_balanced(np.stack([ring, broken])).tolist() == [True, False]


def test_a_contestant_cannot_meet_itself_and_a_share_has_its_bounds():
    with pytest.raises(ValueError, match="cannot meet itself"):
        make_battles(("a", "a", 1.0))
    with pytest.raises(ValueError, match="from 0 to 1"):
        make_battles(("a", "b", 2.0))


def test_scores_become_battles_where_both_are_there():
    scores = np.array([[7.0, 5.0, np.nan], [6.0, 6.0, 8.0]])
    battles = Battles.of_scores("abc", scores)
    assert len(battles) == 4
    assert battles.wins().tolist() == [[0, 1.5, 0], [0.5, 0, 0], [1, 1, 0]]
