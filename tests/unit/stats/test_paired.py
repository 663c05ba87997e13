"""Paired tests against scipy's, Holm's method against a worked example."""

import numpy as np
import pytest
from scipy import stats

from app.stats.paired import holm, paired_tests

close = pytest.approx
DRAW = np.random.default_rng(11)


def columns(*values: list[float]) -> np.ndarray:
    return np.array(values, dtype=float).T


def test_the_test_of_two_is_students_paired_test():
    scores = DRAW.normal(size=(25, 2)) + np.array([0.6, 0.0])
    [test] = paired_tests("ab", scores, margin=0.5)
    referee = stats.ttest_rel(scores[:, 0], scores[:, 1])
    interval = referee.confidence_interval(0.95)
    assert test.p == close(referee.pvalue)
    assert (test.low, test.high) == (close(interval.low), close(interval.high))
    assert test.difference == close(float(np.mean(scores[:, 0] - scores[:, 1])))
    assert test.prompts == 25


def test_equivalence_is_two_one_sided_tests():
    scores = DRAW.normal(size=(60, 2)) * 0.3
    [test] = paired_tests("ab", scores, margin=0.5)
    difference = scores[:, 0] - scores[:, 1]
    above = stats.ttest_1samp(difference, -0.5, alternative="greater").pvalue
    below = stats.ttest_1samp(difference, 0.5, alternative="less").pvalue
    assert test.p_equivalent == close(max(above, below))
    assert test.finding == "equivalent"


def test_a_difference_is_found_in_its_direction():
    scores = DRAW.normal(size=(40, 2)) + np.array([0.0, 2.0])
    [test] = paired_tests("ab", scores, margin=0.5)
    [turned] = paired_tests("ba", scores[:, ::-1], margin=0.5)
    assert (test.finding, turned.finding) == ("worse", "better")
    assert turned.difference == close(-test.difference)


def test_prompts_that_one_of_the_two_lacks_do_not_count():
    scores = columns([7, 8, 6, np.nan, 9], [5, np.nan, 5, 4, 6])
    [test] = paired_tests("ab", scores, margin=0.5)
    assert (test.prompts, test.difference) == (3, close(2.0))


def test_one_prompt_tells_a_difference_and_no_more_and_none_tells_nothing():
    [one, none, _] = paired_tests("abc", columns([7, 3], [5, np.nan], [np.nan, np.nan]), margin=1)
    assert (one.prompts, one.difference, one.p, one.finding) == (1, 2.0, None, "unclear")
    assert (none.prompts, none.difference, none.finding) == (0, None, "unclear")


@pytest.mark.parametrize(("prompts", "finding"), [(3, "unclear"), (12, "better")])
def test_where_all_differences_are_alike_their_number_decides(prompts: int, finding: str):
    [test] = paired_tests("ab", columns([8] * prompts, [6] * prompts), margin=0.5)
    assert test.p == close(2 * 0.5**prompts)
    assert test.finding == finding


@pytest.mark.parametrize(("prompts", "finding"), [(3, "unclear"), (12, "equivalent")])
def test_equal_scores_are_equivalent_once_there_are_some(prompts: int, finding: str):
    [test] = paired_tests("ab", columns([7] * prompts, [7] * prompts), margin=0.5)
    assert (test.p, test.finding) == (1.0, finding)


def test_holm_adjusts_step_by_step_and_keeps_the_order():
    # Worked by hand: 4 x 0.005, 3 x 0.01, then 2 x 0.03, and 0.04 raised to the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == close([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.6]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_a_margin_must_leave_room():
    with pytest.raises(ValueError, match="more than 0"):
        paired_tests("ab", columns([1], [2]), margin=0)
