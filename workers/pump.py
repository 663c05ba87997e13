"""The pump: keeps a sliding window of calls in flight, topped up as they finish.

One loop for the process, with a table of what is due on all its lanes. Each turn picks fairly,
takes permits, claims what may be sent now, and sends it at once.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import structlog
from app.limits.breaker import Breaker
from app.limits.governor import Governor, LaneLimits

from app.domain.errors import (
    OutcomeUnknownError,
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    UnavailableError,
)
from app.pipeline.dispatch import Claim, Entry, Prepared, Room, claim, due_backlog, rest
from app.pipeline.outcomes import SUSPECT_CRASHES, Finished, Policy, given_back, unknown
from app.pipeline.park import park_lane
from app.pipeline.record import record
from app.pipeline.services import Services
from workers.carrier import Carrier
from workers.choose import INTERACTIVE_RESERVE, choose
from workers.lease import Lease
from workers.writer import Writer

log = structlog.get_logger(__name__)

#: How often the backlog is read though nobody hinted: what was queued is found at the latest then.
POLL_S = 1.0
#: A turn waits this long for more slots to come free, so that claims have some size.
TOP_UP_S = 0.008
_TOP_UP_PART = 32
_SUSPECT_WAIT_S = 1.0
_BUDGET_WAIT_S = 0.25
_STORE_WAIT_S = 0.5

Key = tuple[str, str, str]
_T = TypeVar("_T")


class Pump:
    """Claims and sends, within one in-flight limit for the process.

    Args:
        services: the store, and what opens credentials.
        lease: this worker's place; nothing is claimed or sent without a good one.
        governor: what each lane may send now.
        breaker: which models of which lanes are failing.
        policy: what follows from a failure.
    """

    def __init__(
        self,
        services: Services,
        lease: Lease,
        governor: Governor,
        breaker: Breaker,
        policy: Policy,
    ) -> None:
        self._services = services
        self._lease = lease
        self._governor = governor
        self._breaker = breaker
        self._policy = policy
        self._limit = services.settings.worker_in_flight
        self._reserve = max(1, int(self._limit * INTERACTIVE_RESERVE))
        # Claims and writes each have a thread, so that neither waits for the other's commit.
        self._claims: Executor = ThreadPoolExecutor(1, thread_name_prefix="claims")
        self._writes: Executor = ThreadPoolExecutor(1, thread_name_prefix="writes")
        self._carrier = Carrier(services, policy, self._claims)
        self._writer = Writer(partial(record, services), self._writes)
        self._entries: dict[Key, Entry] = {}
        self._not_before: dict[Key, float] = {}
        self._in_flight: dict[asyncio.Task[None], Prepared] = {}
        self._by_account: Counter[str] = Counter()
        self._by_entry: Counter[Key] = Counter()
        self._woken = asyncio.Event()
        self._freed = asyncio.Event()
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._read_at = -POLL_S

    # ---- seen from outside -------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Calls on their way."""
        return len(self._in_flight)

    def start(self) -> None:
        """Begin to turn."""
        self._writer.start()
        self._task = asyncio.create_task(self._run(), name="pump")

    def wake(self) -> None:
        """There may be something new; safe from any thread."""
        self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._read_at = -POLL_S
        self._woken.set()

    async def stop(self, grace_s: float) -> int:
        """Claim no more, let what is in flight finish, give the rest back; answers how many."""
        self._stopping = True
        self._woken.set()
        self._freed.set()
        if self._task is not None:
            await self._task
        if self._in_flight:
            await asyncio.wait(list(self._in_flight), timeout=grace_s)
        left = list(self._in_flight.items())
        for task, _ in left:
            task.cancel()
        if left:
            await asyncio.wait([task for task, _ in left], timeout=1)
        await self._writer.close()
        await self._carrier.close()
        return len(left)

    # ---- turning -----------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self._turn()
            except UnavailableError:
                await asyncio.sleep(_STORE_WAIT_S)
            except Exception:
                log.exception("pump_turn_failed")
                await asyncio.sleep(_STORE_WAIT_S)

    async def _turn(self) -> None:
        await self._wait_for_slots()
        if self._stopping or not self._lease.is_good:
            await asyncio.sleep(0 if self._stopping else _STORE_WAIT_S)
            return
        await self._read_backlog()
        claimed = 0
        for entry, wanted in await self._picks():
            claimed += await self._claim(entry, wanted)
        if claimed == 0:
            await self._idle()

    async def _wait_for_slots(self) -> None:
        enough = max(1, self._limit // _TOP_UP_PART)
        if self._limit - len(self._in_flight) >= enough:
            return
        self._freed.clear()
        try:
            async with asyncio.timeout(TOP_UP_S):
                while self._limit - len(self._in_flight) < enough and not self._stopping:
                    await self._freed.wait()
                    self._freed.clear()
        except TimeoutError:
            pass
        while self._limit + self._reserve <= len(self._in_flight) and not self._stopping:
            await self._freed.wait()
            self._freed.clear()

    async def _read_backlog(self) -> None:
        now = self._loop.time()
        if now - self._read_at < POLL_S:
            return
        self._read_at = now
        self._woken.clear()
        entries = await self._loop.run_in_executor(self._claims, due_backlog, self._services.store)
        self._entries = {entry.key: entry for entry in entries}
        self._not_before = {
            key: until for key, until in self._not_before.items() if until > self._loop.time()
        }

    async def _picks(self) -> Sequence[tuple[Entry, int]]:
        now = self._loop.time()
        ready = [
            entry for key, entry in self._entries.items() if self._not_before.get(key, 0.0) <= now
        ]
        if not ready:
            return ()
        shut = await self._breaker.open_models({entry.lane_id for entry in ready})
        ready = [entry for entry in ready if (entry.lane_id, entry.model) not in shut]
        free = self._limit - len(self._in_flight)
        return choose(ready, self._by_account, self._by_entry, free, self._reserve)

    async def _idle(self) -> None:
        """Nothing to claim: wait for a hint, a free slot or the next poll."""
        until = self._read_at + POLL_S
        soon = min((until, *self._not_before.values()))
        try:
            async with asyncio.timeout(max(0.001, soon - self._loop.time())):
                await self._woken.wait()
        except TimeoutError:
            pass

    # ---- claiming ----------------------------------------------------------------------

    async def _claim(self, entry: Entry, wanted: int) -> int:
        wanted = await self._trial(entry, wanted)
        limits = LaneLimits(entry.lane_id, entry.rpm, entry.tpm, entry.in_flight)
        grant = await self._governor.acquire(limits, wanted)
        if grant.granted == 0:
            self._rest(entry, grant.wait_s)
            return 0
        got = await self._loop.run_in_executor(
            self._claims, claim, self._services, self._lease.worker_id, entry, grant.granted
        )
        unused = grant.granted - len(got.calls)
        if unused:
            await self._governor.release(limits, unused)
        self._send_all(got.calls)
        if got.short is not None:
            await self._run_short(entry, got)
        return len(got.calls)

    async def _trial(self, entry: Entry, wanted: int) -> int:
        """After a breaker's pause a single call tries; everybody else waits for its answer."""
        if await self._breaker.is_half_open(entry.lane_id, entry.model):
            return int(await self._breaker.try_trial(entry.lane_id, entry.model))
        return wanted

    async def _run_short(self, entry: Entry, got: Claim) -> None:
        if got.short is Room.BUDGET:
            self._rest(entry, _BUDGET_WAIT_S)
        elif got.short is Room.STOPPED:
            self._entries.pop(entry.key, None)
        else:
            due_s = await self._loop.run_in_executor(
                self._claims, rest, self._services.store, entry
            )
            if due_s is None:
                self._entries.pop(entry.key, None)
            else:
                self._rest(entry, due_s)

    def _rest(self, entry: Entry, seconds: float) -> None:
        self._not_before[entry.key] = self._loop.time() + max(0.001, seconds)

    # ---- sending -----------------------------------------------------------------------

    def _send_all(self, calls: Sequence[Prepared]) -> None:
        suspects = any(one.call.crash_count >= SUSPECT_CRASHES for one in self._in_flight.values())
        for prepared in calls:
            if prepared.call.crash_count >= SUSPECT_CRASHES:
                if suspects:
                    # Two suspects in one process could not be told apart by its death.
                    self._writer.put(given_back(prepared.call, "suspect", _SUSPECT_WAIT_S))
                    continue
                suspects = True
            self._send(prepared)

    def _send(self, prepared: Prepared) -> None:
        task = self._loop.create_task(self._carry(prepared))
        self._in_flight[task] = prepared
        self._by_account[prepared.call.account_id] += 1
        self._by_entry[_key(prepared)] += 1
        task.add_done_callback(self._landed)

    async def _carry(self, prepared: Prepared) -> None:
        call = prepared.call
        if not self._lease.is_good:
            self._writer.put(given_back(call, "lease_late"))
            return
        try:
            finished, error = await self._carrier.carry(prepared)
        except asyncio.CancelledError:
            # The grace time is over, and the provider may be at work on it.
            self._writer.put(unknown(call, self._policy, reason="shutdown", message=None))
            return
        self._writer.put(finished)
        await self._learn(prepared, finished, error)

    def _landed(self, task: asyncio.Task[None]) -> None:
        prepared = self._in_flight.pop(task)
        _take_one(self._by_account, prepared.call.account_id)
        _take_one(self._by_entry, _key(prepared))
        self._freed.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("call_task_failed", call=prepared.call.id, exc_info=task.exception())

    async def _learn(
        self, prepared: Prepared, finished: Finished, error: ProviderError | None
    ) -> None:
        """Tell governor, breaker and lane what this attempt showed."""
        call = prepared.call
        await self._governor.finished(call.lane_id, 1)
        if error is None:
            await self._breaker.succeeded(call.lane_id, call.model)
        elif isinstance(error, ProviderRateLimitedError):
            await self._governor.pause(call.lane_id, finished.delay_s, "rate_limited")
        elif isinstance(error, ProviderKeyRefusedError):
            await self._park(prepared, error)
        elif isinstance(error, (ProviderUnavailableError, OutcomeUnknownError)):
            await self._breaker.failed(call.lane_id, call.model)

    async def _park(self, prepared: Prepared, error: ProviderKeyRefusedError) -> None:
        reason = f"{error.reason}: {error.message}"
        parked = await self._loop.run_in_executor(
            self._claims,
            park_lane,
            self._services,
            prepared.call.lane_id,
            prepared.provider_key_id,
            reason,
        )
        if parked:
            log.warning("lane_parked", lane=prepared.call.lane_id, reason=error.reason)
        for key in [key for key in self._entries if key[0] == prepared.call.lane_id]:
            del self._entries[key]


def _take_one(counter: Counter[_T], key: _T) -> None:
    """Count down, and forget what is at zero."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]


def _key(prepared: Prepared) -> Key:
    return (prepared.call.lane_id, prepared.call.model, prepared.call.batch_id)
