"""Nothing that looks like a key gets past the net."""

import pytest

from app.domain.redact import redact


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-CANARY0123456789",
        "Incorrect API key provided: sk-proj-********CANARY.",
        "key sk-ant-api03-CANARY_0123-xyz is wrong",
        "AIzaCANARY0123456789012345678901234567",
        "whsec_CANARY/0123456789+abc=",
        "ovn_CANARY0123456789_abcdef",
        "gsk_CANARY0123456789",
        "Authorization: Bearer CANARY.0123.456",
        "authorization: bearer CANARY-0123",
        "Authorization: Basic CANARY0123==",
        "https://example.com/v1?key=CANARY0123&x=1",
        "https://example.com/v1?api_key=CANARY0123",
        "api-key=CANARY0123",
        "token=CANARY0123 secret=CANARY password=CANARY",
    ],
)
def test_what_looks_like_a_key_is_masked(text: str) -> None:
    assert "CANARY" not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Rate limit reached for gpt-5.2 in organization org-1 on tokens per min (TPM): Limit 30000",
        "the task-based risk-free desk-top model",
        "keys=3, monkey=4",
        "no connection to api.openai.com: ConnectError",
        "",
    ],
)
def test_other_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_a_given_secret_is_masked_whatever_it_looks_like() -> None:
    assert redact("you sent hunter2! hunter2", ["hunter2"]) == "you sent ***! ***"


def test_what_is_too_short_to_be_a_secret_does_not_mask_half_the_text() -> None:
    assert redact("abcabc", ["a", ""]) == "abcabc"


def test_the_rest_of_a_url_stays_readable() -> None:
    assert redact("GET /v1?key=abc&page=2") == "GET /v1?key=***&page=2"
