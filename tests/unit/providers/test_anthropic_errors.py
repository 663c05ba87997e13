"""What Anthropic's errors mean, in the shapes of its own client."""

import json
from typing import Any, get_args

import pytest
from anthropic.types import ErrorResponse
from anthropic.types.shared import error_type

from app.domain.errors import (
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.prompt import Message, Params
from app.domain.wire import Response
from app.providers.anthropic import AnthropicMessages
from app.providers.base import CallInput, Credential

CALL = CallInput("call_1", "claude-x", [Message("user", "x")], Params())


def read(body: Any, status: int, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = Response(status, named, json.dumps(body).encode())
    AnthropicMessages("anthropic").read(response, CALL, Credential("anthropic"))


def failure(status: int, kind: str, code: str | None = None, message: str = "x") -> ProviderError:
    error: dict[str, Any] = {"type": kind, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    body = {"type": "error", "error": error, "request_id": "req_body"}
    ErrorResponse.model_validate(body)
    with pytest.raises(ProviderError) as caught:
        read(body, status, request_id="req_1", retry_after="7")
    assert caught.value.request_id == "req_1"
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind", "code", "expected", "reason"),
    [
        (400, "invalid_request_error", None, ProviderRefusedError, "bad_request"),
        (400, "invalid_request_error", "image_dimensions_too_large", ProviderRefusedError, "too_large"),
        (400, "invalid_request_error", "organization_on_hold", ProviderKeyRefusedError, "forbidden"),
        (400, "invalid_request_error", "cmek_key_disabled", ProviderKeyRefusedError, "forbidden"),
        (401, "authentication_error", None, ProviderKeyRefusedError, "unauthorized"),
        (402, "billing_error", None, ProviderKeyRefusedError, "billing"),
        (402, "billing_error", "linked_organization_spend_limit_reached", ProviderKeyRefusedError, "billing"),
        (403, "permission_error", None, ProviderKeyRefusedError, "forbidden"),
        (404, "not_found_error", None, ProviderRefusedError, "not_found"),
        (413, "invalid_request_error", None, ProviderRefusedError, "too_large"),
        (429, "rate_limit_error", None, ProviderRateLimitedError, "rate_limited"),
        (429, "rate_limit_error", "ramp_limit_exceeded", ProviderRateLimitedError, "ramp_limit"),
        (429, "rate_limit_error", "enforced_spend_limit_reached", ProviderKeyRefusedError, "spend_limit"),
        (429, "rate_limit_error", "contract_spend_limit_reached", ProviderKeyRefusedError, "spend_limit"),
        (500, "api_error", None, ProviderUnavailableError, "server_error"),
        (503, "api_error", "cmek_key_unreachable", ProviderUnavailableError, "overloaded"),
        (504, "timeout_error", None, ProviderUnavailableError, "gateway_timeout"),
        (529, "overloaded_error", None, ProviderUnavailableError, "overloaded"),
    ],
)  # fmt: skip
def test_p3_p4_each_error_has_its_own_reason_and_class(
    status: int, kind: str, code: str | None, expected: type[ProviderError], reason: str
) -> None:
    error = failure(status, kind, code)
    assert (type(error), error.reason, error.status_code) == (expected, reason, status)
    if isinstance(error, ProviderRateLimitedError | ProviderUnavailableError):
        assert error.retry_after_s == 7


def test_every_type_of_error_that_their_client_knows_is_an_error() -> None:
    for kind in get_args(error_type.ErrorType):
        with pytest.raises(ProviderError):
            read({"type": "error", "error": {"type": kind, "message": "x"}}, 400)


@pytest.mark.parametrize(
    ("message", "expected", "reason"),
    [
        (
            "Your credit balance is too low to access the Anthropic API.",
            ProviderKeyRefusedError,
            "billing",
        ),
        (
            "prompt is too long: 210000 tokens > 200000 maximum",
            ProviderRefusedError,
            "context_exceeded",
        ),
        (
            "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000",
            ProviderRefusedError,
            "context_exceeded",
        ),
    ],
)
def test_p3_what_it_only_says_in_words_is_understood(
    message: str, expected: type[ProviderError], reason: str
) -> None:
    error = failure(400, "invalid_request_error", message=message)
    assert (type(error), error.reason) == (expected, reason)
