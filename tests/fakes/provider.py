"""A provider over HTTP: answers in OpenAI's shape, or misbehaves in every way we know of.

with FakeProvider() as provider:
    provider.reply_with(problem(429, headers={"retry-after": "2"}), answer("second try"))
    ...
    assert len(provider.journal) == 2
"""

import asyncio
import gzip
import zlib
from collections.abc import Mapping
from typing import Any

from tests.fakes.http import FakeServer, Reply, Seen, head_of, respond, sha256_of

__all__ = [
    "FakeProvider",
    "Seen",
    "answer",
    "answer_body",
    "bomb",
    "drip",
    "drop",
    "echo",
    "endless_body",
    "endless_headers",
    "gzipped",
    "hang",
    "problem",
    "raw",
    "redirect",
    "respond",
    "sha256_of",
    "wrong_length",
]

HANG_S = 3600.0
USAGE = {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}


def answer_body(
    text: str | None = "Paris.",
    *,
    model: str = "test-model",
    finish_reason: str | None = "stop",
    usage: Mapping[str, Any] | None = USAGE,
    **message: Any,
) -> dict[str, Any]:
    """A chat completion in OpenAI's shape."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None, **message},
        "logprobs": None,
        "finish_reason": finish_reason,
    }
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": model,
        "choices": [choice],
        "usage": usage,
        "service_tier": "default",
        "system_fingerprint": "fp_test",
    }


def answer(
    text: str | None = "Paris.",
    *,
    headers: Mapping[str, str] | None = None,
    delay_s: float = 0.0,
    **fields: Any,
) -> Reply:
    """A good answer."""
    return respond(200, answer_body(text, **fields), headers, delay_s=delay_s)


def echo(*, delay_s: float = 0.0) -> Reply:
    """A good answer that repeats what the last message asked, with usage counted from it."""

    async def reply(writer: asyncio.StreamWriter, seen: Seen) -> None:
        asked = seen.json
        content = asked["messages"][-1]["content"]
        text = f"echo: {content if isinstance(content, str) else 'parts'}"
        usage = {
            "prompt_tokens": max(1, len(seen.body) // 4),
            "completion_tokens": max(1, len(text) // 4),
        }
        body = answer_body(text, model=asked["model"], usage=usage)
        await respond(200, body, delay_s=delay_s)(writer, seen)

    return reply


def problem(
    status: int,
    code: str | None = None,
    message: str = "It went wrong.",
    *,
    headers: Mapping[str, str] | None = None,
    delay_s: float = 0.0,
) -> Reply:
    """An error in OpenAI's shape."""
    error = {"message": message, "type": "some_error", "param": None, "code": code}
    return respond(status, {"error": error}, headers, delay_s=delay_s)


def redirect(status: int, to: str) -> Reply:
    """A redirect."""
    return respond(status, b"", {"location": to})


def raw(data: bytes) -> Reply:
    """These bytes, and the connection closed."""

    async def reply(writer: asyncio.StreamWriter, _seen: Seen) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return reply


def drop(*, after: bytes = b"", abort: bool = False) -> Reply:
    """The connection ends after these bytes of an answer, politely or with a reset."""

    async def reply(writer: asyncio.StreamWriter, _seen: Seen) -> None:
        if after:
            writer.write(after)
            await writer.drain()
        if abort:
            writer.transport.abort()
        else:
            writer.close()

    return reply


def hang() -> Reply:
    """Nothing, for longer than any client waits."""

    async def reply(_writer: asyncio.StreamWriter, _seen: Seen) -> None:
        await asyncio.sleep(HANG_S)

    return reply


def drip(*, every_s: float = 0.05) -> Reply:
    """An answer that comes one byte at a time and never ends."""

    async def reply(writer: asyncio.StreamWriter, _seen: Seen) -> None:
        writer.write(head_of(200, {"content-type": "application/json", "content-length": "100000"}))
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(every_s)

    return reply


def gzipped(body: bytes) -> Reply:
    """A gzip-encoded answer, though nobody asked for one."""
    return respond(200, gzip.compress(body), {"content-encoding": "gzip"})


def bomb(decoded_bytes: int) -> Reply:
    """A small gzip that unpacks to so many bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    packed = b"".join(packer.compress(block) for _ in range(decoded_bytes >> 20)) + packer.flush()
    return respond(200, packed, {"content-encoding": "gzip"})


def endless_headers() -> Reply:
    """Headers that never end."""

    async def reply(writer: asyncio.StreamWriter, _seen: Seen) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        number = 0
        while not writer.is_closing():
            number += 1
            writer.write(b"x-%d: %s\r\n" % (number, b"y" * 1000))
            await writer.drain()

    return reply


def endless_body() -> Reply:
    """A chunked body that never ends."""

    async def reply(writer: asyncio.StreamWriter, _seen: Seen) -> None:
        writer.write(head_of(200, {"transfer-encoding": "chunked"}))
        block = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        while not writer.is_closing():
            writer.write(block)
            await writer.drain()

    return reply


def wrong_length(body: bytes, declared: int) -> Reply:
    """A body whose Content-Length is not its length; the connection is closed after it."""

    async def reply(writer: asyncio.StreamWriter, _seen: Seen) -> None:
        writer.write(head_of(200, {"content-length": str(declared)}) + body)
        await writer.drain()
        writer.close()

    return reply


class FakeProvider(FakeServer):
    """An OpenAI-compatible provider on loopback that echoes, unless told to reply otherwise."""

    def __init__(self, *, delay_s: float = 0.0, **options: Any) -> None:
        super().__init__(default=echo(delay_s=delay_s), **options)

    @property
    def url(self) -> str:
        """The base URL to set for a custom provider."""
        return f"{self.origin}/v1"
