"""Credits as tests move them and look at them: each step a transaction of its own."""

from typing import Any

from app.billing.captures import Capture, capture_many
from app.billing.laws import check_money
from app.billing.ledger import Balance, balance_of, grant, hold, release, transactions_of
from app.db import Store
from app.models import Account, Batch
from tests.factories.rows import make_account, make_batch


def open_account(store: Store, *, credits_nanos: int = 0) -> str:
    """An account, with credits granted if any; its id."""
    with store.transaction() as tx:
        account_id = make_account(tx).id
        if credits_nanos:
            grant(tx, store, account_id, credits_nanos, idempotency_key="first")
    return account_id


def open_batch(store: Store, account_id: str, **values: Any) -> str:
    """A running batch without jobs; its id."""
    with store.transaction() as tx:
        return make_batch(tx, tx.get_one(Account, account_id), **values).id


def balance(store: Store, account_id: str) -> Balance:
    """What an account has."""
    with store.read() as session:
        return balance_of(session, account_id)


def batch_of(store: Store, batch_id: str) -> Batch:
    """A batch as it is now."""
    with store.read() as session:
        return session.get_one(Batch, batch_id)


def entries(store: Store, account_id: str) -> list[tuple[str, str, str, int]]:
    """Kind, debit, credit and amount of every entry of an account, in order of their ids."""
    with store.read() as session:
        found = transactions_of(session, account_id, limit=10_000)
    return [(one.kind, one.debit, one.credit, one.amount_nanos) for one in reversed(found)]


def hold_for(store: Store, account_id: str, amount_nanos: int) -> str:
    """A new batch that holds so much; its id."""
    batch_id = open_batch(store, account_id)
    with store.transaction() as tx:
        hold(tx, store, account_id, batch_id, amount_nanos)
    return batch_id


def capture(store: Store, *captures: Capture) -> list[str]:
    """Capture a group; the batches that overran."""
    with store.transaction() as tx:
        return capture_many(tx, store, captures)


def give_back(store: Store, batch_id: str) -> int:
    """Release what a batch holds; how much that was."""
    with store.transaction() as tx:
        return release(tx, store, batch_id)


def broken_laws(store: Store, *, but: tuple[str, ...] = ()) -> list[str]:
    """The names of broken laws of money, but for those that a test does without."""
    with store.read() as session:
        names = {violation.name for violation in check_money(session, store)}
    return sorted(names.difference(but))
