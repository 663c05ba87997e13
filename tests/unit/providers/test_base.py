"""The values adapters take, and the wait a provider asks for."""

import pickle
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.prompt import Params
from app.domain.secret import Secret
from app.providers.base import CallInput, Credential, parse_retry_after

CANARY = "sk-canary-0123456789"


def test_k12_a_credential_shows_no_secret() -> None:
    credential = Credential("openai", "https://api.example.com/v1", Secret(CANARY))
    assert CANARY not in repr(credential) + str(credential)
    with pytest.raises(TypeError):
        vars(credential)
    with pytest.raises(TypeError):
        pickle.dumps(credential)
    with pytest.raises(TypeError):
        asdict(credential)


def test_the_bound_the_engine_sets_comes_before_the_parameters_own() -> None:
    params = Params(max_tokens=100)
    assert CallInput("call_1", "m", [], params).output_tokens_max == 100
    assert CallInput("call_1", "m", [], params, max_tokens=50).output_tokens_max == 50
    assert CallInput("call_1", "m", [], Params()).output_tokens_max is None


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "1000000000"}, 86_400.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "-1"}, 0.0),
        ({"retry-after-ms": "1e400"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "9" * 5000}, None),
    ],
)
def test_p2_a_wait_is_read_or_clamped_or_ignored(
    headers: dict[str, str], wait_s: float | None
) -> None:
    assert parse_retry_after(headers) == wait_s


@pytest.mark.parametrize(
    ("when", "sent", "wait_s"),
    [
        ("Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:28:30 +0100", "Wed, 21 Oct 2015 06:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2065 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 86_400.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "", 0.0),  # long ago, by our own clock
        ("Wed, 99 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 -0000", "Wed, 21 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_p2_a_date_is_counted_from_the_providers_own_clock(
    when: str, sent: str, wait_s: float | None
) -> None:
    headers = {"retry-after": when} | ({"date": sent} if sent else {})
    assert parse_retry_after(headers) == wait_s


@given(st.text(), st.text(), st.text())
def test_p2_no_header_whatever_it_holds_is_an_error(ms: str, after: str, date: str) -> None:
    wait_s = parse_retry_after({"retry-after-ms": ms, "retry-after": after, "date": date})
    assert wait_s is None or 0 <= wait_s <= 86_400
