"""The courier: carries deliveries, many at a time, on a loop and a thread of its own.

Endpoints are strangers and may be slow; nothing else of the worker waits for them.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import structlog

from app.domain.errors import UnavailableError
from app.domain.wire import Sender
from app.pipeline.attempt import Answer, guarded_sender
from app.pipeline.deliver import Claim, attempt, claim_deliveries, record_answers
from app.pipeline.services import Services

log = structlog.get_logger(__name__)

AT_ONCE = 128
#: How long attempts may go on once the worker is told to end; what is left is made again.
_GRACE_S = 5.0
_PAUSE_S = 1.0
_T = TypeVar("_T")


class Courier:
    """Tries what is due whenever it is woken, until nothing is.

    Args:
        services: where deliveries are claimed and recorded.
        sender: what carries them; without, one that is guarded.
    """

    def __init__(self, services: Services, sender: Sender | None = None) -> None:
        self._services = services
        self._sender = sender
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name="courier", daemon=True)
        self._woken = asyncio.Event()
        self._stopping = False
        self._flying: dict[asyncio.Task[None], str] = {}
        self._landed: list[tuple[Claim, Answer]] = []

    def start(self) -> None:
        """Begin; whatever is due is found at once."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to deliver."""
        with suppress(RuntimeError):  # its loop is closed: it has ended
            self._loop.call_soon_threadsafe(self._woken.set)

    def stop(self) -> None:
        """Claim nothing more, and record what comes back soon."""
        self._stopping = True
        self.wake()
        self._thread.join(_GRACE_S + _PAUSE_S)

    def _main(self) -> None:
        self._loop.run_until_complete(self._run())
        self._loop.close()

    async def _run(self) -> None:
        sender = self._sender or guarded_sender(self._services.settings)
        try:
            while not self._stopping:
                self._woken.clear()
                if not await self._turn(sender):
                    await self._woken.wait()
            await self._settle()
        finally:
            await sender.close()

    async def _turn(self, sender: Sender) -> bool:
        """Record what came back and claim what is due; whether there was anything."""
        try:
            landed = await self._record()
            claims = await self._claim()
        except UnavailableError:
            log.warning("courier_postponed")
            await asyncio.sleep(_PAUSE_S)
            return True
        except Exception:
            log.exception("courier_failed")
            await asyncio.sleep(_PAUSE_S)
            return False
        for claim in claims:
            task = self._loop.create_task(self._carry(claim, sender))
            self._flying[task] = claim.account.id
            task.add_done_callback(self._flying.pop)
        return landed or bool(claims)

    async def _carry(self, claim: Claim, sender: Sender) -> None:
        try:
            answer = await attempt(self._services, claim, sender)
        except Exception as error:
            log.exception("delivery_failed_inside", delivery_id=claim.delivery.id)
            answer = Answer(error=f"internal error ({type(error).__name__})")
        self._landed.append((claim, answer))
        self._woken.set()

    async def _claim(self) -> list[Claim]:
        room = AT_ONCE - len(self._flying)
        if room <= 0:
            return []
        busy = Counter(self._flying.values())
        return await self._aside(lambda: claim_deliveries(self._services, room, busy))

    async def _record(self) -> bool:
        landed, self._landed = self._landed, []
        if not landed:
            return False
        try:
            await self._aside(lambda: record_answers(self._services, landed))
        except UnavailableError:
            self._landed = landed + self._landed
            raise
        return True

    async def _settle(self) -> None:
        if self._flying:
            await asyncio.wait(list(self._flying), timeout=_GRACE_S)
        left = list(self._flying)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        try:
            await self._record()
        except UnavailableError:
            log.warning("courier_left_deliveries", deliveries=len(self._landed))

    async def _aside(self, work: Callable[[], _T]) -> _T:
        """Do what blocks off the loop."""
        return await asyncio.to_thread(work)
