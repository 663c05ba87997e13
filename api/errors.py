"""Errors as they are on the wire: one table of statuses, and one shape for all of them."""

from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.domain import errors
from app.domain.redact import redact

MESSAGE_CHARS_MAX = 1000
PARAM_CHARS_MAX = 200


class MalformedBodyError(errors.InvalidRequestError):
    """The body is not JSON."""


class EncodedBodyError(errors.InvalidRequestError):
    """A body with a Content-Encoding is not read; send it as it is."""


#: The status of each class of error, or of its nearest ancestor here. What is not here is ours.
STATUSES: dict[type[BaseException], HTTPStatus] = {
    MalformedBodyError: HTTPStatus.BAD_REQUEST,
    EncodedBodyError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    errors.ForbiddenError: HTTPStatus.FORBIDDEN,
    errors.QuotaError: HTTPStatus.FORBIDDEN,
    errors.NotFoundError: HTTPStatus.NOT_FOUND,
    errors.ConflictError: HTTPStatus.CONFLICT,
    errors.InsufficientCreditsError: HTTPStatus.PAYMENT_REQUIRED,
    errors.TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.RateLimitedError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.RejectedError: HTTPStatus.UNPROCESSABLE_ENTITY,
}
_FRAMEWORK_TYPES = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
}


class ErrorDetail(msgspec.Struct, frozen=True):
    """What was wrong: one machine-readable word, words for a person, and which field."""

    type: str
    message: str
    param: str | None
    request_id: str


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The body of every answer that is an error."""

    error: ErrorDetail


def install(app: FastAPI) -> None:
    """Answer every expected error in this shape; the middleware answers the unexpected."""
    app.add_exception_handler(errors.RejectedError, _on_rejected)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_framework)


def status_of(error: BaseException) -> HTTPStatus:
    """The status that an error is answered with."""
    found = (STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    return next(found, HTTPStatus.INTERNAL_SERVER_ERROR)


def request_id_of(request: Request) -> str:
    """The id of the request, which every answer to it bears."""
    return str(request.scope.get("request_id", ""))


def error_answer(
    status: int, detail: ErrorDetail, headers: dict[str, str] | None = None
) -> Response:
    """An answer that is an error."""
    body = msgspec.json.encode(ErrorAnswer(detail))
    return Response(body, status, headers, media_type="application/json")


def unexpected_answer(request_id: str) -> Response:
    """What is said of a fault of ours: nothing but where to find it in the log."""
    message = "something went wrong here; the log knows more, by the request_id"
    return error_answer(500, ErrorDetail("internal", message, None, request_id))


async def _on_rejected(request: Request, error: Exception) -> Response:
    headers = {}
    if isinstance(error, errors.UnauthorizedError):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.UnavailableError | errors.RateLimitedError):
        headers["Retry-After"] = str(error.retry_after_s)
    kind = getattr(error, "type", "invalid_request")
    detail = _detail(request, kind, str(error), getattr(error, "param", None))
    if str(error) == type(error).__doc__:
        # Our own words, which may say what a key looks like.
        detail = msgspec.structs.replace(detail, message=str(error))
    return error_answer(status_of(error), detail, headers)


async def _on_invalid(request: Request, error: Exception) -> Response:
    """A query or path that FastAPI refused; what was sent is not repeated."""
    problems = error.errors() if isinstance(error, RequestValidationError) else ()
    first: dict[str, Any] = dict(problems[0]) if problems else {"loc": (), "msg": str(error)}
    param = ".".join(str(part) for part in first["loc"][1:]) or None
    said = "is not a parameter of this route"
    if first.get("type") != "extra_forbidden":
        said = first["msg"][:1].lower() + first["msg"][1:]
    message = f"{param}: {said}" if param else said
    detail = _detail(request, "invalid_request", message, param)
    return error_answer(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


async def _on_framework(request: Request, error: Exception) -> Response:
    """No such route, a method it does not have, and the like."""
    status = int(getattr(error, "status_code", 500))
    headers = dict(getattr(error, "headers", None) or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _methods_at(request)
    message = {
        404: "there is no such route; GET /docs lists them",
        405: f"{request.method} is not possible here; allowed: {headers.get('Allow')}",
    }.get(status, str(getattr(error, "detail", "")))
    kind = _FRAMEWORK_TYPES.get(HTTPStatus(status), "invalid_request")
    return error_answer(status, _detail(request, kind, message, None), headers)


def _methods_at(request: Request) -> str:
    """Every method of a path: the framework knows but those of the first route that has it."""
    path = getattr(request.scope.get("route"), "path", "")
    described = request.app.openapi()["paths"].get(path, {"get": None})
    return ", ".join(sorted(method.upper() for method in described))


def _detail(request: Request, kind: str, message: str, param: str | None) -> ErrorDetail:
    return ErrorDetail(
        type=kind,
        message=_shown(message, MESSAGE_CHARS_MAX),
        param=None if param is None else _shown(param, PARAM_CHARS_MAX),
        request_id=request_id_of(request),
    )


def _shown(text: str, chars_max: int) -> str:
    """What a client named may be long, or look like a key."""
    return redact(text)[:chars_max].encode("utf-8", "replace").decode()
