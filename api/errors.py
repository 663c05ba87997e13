"""Errors as they are on the wire: one table of statuses, and one shape for all of them."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

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
    errors.GoneError: HTTPStatus.GONE,
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


class Facade(msgspec.Struct, frozen=True):
    """How the surface of another vendor says errors, on every path that begins with `prefix`.

    Attributes:
        prefix: what its paths begin with.
        statuses: where its statuses are not ours.
        encode: the body of an error of a status.
        headers: what an error of a status and type has beside our own headers.
    """

    prefix: str
    statuses: Mapping[type[BaseException], HTTPStatus]
    encode: Callable[[int, ErrorDetail], bytes]
    headers: Callable[[str], Mapping[str, str]] = lambda _: {}


_NATIVE = Facade("/", {}, lambda _, detail: msgspec.json.encode(ErrorAnswer(detail)))


def install(app: FastAPI, facades: Sequence[Facade] = ()) -> None:
    """Answer every expected error in this shape; the middleware answers the unexpected.

    Args:
        app: the application.
        facades: surfaces that say errors in a shape of their own.
    """
    app.state.facades = tuple(facades)
    app.add_exception_handler(errors.RejectedError, _on_rejected)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_framework)


def facade_of(scope: Scope) -> Facade:
    """The surface that a request is to."""
    path = scope.get("path", "")
    app = scope.get("app")
    facades = getattr(app.state, "facades", ()) if app is not None else ()
    return next((one for one in facades if path.startswith(one.prefix)), _NATIVE)


def status_of(
    error: BaseException, statuses: Mapping[type[BaseException], HTTPStatus] = STATUSES
) -> HTTPStatus:
    """The status that an error is answered with."""
    found = (statuses[kind] for kind in type(error).__mro__ if kind in statuses)
    return next(found, HTTPStatus.INTERNAL_SERVER_ERROR)


def request_id_of(request: Request) -> str:
    """The id of the request, which every answer to it bears."""
    return str(request.scope.get("request_id", ""))


def error_answer(
    scope: Scope, status: int, detail: ErrorDetail, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer that is an error, in the shape of the surface that the request is to."""
    facade = facade_of(scope)
    extra = {**(headers or {}), **facade.headers(detail.type)}
    return Response(facade.encode(status, detail), status, extra, media_type="application/json")


def unexpected_answer(scope: Scope, request_id: str) -> Response:
    """What is said of a fault of ours: nothing but where to find it in the log."""
    message = "something went wrong here; the log knows more, by the request_id"
    return error_answer(scope, 500, ErrorDetail("internal", message, None, request_id))


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
    statuses = {**STATUSES, **facade_of(request.scope).statuses}
    return error_answer(request.scope, status_of(error, statuses), detail, headers)


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
    statuses = {**STATUSES, **facade_of(request.scope).statuses}
    return error_answer(request.scope, statuses[errors.InvalidRequestError], detail)


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
    return error_answer(request.scope, status, _detail(request, kind, message, None), headers)


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
