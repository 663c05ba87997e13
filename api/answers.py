"""Answers, and how routes are documented that answer with them."""

from typing import Any

import msgspec
from fastapi import Response

_ENCODER = msgspec.json.Encoder()


def answer(view: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A view as JSON."""
    return Response(_ENCODER.encode(view), status, headers, media_type="application/json")


def answers(
    view: type | None, status: int = 200, *, also: int | None = None, body: str | None = None
) -> dict[str, Any]:
    """What a route's decorator is told of its answers, for the documentation.

    Args:
        view: what it answers with; None for nothing.
        status: the status of success.
        also: another status that it answers the same view with.
        body: the name of the schema of its body, which FastAPI does not see.
    """
    found: dict[str, Any] = {"description": "Done"}
    if view is not None:
        found["content"] = _json_of(view.__name__)
    problem = {"description": "An error", "content": _json_of("ErrorAnswer")}
    told: dict[str, Any] = {
        "status_code": status,
        "response_class": Response,
        "responses": {status: found, "4XX": problem, "5XX": problem},
    }
    if also is not None:
        told["responses"][also] = found
    if body is not None:
        told["openapi_extra"] = {"requestBody": {"required": True, "content": _json_of(body)}}
    return told


def _json_of(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
