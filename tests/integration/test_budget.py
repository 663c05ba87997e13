"""Reservations never exceed a batch's cap; spend exceeds it only by a flagged overrun."""

import random
from typing import Any

import pytest

from app.billing.budget import Settlement, reserve, settle_many
from app.db import Store
from app.domain.errors import UnavailableError
from tests.factories.money import batch_of, open_account, open_batch
from tests.factories.racing import run_at_once

DOLLAR = 1_000_000_000


def try_to_reserve(store: Store, batch_id: str, amount_nanos: int) -> bool:
    with store.transaction() as tx:
        return reserve(tx, store, batch_id, amount_nanos) is not None


def settle(store: Store, *settlements: Settlement) -> list[str]:
    with store.transaction() as tx:
        return settle_many(tx, store, settlements).overrun


@pytest.fixture
def account_id(store: Store) -> str:
    return open_account(store)


def test_reserving_takes_room_up_to_the_cap_exactly(store: Store, account_id: str) -> None:
    batch_id = open_batch(store, account_id, cap_nanos=100)
    assert try_to_reserve(store, batch_id, 60)
    assert not try_to_reserve(store, batch_id, 41)
    assert try_to_reserve(store, batch_id, 40)
    assert batch_of(store, batch_id).reserved_nanos == 100


def test_a_batch_without_a_cap_has_room_for_anything(store: Store, account_id: str) -> None:
    batch_id = open_batch(store, account_id)
    assert try_to_reserve(store, batch_id, 10**15)
    assert batch_of(store, batch_id).reserved_nanos == 10**15


def test_what_is_spent_takes_room_as_well(store: Store, account_id: str) -> None:
    batch_id = open_batch(store, account_id, cap_nanos=100, spent_nanos=90)
    assert not try_to_reserve(store, batch_id, 11)
    assert try_to_reserve(store, batch_id, 10)


@pytest.mark.parametrize(
    "values",
    [
        {"state": "queued"},
        {"state": "cancelling"},
        {"state": "finalizing"},
        {"paused": True},
        {"ending": "cancelled"},
    ],
    ids=str,
)
def test_a_batch_that_may_not_send_reserves_nothing(
    store: Store, account_id: str, values: dict[str, Any]
) -> None:
    batch_id = open_batch(store, account_id, **values)
    assert not try_to_reserve(store, batch_id, 0)


def test_a_batch_that_is_not_there_reserves_nothing(store: Store) -> None:
    assert not try_to_reserve(store, "batch_missing", 1)


def test_settling_moves_what_was_reserved_to_what_was_spent(store: Store, account_id: str) -> None:
    batch_id = open_batch(store, account_id, cap_nanos=100)
    try_to_reserve(store, batch_id, 100)
    over = settle(
        store,
        Settlement(batch_id, reserved_nanos=50, spent_nanos=20, calls_closed=1),
        Settlement(batch_id, reserved_nanos=30),
        Settlement(
            batch_id,
            reserved_nanos=20,
            unknown_attempts=1,
            possible_duplicate_nanos=20,
        ),
        Settlement(batch_id, unpriced_calls=1, calls_closed=1),
    )
    batch = batch_of(store, batch_id)
    assert over == []
    assert (batch.reserved_nanos, batch.spent_nanos, batch.overrun_nanos) == (0, 20, 0)
    assert (batch.unpriced_calls, batch.unknown_attempts, batch.calls_closed) == (1, 1, 2)
    assert batch.possible_duplicate_nanos == 20


def test_spending_more_than_the_cap_is_flagged_and_told(store: Store, account_id: str) -> None:
    batch_id = open_batch(store, account_id, cap_nanos=100)
    another = open_batch(store, account_id, cap_nanos=100)
    for one in (batch_id, another):
        try_to_reserve(store, one, 100)
    over = settle(
        store,
        Settlement(batch_id, reserved_nanos=100, spent_nanos=130),
        Settlement(another, reserved_nanos=100, spent_nanos=100),
    )
    assert over == [batch_id]
    assert batch_of(store, batch_id).overrun_nanos == 30
    assert batch_of(store, another).overrun_nanos == 0
    assert not try_to_reserve(store, batch_id, 0)


def test_an_overrun_grows_with_the_spend(store: Store, account_id: str) -> None:
    batch_id = open_batch(store, account_id, cap_nanos=100)
    for _ in range(3):
        settle(store, Settlement(batch_id, spent_nanos=60))
    assert batch_of(store, batch_id).overrun_nanos == 80


def test_settling_nothing_touches_nothing(store: Store) -> None:
    assert settle(store) == []


def test_a_rolled_back_reservation_leaves_the_room(store: Store, account_id: str) -> None:
    batch_id = open_batch(store, account_id, cap_nanos=100)
    with pytest.raises(RuntimeError), store.transaction() as tx:
        assert reserve(tx, store, batch_id, 100) is not None
        raise RuntimeError
    assert try_to_reserve(store, batch_id, 100)


def test_b3_a_hundred_workers_racing_a_dollar_never_reserve_more(
    store: Store, account_id: str
) -> None:
    batch_id = open_batch(store, account_id, cap_nanos=DOLLAR)
    rng = random.Random(7)
    amounts = [rng.randint(1, DOLLAR // 50) for _ in range(200)]
    highest = []

    def work(run: int) -> int:
        if not try_to_reserve(store, batch_id, amounts[run]):
            return 0
        batch = batch_of(store, batch_id)
        highest.append(batch.reserved_nanos + batch.spent_nanos)
        cost = amounts[run] // 2
        settle(store, Settlement(batch_id, reserved_nanos=amounts[run], spent_nanos=cost))
        return cost

    spent = sum(run_at_once(work, len(amounts), threads=100))
    batch = batch_of(store, batch_id)
    assert max(highest) <= DOLLAR
    assert (batch.reserved_nanos, batch.spent_nanos, batch.overrun_nanos) == (0, spent, 0)


def test_groups_that_share_batches_settle_at_once_without_deadlock(
    store: Store, account_id: str
) -> None:
    batch_ids = [open_batch(store, account_id) for _ in range(6)]

    def work(run: int) -> bool:
        mixed = random.Random(run).sample(batch_ids, len(batch_ids))
        try:
            settle(store, *(Settlement(batch_id, spent_nanos=1) for batch_id in mixed))
        except UnavailableError:  # what a deadlock is told as
            return False
        return True

    assert all(run_at_once(work, 200, threads=8))
    assert [batch_of(store, batch_id).spent_nanos for batch_id in batch_ids] == [200] * 6
