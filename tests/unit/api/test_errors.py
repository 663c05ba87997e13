"""Every error has a status, and a shape that holds nothing it should not."""

import inspect

import msgspec
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from api import errors
from api.errors import STATUSES, MalformedBodyError, status_of
from app.domain import errors as domain
from app.domain.errors import InvalidRequestError, InvariantError, RejectedError, UnavailableError


def rejected() -> list[type[RejectedError]]:
    classes = [one for _, one in inspect.getmembers(domain, inspect.isclass)]
    return [one for one in classes if issubclass(one, RejectedError)]


@pytest.mark.parametrize("kind", rejected())
def test_every_rejection_has_a_status_of_its_own(kind: type[RejectedError]) -> None:
    assert kind in STATUSES


def test_an_error_takes_its_nearest_ancestors_status() -> None:
    assert status_of(MalformedBodyError()) == 400
    assert status_of(InvalidRequestError()) == 422
    assert status_of(InvariantError()) == 500
    assert status_of(ValueError()) == 500


async def answered(error: Exception) -> tuple[int, dict[str, str], dict[str, str]]:
    app = FastAPI()
    errors.install(app)
    kinds = [kind for kind in type(error).__mro__ if kind in app.exception_handlers]
    request = Request({"type": "http", "method": "GET", "headers": [], "request_id": "req_1"})
    answer = await app.exception_handlers[kinds[0]](request, error)
    return answer.status_code, dict(answer.headers), msgspec.json.decode(answer.body)["error"]


async def test_an_error_is_shown_in_one_shape() -> None:
    status, _, error = await answered(InvalidRequestError("mode: is required", param="mode"))
    assert status == 422
    assert error == {
        "type": "invalid_request",
        "message": "mode: is required",
        "param": "mode",
        "request_id": "req_1",
    }


async def test_what_a_client_named_is_cut_and_never_breaks_the_answer() -> None:
    _, _, error = await answered(
        InvalidRequestError("\ud800 sk-CANARY0123456789 " + "x" * 10_000, param="y" * 10_000)
    )
    assert "CANARY" not in error["message"]
    assert len(error["message"]) <= errors.MESSAGE_CHARS_MAX
    assert len(error["param"]) <= errors.PARAM_CHARS_MAX


async def test_who_is_asked_to_come_back_is_told_when() -> None:
    status, headers, error = await answered(UnavailableError(retry_after_s=7))
    assert (status, headers["retry-after"], error["type"]) == (503, "7", "unavailable")


async def test_who_is_not_known_is_told_how_to_be() -> None:
    status, headers, error = await answered(domain.UnauthorizedError())
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert "`Authorization: Bearer ovn_…`" in error["message"]
