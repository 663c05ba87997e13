"""Estimates and their intervals, against published values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stats.intervals import Estimate, mean_by_prompt, win_share

close = pytest.approx


def prompts(*scores: float) -> list[tuple[str, float]]:
    return [(f"q{number}", score) for number, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("wins", "judged", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_win_share_has_wilsons_interval(wins: int, judged: int, low: float, high: float):
    share = win_share(wins, judged)
    assert share.value == wins / judged
    assert (share.low, share.high) == (close(low, abs=5e-5), close(high, abs=5e-5))
    assert share.count == judged


def test_always_winning_is_not_certainty():
    share = win_share(20, 20)
    assert (share.value, share.high) == (1.0, 1.0)
    assert share.low == close(0.8389, abs=5e-5)


def test_without_a_judged_prompt_there_is_no_share():
    assert win_share(0, 0) is None


def test_shared_wins_may_be_counted_in_parts():
    half, whole = win_share(4.5, 10), win_share(4, 10)
    assert half.value == 0.45
    assert whole.low < half.low < half.high


@pytest.mark.parametrize(("wins", "judged"), [(-1, 5), (6, 5), (1, 0)])
def test_more_wins_than_prompts_are_a_mistake_of_ours(wins: int, judged: int):
    with pytest.raises(ValueError, match="wins must be"):
        win_share(wins, judged)


@given(st.integers(1, 5_000), st.floats(0, 1))
def test_a_shares_interval_holds_it_and_stays_between_0_and_1(judged: int, part: float):
    share = win_share(round(part * judged), judged)
    assert 0 <= share.low <= share.value <= share.high <= 1


def test_the_mean_has_students_interval():
    # Mean 3, s = sqrt(2.5), t(4) = 2.776445: 3 ± 2.776445 * sqrt(2.5 / 5).
    mean = mean_by_prompt(prompts(1, 2, 3, 4, 5))
    assert mean == Estimate(3.0, close(1.036757), close(4.963243), 5)


def test_the_mean_of_a_published_sample():
    # NIST/SEMATECH e-Handbook 1.3.5.2, ZARR13.DAT: N = 195, mean 9.261460, s = 0.022789,
    # 95 % interval 9.258242 to 9.264679; two clusters of values with just that mean and s.
    count, mean, deviation = 195, 9.261460, 0.022789
    pairs = count // 2
    step = deviation * ((count - 1) / (2 * pairs)) ** 0.5
    scores = [mean, *[mean - step] * pairs, *[mean + step] * pairs]
    interval = mean_by_prompt(prompts(*scores))
    assert (interval.low, interval.high) == (close(9.258242, abs=2e-6), close(9.264679, abs=2e-6))


def test_scores_on_one_prompt_count_once():
    repeated = [("q0", 1.0), ("q0", 3.0), ("q1", 4.0), ("q2", 6.0), ("q2", 6.0), ("q2", 6.0)]
    assert mean_by_prompt(repeated) == mean_by_prompt(prompts(2, 4, 6))


def test_repeats_do_not_make_an_interval_narrower_than_prompts_do():
    once = prompts(1, 5, 9)
    assert mean_by_prompt(once * 10) == mean_by_prompt(once)


def test_one_prompt_has_a_mean_but_no_interval():
    assert mean_by_prompt([("q", 7.0), ("q", 8.0)]) == Estimate(7.5, None, None, 1)


def test_no_score_has_no_mean():
    assert mean_by_prompt([]) is None


def test_an_interval_ends_where_the_scale_ends():
    mean = mean_by_prompt(prompts(10, 10, 8), bounds=(0, 10))
    assert mean.high == 10
    assert mean.low == mean_by_prompt(prompts(10, 10, 8)).low


def test_more_confidence_takes_a_wider_interval():
    narrow, wide = (mean_by_prompt(prompts(1, 2, 4), confidence=level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50))
def test_a_means_interval_holds_it_and_stays_on_the_scale(scores: list[float]):
    mean = mean_by_prompt(prompts(*scores), bounds=(0, 10))
    assert -1e-9 <= mean.value <= 10 + 1e-9
    if mean.count > 1:
        assert 0 <= mean.low <= mean.value + 1e-9
        assert mean.value - 1e-9 <= mean.high <= 10
