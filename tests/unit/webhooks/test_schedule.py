"""Deliveries are tried for three days, later and later, and never sooner than asked."""

import pytest

from app.webhooks.schedule import ATTEMPTS_MAX, DELAYS_S, JITTER, RETRY_AFTER_MAX_S, next_delay_s

HOURS = 3600


def test_the_schedule_is_the_one_of_standard_webhooks() -> None:
    assert DELAYS_S == (
        0, 5, 300, 1800, 2 * HOURS, 5 * HOURS, 10 * HOURS, 14 * HOURS, 20 * HOURS, 24 * HOURS
    )  # fmt: skip
    assert 75 * HOURS < sum(DELAYS_S) < 76 * HOURS


@pytest.mark.parametrize("attempts", range(1, ATTEMPTS_MAX))
def test_w1_a_wait_is_the_schedules_and_a_little_more(attempts: int) -> None:
    delay_s = next_delay_s("dlv_1", attempts)
    assert delay_s is not None
    assert DELAYS_S[attempts] <= delay_s <= DELAYS_S[attempts] * (1 + JITTER)


@pytest.mark.parametrize("attempts", [ATTEMPTS_MAX, ATTEMPTS_MAX + 1])
def test_w6_there_is_a_last_attempt(attempts: int) -> None:
    assert next_delay_s("dlv_1", attempts) is None
    assert next_delay_s("dlv_1", attempts, retry_after_s=1) is None


def test_deliveries_that_failed_together_spread_out() -> None:
    waits = {next_delay_s(f"dlv_{number}", 2) for number in range(100)}
    assert len(waits) == 100


@pytest.mark.parametrize(
    ("asked_s", "at_least_s", "at_most_s"),
    [
        (None, 5, 5.5),
        (2, 5, 5.5),
        (60, 60, 66),
        (10**9, RETRY_AFTER_MAX_S, RETRY_AFTER_MAX_S * (1 + JITTER)),
    ],
)
def test_w5_what_the_endpoint_asks_for_is_a_floor_and_clamped(
    asked_s: float | None, at_least_s: float, at_most_s: float
) -> None:
    delay_s = next_delay_s("dlv_1", 1, asked_s)
    assert delay_s is not None
    assert at_least_s <= delay_s <= at_most_s
