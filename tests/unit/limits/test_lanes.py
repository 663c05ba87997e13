"""The sums of the governor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.limits.lanes import BURST_S, LaneLimits, fitting, pause_s


def test_a_lane_with_no_limit_is_not_limited() -> None:
    assert not LaneLimits("lane_a").is_limited
    for limits in ({"rpm": 1}, {"tpm": 1}, {"in_flight": 1}):
        assert LaneLimits("lane_a", **limits).is_limited


def test_a_call_costs_its_share_of_a_minute() -> None:
    lane = LaneLimits("lane_a", rpm=120, tpm=60_000)
    assert lane.prices_s(500) == {"requests": 0.5, "tokens": 0.5}
    assert lane.prices_s(0) == {"requests": 0.5}
    assert lane.prices_s(500, workers=4) == {"requests": 2.0, "tokens": 2.0}


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_of_nothing_is_one_in_two_minutes(limit: int) -> None:
    assert LaneLimits("lane_a", rpm=limit).prices_s(0) == {"requests": 120.0}


@given(st.floats(0, 1000), st.floats(0.001, 1000))
def test_what_fits_is_within_the_burst_and_one_more_fits_after_the_wait(
    ahead_s: float, price_s: float
) -> None:
    fits, wait_s = fitting(ahead_s, price_s)
    capacity_s = max(BURST_S, price_s)
    assert fits == 0 or ahead_s + fits * price_s <= capacity_s + price_s * 1e-5
    assert fitting(max(0.0, ahead_s - wait_s), price_s)[0] >= fits + (wait_s <= ahead_s)


@given(st.floats(0, 10_000), st.floats(0, 1))
def test_a_pause_is_never_shorter_than_asked_for_and_little_longer(
    asked_s: float, jitter: float
) -> None:
    assert min(asked_s, 3600) <= pause_s(asked_s, jitter) <= min(asked_s, 3600) + 5
