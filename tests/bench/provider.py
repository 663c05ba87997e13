"""A mock provider that is never the bottleneck: `python -m tests.bench.provider`.

It speaks as much HTTP/1.1 and as much of OpenAI's chat completions as a client needs that keeps
its connections. Every answer is the same 592 bytes of JSON, and comes 0.2 s after its request:
answers that are due in the same millisecond share one timer. It keeps a journal, by the moments
of the monotonic clock, which all processes of a machine share.

    POST /<name>/v1/chat/completions   an answer, noted in <name>'s journal
    GET /<name>/journal                what was noted: see `Journal.dump`
    GET /<name>/count                  how many requests came, and how many were answered
    DELETE /<name>/journal             begin a new journal
"""

import argparse
import asyncio
import gc
import json
import math
import signal
import struct
import sys
from array import array
from collections import defaultdict
from time import monotonic

import uvloop

LATENCY_S = 0.2
ANSWER_BYTES = 592
TICK_S = 0.001
_HEAD = (
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    "x-request-id: req_0123456789abcdef\r\ncontent-length: {}\r\n\r\n"
)
_PATH_BYTES_MAX = 256


def make_answer(size: int = ANSWER_BYTES) -> bytes:
    """A chat completion as JSON, of so many bytes."""
    answer = {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion",
        "created": 1_780_000_000,
        "model": "bench-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 120,
            "completion_tokens": 48,
            "total_tokens": 168,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        "system_fingerprint": "fp_bench",
    }
    missing = size - len(json.dumps(answer, separators=(",", ":")))
    text = "An answer of the length that answers have. " * 16
    answer["choices"][0]["message"]["content"] = text[:missing]
    return json.dumps(answer, separators=(",", ":")).encode()


def respond(body: bytes) -> bytes:
    """A whole response with this body."""
    return _HEAD.format(len(body)).encode() + body


class Journal:
    """When requests came, and when their answers went out, in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self.arrived = array("d")
        self.answered = array("d")

    def count(self) -> bytes:
        """Two numbers as JSON."""
        return json.dumps([len(self.arrived), len(self.answered)]).encode()

    def dump(self) -> bytes:
        """How many came and how many were answered, then the moments; see `load`."""
        sizes = struct.pack("<qq", len(self.arrived), len(self.answered))
        return sizes + self.arrived.tobytes() + self.answered.tobytes()

    @classmethod
    def load(cls, dumped: bytes) -> "Journal":
        """A journal from what `dump` made of it."""
        journal, head = cls(), struct.calcsize("<qq")
        arrived, answered = struct.unpack("<qq", dumped[:head])
        moments = array("d", dumped[head:])
        journal.arrived, journal.answered = moments[:arrived], moments[arrived:]
        if len(journal.answered) != answered:
            raise ValueError("a part of the journal is missing")
        return journal


class Wheel:
    """Sends answers when they are due, all that are due in one millisecond by one timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, latency_s: float) -> None:
        self._loop = loop
        self._latency_s = latency_s
        self._slots: dict[int, list[tuple[asyncio.Transport, Journal]]] = {}
        self._answer = respond(make_answer())

    def add(self, transport: asyncio.Transport, journal: Journal) -> None:
        """Answer on this connection when the latency has passed, never before."""
        now = monotonic()
        journal.arrived.append(now)
        tick = math.ceil((now + self._latency_s) / TICK_S)
        slot = self._slots.get(tick)
        if slot is None:
            slot = self._slots[tick] = []
            self._loop.call_later(tick * TICK_S - now, self._turn, tick)
        slot.append((transport, journal))

    def _turn(self, tick: int) -> None:
        now = monotonic()
        if now < tick * TICK_S:  # timers are kept in whole milliseconds
            self._loop.call_later(TICK_S, self._turn, tick)
            return
        answer = self._answer
        for transport, journal in self._slots.pop(tick):
            transport.write(answer)
            journal.answered.append(now)


class Provider:
    """What all connections share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, latency_s: float) -> None:
        self.wheel = Wheel(loop, latency_s)
        self.journals: defaultdict[bytes, Journal] = defaultdict(Journal)

    def tell(self, method: bytes, name: bytes, what: bytes) -> bytes:
        """The answer to what is no chat completion."""
        journal = self.journals[name]
        if method == b"DELETE":
            self.journals[name] = Journal()
        return respond(journal.dump() if what == b"journal" else journal.count())


class Connection(asyncio.Protocol):
    """One kept connection: requests come one after the other, and are answered in turn."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Take every request that is whole."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        while data:
            end = _end_of_request(data)
            if end is None:
                self._rest = data
                return
            self._take(data[:_PATH_BYTES_MAX])
            data = data[end:]

    def _take(self, head: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        _, name, what = path.split(b"/", 2)
        if method == b"POST":
            self._provider.wheel.add(self._transport, self._provider.journals[name])
        else:
            self._transport.write(self._provider.tell(method, name, what))


def _end_of_request(data: bytes) -> int | None:
    """How many bytes the first request has; None if it is not all there."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    at = data.find(b"ontent-", 0, head)  # of Content-Length or Content-Type, in either case
    while at >= 0 and data[at + 7 : at + 13].lower() != b"length":
        at = data.find(b"ontent-", at + 7, head)
    if at < 0:
        return head + 4
    length = int(data[at + 14 : data.find(b"\r\n", at)])
    end = head + 4 + length
    return end if len(data) >= end else None


async def serve(port: int, latency_s: float) -> None:
    """Serve until the process is told to end; says its port on a line of its own."""
    loop = asyncio.get_running_loop()
    provider = Provider(loop, latency_s)
    server = await loop.create_server(lambda: Connection(provider), "127.0.0.1", port, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    gc.freeze()
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()


def main() -> None:
    """Parse the options and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=LATENCY_S)
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.latency))


if __name__ == "__main__":
    main()
