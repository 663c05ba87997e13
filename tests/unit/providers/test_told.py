"""What headers say of limits, in every vendor's flavour, and how long a refusal is to be waited for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.told import ToldLimits, ToldRate
from app.providers.told import limits_told, reset_s, wait_told

DATE = "Wed, 25 Nov 2026 22:00:00 GMT"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("2m59.56s", 179.56),
        ("500ms", 0.5),
        ("1h2m3s", 3723),
        ("1m0.5s", 60.5),
        ("0s", 0),
        ("17", 17),
        ("0.25", 0.25),
        ("-3", 0),
        ("1e99", 86_400),
        ("9999h", 86_400),
        ("2026-11-25T22:00:34Z", 34),
        ("2026-11-25T23:00:00+01:00", 0),
        ("2026-11-25T21:59:00Z", 0),
    ],
)
def test_p2_a_reset_is_read_in_every_flavour_and_clamped(text: str, seconds: float) -> None:
    assert reset_s(text, DATE) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "soon", "s", "5x", "nan", "inf", "2026-11-25T22:00:34", "1s2m"]
)
def test_p2_a_reset_that_is_none_is_none(text: str) -> None:
    assert reset_s(text, DATE) is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_p2_no_header_is_more_than_can_be_read(text: str, sent: str) -> None:
    seconds = reset_s(text, sent)
    assert seconds is None or 0 <= seconds <= 86_400
    limits_told({"x-ratelimit-limit-requests": text, "x-ratelimit-reset-tokens": sent})


def test_openai_and_groq_tell_requests_and_tokens() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    told = limits_told(headers)
    assert told == ToldLimits(ToldRate(60, 59, 1.0), (ToldRate(150_000, 149_984, 360.0),))


def test_azure_tells_whole_seconds_and_not_every_field() -> None:
    headers = {"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "10"}
    assert limits_told(headers) == ToldLimits(ToldRate(None, 7, 10.0))


def test_anthropic_tells_moments_and_counts_tokens_in_several_ways() -> None:
    headers = {
        "date": DATE,
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-11-25T22:00:02Z",
        "anthropic-ratelimit-input-tokens-limit": "40000",
        "anthropic-ratelimit-input-tokens-remaining": "39000",
        "anthropic-ratelimit-input-tokens-reset": "2026-11-25T22:00:01Z",
        "anthropic-ratelimit-output-tokens-limit": "8000",
        "anthropic-ratelimit-output-tokens-remaining": "0",
        "anthropic-ratelimit-output-tokens-reset": "2026-11-25T22:01:00Z",
    }
    told = limits_told(headers)
    assert told is not None
    assert told.requests == ToldRate(50, 49, 2.0)
    assert told.tokens == (ToldRate(40_000, 39_000, 1.0), ToldRate(8_000, 0, 60.0))
    assert wait_told(headers) == 60.0


def test_an_answer_without_such_headers_tells_nothing() -> None:
    assert limits_told({"content-type": "application/json"}) is None
    assert wait_told({"content-type": "application/json"}) is None


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        ({"retry-after": "20", "x-ratelimit-reset-requests": "1s"}, 20),
        (
            {
                "retry-after": "2",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "7s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "12s",
            },
            12,
        ),
        (
            {
                "retry-after": "2",
                "x-ratelimit-remaining-requests": "14370",
                "x-ratelimit-reset-requests": "2m59.56s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "7.66s",
            },
            7.66,
        ),
        ({"retry-after": "30", "x-ratelimit-reset-requests": "garbage"}, 30),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
    ],
)
def test_p2_of_several_resets_the_largest_counts_and_retry_after_is_a_floor(
    headers: dict[str, str], wait_s: float
) -> None:
    assert wait_told(headers) == pytest.approx(wait_s)
