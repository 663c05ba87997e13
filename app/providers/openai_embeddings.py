"""OpenAI's Embeddings, the language of most who have some: texts go in, and vectors come out.

Facts are from openai-python's own types (3.54.0, `openai.types.create_embedding_response`). The
text of such a completion is the answer's `data`, as JSON.
"""

from typing import Any

import msgspec

from app.domain.completion import Completion, FinishReason, Usage
from app.domain.errors import MalformedCompletionError
from app.domain.wire import Response
from app.providers.base import CallInput
from app.providers.draft import Draft
from app.providers.failures import completion_by
from app.providers.reading import count_of, decode_json, estimate_input_tokens

PATH = "/embeddings"


def embeddings_body(call: CallInput) -> dict[str, Any]:
    """What is sent: every message is a text of its own."""
    texts = [message.text for message in call.messages]
    return {**(call.params.embed or {}), "model": call.model, "input": texts}


def embeddings_of(response: Response, call: CallInput) -> Completion:
    """The vectors in a successful response.

    Raises:
        MalformedCompletionError: there is not one for each text.
    """
    return completion_by(_read, _usage, response, call)


def _read(response: Response, call: CallInput) -> Completion:
    answer, is_mended = decode_json(response.body)
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list) or len(data) != len(call.messages):
        raise MalformedCompletionError(
            "the answer does not hold a vector for each text", reason="no_embeddings"
        )
    vectors = [_vector(one, place) for place, one in enumerate(data)]
    told = answer.get("usage")
    return Draft(
        text=msgspec.json.encode(vectors).decode(),
        finish_reason=FinishReason.STOP,
        usage=_usage(told, call, ""),
        usage_told=told,
        model=answer.get("model"),
        answer_id=answer.get("id"),
        is_mended=is_mended,
    ).completion(response)


def _usage(told: Any, call: CallInput, _said: str) -> Usage:
    """The tokens of the texts, as told or as estimated; a vector has none."""
    counted = count_of(told.get("prompt_tokens")) if isinstance(told, dict) else None
    return Usage(
        input_tokens=counted or estimate_input_tokens(call.messages), estimated=not counted
    )


def _vector(one: Any, place: int) -> dict[str, Any]:
    """A vector, as numbers or in base64, with the place of its text."""
    held = one.get("embedding") if isinstance(one, dict) else None
    if not isinstance(held, list | str) or not held:
        raise MalformedCompletionError("a vector is missing", reason="no_embeddings")
    index = count_of(one.get("index"))
    return {"object": "embedding", "index": place if index is None else index, "embedding": held}
