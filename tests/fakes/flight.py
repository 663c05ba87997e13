"""A worker without its turns: what it is given it sends, learns from, and records."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from app.limits.breaker import Breaker
from app.limits.governor import Governor
from app.pipeline.outcomes import Finished
from app.pipeline.prepare import Prepared
from app.pipeline.record import record
from tests.fakes.engine import Engine
from tests.fakes.redis import FakeSharedServer
from workers.flight import Flight

_LANDED_S = 1.0


class _GoodLease:
    is_good = True


class _Written(list[Finished]):
    put = list.append


class FlyingWorker:
    """One of several workers that share a store and a server.

    Args:
        engine: whose calls are sent.
        server: where limits and breakers are shared.
        name: who this is.
        executor: where the store may be used.
    """

    def __init__(
        self, engine: Engine, server: FakeSharedServer, name: str, executor: Executor
    ) -> None:
        self._engine = engine
        self.governor = Governor(server.link(), name, clock=server.clock, jitter=lambda: 0.0)
        self.breaker = Breaker(server.link(), name, clock=server.clock)
        self._written = _Written()
        self.parked: list[str] = []
        self._flight = Flight(
            engine.services,
            _GoodLease(),  # type: ignore[arg-type]
            (self.governor, self.breaker),
            engine.policy,
            self._written,  # type: ignore[arg-type]
            executor,
        )
        self._flight.on_parked = self.parked.append

    async def send(self, calls: Sequence[Prepared]) -> None:
        """Send calls together, and wait until all have landed and are recorded."""
        self._flight.launch_all(calls)
        while len(self._flight):
            slots = self._flight.slots
            await slots.wait_for(slots.limit, asyncio.get_running_loop().time() + _LANDED_S)
        record(self._engine.services, self._written)
        self._written.clear()

    async def close(self) -> None:
        """Close every connection."""
        await self._flight.land_all(0)
