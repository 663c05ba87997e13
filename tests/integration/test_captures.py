"""Captures take from the hold, never fail, and happen once, whoever tells of them how often."""

import random

import pytest
from sqlmodel import select

from app.billing.captures import Capture
from app.billing.entries import NOTE_CHARS_MAX
from app.billing.ledger import Balance, hold
from app.db import Store
from app.domain.errors import InvariantError, UnavailableError
from app.models import LedgerEntry
from tests.factories.money import (
    balance,
    batch_of,
    broken_laws,
    capture,
    entries,
    give_back,
    hold_for,
    open_account,
    open_batch,
)
from tests.factories.racing import run_at_once

DOLLAR = 1_000_000_000
#: These tests capture for calls that were never made.
NO_USAGE = ("usage_captured_once",)


@pytest.fixture
def account_id(store: Store) -> str:
    return open_account(store, credits_nanos=DOLLAR)


def test_a_capture_takes_from_the_hold(store: Store, account_id: str) -> None:
    batch_id = hold_for(store, account_id, 400)
    over = capture(store, Capture(account_id, batch_id, "call_1", 150, "list 7", '{"input": 3}'))
    assert over == []
    assert balance(store, account_id) == Balance(DOLLAR, DOLLAR - 400, 250, 150, 0)
    assert batch_of(store, batch_id).held_nanos == 250
    assert entries(store, account_id)[2:] == [("capture", "held", "spent", 150)]


def test_b5_a_capture_keeps_the_version_and_the_usage_it_was_worked_out_by(
    store: Store, account_id: str
) -> None:
    batch_id = hold_for(store, account_id, 400)
    capture(store, Capture(account_id, batch_id, "call_1", 150, "list 7", '{"input": 3}'))
    capture(store, Capture(account_id, batch_id, "call_2", 200, "list 8", '{"input": 4}'))
    with store.read() as session:
        kept = session.exec(
            select(LedgerEntry).where(LedgerEntry.kind == "capture").order_by(LedgerEntry.call_id)
        ).all()
    assert [(one.price_version, one.note, one.amount_nanos) for one in kept] == [
        ("list 7", '{"input": 3}', 150),
        ("list 8", '{"input": 4}', 200),
    ]


def test_b1_the_same_completion_told_a_hundred_times_is_captured_once(
    store: Store, account_id: str
) -> None:
    batch_id = hold_for(store, account_id, 400)
    told = Capture(account_id, batch_id, "call_1", 150)
    capture(store, *[told] * 50)
    for _ in range(10):
        capture(store, told)
    assert balance(store, account_id).spent_nanos == 150
    assert len(entries(store, account_id)) == 3


def test_b1_even_when_all_are_told_at_once(store: Store, account_id: str) -> None:
    batch_id = hold_for(store, account_id, 400)
    told = Capture(account_id, batch_id, "call_1", 150)
    run_at_once(lambda _: capture(store, told), 100, threads=20)
    assert balance(store, account_id).spent_nanos == 150
    assert len(entries(store, account_id)) == 3
    assert broken_laws(store, but=NO_USAGE) == []


def test_a_call_that_cost_nothing_writes_nothing(store: Store, account_id: str) -> None:
    batch_id = hold_for(store, account_id, 400)
    assert capture(store, Capture(account_id, batch_id, "call_1", 0)) == []
    assert len(entries(store, account_id)) == 2


def test_where_the_hold_is_short_available_credits_are_held_first(
    store: Store, account_id: str
) -> None:
    batch_id = hold_for(store, account_id, 100)
    over = capture(store, Capture(account_id, batch_id, "call_1", 130))
    assert over == []
    assert entries(store, account_id)[2:] == [
        ("hold", "available", "held", 30),
        ("capture", "held", "spent", 130),
    ]
    assert balance(store, account_id) == Balance(DOLLAR, DOLLAR - 130, 0, 130, 0)
    assert batch_of(store, batch_id).overrun_nanos == 0


def test_a_capture_never_fails_and_what_nobody_has_is_a_flagged_overrun(
    store: Store, account_id: str
) -> None:
    batch_id = hold_for(store, account_id, DOLLAR - 5)
    over = capture(
        store,
        Capture(account_id, batch_id, "call_1", DOLLAR - 10),
        Capture(account_id, batch_id, "call_2", 30),
        Capture(account_id, batch_id, "call_3", 7),
    )
    assert over == [batch_id]
    assert entries(store, account_id)[2:] == [
        ("capture", "held", "spent", DOLLAR - 10),
        ("hold", "available", "held", 5),
        ("adjustment", "overrun", "held", 20),
        ("capture", "held", "spent", 30),
        ("adjustment", "overrun", "held", 7),
        ("capture", "held", "spent", 7),
    ]
    assert balance(store, account_id) == Balance(DOLLAR, 0, 0, DOLLAR + 27, 27)
    assert batch_of(store, batch_id).overrun_nanos == 27
    assert broken_laws(store, but=NO_USAGE) == []


def test_an_overrun_of_cap_and_credits_alike_is_not_counted_twice(
    store: Store, account_id: str
) -> None:
    batch_id = open_batch(store, account_id, cap_nanos=DOLLAR, overrun_nanos=30)
    with store.transaction() as tx:
        hold(tx, store, account_id, batch_id, DOLLAR)
    capture(store, Capture(account_id, batch_id, "call_1", DOLLAR + 30))
    assert batch_of(store, batch_id).overrun_nanos == 30


def test_one_group_may_be_of_many_batches_and_accounts(store: Store, account_id: str) -> None:
    another = open_account(store, credits_nanos=50)
    batches = [
        (account_id, hold_for(store, account_id, 100)),
        (account_id, hold_for(store, account_id, 100)),
        (another, hold_for(store, another, 50)),
    ]
    over = capture(
        store,
        *(
            Capture(owner, batch_id, f"call_{number}_{batch_id}", 20)
            for number in range(3)
            for owner, batch_id in batches
        ),
    )
    assert over == [batches[2][1]]
    assert balance(store, account_id) == Balance(DOLLAR, DOLLAR - 200, 80, 120, 0)
    assert balance(store, another) == Balance(50, 0, 0, 60, 10)
    assert broken_laws(store, but=NO_USAGE) == []


def test_a_negative_capture_is_refused(store: Store, account_id: str) -> None:
    batch_id = hold_for(store, account_id, 100)
    with pytest.raises(InvariantError):
        capture(store, Capture(account_id, batch_id, "call_1", -1))


def test_a_capture_for_what_is_not_there_is_refused(store: Store, account_id: str) -> None:
    with pytest.raises(InvariantError):
        capture(store, Capture(account_id, "batch_missing", "call_1", 1))


def test_b6_a_million_calls_at_150_nanodollars_are_captured_exactly(
    store: Store, account_id: str
) -> None:
    batch_id = hold_for(store, account_id, 150_000_000)
    calls = [Capture(account_id, batch_id, f"call_{one:07}", 150) for one in range(20_000)]
    for start in range(0, len(calls), 200):
        capture(store, *calls[start : start + 200])
    spent = balance(store, account_id).spent_nanos
    assert spent * 50 == 150_000_000  # a fiftieth of them, so that nobody waits
    assert give_back(store, batch_id) == 150_000_000 - spent
    assert broken_laws(store, but=NO_USAGE) == []


def test_groups_that_share_batches_and_accounts_capture_at_once_without_deadlock(
    store: Store, account_id: str
) -> None:
    owners = [account_id, open_account(store, credits_nanos=DOLLAR)]
    batches = [(owner, hold_for(store, owner, 10)) for owner in owners for _ in range(3)]

    def work(run: int) -> bool:
        mixed = random.Random(run).sample(batches, len(batches))
        try:
            capture(store, *(Capture(owner, id_, f"call_{run}_{id_}", 1) for owner, id_ in mixed))
        except UnavailableError:  # what a deadlock is told as
            return False
        return True

    assert all(run_at_once(work, 100, threads=8))
    assert [balance(store, owner).spent_nanos for owner in owners] == [300, 300]
    assert broken_laws(store, but=NO_USAGE) == []


def test_a_note_longer_than_a_ledger_keeps_is_cut(store: Store, account_id: str) -> None:
    batch_id = hold_for(store, account_id, 100)
    capture(store, Capture(account_id, batch_id, "call_1", 1, note="x" * 100_000))
    with store.read() as session:
        kept = session.exec(select(LedgerEntry.note).where(LedgerEntry.kind == "capture")).one()
    assert kept == "x" * NOTE_CHARS_MAX
