"""What a vendor's error means for the engine."""

import pytest

from app.domain.errors import (
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.secret import Secret
from app.domain.wire import Response
from app.providers.base import Credential
from app.providers.failures import ErrorWords, failure_of

PLAIN_KEY = "plain-key-without-a-prefix"
CREDENTIAL = Credential("openai", secret=Secret(PLAIN_KEY))


def failure(status: int, *words: str, message: str = "", **headers: str) -> ProviderError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return failure_of(Response(status, named, b""), ErrorWords(message, words), CREDENTIAL)


@pytest.mark.parametrize(
    ("status", "words", "kind", "reason"),
    [
        (400, (), ProviderRefusedError, "bad_request"),
        (400, ("invalid_value", "invalid_request_error"), ProviderRefusedError, "bad_request"),
        (400, ("context_length_exceeded",), ProviderRefusedError, "context_exceeded"),
        (400, ("content_policy_violation",), ProviderRefusedError, "content_filter"),
        (400, ("invalid_api_key",), ProviderKeyRefusedError, "unauthorized"),
        (404, ("model_not_found",), ProviderRefusedError, "not_found"),
        (404, (), ProviderRefusedError, "not_found"),
        (405, (), ProviderRefusedError, "bad_request"),
        (413, (), ProviderRefusedError, "too_large"),
        (422, (), ProviderRefusedError, "bad_request"),
        (451, (), ProviderRefusedError, "bad_request"),
        (304, (), ProviderRefusedError, "redirect"),
        (308, (), ProviderRefusedError, "redirect"),
        (403, ("content_filter",), ProviderRefusedError, "content_filter"),
    ],
)
def test_p3_a_request_at_fault_is_never_sent_again(
    status: int, words: tuple[str, ...], kind: type[ProviderError], reason: str
) -> None:
    error = failure(status, *words)
    assert (type(error), error.reason, error.status_code) == (kind, reason, status)


@pytest.mark.parametrize(
    ("status", "words", "reason"),
    [
        (401, (), "unauthorized"),
        (401, ("invalid_api_key",), "unauthorized"),
        (402, (), "billing"),
        (403, (), "forbidden"),
        (403, ("model_not_found",), "forbidden"),
        (429, ("insufficient_quota", "insufficient_quota"), "quota_exhausted"),
        (429, ("billing_hard_limit_reached",), "quota_exhausted"),
    ],
)
def test_p3_a_refused_key_and_an_empty_account_are_the_keys_matter(
    status: int, words: tuple[str, ...], reason: str
) -> None:
    error = failure(status, *words)
    assert isinstance(error, ProviderKeyRefusedError)
    assert error.reason == reason


@pytest.mark.parametrize("status", [408, 409, 425, 500, 501, 502, 503, 504, 520, 524, 529, 599])
def test_p4_a_vendor_in_trouble_is_tried_again(status: int) -> None:
    error = failure(status, retry_after="7")
    assert isinstance(error, ProviderUnavailableError)
    assert error.retry_after_s == 7


def test_p4_without_a_wait_of_its_own_there_is_none() -> None:
    error = failure(503)
    assert isinstance(error, ProviderUnavailableError)
    assert (error.reason, error.retry_after_s) == ("overloaded", None)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [({"retry_after": "2"}, 2), ({"retry_after_ms": "250"}, 0.25), ({}, None)],
)
def test_p1_a_rate_limit_tells_how_long_to_wait(
    headers: dict[str, str], wait_s: float | None
) -> None:
    error = failure(429, "rate_limit_exceeded", "tokens", **headers)
    assert isinstance(error, ProviderRateLimitedError)
    assert error.retry_after_s == wait_s


@pytest.mark.parametrize(
    "message",
    [
        "Rate limit reached for gpt-4o in organization org-1 on requests per day (RPD): Limit 200.",
        "Rate limit reached for llama on tokens per day (TPD): Limit 100000, Used 99000.",
    ],
)
def test_p1_a_days_quota_that_is_told_in_a_sentence_is_one(message: str) -> None:
    error = failure(429, "rate_limit_exceeded", message=message, retry_after="432")
    assert isinstance(error, ProviderRateLimitedError)
    assert (error.reason, error.retry_after_s) == ("quota_exhausted", 432)


@pytest.mark.parametrize(("retry_after", "waits"), [("7200", True), ("5", False)])
def test_p1_a_spend_limit_that_says_when_it_is_over_is_waited_for(
    retry_after: str, *, waits: bool
) -> None:
    error = failure(429, "enforced_spend_limit_reached", retry_after=retry_after)
    expected = ProviderRateLimitedError if waits else ProviderKeyRefusedError
    assert (type(error), error.reason) == (expected, "spend_limit")


def test_p1_a_request_above_a_whole_minutes_limit_is_not_waited_for() -> None:
    message = (
        "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, "
        "Requested 48000. The input or output tokens must be reduced in order to run successfully."
    )
    error = failure(429, "rate_limit_exceeded", "tokens", message=message, retry_after="1")
    assert isinstance(error, ProviderRefusedError)
    assert error.reason == "too_large"


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens",
        "the request exceeds the available context size. try increasing the context size",
        "Prompt is longer than the context window of the model",
    ],
)
def test_p3_servers_that_only_say_so_in_words_are_understood(message: str) -> None:
    assert failure(400, message=message).reason == "context_exceeded"


def test_the_message_names_the_provider_and_the_status() -> None:
    assert failure(503, message="Try later").message == "openai answered 503: Try later"
    assert failure(503).message == "openai answered 503"


def test_the_message_is_one_line_and_not_long() -> None:
    message = failure(500, message="a\n\tb\r\n " + "x" * 100_000).message
    assert "a b x" in message
    assert len(message) == 500


@pytest.mark.parametrize("echoed", [PLAIN_KEY, "sk-other-0123456789", "Bearer abcdefgh"])
def test_k1_a_key_that_the_provider_repeats_is_masked(echoed: str) -> None:
    message = failure(401, message=f"Incorrect API key provided: {echoed}. Get one.").message
    assert echoed not in message
    assert "***" in message


def test_p13_the_message_is_sanitised() -> None:
    failure(500, message="a\0b\ud800").message.encode()


def test_the_providers_id_of_the_request_is_kept() -> None:
    assert failure(500, x_request_id="req_1").request_id == "req_1"
    assert failure(500, request_id="req_2").request_id == "req_2"
    assert failure(500).request_id is None
    assert failure(500, x_request_id="\udcff" * 1000).request_id == "\ufffd" * 128
