"""Workers against a provider that enforces its limits, over virtual minutes.

What is asked of the governor: with limits that are told, after the first minute at most 1 % of
requests are refused and at least 90 % of the limit is used; where nothing is told, below 5 % and
above 80 %.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from app.limits.governor import Governor
from app.limits.lanes import LaneLimits, Limiter, Refusal
from app.limits.local import LocalGovernor
from app.providers.told import limits_told, wait_told
from tests.fakes.clock import FakeClock
from tests.fakes.redis import FakeSharedServer
from tests.fakes.windows import WINDOWS, Limits

LANE = LaneLimits("lane_a")
RPM = 120
TOKENS = 500
LATENCY_S = 1.0
#: How soon a refusal comes, and an answer of a quick provider.
SHORT_S = 0.1
#: Calls a worker keeps in flight if nothing stops it.
SLOTS = 32


class Night:
    """Workers that send whatever they may, by a clock that is moved from event to event."""

    def __init__(
        self,
        limits: Limits,
        governors: list[Limiter],
        clock: FakeClock,
        latency_s: float = LATENCY_S,
    ) -> None:
        self._limits, self._governors, self._clock = limits, governors, clock
        self._latency_s = latency_s
        self._began = clock.now_s
        self._events: list[tuple[float, int, tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._held = Counter[int]()
        self.taken: list[float] = []
        self.refused: list[float] = []

    async def run(self, minutes: float, lane: LaneLimits = LANE, tokens: int = TOKENS) -> None:
        """Let so many minutes pass."""
        for worker in range(len(self._governors)):
            self._at(0.013 * worker, ("turn", worker))
            self._at(0.017 * worker, ("look", worker))
        while self._events and self._events[0][0] < self._began + minutes * 60:
            at, _, event = heapq.heappop(self._events)
            self._clock.now_s = at
            match event:
                case ("turn", int(worker)):
                    await self._turn(worker, lane, tokens)
                case ("look", int(worker)):
                    await self._governors[worker].refresh()
                    self._at(1.0, event)
                case ("happen", act):
                    act()
                case ("land", int(worker), bool(taken), dict(headers)):
                    await self._land(worker, lane.lane_id, headers, taken=taken)

    def later(self, minutes: float, act: Callable[[], None]) -> None:
        """Let something happen then."""
        self._at(minutes * 60, ("happen", act))

    def _at(self, in_s: float, event: tuple[Any, ...]) -> None:
        heapq.heappush(self._events, (self._clock.now_s + in_s, next(self._order), event))

    async def _turn(self, worker: int, lane: LaneLimits, tokens: int) -> None:
        free = SLOTS - self._held[worker]
        wait_s = 0.25
        if free > 0:
            grant = await self._governors[worker].acquire(lane, free, tokens)
            wait_s = min(1.0, max(0.05, grant.wait_s))
            self._held[worker] += grant.granted
            for _ in range(grant.granted):
                taken, headers = self._limits.ask(self._clock.now_s - self._began, tokens)
                (self.taken if taken else self.refused).append(self._clock.now_s - self._began)
                took_s = self._latency_s if taken else SHORT_S
                self._at(took_s, ("land", worker, taken, headers))
        self._at(wait_s, ("turn", worker))

    async def _land(
        self, worker: int, lane_id: str, headers: dict[str, str], *, taken: bool
    ) -> None:
        governor = self._governors[worker]
        self._held[worker] -= 1
        if (told := limits_told(headers)) is not None:
            governor.told(lane_id, told)
        if taken:
            governor.answered(lane_id, self._latency_s)
        else:
            await governor.refused(lane_id, Refusal(wait_told(headers), SHORT_S))
        await governor.finished(lane_id)

    def shares(self, limit: float, after_s: float = 60.0) -> tuple[float, float]:
        """The part of the requests that was refused, and of the limit that was used, after that."""
        span_s = self._clock.now_s - self._began - after_s
        taken = sum(at >= after_s for at in self.taken)
        refused = sum(at >= after_s for at in self.refused)
        return refused / max(1, taken + refused), taken / (limit * span_s / 60)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that does not begin at a full minute."""
    return FakeClock(1_000_010.0)


@pytest.fixture
def alone(clock: FakeClock) -> list[Limiter]:
    """One worker by itself."""
    return [LocalGovernor(clock=clock, jitter=random.Random(1).random)]


@pytest.fixture
def server(clock: FakeClock) -> FakeSharedServer:
    """What four share."""
    return FakeSharedServer(clock)


@pytest.fixture
def four(clock: FakeClock, server: FakeSharedServer) -> list[Limiter]:
    """Four that share a server, with jitter that is the same each time."""
    jitters = [random.Random(seed).random for seed in range(4)]
    return [
        Governor(server.link(), f"wrk_{n}", clock=clock, jitter=jitter)
        for n, jitter in enumerate(jitters)
    ]


KINDS = sorted(WINDOWS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flavour", ["openai", "azure", "anthropic"])
async def test_limits_that_are_told_are_kept_and_used(
    kind: str, flavour: str, alone: list[Limiter], clock: FakeClock
) -> None:
    night = Night(Limits(kind, RPM, flavour=flavour), alone, clock)
    await night.run(4)
    refused, used = night.shares(RPM)
    assert refused <= 0.01
    assert used >= 0.90


@pytest.mark.parametrize("kind", KINDS)
async def test_tokens_that_are_told_are_kept_and_used(
    kind: str, alone: list[Limiter], clock: FakeClock
) -> None:
    night = Night(Limits(kind, 10_000, 60_000), alone, clock)
    await night.run(4)
    refused, used = night.shares(60_000 / TOKENS)
    assert refused <= 0.01
    assert used >= 0.90


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_word_about_limits_it_settles_below_them(
    kind: str, alone: list[Limiter], clock: FakeClock
) -> None:
    night = Night(Limits(kind, RPM, flavour="none"), alone, clock)
    await night.run(12)
    refused, used = night.shares(RPM, after_s=120)
    assert refused <= 0.05
    assert used >= 0.80


@pytest.mark.parametrize("jitter", [0.0, 0.3, 0.6, 0.9])
async def test_a_whole_minute_that_goes_out_at_once_is_no_measure_of_the_next(
    jitter: float, clock: FakeClock
) -> None:
    alone: list[Limiter] = [LocalGovernor(clock=clock, jitter=lambda: jitter)]
    night = Night(Limits("last_minute", RPM, flavour="none"), alone, clock, SHORT_S)
    await night.run(4.5)
    refused, used = night.shares(RPM, after_s=120)
    assert refused <= 0.05
    assert used >= 0.85


async def test_four_workers_keep_and_use_together_what_is_told(
    four: list[Limiter], clock: FakeClock
) -> None:
    night = Night(Limits("last_minute", RPM), four, clock)
    await night.run(3)
    refused, used = night.shares(RPM)
    assert refused <= 0.01
    assert used >= 0.90


async def test_four_workers_settle_together_below_what_nobody_tells(
    four: list[Limiter], clock: FakeClock
) -> None:
    night = Night(Limits("last_minute", RPM, flavour="none"), four, clock)
    await night.run(6)
    refused, used = night.shares(RPM, after_s=120)
    assert refused <= 0.05
    assert used >= 0.80


async def test_a_limit_that_was_set_needs_no_telling(
    alone: list[Limiter], clock: FakeClock
) -> None:
    night = Night(Limits("last_minute", RPM, flavour="none"), alone, clock)
    await night.run(4, LaneLimits("lane_a", rpm=RPM))
    refused, used = night.shares(RPM, after_s=0)
    assert refused == 0
    assert used >= 0.90


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rpm", [RPM, None], ids=["set", "told"])
async def test_q10_four_workers_whose_server_is_lost_and_comes_back_keep_and_use_a_limit_together(
    kind: str, rpm: int | None, four: list[Limiter], clock: FakeClock, server: FakeSharedServer
) -> None:
    night = Night(Limits(kind, RPM, flavour="none" if rpm else "openai"), four, clock)
    night.later(1.5, server.go_away)
    night.later(3.0, server.come_back)
    await night.run(4.5, LaneLimits("lane_a", rpm=rpm))
    refused, used = night.shares(RPM)
    assert refused <= 0.01
    assert used >= 0.80  # by the jitter, an outage may cost a refusal and its pause
