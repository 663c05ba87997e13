"""The pump: keeps a sliding window of calls in flight, topped up as they finish.

One for the process, with a table of what is due on all its lanes. Each turn picks fairly, takes
permits, claims what may be sent now, and sends it at once.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

import structlog

from app.domain.errors import UnavailableError
from app.limits.breaker import Breaker
from app.limits.governor import Governor
from app.limits.lanes import LaneLimits
from app.pipeline.backlog import Entry, due_backlog, rest
from app.pipeline.dispatch import Claim, Room, claim
from app.pipeline.land import land
from app.pipeline.outcomes import Policy, given_back
from app.pipeline.reconcile import held_by
from app.pipeline.services import Services
from workers.choose import Key, Turns, choose
from workers.flight import Flight
from workers.lease import Lease
from workers.waits import Waits
from workers.writer import Writer

log = structlog.get_logger(__name__)

#: How often the backlog is read though nobody hinted: what was queued is found at the latest then.
POLL_S = 1.0
_BUDGET_WAIT_S = 0.25
_TRIAL_WAIT_S = 0.25
_STORE_WAIT_S = 0.5
_REFRESH_S = 1.0


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
        # Claims and writes each have a thread, so that neither waits for the other's commit.
        self._claims: Executor = ThreadPoolExecutor(1, thread_name_prefix="claims")
        self._writes: Executor = ThreadPoolExecutor(1, thread_name_prefix="writes")
        self._writer = Writer(partial(land, services), self._writes)
        self.flight = Flight(
            services, lease, (governor, breaker), policy, self._writer, self._claims
        )
        self.flight.on_parked = self._forget_lane
        self._slots = self.flight.slots
        self._waits = Waits(services, self._claims)
        self._entries: dict[Key, Entry] = {}
        self._not_before: dict[Key, float] = {}
        # Where the next claim of an entry begins. What is queued again has an earlier place, and is
        # looked for as soon as a hint says so, or at the next poll.
        self._marks: dict[Key, int] = {}
        self._turns = Turns()
        self._trials: set[tuple[str, str]] = set()
        self._woken = asyncio.Event()
        self._stopping = False
        self._claim_unsure = False
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._refresher: asyncio.Task[None] | None = None
        self._read_at = -POLL_S

    def start(self) -> None:
        """Begin to turn."""
        self._writer.start()
        self._lease.writer_lag_s = lambda: self._writer.lag_s
        self._task = asyncio.create_task(self._run(), name="pump")
        self._refresher = asyncio.create_task(self._refresh(), name="refresh")

    def wake(self) -> None:
        """There may be something new; safe from any thread."""
        self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._read_at = -POLL_S
        self._woken.set()
        self._slots.wake()

    async def stop(self, grace_s: float) -> int:
        """Claim no more, let what is in flight finish, give the rest back; answers how many."""
        self._stopping = True
        self._woken.set()
        self._slots.wake()
        if self._task is not None:
            await self._task
        left = await self.flight.land_all(grace_s)
        if self._refresher is not None:
            self._refresher.cancel()
        await self._writer.close()
        return left

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self._turn()
            except UnavailableError:
                await asyncio.sleep(_STORE_WAIT_S)
            except Exception:
                log.exception("pump_turn_failed")
                await asyncio.sleep(_STORE_WAIT_S)

    async def _refresh(self) -> None:
        """Say that this worker lives, though all its slots are full and nothing else asks."""
        while True:
            await asyncio.sleep(_REFRESH_S)
            await self._governor.refresh()
            await self._breaker.refresh()

    async def _turn(self) -> None:
        await self._slots.wait(self._read_at + POLL_S)
        if self._stopping:
            return
        if not self._lease.is_good:
            await asyncio.sleep(_STORE_WAIT_S)
            return
        if self._claim_unsure:
            await self._give_back_unknown_claims()
        await self._read_backlog()
        claimed = 0
        for entry, wanted in await self._picks():
            claimed += await self._claim(entry, wanted)
        if claimed == 0 and self._slots.free + self._slots.ahead > 0:
            await self._idle()

    async def _read_backlog(self) -> None:
        now = self._loop.time()
        if now - self._read_at < POLL_S:
            return
        self._read_at = now
        self._woken.clear()
        self._marks.clear()
        entries = await self._loop.run_in_executor(self._claims, due_backlog, self._services.store)
        self._entries = {entry.key: entry for entry in entries}
        lanes = {entry.lane_id: entry.key_id for entry in entries}
        await self._waits.follow(entries, await self._breaker.open_models(lanes))
        anew = {lane for lane, key_id in lanes.items() if await self._governor.meet(lane, key_id)}
        now, waits = self._loop.time(), self._not_before.items()
        self._not_before = {key: at for key, at in waits if at > now and key[0] not in anew}
        self.flight.tokens.keep(self._entries)
        self._turns.keep(entries)

    async def _picks(self) -> Sequence[tuple[Entry, int]]:
        now = self._loop.time()
        ready = [
            entry for key, entry in self._entries.items() if self._not_before.get(key, 0.0) <= now
        ]
        if not ready:
            return ()
        shut = await self._breaker.open_models({entry.lane_id for entry in ready})
        self._trials = {circuit for circuit, left_s in shut.items() if left_s <= 0}
        ready = [one for one in ready if shut.get((one.lane_id, one.model), 0.0) <= 0]
        flight, slots = self.flight, self._slots
        free, reserve = slots.free + slots.ahead, slots.reserve + flight.held
        picks = choose(ready, flight.by_account, flight.by_entry, free, reserve)
        return self._turns.order(picks)

    async def _idle(self) -> None:
        """Nothing to claim: wait for a hint, or for what is due first."""
        soon = min((self._read_at + POLL_S, *self._not_before.values()))
        try:
            async with asyncio.timeout(max(0.001, soon - self._loop.time())):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _claim(self, entry: Entry, wanted: int) -> int:
        circuit = (entry.lane_id, entry.model)
        if circuit in self._trials:
            # After a breaker's pause a single call tries; everybody else waits for its answer.
            if not await self._breaker.try_trial(*circuit):
                self._rest(entry, _TRIAL_WAIT_S)
                return 0
            wanted = 1
        count = 0
        try:
            count = await self._claim_permitted(entry, wanted)
        finally:
            if count == 0 and circuit in self._trials:
                await self._breaker.abandon_trial(*circuit)
        return count

    async def _claim_permitted(self, entry: Entry, wanted: int) -> int:
        limits = LaneLimits(entry.lane_id, entry.rpm, entry.tpm, entry.in_flight)
        tokens = self.flight.tokens.each(entry.key)
        grant = await self._governor.acquire(limits, wanted, tokens)
        if grant.granted == 0:
            self._rest(entry, grant.wait_s)
            await self._waits.hold(entry, grant)
            return 0
        got = Claim(())
        try:
            self._claim_unsure = True
            mark = self._marks.get(entry.key, 0)
            of = (self._services, self._lease.worker_id, entry, grant.granted)
            may_suspect = not self.flight.has_suspect
            with self._slots.claiming():
                got = await self._loop.run_in_executor(
                    self._claims, partial(claim, *of, from_rank=mark, suspect=may_suspect)
                )
            self._marks[entry.key] = got.mark
            self._claim_unsure = False
        finally:
            if len(got.calls) < grant.granted:
                await self._governor.release(limits, grant.granted - len(got.calls), tokens)
        self._launch(entry, got, tokens)
        self._turns.took(entry, len(got.calls))
        if got.short is not None:
            await self._run_short(entry, got.short)
        return len(got.calls)

    async def _give_back_unknown_claims(self) -> None:
        """A commit whose answer was lost may have claimed calls that nobody here knows of."""
        held = await self._loop.run_in_executor(
            self._claims, held_by, self._services.store, self._lease.worker_id
        )
        known = self.flight.call_ids | self._writer.unwritten
        for call in held:
            if call.id not in known:
                self._writer.put(given_back(call, "claim_unsure"))
        self._claim_unsure = False

    def _launch(self, entry: Entry, got: Claim, tokens: int) -> None:
        self.flight.tokens.bound(entry.key, [one.call.tokens_bound for one in got.calls])
        for one in got.calls:
            one.call.tokens_permitted = tokens
        self.flight.launch_all(got.calls)

    async def _run_short(self, entry: Entry, why: Room) -> None:
        if why in {Room.BUDGET, Room.FIRST}:
            self._rest(entry, _BUDGET_WAIT_S)
        elif why is Room.STOPPED:
            self._entries.pop(entry.key, None)
        else:
            due_s = await self._loop.run_in_executor(
                self._claims, rest, self._services.store, entry
            )
            if due_s is None:
                self._entries.pop(entry.key, None)
            else:
                # What is due may have to wait for a suspect to land.
                self._rest(entry, max(due_s, _TRIAL_WAIT_S if self.flight.has_suspect else 0.0))

    def _rest(self, entry: Entry, seconds: float) -> None:
        self._not_before[entry.key] = self._loop.time() + max(0.001, seconds)

    def _forget_lane(self, lane_id: str) -> None:
        for key in [key for key in self._entries if key[0] == lane_id]:
            del self._entries[key]
