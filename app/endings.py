"""Hearing which batches have no open job any more, for who waits for one. A hint, as all are."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.queue import DONE_CHANNEL

log = structlog.get_logger(__name__)

_RECONNECT_S = 1.0
_LISTEN_S = 5.0
_CONNECT_S = 2.0
#: What was heard before anybody asked for it is remembered for a while.
_REMEMBERED = 1024


class Endings:
    """What this process has heard, and who waits for it.

    Args:
        url: where the hints are published; without an answer from there nothing is ever heard.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._heard: deque[str] = deque(maxlen=_REMEMBERED)
        self._waiting: dict[str, list[asyncio.Event]] = defaultdict(list)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Endings"]:
        """Listen as long as the block lasts."""
        task = asyncio.create_task(self._listen(), name="endings")
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @contextmanager
    def expect(self, batch_id: str) -> Iterator[asyncio.Event]:
        """An event that is set once the batch is heard of, if it was not before."""
        event = asyncio.Event()
        if batch_id in self._heard:
            event.set()
        self._waiting[batch_id].append(event)
        try:
            yield event
        finally:
            self._waiting[batch_id].remove(event)
            if not self._waiting[batch_id]:
                del self._waiting[batch_id]

    def hear(self, batch_id: str) -> None:
        """Take one in."""
        self._heard.append(batch_id)
        for event in self._waiting.get(batch_id, ()):
            event.set()

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except (RedisError, OSError) as error:
                log.debug("broker_away", error=type(error).__name__)
            await asyncio.sleep(_RECONNECT_S)

    async def _listen_once(self) -> None:
        client = Redis.from_url(self._url, decode_responses=True, socket_connect_timeout=_CONNECT_S)
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(DONE_CHANNEL)
                while True:
                    message = await channel.get_message(timeout=_LISTEN_S)
                    if message is not None:
                        self.hear(str(message["data"]))
        finally:
            await client.aclose()
