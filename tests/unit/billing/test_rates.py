"""Costs are exact integers, rounded up once, and never earn anybody a credit."""

from decimal import Decimal
from timeit import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.billing.rates import COST_NANOS_MAX, Band, ListedPrice, Price, Rates, rate_of
from app.domain.completion import Usage

FLAT = Price(
    [Band(0, Rates(input=3_000_000, cache_read=300_000, cache_write=3_750_000,
                   output=15_000_000, reasoning=15_000_000))],
    worst_input=6_000_000,
    worst_output=15_000_000,
    version="test",
)  # fmt: skip
TIERED = Price(
    [
        Band(0, Rates(100_000, 10_000, 125_000, 500_000, 500_000)),
        Band(100_000, Rates(500_000, 50_000, 625_000, 2_500_000, 2_500_000)),
    ],
    worst_input=1_000_000,
    worst_output=2_500_000,
    version="test",
)
tokens = st.integers(0, 10_000_000)


@pytest.mark.parametrize(
    ("dollars", "micros"),
    [
        ("0.0375", 37_500),
        ("3", 3_000_000),
        ("0", 0),
        ("0.003625", 3_625),
        ("0.18000000000000002", 180_000),  # a price that was once a float
        ("0.13999999999999999", 140_000),
        ("0.0833333333333333", 83_334),  # rounded against the one who is billed by us
    ],
)
def test_a_price_is_stored_as_it_is_quoted(dollars: str, micros: int) -> None:
    assert rate_of(Decimal(dollars)) == micros


@pytest.mark.parametrize("dollars", ["-1", "-0.000001", "NaN", "Infinity", "-Infinity"])
def test_b9_a_price_that_makes_no_sense_is_refused(dollars: str) -> None:
    with pytest.raises(ValueError, match="price"):
        rate_of(Decimal(dollars))


def test_every_kind_of_token_is_paid_at_its_own_rate() -> None:
    # 600 fresh at $3, 300 cached at $0.30, 100 written at $3.75, 200 out at $15, per million.
    usage = Usage(
        input_tokens=1000, cache_read_tokens=300, cache_write_tokens=100, output_tokens=200
    )
    assert FLAT.cost_nanos(usage) == 1_800_000 + 90_000 + 375_000 + 3_000_000


def test_reasoning_is_inside_the_output_and_may_have_a_rate_of_its_own() -> None:
    price = Price(
        [Band(0, Rates(0, 0, 0, 8_000_000, 3_000_000))],
        worst_input=0,
        worst_output=8_000_000,
        version="test",
    )
    assert price.cost_nanos(Usage(output_tokens=100, reasoning_tokens=40)) == 480_000 + 120_000


def test_only_the_total_is_rounded_and_upwards() -> None:
    price = ListedPrice(input_micros=1, output_micros=1).as_price("test")  # a picodollar a token
    assert price.cost_nanos(Usage(input_tokens=500, output_tokens=499)) == 1
    assert price.cost_nanos(Usage(input_tokens=500, output_tokens=501)) == 2
    assert price.cost_nanos(Usage()) == 0


def test_b6_a_million_calls_at_150_nanodollars_cost_fifteen_cents_exactly() -> None:
    price = ListedPrice(input_micros=10_000, output_micros=20_000).as_price("test")
    usage = Usage(input_tokens=5, output_tokens=5)
    assert price.cost_nanos(usage) == 150
    assert sum(price.cost_nanos(usage) for _ in range(1_000_000)) == 150_000_000


@pytest.mark.parametrize(
    ("input_tokens", "nanos"),
    [
        (100_000, 100_000 * 100 + 10 * 500),  # up to the threshold: the base rates
        (100_001, 100_001 * 500 + 10 * 2_500),  # beyond it: the dear ones, for every token
        (0, 5_000),
    ],
)
def test_a_tier_is_a_cliff(input_tokens: int, nanos: int) -> None:
    assert TIERED.cost_nanos(Usage(input_tokens=input_tokens, output_tokens=10)) == nanos


def test_a_request_may_have_a_price_of_its_own() -> None:
    price = Price(
        [Band(0, Rates(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000))],
        worst_input=1_000_000,
        worst_output=1_000_000,
        version="test",
        request_nanos=12_000_000,
    )
    assert price.cost_nanos(Usage(input_tokens=1, output_tokens=1)) == 12_002_000
    assert price.worst_nanos(1, 1) == 12_002_000


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=9))
def test_the_worst_case_of_many_calls_bounds_them_all_together(
    sizes: list[tuple[int, int]],
) -> None:
    price = Price(
        [Band(0, Rates(1, 1, 1, 7, 7))],
        worst_input=1,
        worst_output=7,
        version="test",
        request_nanos=3,
    )
    inputs, outputs = (sum(column) for column in zip(*sizes, strict=True))
    each = [price.cost_nanos(Usage(input_tokens=one, output_tokens=two)) for one, two in sizes]
    together = price.worst_nanos(inputs, outputs, requests=len(sizes))
    assert sum(each) <= together <= sum(each) + len(sizes)


@given(st.builds(Usage, tokens, tokens, tokens, tokens, tokens))
def test_b9_no_usage_whatsoever_earns_a_credit(usage: Usage) -> None:
    negated = Usage(-usage.input_tokens, usage.cache_read_tokens, -usage.cache_write_tokens,
                    -usage.output_tokens, usage.reasoning_tokens)  # fmt: skip
    for price in (FLAT, TIERED):
        assert price.cost_nanos(usage) >= 0
        assert price.cost_nanos(negated) >= 0


def test_usage_beyond_belief_costs_no_more_than_the_largest_budget() -> None:
    assert FLAT.cost_nanos(Usage(input_tokens=10**18, output_tokens=10**18)) == COST_NANOS_MAX
    assert FLAT.worst_nanos(10**18, 10**18) == COST_NANOS_MAX


@given(tokens, st.floats(0, 1), st.floats(0, 1), tokens, st.floats(0, 1))
def test_within_its_bounds_no_call_costs_more_than_its_worst_case(
    input_tokens: int, read: float, written: float, output_tokens: int, reasoned: float
) -> None:
    cached = int(input_tokens * read)
    usage = Usage(
        input_tokens=input_tokens,
        cache_read_tokens=cached,
        cache_write_tokens=int((input_tokens - cached) * written),
        output_tokens=output_tokens,
        reasoning_tokens=int(output_tokens * reasoned),
    )
    for price in (FLAT, TIERED):
        assert price.cost_nanos(usage) <= price.worst_nanos(input_tokens, output_tokens)


def test_b9_a_listed_price_is_never_negative() -> None:
    with pytest.raises(ValueError, match="never negative"):
        ListedPrice(input_micros=-1, output_micros=1)


def test_a_cost_is_worked_out_in_microseconds() -> None:
    usage = Usage(input_tokens=1000, cache_read_tokens=300, output_tokens=200)
    rounds = 2000
    best_s = min(timeit(lambda: FLAT.cost_nanos(usage), number=rounds) for _ in range(20))
    assert best_s / rounds < 3e-6
