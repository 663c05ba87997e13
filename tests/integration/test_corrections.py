"""Corrections: a reversing entry each, with a reason, once; and the books go on adding up."""

import pytest
import sqlalchemy as sa
from sqlmodel import select

from app.accounts.audit import actions_of
from app.billing.captures import Capture
from app.billing.ledger import Balance
from app.db import Store
from app.domain.errors import ConflictError, InsufficientCreditsError, NotFoundError
from app.models import LedgerEntry
from app.pipeline.credits import adjust_credits, grant_credits, refund_call
from tests.factories.money import balance, broken_laws, capture, entries, hold_for, open_account
from tests.factories.racing import run_at_once

DOLLAR = 1_000_000_000
NO_USAGE = ("usage_captured_once",)


@pytest.fixture
def account_id(store: Store) -> str:
    return open_account(store, credits_nanos=DOLLAR)


def test_b7_a_refund_reverses_a_capture_and_leaves_it_as_it_was(
    store: Store, account_id: str
) -> None:
    batch_id = hold_for(store, account_id, 400)
    capture(store, Capture(account_id, batch_id, "call_1", 150, "list 7"))
    before = entries(store, account_id)
    assert refund_call(store, "call_1", note="wrong answer") == (account_id, 150)
    assert entries(store, account_id) == [*before, ("refund", "spent", "available", 150)]
    assert balance(store, account_id) == Balance(DOLLAR, DOLLAR - 250, 250, 0, 0)
    with store.read() as session:
        refund = session.exec(select(LedgerEntry).where(LedgerEntry.kind == "refund")).one()
    assert (refund.call_id, refund.batch_id, refund.note, refund.price_version) == (
        "call_1",
        batch_id,
        "wrong answer",
        "list 7",
    )
    assert broken_laws(store, but=NO_USAGE) == []


def test_a_call_is_refunded_once_however_many_try(store: Store, account_id: str) -> None:
    batch_id = hold_for(store, account_id, 400)
    capture(store, Capture(account_id, batch_id, "call_1", 150))

    def work(_: int) -> int:
        try:
            return refund_call(store, "call_1", note="again")[1]
        except ConflictError:
            return 0

    assert sum(run_at_once(work, 20, threads=10)) == 150
    assert balance(store, account_id).spent_nanos == 0


def test_what_was_never_charged_is_not_refunded(store: Store) -> None:
    with pytest.raises(NotFoundError, match="call_none"):
        refund_call(store, "call_none", note="why not")


def adjusted(store: Store, account_id: str, amount: int, key: str = "k") -> bool:
    return adjust_credits(store, account_id, amount, idempotency_key=key, note="typed wrongly")


def test_b7_a_wrong_grant_is_corrected_by_an_entry_of_its_own(
    store: Store, account_id: str
) -> None:
    assert [adjusted(store, account_id, -400) for _ in range(2)] == [True, False]
    assert adjusted(store, account_id, 100, "more")
    assert balance(store, account_id) == Balance(DOLLAR - 300, DOLLAR - 300, 0, 0, 0)
    assert entries(store, account_id) == [
        ("grant", "granted", "available", DOLLAR),
        ("adjustment", "available", "granted", 400),
        ("adjustment", "granted", "available", 100),
    ]
    assert broken_laws(store) == []


def test_no_more_is_taken_back_than_is_available(store: Store, account_id: str) -> None:
    hold_for(store, account_id, 400)
    with pytest.raises(InsufficientCreditsError, match="available"):
        adjusted(store, account_id, -(DOLLAR - 399))
    assert adjusted(store, account_id, -(DOLLAR - 400), "less")
    assert balance(store, account_id) == Balance(400, 0, 400, 0, 0)


def test_an_adjustment_that_makes_no_sense_is_refused(store: Store, account_id: str) -> None:
    adjusted(store, account_id, -1)
    with pytest.raises(ConflictError):
        adjusted(store, account_id, 1)
    for amount in (0, 2**62 + 1, 2**62):
        with pytest.raises(ValueError, match="counted"):
            adjusted(store, account_id, amount, "odd")
    with pytest.raises(NotFoundError):
        adjusted(store, "acct_none", 1)


def test_who_moved_credits_is_in_the_audit_log(store: Store, account_id: str) -> None:
    for _ in range(2):
        grant_credits(store, account_id, 5, idempotency_key="g", note=None)
    adjusted(store, account_id, -5)
    with store.read() as session:
        told = [(one.action, one.detail) for one in actions_of(session, account_id)]
    assert told == [
        ("credits.adjusted", '{"amount_nanos":-5}'),
        ("credits.granted", '{"amount_nanos":5}'),
    ]


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)  # PostgreSQL has no REPLACE
def test_nothing_of_the_ledger_can_be_replaced(store: Store, account_id: str) -> None:
    replace = "REPLACE INTO ledger_entry SELECT * FROM ledger_entry"
    with pytest.raises(sa.exc.DBAPIError, match="never changed"), store.transaction() as tx:
        tx.run(sa.text(replace))
    assert len(entries(store, account_id)) == 1
