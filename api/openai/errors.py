"""Errors in OpenAI's shape, on every path of its surface.

The shape and the words are those of openai-python 3.54.0: `openai._exceptions.APIError` reads
`message`, `type`, `param` and `code`, and the status decides the class that a caller catches.
"""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from api.errors import EncodedBodyError, ErrorDetail, Facade
from app.domain import errors
from app.reports.openai_answers import Failure

PREFIX = "/openai/"

#: Our words as OpenAI's codes, where it has one.
_CODES = {
    "unauthorized": "invalid_api_key",
    "forbidden": "insufficient_permissions",
    "insufficient_credits": "insufficient_quota",
    "rate_limited": "rate_limit_exceeded",
    "invalid_request": None,
    "internal": None,
}
_TYPES = {
    "insufficient_credits": "insufficient_quota",
    "rate_limited": "rate_limit_exceeded",
}
_SERVER_ERRORS = 500


class OpenAIErrorDetail(msgspec.Struct, frozen=True):
    """What was wrong, in OpenAI's fields."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(msgspec.Struct, frozen=True):
    """The body of every answer of this surface that is an error."""

    error: OpenAIErrorDetail


def error_of(status: int, kind: str, message: str, param: str | None = None) -> OpenAIErrorDetail:
    """An error, from a status and one of our own words for what it is."""
    fault = "server_error" if status >= _SERVER_ERRORS else "invalid_request_error"
    return OpenAIErrorDetail(message, _TYPES.get(kind, fault), param, _CODES.get(kind, kind))


#: What a provider answers a bad request with, and we hand on as it is. Of its other refusals,
#: those of its key and of its service, the fault is not the client's.
_HANDED_ON = frozenset({400, 404, 409, 413, 415, 422, 429})
_BAD_GATEWAY = 502


def failure_answer(failure: Failure) -> tuple[int, OpenAIErrorDetail]:
    """What a question that has no answer is answered with: a status, and the error."""
    told = failure.status_code or 0
    status = _BY_REASON.get(failure.reason)
    if status is None:
        status = told if told in _HANDED_ON or told >= _SERVER_ERRORS else _BAD_GATEWAY
    kind = "rate_limited" if status == HTTPStatus.TOO_MANY_REQUESTS else failure.reason
    return status, error_of(status, kind, failure.message)


_BY_REASON = {"timeout": 504, "rate_limited": 429}


def _encode(status: int, detail: ErrorDetail) -> bytes:
    error = error_of(status, detail.type, detail.message, detail.param)
    return msgspec.json.encode(OpenAIError(error))


def _headers(kind: str) -> Mapping[str, str]:
    """Asking again mends no empty account: the official client obeys this header."""
    return {"x-should-retry": "false"} if kind == "insufficient_credits" else {}


FACADE = Facade(
    PREFIX,
    {
        errors.InvalidRequestError: HTTPStatus.BAD_REQUEST,
        errors.RejectedError: HTTPStatus.BAD_REQUEST,
        errors.InsufficientCreditsError: HTTPStatus.TOO_MANY_REQUESTS,
        EncodedBodyError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    },
    _encode,
    _headers,
)
