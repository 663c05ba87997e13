"""The grouped writer: finished attempts are written together, many to a transaction."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import structlog

from app.domain.errors import UnavailableError
from app.domain.states import AttemptState, CallState
from app.pipeline.outcomes import Finished

log = structlog.get_logger(__name__)

#: A group is written when its first row has waited this long, or when it is this large.
GROUP_WAIT_S = 0.1
GROUP_ROWS = 200
_RETRY_S = 0.5

Write = Callable[[Sequence[Finished]], object]


class Writer:
    """Collects finished attempts on the loop and hands groups of them to a thread.

    Args:
        write: writes one group in one transaction; called in `executor`, one group at a time.
        executor: where blocking is allowed.
    """

    def __init__(
        self,
        write: Write,
        executor: Executor,
    ) -> None:
        self._write = write
        self._executor = executor
        self._rows: list[Finished] = []
        self._writing: Sequence[Finished] = ()
        self._filled = asyncio.Event()
        self._full = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._put_at = self._writing_since = 0.0

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="writer")

    def put(self, finished: Finished) -> None:
        """Take one in; it is durable when its group is."""
        if not self._rows:
            self._put_at = time.monotonic()
        self._rows.append(finished)
        self._filled.set()
        if len(self._rows) >= GROUP_ROWS or finished.call.interactive:
            self._full.set()

    @property
    def unwritten(self) -> set[str]:
        """The calls whose end is not in the store yet."""
        return {one.call.id for one in (*self._rows, *self._writing)}

    @property
    def lag_s(self) -> float:
        """For how long the oldest of them has been waiting; safe from any thread."""
        if not self._writing and not self._rows:
            return 0.0
        return time.monotonic() - (self._writing_since if self._writing else self._put_at)

    async def close(self) -> None:
        """Write what is left, then end."""
        self._closing = True
        self._filled.set()
        self._full.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._rows or not self._closing:
            await self._filled.wait()
            if not self._closing and len(self._rows) < GROUP_ROWS:
                await self._wait_full()
            group, self._rows = self._rows[:GROUP_ROWS], self._rows[GROUP_ROWS:]
            if len(self._rows) < GROUP_ROWS and not self._closing:
                self._full.clear()
            if not self._rows and not self._closing:
                self._filled.clear()
            self._writing_since, self._put_at = self._put_at, time.monotonic()
            self._writing = group
            if group:
                await self._write_group(group)
            self._writing = ()

    async def _wait_full(self) -> None:
        try:
            async with asyncio.timeout(GROUP_WAIT_S):
                await self._full.wait()
        except TimeoutError:
            pass

    async def _write_group(self, group: Sequence[Finished]) -> None:
        """Write a group; a store that is away is waited for, a row that does not fit is isolated."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.run_in_executor(self._executor, self._write, group)
                break
            except UnavailableError:
                log.warning("writer_waits", rows=len(group))
                await asyncio.sleep(_RETRY_S)
            except Exception:
                log.exception("group_not_written", rows=len(group))
                await self._isolate(group)
                return

    async def _isolate(self, group: Sequence[Finished]) -> None:
        """One bad row must not take its group down: halve until it stands alone, then fail it."""
        if len(group) > 1:
            middle = len(group) // 2
            await self._write_group(group[:middle])
            await self._write_group(group[middle:])
            return
        if group[0].reason != _UNSTORABLE:
            await self._write_group([_unstorable(group[0])])


_UNSTORABLE = "unstorable"


def _unstorable(finished: Finished) -> Finished:
    return Finished(
        finished.call,
        AttemptState.FAILED,
        CallState.FAILED,
        latency_ms=finished.latency_ms,
        failed=1,
        reason=_UNSTORABLE,
        message="the store refused the provider's answer",
    )
