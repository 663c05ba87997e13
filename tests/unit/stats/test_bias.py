"""Biases that were planted are found, and none where none was."""

import numpy as np
import pytest

from app.stats.bias import flip_rate, length_slope, self_preference
from app.stats.style import length_feature, rate_styled
from tests.factories.battles import make_battles

close = pytest.approx


def made_up(slope: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Scores and lengths: prompts are hard, one contestant is good and wordy, and length pays."""
    draw = np.random.default_rng(seed)
    lengths = 2.0 ** (6 + np.array([1.0, 0.0, 0.0]) + draw.normal(size=(200, 3)))
    quality = np.array([3.0, 0.0, 1.0]) + draw.normal(size=(200, 1))
    return 4 + quality + slope * np.log2(lengths) + draw.normal(size=(200, 3)) * 0.5, lengths


@pytest.mark.parametrize("planted", [0.0, 0.4])
def test_the_slope_is_that_of_length_and_not_of_a_good_and_wordy_contestant(planted: float):
    found = length_slope(*made_up(planted))
    assert found.low <= planted <= found.high
    assert found.high - found.low < 0.2
    assert found.count == 200


def test_the_slope_is_found_though_scores_are_missing():
    scores, lengths = made_up(0.4)
    scores[np.random.default_rng(2).random(scores.shape) < 0.3] = np.nan
    found = length_slope(scores, lengths)
    assert found.low <= 0.4 <= found.high


def test_lengths_that_do_not_differ_have_no_slope():
    scores = np.random.default_rng(1).normal(size=(20, 3))
    assert length_slope(scores, np.full((20, 3), 80.0)) is None
    assert length_slope(scores[:2], np.array([[1.0, 2, 3], [4, 5, 6]])) is None
    assert length_slope(scores[:, :1], np.arange(1.0, 21)[:, None]) is None


def test_flips_have_a_share_with_an_interval():
    found = flip_rate(3, 20)
    assert found.value == close(0.15)
    assert 0 < found.low < 0.15 < found.high < 1
    assert flip_rate(0, 0) is None


def test_who_favours_its_own_does_so_beyond_what_the_others_see_in_it():
    draw = np.random.default_rng(1)
    own, others = 8 + draw.normal(size=100), 6 + draw.normal(size=100)
    panel_own, panel_others = 7 + draw.normal(size=100), 6 + draw.normal(size=100)
    found = self_preference(own, others, panel_own, panel_others)
    assert found.low <= 1.0 <= found.high
    assert found.low > 0
    same = self_preference(panel_own, panel_others, panel_own, panel_others)
    assert same.value == 0.0


def test_nobody_to_compare_with_is_no_preference():
    empty = np.full(4, np.nan)
    assert self_preference(empty, empty, empty, empty) is None


def test_with_length_held_equal_the_wordy_do_not_rank_above_the_good():
    """c is the best, a the longest, and length is worth more than being good."""
    draw = np.random.default_rng(5)
    first = draw.integers(0, 3, 4000)
    second = (first + draw.integers(1, 3, 4000)) % 3
    theta, length = np.array([0.0, 0.1, 0.5]), np.array([900.0, 300.0, 300.0])
    lengths = [length[side] * draw.lognormal(sigma=0.5, size=4000) for side in (first, second)]
    feature = length_feature(*lengths)
    lead = theta[first] - theta[second] + feature
    share = draw.random(4000) < 1 / (1 + np.exp(-lead))
    games = zip(first, second, share, strict=True)
    battles = make_battles(*[("abc"[one], "abc"[other], float(won)) for one, other, won in games])
    order = ["abc".index(name) for name in battles.names]
    styled = rate_styled(battles, feature)
    assert styled.length.low <= 1.0 <= styled.length.high
    centred = (theta - theta.mean())[order]
    assert np.abs(styled.theta - centred).max() < 4 * styled.errors.max()
    assert battles.names[int(np.argmax(styled.theta))] == "c"


def test_where_strengths_cannot_be_told_there_is_no_styled_rating():
    won = make_battles(("a", "b", 1.0), ("a", "b", 1.0))
    assert rate_styled(won, np.array([1.0, -1.0])) is None
    even = make_battles(("a", "b", 1.0), ("a", "b", 0.0))
    assert rate_styled(even, np.zeros(2)) is None
    foretold = rate_styled(even, np.array([1.0, -1.0]))
    assert foretold is None


def test_equal_lengths_are_no_style():
    assert length_feature(np.array([5.0, 0.0]), np.array([5.0, 0.0])).tolist() == [0.0, 0.0]
    longer = length_feature(np.array([9.0, 1.0]), np.array([1.0, 9.0]))
    assert longer == close(np.array([1.0, -1.0]))
