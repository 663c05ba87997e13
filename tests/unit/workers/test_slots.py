"""How many calls a claim asks for, and when it is made."""

import asyncio

import pytest

from tests.fakes.clock import FakeClock
from workers.slots import AHEAD_PART, Slots

LIMIT = 160


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def slots(clock: FakeClock) -> Slots:
    return Slots(LIMIT, clock=clock)


def claims(slots: Slots, clock: FakeClock, *, count: int, landing: int, took_s: float) -> None:
    """So many claims, while each of which calls land."""
    for _ in range(count):
        with slots.claiming():
            for _ in range(landing):
                slots.land()
            clock.advance(took_s)


def test_nothing_is_claimed_ahead_before_anything_has_landed(slots: Slots) -> None:
    slots.take(LIMIT)
    assert (slots.free, slots.ahead) == (0, 0)


def test_what_lands_during_a_claim_and_a_moment_after_is_claimed_ahead(
    slots: Slots, clock: FakeClock
) -> None:
    slots.take(LIMIT)
    claims(slots, clock, count=20, landing=4, took_s=0.008)
    # 4 land in a claim of 8 ms, and 5 in the 10 ms after it.
    assert slots.ahead == 8


def test_no_more_than_a_part_of_the_limit_is_claimed_ahead(slots: Slots, clock: FakeClock) -> None:
    slots.take(LIMIT)
    claims(slots, clock, count=20, landing=100, took_s=0.008)
    assert slots.ahead == LIMIT // AHEAD_PART


def test_nothing_is_claimed_ahead_where_nothing_lands_any_more(
    slots: Slots, clock: FakeClock
) -> None:
    slots.take(LIMIT)
    claims(slots, clock, count=20, landing=4, took_s=0.008)
    clock.advance(0.05)
    assert slots.ahead == 0


async def test_whoever_waits_for_slots_is_woken_once_so_many_are_free(slots: Slots) -> None:
    slots.take(LIMIT)
    waiting = asyncio.create_task(slots.wait_for(3, asyncio.get_running_loop().time() + 60))
    for _ in range(2):
        slots.land()
        await asyncio.sleep(0)
    assert not waiting.done()
    slots.land()
    assert await waiting


async def test_a_hint_ends_the_wait_though_nothing_is_free_also_if_it_came_before(
    slots: Slots,
) -> None:
    slots.take(LIMIT)
    until = asyncio.get_running_loop().time() + 60
    slots.wake()
    await slots.wait(until)
    waiting = asyncio.create_task(slots.wait(until))
    await asyncio.sleep(0)
    assert not waiting.done()
    slots.wake()
    await waiting
