"""A small HTTP server on loopback, in a thread of its own, that keeps a journal of what it saw.

It speaks HTTP by hand, so that it can also speak it wrongly: every reply is a coroutine that
writes to the socket what it likes.
"""

import asyncio
import hashlib
import ssl
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

HEADERS_MAX_BYTES = 1 << 20
START_MAX_S = 10.0
SETTLE_S = 0.01


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; of the authorization only a hash is kept."""

    method: str
    path: str
    headers: Mapping[str, str]
    authorization_sha256: str | None
    body: bytes
    at: float
    connection: int

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


Reply = Callable[[asyncio.StreamWriter, Seen], Awaitable[None]]


def sha256_of(text: str) -> str:
    """What the journal keeps of an authorization header."""
    return hashlib.sha256(text.encode()).hexdigest()


def respond(
    status: int = 200,
    body: bytes | str | Mapping[str, Any] = b"",
    headers: Mapping[str, str] | None = None,
    *,
    delay_s: float = 0.0,
) -> Reply:
    """A well-formed response, after a while."""
    data = _encoded(body)
    head = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
    raw = head_of(status, head) + data

    async def reply(writer: asyncio.StreamWriter, _seen: Seen) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        writer.write(raw)

    return reply


def head_of(status: int, headers: Mapping[str, str]) -> bytes:
    """A status line and headers."""
    lines = [
        f"HTTP/1.1 {status} Whatever",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _encoded(body: bytes | str | Mapping[str, Any]) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else msgspec.json.encode(body)


@dataclass
class FakeServer:
    """`with FakeServer() as server:` serves on a free port of 127.0.0.1 until the block ends."""

    default: Reply = field(default_factory=respond)
    tls: ssl.SSLContext | None = None
    journal: list[Seen] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._replies: deque[Reply] = deque()
        self._talks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="fake-server", daemon=True)
        self._failure: BaseException | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def reply_with(self, *replies: Reply) -> None:
        """Give these replies to the next requests, one each, before the default again."""
        self._replies.extend(replies)

    def reply_always(self, reply: Reply) -> None:
        """Give this reply to every request from now on."""
        self._replies.clear()
        self.default = reply

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(START_MAX_S) or self._failure is not None:
            raise RuntimeError("the fake server did not start") from self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_MAX_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 - told to the thread that started us
            self._failure = error
            self._ready.set()
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(
            self._talk, "127.0.0.1", 0, ssl=self.tls, limit=HEADERS_MAX_BYTES, backlog=2048
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        # A connection that is being accepted while its server closes would never be closed.
        await asyncio.sleep(SETTLE_S)
        server.close()
        talks = list(self._talks)
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(SETTLE_S)  # sockets close a tick later

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            while not writer.is_closing():
                seen = await self._read(reader, number)
                self.journal.append(seen)
                reply = self._replies.popleft() if self._replies else self.default
                await reply(writer, seen)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._talks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Seen:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, path, _version = first.split(" ")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        authorization = headers.pop("authorization", None)
        return Seen(
            method=method,
            path=path,
            headers=headers,
            authorization_sha256=sha256_of(authorization) if authorization else None,
            body=body,
            at=time.time(),
            connection=number,
        )
