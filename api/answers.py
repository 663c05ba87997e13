"""Answers, and how routes are documented that answer with them."""

import re
from typing import Any
from urllib.parse import quote

import msgspec
from fastapi import Response

_ENCODER = msgspec.json.Encoder()
#: What a name keeps of a text: nothing that ends a header, leads out of a folder, or turns the
#: direction of what is read.
_UNSAFE = re.compile(r"[^\w.]+")
_STEM_CHARS_MAX = 80


def attachment(name: str | None, id_: str, ending: str) -> dict[str, str]:
    """The header by which a download is called something, in a user's words and with its id.

    Both forms of RFC 6266: letters of ASCII for every client, all of them for most. With the id
    behind it, no name is one that an operating system keeps for itself.
    """
    words = _UNSAFE.sub("-", name or "").strip("-._")[:_STEM_CHARS_MAX]
    ascii_words = _UNSAFE.sub("-", words.encode("ascii", "replace").decode()).strip("-._")
    plain, full = ("-".join(filter(None, (one, id_))) + ending for one in (ascii_words, words))
    said = f'attachment; filename="{plain}"'
    if plain != full:
        said += f"; filename*=UTF-8''{quote(full, safe='')}"
    return {"Content-Disposition": said}


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
