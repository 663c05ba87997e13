"""Corrections of the ledger: what was written stays, and a reversing entry is added.

A refund gives back what a call was charged; an adjustment corrects what was granted. Both say
why, and happen once.
"""

from typing import Any

import sqlalchemy as sa
from sqlmodel import select

from app.billing.entries import Book, Entry, Kind, write_entries
from app.billing.ledger import balance_of
from app.db import Store, Tx
from app.domain.errors import ConflictError, InsufficientCreditsError, NotFoundError
from app.domain.money import NANOS_MAX, nanos_to_dollars
from app.models import LedgerEntry

_LOCK_ACCOUNT = "SELECT granted_nanos FROM account WHERE id = :account {lock}"
_ADJUST = """
UPDATE account SET granted_nanos = granted_nanos + :amount,
  available_nanos = available_nanos + :amount
WHERE id = :account AND available_nanos + :amount >= 0
"""
_REFUND = """
UPDATE account SET spent_nanos = spent_nanos - :amount, available_nanos = available_nanos + :amount
WHERE id = :account
"""


def adjust(
    tx: Tx, store: Store, account_id: str, amount_nanos: int, *, idempotency_key: str, note: str
) -> bool:
    """Correct what an account was granted, up or down; False if this was done before.

    Raises:
        NotFoundError: there is no such account.
        ConflictError: the same key adjusted by another amount.
        InsufficientCreditsError: less than that is available, to be taken back.
        ValueError: the amount is 0, or cannot be counted.
    """
    if amount_nanos == 0 or abs(amount_nanos) > NANOS_MAX:
        raise ValueError("an adjustment is more or less than nothing, and can be counted")
    granted = _execute(tx, store, _LOCK_ACCOUNT, account=account_id).scalar_one_or_none()
    if granted is None:
        raise NotFoundError(f"there is no account {account_id[:64]!r}")
    if granted + amount_nanos > NANOS_MAX:
        raise ValueError("more credits than can be counted")
    books = (Book.GRANTED, Book.AVAILABLE)
    debit, credit = books if amount_nanos > 0 else reversed(books)
    key = f"{Kind.ADJUSTMENT.value}:{account_id}:{idempotency_key}"
    before = _entry_of(tx, key)
    if before is not None:
        if (before.amount_nanos, before.debit) != (abs(amount_nanos), debit.value):
            raise ConflictError("this key was used to adjust by another amount")
        return False
    if _execute(tx, store, _ADJUST, account=account_id, amount=amount_nanos).rowcount == 0:
        available = balance_of(tx, account_id).available_nanos
        raise InsufficientCreditsError(
            f"${nanos_to_dollars(available)} of credits are available, and no more can be taken"
        )
    entry = Entry(account_id, Kind.ADJUSTMENT, debit, credit, abs(amount_nanos), key, note=note)
    write_entries(tx, store, [entry])
    return True


def refund(tx: Tx, store: Store, call_id: str, *, note: str) -> LedgerEntry:
    """Give back all that a call was charged, once; the entry of its capture.

    What the batch has spent stays as it was: the provider was paid.

    Raises:
        NotFoundError: no credits were charged for such a call.
        ConflictError: it was refunded before.
    """
    capture = _entry_of(tx, f"{Kind.CAPTURE.value}:{call_id}")
    if capture is None:
        raise NotFoundError(f"no credits were charged for a call {call_id[:64]!r}")
    account_id = capture.account_id
    _execute(tx, store, _LOCK_ACCOUNT, account=account_id)
    key = f"{Kind.REFUND.value}:{call_id}"
    if _entry_of(tx, key) is not None:
        raise ConflictError(f"{call_id} was refunded before")
    _execute(tx, store, _REFUND, account=account_id, amount=capture.amount_nanos)
    entry = Entry(
        account_id,
        Kind.REFUND,
        Book.SPENT,
        Book.AVAILABLE,
        capture.amount_nanos,
        key,
        batch_id=capture.batch_id,
        call_id=call_id,
        price_version=capture.price_version,
        note=note,
    )
    write_entries(tx, store, [entry])
    return capture


def _entry_of(tx: Tx, key: str) -> LedgerEntry | None:
    return tx.exec(select(LedgerEntry).where(LedgerEntry.idempotency_key == key)).one_or_none()


def _execute(
    tx: Tx, store: Store, statement: str, **names: object
) -> sa.CursorResult[*tuple[Any, ...]]:
    return tx.connection().execute(store.sql(statement), names)
