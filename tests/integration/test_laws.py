"""Each law of money is checked by name, and a store that keeps them has no violations."""

import pytest

from app.billing.captures import Capture
from app.billing.laws import VIOLATIONS_MAX, check_money
from app.db import Store
from app.models import Batch
from tests.factories.money import (
    broken_laws,
    capture,
    give_back,
    hold_for,
    open_account,
    open_batch,
)
from tests.factories.rows import Answer, make_call, make_job, make_lane


@pytest.fixture
def account_id(store: Store) -> str:
    with store.transaction() as tx:
        make_lane(tx, None)  # the platform's: what goes through it is billed to credits
    return open_account(store, credits_nanos=1000)


def finish_call(store: Store, batch_id: str, cost_nanos: int | None) -> str:
    """A call that was answered at this cost, billed to credits, and not yet captured; its id."""
    with store.transaction() as tx:
        job = make_job(tx, tx.get_one(Batch, batch_id))
        return make_call(tx, job, answer=Answer(cost_nanos=cost_nanos)).id


def change(store: Store, statement: str) -> None:
    with store.transaction() as tx:
        tx.connection().execute(store.sql(statement))


def test_an_empty_store_breaks_no_law(store: Store) -> None:
    assert broken_laws(store) == []


def test_a_batch_that_ran_and_closed_breaks_no_law(store: Store, account_id: str) -> None:
    batch_id = hold_for(store, account_id, 500)
    for cost in (100, 0, None, 450):
        call_id = finish_call(store, batch_id, cost)
        capture(store, Capture(account_id, batch_id, call_id, cost or 0))
    give_back(store, batch_id)
    change(store, "UPDATE batch SET closed_at = {now}")
    assert broken_laws(store) == []


def test_calls_with_the_account_s_own_key_are_not_captured(store: Store, account_id: str) -> None:
    batch_id = open_batch(store, account_id)
    call_id = finish_call(store, batch_id, 70)
    assert broken_laws(store) == ["usage_captured_once"]
    change(store, "UPDATE usage SET billed = 'byok'")
    assert broken_laws(store) == []
    capture(store, Capture(account_id, batch_id, call_id, 70))
    assert broken_laws(store) == ["usage_captured_once"]


def test_law_1_an_account_is_what_its_entries_say(store: Store, account_id: str) -> None:
    change(store, "UPDATE account SET granted_nanos = 1001, available_nanos = 1001")
    with store.read() as session:
        (violation,) = check_money(session, store)
    assert (violation.law, violation.name) == (1, "account_balances")
    assert violation.subject == account_id
    assert "granted_nanos=1001" in violation.detail
    assert "granted=1000" in violation.detail


def test_law_1_a_batch_reserves_what_its_calls_in_sending_may_cost(
    store: Store, account_id: str
) -> None:
    batch_id = open_batch(store, account_id)
    with store.transaction() as tx:
        job = make_job(tx, tx.get_one(Batch, batch_id), state="running")
        for _ in range(2):
            make_call(tx, job, state="sending", worst_nanos=30)
    for reserved, broken in [(60, []), (59, ["batch_reserved"]), (61, ["batch_reserved"])]:
        change(store, f"UPDATE batch SET reserved_nanos = {reserved}")
        assert broken_laws(store) == broken


def test_law_1_a_batch_holds_what_its_entries_say(store: Store, account_id: str) -> None:
    hold_for(store, account_id, 500)
    change(store, "UPDATE batch SET held_nanos = 499")
    assert broken_laws(store) == ["batch_held"]


def test_law_1_a_batch_has_spent_what_its_calls_cost(store: Store, account_id: str) -> None:
    open_batch(store, account_id, spent_nanos=5)
    assert broken_laws(store) == ["batch_spent"]


def test_law_2_a_closed_batch_holds_nothing(store: Store, account_id: str) -> None:
    hold_for(store, account_id, 500)
    change(store, "UPDATE batch SET closed_at = {now}")
    assert broken_laws(store) == ["closed_batch_holds"]


def test_law_4_a_completion_has_a_usage_row(store: Store, account_id: str) -> None:
    batch_id = open_batch(store, account_id)
    finish_call(store, batch_id, 0)
    change(store, "DELETE FROM usage")
    assert broken_laws(store) == ["completion_has_usage"]


def test_law_4_a_capture_is_of_what_the_call_cost(store: Store, account_id: str) -> None:
    batch_id = hold_for(store, account_id, 500)
    call_id = finish_call(store, batch_id, 70)
    capture(store, Capture(account_id, batch_id, call_id, 71))
    assert broken_laws(store) == ["usage_captured_once"]


def test_law_4_a_capture_is_of_a_call_that_used_something(store: Store, account_id: str) -> None:
    batch_id = hold_for(store, account_id, 500)
    capture(store, Capture(account_id, batch_id, "call_never_made", 71))
    assert broken_laws(store) == ["usage_captured_once"]


def test_no_more_violations_are_told_than_anybody_reads(store: Store, account_id: str) -> None:
    for _ in range(VIOLATIONS_MAX + 5):
        open_batch(store, account_id, spent_nanos=5)
    with store.read() as session:
        assert len(check_money(session, store)) == VIOLATIONS_MAX
