"""Errors in OpenAI's shape, on every path of its surface.

The shape and the words are those of openai-python 3.54.0: `openai._exceptions.APIError` reads
`message`, `type`, `param` and `code`, and the status decides the class that a caller catches.
"""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from api.errors import EncodedBodyError, ErrorDetail, Facade
from app.domain import errors

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
