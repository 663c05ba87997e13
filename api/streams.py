"""Answers that go on: how many an account may have open, and what keeps them alive."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from app.domain.errors import RateLimitedError, RejectedError, UnavailableError
from app.reports.snapshots import Snapshot

#: An account's streams in one process. A browser has six connections to a host.
STREAMS_MAX = 32
_FULL_RETRY_S = 10
LOOK_S = 1.0
#: Proxies close what says nothing for a minute or less.
ALIVE_S = 10.0
_RECONNECT_MS = 2000
_ALIVE = b": nothing new\n\n"


class Streams:
    """The open streams of this process, by account."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def open(self, account_id: str, events: AsyncIterator[bytes]) -> "EventStream":
        """An answer of these events.

        Raises:
            RateLimitedError: the account has as many open as it may.
        """
        if self._open[account_id] >= STREAMS_MAX:
            raise RateLimitedError(
                f"this account has {STREAMS_MAX} streams open here, and that is the most; "
                "close one, or poll",
                retry_after_s=_FULL_RETRY_S,
            )
        self._open[account_id] += 1
        return EventStream(events, lambda: self._end(account_id))

    def _end(self, account_id: str) -> None:
        self._open[account_id] -= 1
        if not self._open[account_id]:
            del self._open[account_id]


class EventStream(StreamingResponse):
    """Server-sent events; that it is over is told however it ends, though nothing was sent."""

    def __init__(self, events: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        # nginx would hold back what is to be seen at once.
        super().__init__(
            events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )
        self._ended = ended

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


async def snapshots(
    first: Snapshot,
    look: Callable[[], Snapshot | None],
    *,
    look_s: float = LOOK_S,
    alive_s: float = ALIVE_S,
) -> AsyncIterator[bytes]:
    """Snapshots as events, until the batch is closed, or not the client's to see any more.

    Between two looks it holds neither a thread nor a connection to the store.
    """
    yield b"retry: %d\n" % _RECONNECT_MS + event("batch", first.version, first.view)
    silent_s, found = 0.0, first
    while not found.is_last:
        await asyncio.sleep(look_s)
        silent_s += look_s
        try:
            seen = await run_in_threadpool(look)
        except UnavailableError:
            seen = None
        except RejectedError:
            return
        if seen is not None:
            found, silent_s = seen, 0.0
            yield event("batch", seen.version, seen.view)
        elif silent_s >= alive_s:
            silent_s = 0.0
            yield _ALIVE


def event(kind: str, id_: str, data: Any) -> bytes:
    """One event; JSON has no newline that would end it early."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        id_.encode(),
        kind.encode(),
        msgspec.json.encode(data),
    )
