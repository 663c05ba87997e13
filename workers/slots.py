"""The in-flight limit of a process: how much of it is free, and when a claim is worth its price.

A claim takes a while, in which more calls land. So it asks for as many as will have a slot once it
is there, and a few milliseconds more, by how fast calls landed while the last ones were on their
way; else those slots stayed empty until the next claim. What has no slot yet is held (`flight`).
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: The part of the in-flight limit that only interactive batches may use, on top of it.
INTERACTIVE_RESERVE = 1 / 16
#: A turn waits this long for more slots to come free, so that claims have some size.
TOP_UP_S = 0.030
#: Or until a claim would find so many: this part of the limit, or this number.
_ENOUGH_PART, _ENOUGH_MOST = 6, 128
#: For so long is claimed ahead, so that there is something to send until the next claim is there.
AHEAD_S = 0.010
#: But no more than this part of the limit.
AHEAD_PART = 8
#: How much one more claim counts in what is expected of the next.
_LEARN = 0.25
#: Nothing is expected any more where nothing has landed for so long.
_QUIET_S = 0.05


class Slots:
    """Counts the calls that were claimed and have not landed.

    Args:
        limit: how many there may be, but for the interactive reserve.
        clock: seconds that only ever rise.
    """

    def __init__(self, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.reserve = max(1, int(limit * INTERACTIVE_RESERVE))
        self.taken = 0
        self._clock = clock
        self._enough = max(1, min(limit // _ENOUGH_PART, _ENOUGH_MOST))
        self._landings = 0
        # What lands while a claim is on its way, and in a second.
        self._meanwhile = self._rate = 0.0
        self._landed_at = -_QUIET_S
        self._wake_at = limit
        self._woken = asyncio.Event()
        self._is_hinted = False

    @property
    def free(self) -> int:
        """Slots free for anybody; negative while calls are held, or the reserve is in use."""
        return self.limit - self.taken

    @property
    def ahead(self) -> int:
        """For how many more than are free a claim may ask now."""
        if self._clock() - self._landed_at >= _QUIET_S:
            return 0
        return min(int(self._meanwhile + self._rate * AHEAD_S), self.limit // AHEAD_PART)

    def take(self, count: int) -> None:
        """So many calls were claimed."""
        self.taken += count

    def land(self) -> None:
        """One of them has landed."""
        self.taken -= 1
        self._landings += 1
        self._landed_at = self._clock()
        if self.taken <= self._wake_at:
            self._woken.set()

    def wake(self) -> None:
        """There is something to do whatever is free: whoever waits goes on at once."""
        self._is_hinted = True
        self._woken.set()

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """While a claim is on its way: what lands meanwhile is expected of the next, too."""
        before, began = self._landings, self._clock()
        yield
        landed, took_s = self._landings - before, self._clock() - began
        self._meanwhile += _LEARN * (landed - self._meanwhile)
        if took_s > 0:
            self._rate += _LEARN * (landed / took_s - self._rate)

    async def wait(self, until: float) -> None:
        """Wait until a claim would find a slot, and a moment more: a few at once are cheaper.

        With none at all, until a moment of the loop's clock: something may use the reserve.
        """
        loop = asyncio.get_running_loop()
        if await self.wait_for(1 - self.ahead, until):
            await self.wait_for(self._enough - self.ahead, loop.time() + TOP_UP_S)
        self._is_hinted = False

    async def wait_for(self, free: int, until: float) -> bool:
        """Whether so many are free, or somebody woke us, before a moment of the loop's clock."""
        self._wake_at = self.limit - free
        if self._is_hinted or self.taken <= self._wake_at:
            return True
        self._woken.clear()
        try:
            async with asyncio.timeout_at(until):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True
