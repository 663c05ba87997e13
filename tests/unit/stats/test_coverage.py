"""Do intervals hold what they promise? 1,000 tournaments with a known truth, for each kind."""

import numpy as np
import pytest

from app.stats.battles import Battles, Floats
from app.stats.intervals import mean_by_prompt
from app.stats.paired import paired_tests
from app.stats.ratings import Rating, rate, rating_of
from app.stats.style import rate_styled
from tests.factories.battles import draw_scores

TOURNAMENTS = 1_000
TRUTH = np.array([0.6, 0.2, -0.1, -0.7])


def share_of(covered: list[Floats]) -> float:
    return float(np.mean(covered))


def holds(ratings: list[Rating]) -> Floats:
    truth = [rating_of(theta) for theta in TRUTH]
    return np.array([one.low <= true <= one.high for one, true in zip(ratings, truth, strict=True)])


def test_95_percent_intervals_of_ratings_cover_the_truth_with_prompts_as_clusters():
    """Four contestants on 80 prompts: the six battles of a prompt depend on each other."""
    draw, covered, ordered = np.random.default_rng(1), [], 0
    for _ in range(TOURNAMENTS):
        scores = draw_scores(draw, TRUTH, prompts=80, tie_within=0)
        ratings = rate(Battles.of_scores("abcd", scores))
        covered.append(holds(ratings))
        ordered += ratings[0].low > ratings[3].high
    assert 0.93 <= share_of(covered) <= 0.97
    assert ordered > 0.95 * TOURNAMENTS


def test_95_percent_intervals_of_ratings_cover_the_truth_with_battles_on_their_own():
    draw, covered = np.random.default_rng(2), []
    pairs = np.array([(one, other) for one in range(4) for other in range(one + 1, 4)])
    for _ in range(TOURNAMENTS):
        chosen = pairs[draw.integers(0, len(pairs), 300)]
        first, second = chosen[:, 0], chosen[:, 1]
        chance = 1 / (1 + np.exp(TRUTH[second] - TRUTH[first]))
        share = (draw.random(300) < chance).astype(float)
        battles = Battles.of_columns("abcd", (first, second), share, np.arange(300))
        ratings = rate(battles)
        covered.append(holds(ratings))
    assert 0.93 <= share_of(covered) <= 0.97


@pytest.mark.parametrize("prompts", [5, 40])
def test_95_percent_intervals_of_means_and_differences_cover_the_truth(prompts: int):
    draw, means, differences = np.random.default_rng(3), [], []
    for _ in range(TOURNAMENTS):
        hard = draw.normal(size=(prompts, 1))
        scores = 5 + np.array([0.4, 0.0]) + hard + draw.normal(size=(prompts, 2))
        mean = mean_by_prompt(
            (str(place), float(score)) for place, score in enumerate(scores[:, 0])
        )
        means.append(np.array(mean.low <= 5.4 <= mean.high))
        [test] = paired_tests("ab", scores, margin=0.5)
        differences.append(np.array(test.low <= 0.4 <= test.high))
    assert 0.93 <= share_of(means) <= 0.97
    assert 0.93 <= share_of(differences) <= 0.97


def test_95_percent_intervals_of_the_pull_of_length_cover_the_truth():
    draw, covered = np.random.default_rng(4), []
    for _ in range(TOURNAMENTS):
        first, second = draw.integers(0, 3, 300), draw.integers(1, 3, 300)
        second = (first + second) % 3
        feature = draw.normal(size=300)
        lead = TRUTH[first] - TRUTH[second] + 0.5 * feature
        share = (draw.random(300) < 1 / (1 + np.exp(-lead))).astype(float)
        battles = Battles.of_columns("abc", (first, second), share, np.arange(300))
        length = rate_styled(battles, feature).length
        covered.append(np.array(length.low <= 0.5 <= length.high))
    assert 0.93 <= share_of(covered) <= 0.97


def test_false_findings_are_as_rare_as_promised_over_all_pairs():
    """Five contestants that do not differ: Holm's p finds a difference in 5 % of batches at most."""
    draw, found, same = np.random.default_rng(5), 0, 0
    for _ in range(TOURNAMENTS):
        tests = paired_tests("abcde", draw.normal(size=(30, 5)), margin=0.01)
        found += any(test.finding in ("better", "worse") for test in tests)
        same += any(test.finding == "equivalent" for test in tests)
    assert found / TOURNAMENTS <= 0.065
    assert same == 0
