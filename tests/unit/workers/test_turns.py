"""A lane whose permits are few is shared by its accounts, and a guest does not wait for a crowd."""

from collections import Counter

import pytest

from app.limits.governor import Governor
from app.limits.lanes import HEADROOM, LaneLimits
from app.pipeline.backlog import Entry
from tests.fakes.clock import FakeClock
from tests.fakes.redis import FakeSharedServer
from tests.unit.workers.test_choose import make_entry
from workers.choose import Turns, choose

#: Ten a second for everybody together.
LANE = LaneLimits("lane-platform", rpm=600 / HEADROOM)
SLOTS = 64


class Worker:
    """Turns of a pump, but for the store and the calls: each ends within the turn."""

    def __init__(self, governor: Governor) -> None:
        self._governor = governor
        self._turns = Turns()
        self.sent: Counter[str] = Counter()

    async def turn(self, entries: list[Entry]) -> Counter[str]:
        """One turn; answers what was sent of whom."""
        sent: Counter[str] = Counter()
        self._turns.keep(entries)
        for entry, wanted in self._turns.order(choose(entries, {}, {}, SLOTS, 4)):
            got = (await self._governor.acquire(LANE, wanted, 100)).granted
            self._turns.took(entry, got)
            await self._governor.finished(LANE.lane_id, got)
            sent[entry.batch_id] += got
        self.sent += sent
        return sent


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def make_workers(clock: FakeClock, count: int) -> list[Worker]:
    server = FakeSharedServer(clock)
    return [Worker(Governor(server.link(), f"wrk_{n}", clock=clock)) for n in range(count)]


def platform(account: str, batch: str, **changes: object) -> Entry:
    return make_entry(account, batch, lane_id=LANE.lane_id, **changes)


@pytest.mark.parametrize("count", [1, 3])
async def test_two_accounts_get_equal_shares_of_a_platform_lane(
    clock: FakeClock, count: int
) -> None:
    workers = make_workers(clock, count)
    crowd = [platform("a", f"a{n}") for n in range(8)]
    entries = [*crowd, platform("b", "b")]
    for _ in range(40):
        clock.advance(0.37)
        for worker in workers:
            await worker.turn(entries)
    sent = sum((worker.sent for worker in workers), Counter[str]())
    of_a, of_b = sum(sent[entry.batch_id] for entry in crowd), sent["b"]
    assert of_a + of_b > 100
    assert abs(of_a - of_b) <= 0.1 * (of_a + of_b)


async def test_a_one_call_batch_starts_at_the_next_turn_though_a_crowd_takes_every_permit(
    clock: FakeClock,
) -> None:
    (worker,) = make_workers(clock, 1)
    crowd = platform("a", "crowd")
    for _ in range(50):
        clock.advance(0.2)
        await worker.turn([crowd])
    assert worker.sent["crowd"] > 80
    clock.advance(0.2)
    sent = await worker.turn([crowd, platform("b", "guest")])
    if not sent["guest"]:
        clock.advance(0.2)
        sent = await worker.turn([crowd, platform("b", "guest")])
    assert sent["guest"] > 0


async def test_who_comes_late_is_owed_nothing_for_before(clock: FakeClock) -> None:
    (worker,) = make_workers(clock, 1)
    crowd, late = platform("a", "crowd"), platform("b", "late")
    for _ in range(100):
        clock.advance(0.2)
        await worker.turn([crowd])
    worker.sent.clear()
    for _ in range(40):
        clock.advance(0.37)
        await worker.turn([crowd, late])
    assert abs(worker.sent["crowd"] - worker.sent["late"]) <= 0.1 * worker.sent.total()


def test_interactive_work_asks_first() -> None:
    picks = [(platform("a", "bulk"), 1), (platform("b", "now", interactive=True), 1)]
    turns = Turns()
    turns.took(picks[1][0], 1000)
    assert [entry.batch_id for entry, _ in turns.order(picks)] == ["now", "bulk"]
