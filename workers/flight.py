"""The calls in flight: launched, counted, learnt from when they land, and written."""

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

import structlog

from app.domain.errors import (
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.limits.breaker import Breaker
from app.limits.governor import Governor
from app.limits.lanes import Refusal
from app.pipeline.outcomes import (
    SUSPECT_CRASHES,
    ClaimedCall,
    Finished,
    Policy,
    given_back,
    unknown,
)
from app.pipeline.park import QUOTAS, park_lane
from app.pipeline.prepare import Prepared
from app.pipeline.services import Services
from workers.carrier import Carrier
from workers.choose import Key
from workers.lease import Lease
from workers.slots import Slots
from workers.tokens import Tokens
from workers.writer import Writer

log = structlog.get_logger(__name__)

_T = TypeVar("_T")
_CANCEL_S = 1.0
#: What was claimed for a slot that does not come free is given back after so long.
HELD_MAX_S = 0.25
#: Anthropic's status for too many calls of everybody's at once.
_OVERLOADED = 529


class Flight:
    """Everything this process has on its way.

    Args:
        services: where a refused key's lane is parked.
        lease: nothing is sent without a good one.
        governor: told of rate limits, and of places that come free.
        breaker: told of failures and answers.
        policy: what follows from a failure.
        executor: where the store may be used.
    """

    def __init__(
        self,
        services: Services,
        lease: Lease,
        limits: tuple[Governor, Breaker],
        policy: Policy,
        writer: Writer,
        executor: Executor,
    ) -> None:
        self._services = services
        self._lease = lease
        self._governor, self._breaker = limits
        self._policy = policy
        self._writer = writer
        self._executor = executor
        self._carrier = Carrier(services, policy, executor)
        self._carrier.on_told = self._governor.told
        self.tokens = Tokens()
        self.slots = Slots(services.settings.worker_in_flight)
        self._calls: dict[asyncio.Task[None], Prepared] = {}
        # Claimed a moment before there is a slot for them; with the time until which they are kept.
        self._held: deque[tuple[float, Prepared]] = deque()
        self._suspects = 0
        self.by_account: Counter[str] = Counter()
        self.by_entry: Counter[Key] = Counter()
        self.on_parked: Callable[[str], None] = lambda _lane_id: None

    def __len__(self) -> int:
        """How many calls are on their way."""
        return self.slots.taken

    @property
    def held(self) -> int:
        """How many of them wait for a slot."""
        return len(self._held)

    @property
    def call_ids(self) -> set[str]:
        """Which calls are on their way."""
        of = (*self._calls.values(), *(prepared for _, prepared in self._held))
        return {prepared.call.id for prepared in of}

    @property
    def has_suspect(self) -> bool:
        """Whether a call is on its way that may end this process: it is the only such."""
        return self._suspects > 0

    def launch_all(self, calls: Sequence[Prepared]) -> None:
        """Send them, each as soon as it has a slot."""
        self.slots.take(len(calls))
        loop, limit = asyncio.get_running_loop(), self.slots.limit
        until = loop.time() + HELD_MAX_S
        for prepared in calls:
            self.by_account[prepared.call.account_id] += 1
            self.by_entry[key_of(prepared)] += 1
            self._suspects += _is_suspect(prepared)
            reserve = self.slots.reserve if prepared.call.interactive else 0
            if len(self._calls) < limit + reserve:
                self._start(prepared, self._carry(prepared))
            else:
                self._held.append((until, prepared))
        if self._held:
            loop.call_at(until, self._give_back_held, until)

    def _start(self, prepared: Prepared, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._calls[task] = prepared
        task.add_done_callback(self._land)

    def _land(self, task: asyncio.Task[None]) -> None:
        prepared = self._calls.pop(task)
        _take_one(self.by_account, prepared.call.account_id)
        _take_one(self.by_entry, key_of(prepared))
        self._suspects -= _is_suspect(prepared)
        self.slots.land()
        if self._held and len(self._calls) < self.slots.limit:
            _, first = self._held.popleft()
            self._start(first, self._carry(first))
        if not task.cancelled() and task.exception() is not None:
            log.error("call_task_failed", call=prepared.call.id, exc_info=task.exception())

    def _give_back_held(self, until: float = math.inf) -> None:
        """No slot came free for those that were kept until then: whoever has one may take them."""
        while self._held and self._held[0][0] <= until:
            _, prepared = self._held.popleft()
            self._start(prepared, self._give_back(prepared.call, "no_slot"))

    async def _give_back(self, call: ClaimedCall, why: str) -> None:
        self._writer.put(given_back(call, why))
        await self._free(call, learnt=False)

    async def _carry(self, prepared: Prepared) -> None:
        call, learnt = prepared.call, False
        try:
            if not self._lease.is_good:
                self._writer.put(given_back(call, "lease_late"))
                return
            finished, error = await self._carrier.carry(prepared)
            self._writer.put(finished)
            learnt = await self._learn(prepared, finished, error)
        except asyncio.CancelledError:
            # The grace time is over, and the provider may be at work on it.
            self._writer.put(unknown(call, self._policy, reason="shutdown", message=None))
        finally:
            await self._free(call, learnt=learnt)

    async def _free(self, call: ClaimedCall, *, learnt: bool) -> None:
        """Its place in flight is free; if it was a breaker's trial and told nothing, another tries."""
        await self._governor.finished(call.lane_id)
        if not learnt:
            await self._breaker.abandon_trial(call.lane_id, call.model)

    async def _learn(
        self, prepared: Prepared, finished: Finished, error: ProviderError | None
    ) -> bool:
        """Tell breaker, governor and lane what this attempt showed; whether the breaker learnt."""
        call = prepared.call
        self._count(prepared, finished)
        if error is None:
            await self._breaker.succeeded(call.lane_id, call.model)
            return True
        return await self._learn_failure(prepared, finished, error)

    async def _learn_failure(
        self, prepared: Prepared, finished: Finished, error: ProviderError
    ) -> bool:
        call = prepared.call
        former = self._governor.has_other_key(call.lane_id, prepared.provider_key_id or "")
        match error:
            case ProviderRateLimitedError() if former:
                return False  # it says nothing of the key that the lane has now
            case ProviderRateLimitedError(reason=reason) if reason in QUOTAS:
                # If it is there again within the hour, a single call tries before all others go on.
                struck = Refusal(0.0, finished.latency_ms / 1000, reason)
                await self._governor.refused(call.lane_id, struck)
                await self._park(prepared, error, error.retry_after_s or QUOTAS[reason])
                return False
            case ProviderRateLimitedError():
                await self._refused(finished, error, is_rate=True)
                return False
            case ProviderKeyRefusedError():
                await self._park(prepared, error)
                return False
            case ProviderUnavailableError(status_code=code) if code == _OVERLOADED:
                await self._refused(finished, error, is_rate=False)
                await self._breaker.failed(call.lane_id, call.model)
            case ProviderRefusedError(status_code=None):
                return False  # our own doing: nobody was asked
            case ProviderRefusedError():
                await self._breaker.succeeded(call.lane_id, call.model)
            case _:
                await self._breaker.failed(call.lane_id, call.model)
        return True

    def _count(self, prepared: Prepared, finished: Finished) -> None:
        """Tell the governor what was answered, and what of its tokens was taken."""
        call, completion = prepared.call, finished.completion
        if completion is None:
            self._governor.owe(call.lane_id, -call.tokens_permitted)
            return
        tokens = completion.usage.input_tokens + completion.usage.output_tokens
        self.tokens.took(key_of(prepared), tokens)
        more = tokens - call.tokens_permitted
        self._governor.answered(call.lane_id, finished.latency_ms / 1000, more)

    async def _refused(
        self,
        finished: Finished,
        error: ProviderRateLimitedError | ProviderUnavailableError,
        *,
        is_rate: bool,
    ) -> None:
        refusal = Refusal(
            error.retry_after_s, finished.latency_ms / 1000, error.reason, is_rate=is_rate
        )
        await self._governor.refused(finished.call.lane_id, refusal)

    async def _park(
        self, prepared: Prepared, error: ProviderError, for_s: float | None = None
    ) -> None:
        # The lane outlives its batches: what may quote a text that is sealed is not kept with it.
        words = "" if prepared.call.sealed else f": {error.message}"
        lane_id, reason = prepared.call.lane_id, f"{error.reason}{words}"
        of = (self._services, lane_id, prepared.provider_key_id, reason, for_s)
        parked = await asyncio.get_running_loop().run_in_executor(self._executor, park_lane, *of)
        if parked:
            log.warning("lane_parked", lane=lane_id, reason=error.reason)
        self.on_parked(lane_id)

    async def land_all(self, grace_s: float) -> int:
        """Let calls finish within the grace time, and give the rest back; answers how many."""
        self._give_back_held()
        if self._calls:
            await asyncio.wait(list(self._calls), timeout=grace_s)
        left = list(self._calls)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_CANCEL_S)
        await self._carrier.close()
        return len(left)


def key_of(prepared: Prepared) -> Key:
    """The backlog entry a call came from."""
    return (prepared.call.lane_id, prepared.call.model, prepared.call.batch_id)


def _is_suspect(prepared: Prepared) -> bool:
    return prepared.call.crash_count >= SUSPECT_CRASHES


def _take_one(counter: Counter[_T], key: _T) -> None:
    """Count down, and forget what is at zero."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
