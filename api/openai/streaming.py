"""A completion as a stream: made when it is whole, for what it is made of ends at once.

Until then comments keep the connection alive. Shapes are those of openai-python 3.54.0
(`openai.types.chat.ChatCompletionChunk`); a comment is a line that begins with a colon.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from api.openai.errors import OpenAIError, failure_answer
from api.openai.waiting import Asked
from app.reports.openai_answers import Body, Failure

#: Proxies close what says nothing for a minute or less.
_ALIVE_S = 10.0
_PIECE_CHARS = 256
_ALIVE = b": waiting for the answer\n\n"
_DONE = b"data: [DONE]\n\n"


async def stream(asked: Asked, *, with_usage: bool) -> AsyncIterator[bytes]:
    """The events of a completion; one that failed ends with an event that says why."""
    waiting = asyncio.ensure_future(asked.answer())
    try:
        yield _ALIVE
        while not (await asyncio.wait({waiting}, timeout=_ALIVE_S))[0]:
            yield _ALIVE
        found = waiting.result()
    finally:
        waiting.cancel()
    if isinstance(found, Failure):
        _, detail = failure_answer(found)
        yield _event(OpenAIError(detail))
        return
    for chunk in chunks_of(found.body, with_usage=with_usage):
        yield _event(chunk)
    yield _DONE


def chunks_of(body: Body, *, with_usage: bool) -> Iterator[Body]:
    """A completion in pieces: the role, the text, the calls of tools, the end, the usage."""
    choice = body["choices"][0]
    message: Body = choice["message"]
    head = {name: body[name] for name in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"
    if with_usage:
        head["usage"] = None
    deltas: list[Body] = [{"role": "assistant", "content": ""}]
    for name in ("reasoning_content", "content", "refusal"):
        text = message.get(name) or ""
        deltas += [
            {name: text[start : start + _PIECE_CHARS]}
            for start in range(0, len(text), _PIECE_CHARS)
        ]
    if message.get("tool_calls"):
        calls = [{"index": n, **call} for n, call in enumerate(message["tool_calls"])]
        deltas.append({"tool_calls": calls})
    for delta in deltas:
        yield {**head, "choices": [_choice(delta, None)]}
    yield {
        **head,
        "choices": [_choice({}, choice["finish_reason"])],
        "overnight": body["overnight"],
    }
    if with_usage:
        yield {**head, "choices": [], "usage": body["usage"]}


def _choice(delta: Body, finish_reason: str | None) -> Body:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _event(data: Any) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"
