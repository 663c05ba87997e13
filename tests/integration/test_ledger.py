"""Credits: every movement is written once, balances at every moment, and is never changed."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.billing.captures import Capture
from app.billing.ledger import Balance, balance_of, grant, hold, transactions_of
from app.db import Store
from app.domain.errors import ConflictError, InsufficientCreditsError, NotFoundError
from app.models import Batch
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


@pytest.fixture
def account_id(store: Store) -> str:
    return open_account(store, credits_nanos=DOLLAR)


class TestGrant:
    def test_granted_credits_are_available(self, store: Store, account_id: str) -> None:
        assert balance(store, account_id) == Balance(DOLLAR, DOLLAR, 0, 0, 0)
        assert entries(store, account_id) == [("grant", "granted", "available", DOLLAR)]

    def test_the_same_grant_is_made_once(self, store: Store, account_id: str) -> None:
        for expected in (True, False, False):
            with store.transaction() as tx:
                made = grant(tx, store, account_id, 5, idempotency_key="invoice 7", note="paid")
            assert made is expected
        assert balance(store, account_id).granted_nanos == DOLLAR + 5

    def test_the_same_key_with_another_amount_is_refused(
        self, store: Store, account_id: str
    ) -> None:
        with pytest.raises(ConflictError), store.transaction() as tx:
            grant(tx, store, account_id, 7, idempotency_key="first")

    def test_a_key_belongs_to_its_account(self, store: Store, account_id: str) -> None:
        another = open_account(store, credits_nanos=5)
        assert balance(store, another).granted_nanos == 5
        assert balance(store, account_id).granted_nanos == DOLLAR

    @pytest.mark.parametrize("amount", [0, -1, 2**62 + 1])
    def test_an_amount_that_cannot_be_granted_is_refused(
        self, store: Store, account_id: str, amount: int
    ) -> None:
        with pytest.raises(ValueError, match="amount"), store.transaction() as tx:
            grant(tx, store, account_id, amount, idempotency_key="odd")

    def test_more_than_can_be_counted_is_refused(self, store: Store, account_id: str) -> None:
        with pytest.raises(ValueError, match="counted"), store.transaction() as tx:
            grant(tx, store, account_id, 2**62, idempotency_key="all there is")

    def test_nobody_gets_credits_without_an_account(self, store: Store) -> None:
        with pytest.raises(NotFoundError), store.transaction() as tx:
            grant(tx, store, "acct_missing", 5, idempotency_key="k")


class TestHold:
    def test_what_a_batch_holds_is_no_longer_available(self, store: Store, account_id: str) -> None:
        batch_id = hold_for(store, account_id, 400)
        assert balance(store, account_id) == Balance(DOLLAR, DOLLAR - 400, 400, 0, 0)
        assert batch_of(store, batch_id).held_nanos == 400

    def test_a_batch_may_be_held_for_in_the_transaction_that_makes_it(
        self, store: Store, account_id: str
    ) -> None:
        with store.transaction() as tx:
            now = store.now(tx)
            batch = Batch(
                id="batch_new",
                account_id=account_id,
                mode="chat",
                created_at=now,
                jobs_total=1,
                jobs_queued=1,
            )
            tx.add(batch)
            hold(tx, store, account_id, batch.id, 400)
        assert batch_of(store, "batch_new").held_nanos == 400

    def test_a_hold_that_does_not_fit_changes_nothing_and_says_why(
        self, store: Store, account_id: str
    ) -> None:
        with pytest.raises(InsufficientCreditsError, match=r"\$1\.00 of credits are available"):
            hold_for(store, account_id, DOLLAR + 1)
        assert balance(store, account_id) == Balance(DOLLAR, DOLLAR, 0, 0, 0)
        assert broken_laws(store) == []

    def test_all_there_is_can_be_held(self, store: Store, account_id: str) -> None:
        hold_for(store, account_id, DOLLAR)
        assert balance(store, account_id).available_nanos == 0

    def test_a_batch_is_held_for_once(self, store: Store, account_id: str) -> None:
        batch_id = hold_for(store, account_id, 400)
        with store.transaction() as tx:
            hold(tx, store, account_id, batch_id, 400)
        assert balance(store, account_id).held_nanos == 400

    def test_holding_nothing_writes_nothing(self, store: Store, account_id: str) -> None:
        hold_for(store, account_id, 0)
        assert len(entries(store, account_id)) == 1

    def test_nobody_holds_for_another_account_s_batch(self, store: Store, account_id: str) -> None:
        batch_id = open_batch(store, open_account(store))
        with pytest.raises(NotFoundError), store.transaction() as tx:
            hold(tx, store, account_id, batch_id, 1)

    def test_a_thousand_holds_racing_for_a_dollar_leave_no_balance_below_zero(
        self, store: Store, account_id: str
    ) -> None:
        batch_ids = [open_batch(store, account_id) for _ in range(100)]

        def work(run: int) -> int:
            amount = DOLLAR // 60
            try:
                with store.transaction() as tx:
                    # Ten tries for each batch, of which one may hold.
                    hold(tx, store, account_id, batch_ids[run % 100], amount)
            except InsufficientCreditsError:
                return 0
            return amount

        run_at_once(work, 1000, threads=50)
        now = balance(store, account_id)
        assert now == Balance(DOLLAR, DOLLAR - 60 * (DOLLAR // 60), 60 * (DOLLAR // 60), 0, 0)
        assert len(entries(store, account_id)) == 1 + 60
        assert broken_laws(store) == []


class TestRelease:
    def test_what_was_not_captured_becomes_available_again(
        self, store: Store, account_id: str
    ) -> None:
        batch_id = hold_for(store, account_id, 400)
        capture(store, Capture(account_id, batch_id, "call_1", 150))
        assert give_back(store, batch_id) == 250
        assert balance(store, account_id) == Balance(DOLLAR, DOLLAR - 150, 0, 150, 0)
        assert entries(store, account_id)[-1] == ("release", "held", "available", 250)

    def test_a_batch_is_released_once(self, store: Store, account_id: str) -> None:
        batch_id = hold_for(store, account_id, 400)
        assert [give_back(store, batch_id) for _ in range(3)] == [400, 0, 0]
        assert balance(store, account_id).available_nanos == DOLLAR

    def test_even_when_many_release_it_at_once(self, store: Store, account_id: str) -> None:
        batch_id = hold_for(store, account_id, 400)
        assert sum(run_at_once(lambda _: give_back(store, batch_id), 40, threads=20)) == 400
        assert broken_laws(store) == []

    def test_a_batch_that_held_nothing_writes_nothing(self, store: Store, account_id: str) -> None:
        assert give_back(store, open_batch(store, account_id)) == 0
        assert give_back(store, "batch_missing") == 0
        assert len(entries(store, account_id)) == 1

    def test_a_capture_after_the_release_takes_what_is_available(
        self, store: Store, account_id: str
    ) -> None:
        batch_id = hold_for(store, account_id, 400)
        give_back(store, batch_id)
        capture(store, Capture(account_id, batch_id, "call_late", 150))
        assert balance(store, account_id) == Balance(DOLLAR, DOLLAR - 150, 0, 150, 0)
        assert give_back(store, batch_id) == 0


def test_entries_are_told_latest_first_and_page_by_page(store: Store, account_id: str) -> None:
    for _ in range(5):
        hold_for(store, account_id, 10)
    with store.read() as session:
        first = transactions_of(session, account_id, limit=4)
        rest = transactions_of(session, account_id, after=first[-1].id, limit=4)
        assert transactions_of(session, open_account(store)) == []
    ids = [one.id for one in first + rest]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 6
    assert rest[-1].kind == "grant"


def test_the_balance_of_nobody_is_not_found(store: Store) -> None:
    with store.read() as session, pytest.raises(NotFoundError):
        balance_of(session, "acct_missing")


def test_b7_what_is_written_is_never_changed_or_deleted(store: Store, account_id: str) -> None:
    statements = [
        "UPDATE ledger_entry SET amount_nanos = 1",
        "UPDATE ledger_entry SET note = 'x' WHERE kind = 'grant'",
        "DELETE FROM ledger_entry",
        "DELETE FROM ledger_entry WHERE kind = 'grant'",
    ]
    for statement in statements if store.is_sqlite else [*statements, "TRUNCATE ledger_entry"]:
        with pytest.raises(DBAPIError), store.transaction() as tx:
            tx.connection().execute(sa.text(statement))
    assert entries(store, account_id) == [("grant", "granted", "available", DOLLAR)]


def test_b9_an_entry_moves_a_positive_amount(store: Store, account_id: str) -> None:
    insert = (
        "INSERT INTO ledger_entry (id, account_id, kind, debit, credit, amount_nanos, "
        "idempotency_key, created_at) "
        "VALUES ('le_x', :account, 'grant', :debit, 'available', :amount, 'x', {now})"
    )
    for amount, debit in [(0, "granted"), (-1, "granted"), (1, "available")]:
        with pytest.raises(DBAPIError), store.transaction() as tx:
            names = {"account": account_id, "amount": amount, "debit": debit}
            tx.connection().execute(store.sql(insert), names)


@pytest.mark.usefixtures("account_id")
def test_a_balance_below_zero_or_out_of_balance_cannot_be_stored(store: Store) -> None:
    for change in ("available_nanos = -1", "spent_nanos = 1", "held_nanos = -1"):
        with pytest.raises(DBAPIError), store.transaction() as tx:
            tx.connection().execute(sa.text(f"UPDATE account SET {change}"))
