"""How much the provider can take: a client that only writes requests and counts answers."""

import asyncio
import contextlib
import time

import uvloop

from tests.bench.prompts import prompt_of

_REQUEST = (
    "POST /flood/v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    "content-type: application/json\r\ncontent-length: {}\r\n\r\n{}"
)


class _Flood(asyncio.Protocol):
    """One connection with always one request under way."""

    answered = 0

    def __init__(self, request: bytes, answer_bytes: int) -> None:
        self._request = request
        self._answer_bytes = answer_bytes
        self._seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._seen += len(data)
        if self._seen >= self._answer_bytes:
            self._seen = 0
            _Flood.answered += 1
            self._transport.write(self._request)


def flood(port: int, answer_bytes: int, *, connections: int, seconds: float) -> float:
    """Answers a second over so many connections, after half a second to get going."""
    return uvloop.run(_flood(port, answer_bytes, connections, seconds))


async def _flood(port: int, answer_bytes: int, connections: int, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    body = '{"model":"bench-1","messages":[{"role":"user","content":"' + prompt_of(0) + '"}]}'
    request = _REQUEST.format(len(body), body).encode()
    made = [
        await loop.create_connection(lambda: _Flood(request, answer_bytes), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.sleep(0.5)
    before, began = _Flood.answered, time.monotonic()
    await asyncio.sleep(seconds)
    rate = (_Flood.answered - before) / (time.monotonic() - began)
    for transport, _ in made:
        with contextlib.suppress(OSError):
            transport.abort()
    return rate
