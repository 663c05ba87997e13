"""A Redis in memory that several workers share, that can go away, and that counts."""

from typing import Any

from fakeredis import FakeAsyncRedis, FakeServer

from app.limits.link import Link
from tests.fakes.clock import FakeClock


class FakeSharedServer:
    """One server for all links made here; its clock and theirs is the test's."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.runs = 0
        self.replies: list[Any] = []
        self._server = FakeServer()

    def client(self) -> FakeAsyncRedis:
        """A client of it."""
        return FakeAsyncRedis(server=self._server, decode_responses=True)

    def link(self) -> Link:
        """A worker's way to it."""
        return _CountingLink(self)

    def go_away(self) -> None:
        """Answer nobody."""
        self._server.connected = False

    def come_back(self) -> None:
        """Answer again, with all that was there."""
        self._server.connected = True


class _CountingLink(Link):
    def __init__(self, shared: FakeSharedServer) -> None:
        super().__init__(shared.client(), clock=shared.clock, server_clock=shared.clock.ms)
        self._shared = shared

    async def run(self, script: str, keys: Any, *args: Any) -> Any:
        self._shared.runs += 1
        reply = await super().run(script, keys, *args)
        self._shared.replies.append(reply)
        return reply
