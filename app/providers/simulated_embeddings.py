"""Simulated embeddings: vectors that are the same for the same text, and mean nothing."""

import base64
import hashlib
import math
import struct
from typing import Annotated, Any, Literal

import msgspec

from app.domain.money import ceil_div
from app.domain.wire import Response
from app.providers.reading import BYTES_PER_TOKEN

_DIMENSIONS = 16


class _Asked(msgspec.Struct, frozen=True):
    model: str
    input: list[str]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=4096)] = _DIMENSIONS
    encoding_format: Literal["float", "base64"] = "float"


def embed(body: bytes) -> Response:
    """The answer to a request for embeddings."""
    headers = {"content-type": "application/json"}
    try:
        asked = msgspec.json.decode(body, type=_Asked)
    except msgspec.DecodeError as error:
        problem = {"error": {"message": f"simulated cannot read this request: {error}"}}
        return Response(400, headers, msgspec.json.encode(problem))
    data = [
        {"object": "embedding", "index": place, "embedding": _written(asked, _vector(asked, text))}
        for place, text in enumerate(asked.input)
    ]
    tokens = sum(ceil_div(len(text.encode()), BYTES_PER_TOKEN) for text in asked.input)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    answer = {"object": "list", "data": data, "model": asked.model, "usage": usage}
    return Response(200, headers, msgspec.json.encode(answer))


def _vector(asked: _Asked, text: str) -> list[float]:
    """A vector of length one, drawn from the model and the text."""
    seed = hashlib.shake_256(f"{asked.model}\n{text}".encode()).digest(asked.dimensions * 2)
    numbers = [one - 32768 for one in struct.unpack(f"<{asked.dimensions}H", seed)]
    length = math.hypot(*numbers) or 1.0
    return [one / length for one in numbers]


def _written(asked: _Asked, vector: list[float]) -> Any:
    if asked.encoding_format == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
