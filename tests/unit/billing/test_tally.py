"""Tallies can be added up in any order, and keep their percentiles."""

import random

import pytest

from app.billing.tally import Tally, bucket_of


def of(latencies: list[int]) -> Tally:
    tally = Tally()
    tally.latencies.update(bucket_of(one) for one in latencies)
    return tally


@pytest.mark.parametrize("percent", [50, 95])
def test_percentiles_are_right_to_within_a_twentieth(percent: int) -> None:
    draw = random.Random(7)
    latencies = sorted(round(draw.lognormvariate(6, 1.2)) for _ in range(5000))
    exact = latencies[len(latencies) * percent // 100]
    found = of(latencies).latency_ms(percent)
    assert found is not None
    assert abs(found - exact) <= exact * 0.05 + 1


def test_the_sum_of_tallies_is_the_tally_of_all() -> None:
    one, two, both = of([1, 20, 300]), of([20, 4000]), of([1, 20, 300, 20, 4000])
    one.add(two)
    assert one.latencies == both.latencies


def test_nothing_has_no_percentile() -> None:
    assert Tally().latency_ms(50) is None
    assert of([0]).latency_ms(50) == 0
