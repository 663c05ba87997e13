"""What Google's errors mean, in the shape of google.rpc.Status."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.errors import (
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.prompt import Message, Params
from app.domain.wire import Response
from app.providers import google_answer
from app.providers.base import CallInput, Credential
from app.providers.google import GenerateContent

CALL = CallInput("call_1", "gemini-3.5-flash", [Message("user", "x")], Params())


def read(body: Any, status: int, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = Response(status, named, json.dumps(body).encode())
    GenerateContent("google").read(response, CALL, Credential("google"))


QUOTA = "type.googleapis.com/google.rpc.QuotaFailure"
MINUTE = {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaValue": "10"}
DAY = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "250"}
NONE = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "0"}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}


def failure(
    status: int, word: str, *details: Any, message: str = "x", **headers: str
) -> ProviderError:
    error = {"code": status, "message": message, "status": word, "details": list(details)}
    with pytest.raises(ProviderError) as caught:
        read({"error": error}, status, **headers)
    return caught.value


def violated(*violations: Any) -> dict[str, Any]:
    return {"@type": QUOTA, "violations": list(violations)}


def because(reason: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}


@pytest.mark.parametrize(
    ("status", "word", "details", "kind", "reason"),
    [
        (400, "INVALID_ARGUMENT", [], ProviderRefusedError, "bad_request"),
        (400, "INVALID_ARGUMENT", [because("API_KEY_INVALID")], ProviderKeyRefusedError, "unauthorized"),
        (400, "FAILED_PRECONDITION", [], ProviderKeyRefusedError, "billing"),
        (403, "PERMISSION_DENIED", [], ProviderKeyRefusedError, "forbidden"),
        (403, "PERMISSION_DENIED", [because("SERVICE_DISABLED")], ProviderKeyRefusedError, "forbidden"),
        (403, "PERMISSION_DENIED", [because("BILLING_DISABLED")], ProviderKeyRefusedError, "billing"),
        (404, "NOT_FOUND", [], ProviderRefusedError, "not_found"),
        (429, "RESOURCE_EXHAUSTED", [], ProviderRateLimitedError, "rate_limited"),
        (429, "RESOURCE_EXHAUSTED", [violated(MINUTE), RETRY], ProviderRateLimitedError, "rate_limited"),
        (429, "RESOURCE_EXHAUSTED", [violated(MINUTE, DAY), RETRY], ProviderRateLimitedError, "quota_exhausted"),
        (429, "RESOURCE_EXHAUSTED", [violated(NONE), RETRY], ProviderRefusedError, "no_quota"),
        (499, "CANCELLED", [], ProviderUnavailableError, "cancelled"),
        (500, "INTERNAL", [], ProviderUnavailableError, "server_error"),
        (503, "UNAVAILABLE", [], ProviderUnavailableError, "overloaded"),
        (504, "DEADLINE_EXCEEDED", [], ProviderUnavailableError, "gateway_timeout"),
    ],
)  # fmt: skip
def test_p3_p4_each_error_has_its_own_reason_and_class(
    status: int, word: str, details: list[Any], kind: type[ProviderError], reason: str
) -> None:
    error = failure(status, word, *details)
    assert (type(error), error.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("message", "kind", "reason"),
    [
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            ProviderRefusedError,
            "context_exceeded",
        ),
        (
            "Your project has exceeded its monthly spending cap.",
            ProviderKeyRefusedError,
            "spend_limit",
        ),
        ("API key not valid. Please pass one.", ProviderKeyRefusedError, "unauthorized"),
    ],
)
def test_p3_what_it_only_says_in_words_is_understood(
    message: str, kind: type[ProviderError], reason: str
) -> None:
    error = failure(400, "INVALID_ARGUMENT", message=message)
    assert (type(error), error.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("details", "headers", "wait_s"),
    [
        ([violated(MINUTE), RETRY], {}, 34.5),
        ([RETRY], {"retry_after": "7"}, 7),
        ([{"retryDelay": "3s"}, RETRY], {}, 34.5),
        ([{"retryDelay": "9999999s"}], {}, 86_400),
        ([{"retryDelay": "-3s"}], {}, None),
        ([{"retryDelay": "soon"}], {}, None),
        ([{"retryDelay": None}, {"violations": "x"}, {"violations": ["x"]}], {}, None),
    ],
)
def test_p2_the_wait_is_the_bodys_where_the_headers_name_none(
    details: list[Any], headers: dict[str, str], wait_s: float | None
) -> None:
    error = failure(429, "RESOURCE_EXHAUSTED", *details, **headers)
    assert isinstance(error, ProviderRateLimitedError)
    assert error.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("hour", "minute", "wait_s"),
    [(7, 59, 60), (8, 0, 86_400), (20, 0, 43_200)],
)
def test_p2_a_days_quota_is_waited_for_until_the_next_day_in_california(
    monkeypatch: pytest.MonkeyPatch, hour: int, minute: int, wait_s: float
) -> None:
    now = datetime(2026, 6, 1, hour, minute, tzinfo=UTC)
    monkeypatch.setattr(google_answer, "utc_now", lambda: now)
    error = failure(429, "RESOURCE_EXHAUSTED", violated(DAY), RETRY)
    assert isinstance(error, ProviderRateLimitedError)
    assert error.retry_after_s == wait_s


def test_p3_an_error_may_come_in_a_list() -> None:
    body = [{"error": {"code": 400, "message": "API key not valid.", "status": "X"}}]
    with pytest.raises(ProviderKeyRefusedError):
        read(body, 400)
