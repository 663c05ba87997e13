"""Why nothing is sent, told to the store: it is shown to the client, and may end calls."""

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import Executor

from app.domain.plan import MIXED
from app.limits.lanes import Grant
from app.pipeline.backlog import Entry, hold, note_wait
from app.pipeline.closing import Waiting, close_waiting
from app.pipeline.services import Services

CIRCUIT_OPEN = "circuit_open"
#: A shorter wait is not worth a write.
_MOMENT_S = 2.0


class Waits:
    """Keeps the backlog's notes in step with what the pump may not send.

    Args:
        services: where the notes are.
        executor: where the store may be used.
    """

    def __init__(self, services: Services, executor: Executor) -> None:
        self._services = services
        self._executor = executor

    async def follow(
        self, entries: Collection[Entry], shut: Mapping[tuple[str, str], float]
    ) -> None:
        """Note what waits for a breaker; what no longer does is not noted any more."""
        for entry in entries:
            is_shut = (entry.lane_id, entry.model) in shut
            if is_shut and entry.mode in {"mesh", MIXED}:
                await self._run(self._skip, entry)
            if is_shut and not entry.noted:
                await self._run(self._note, entry, CIRCUIT_OPEN)
            elif entry.noted and not is_shut:
                await self._run(self._note, entry, None)

    async def hold(self, entry: Entry, grant: Grant) -> None:
        """Note a limit of the lane that lasts longer than a moment, which only the broker knows."""
        if grant.reason is not None and grant.wait_s >= _MOMENT_S:
            await self._run(hold, self._services.store, entry, grant.reason, grant.wait_s)

    async def _run(self, work: object, *args: object) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, work, *args)  # type: ignore[arg-type]

    def _note(self, entry: Entry, why: str | None) -> None:
        note_wait(self._services.store, entry, why, counts=why is not None)

    def _skip(self, entry: Entry) -> None:
        """A mesh does not wait for a model that fails: it goes on to the next."""
        waiting = Waiting(
            entry.lane_id,
            CIRCUIT_OPEN,
            "its breaker is open",
            model=entry.model,
            batch_id=entry.batch_id,
            only_fail_fast=True,
        )
        close_waiting(self._services, waiting)
