"""What one worker process is made of, and the order in which it comes up and goes down."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
import uvloop
from redis.asyncio import Redis

from app.limits.breaker import Breaker
from app.limits.governor import Governor
from app.limits.link import Link, connect
from app.pipeline.reconcile import policy_of
from app.pipeline.services import Services
from workers.courier import Courier
from workers.lease import Lease
from workers.pump import Pump

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class Runtime:
    """The worker's loop with its pump, and its lease; actors are handed this.

    The loop is ours, a daemon thread: a process that was told to end must never stay behind
    and go on working because a loop of somebody else's kept it.
    """

    def __init__(self, services: Services) -> None:
        self.services = services
        self._lease_store = services.store.apart()
        self.lease = Lease(self._lease_store, services.settings.lease_s)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loop", daemon=True)
        self._pump: Pump | None = None
        self._client: Redis | None = None
        self._courier = Courier(services)

    def start(self) -> None:
        """Register the worker and begin to dispatch."""
        self.lease.start()
        self._thread.start()
        self._run(self._start_pump())
        self._courier.start()

    def wake_pump(self) -> None:
        """There may be calls to send."""
        if self._pump is not None:
            self._pump.wake()

    def wake_courier(self) -> None:
        """There may be events to deliver."""
        self._courier.wake()

    def stop(self, grace_s: float) -> None:
        """Stop claiming, let calls in flight finish, give the rest back, end the lease."""
        if self._pump is not None:
            given_back = self._run(self._pump.stop(grace_s))
            log.info("pump_stopped", given_back=given_back)
        self._courier.stop()
        self.lease.stop()
        if self._lease_store is not self.services.store:
            self._lease_store.close()
        if self._client is not None:
            self._run(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=1)

    async def _start_pump(self) -> None:
        self._client = connect(self.services.settings.broker_url)
        link, worker_id = Link(self._client), self.lease.worker_id
        self._pump = Pump(
            self.services,
            self.lease,
            Governor(link, worker_id, workers=self.services.settings.worker_processes),
            Breaker(link, worker_id),
            policy_of(self.services),
        )
        self._pump.start()

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
