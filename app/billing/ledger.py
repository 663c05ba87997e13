"""The ledger of credits: grants, holds and releases, and what an account has.

Only calls through a platform credential move credits: one hold per batch at submit, one
capture per call (captures.py), one release when the batch closes. Entries are never changed or deleted.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.billing.entries import Book, Entry, Kind, write_entries, written_keys
from app.db import Store, Tx
from app.domain.errors import ConflictError, InsufficientCreditsError, InvariantError, NotFoundError
from app.domain.money import NANOS_MAX, nanos_to_dollars
from app.models import Account, LedgerEntry

_LOCK_ACCOUNT = "SELECT granted_nanos FROM account WHERE id = :account {lock}"
_GRANT = """
UPDATE account SET granted_nanos = granted_nanos + :amount,
  available_nanos = available_nanos + :amount
WHERE id = :account
"""
_LOCK_BATCH = "SELECT account_id, held_nanos FROM batch WHERE id = :batch {lock}"
_HOLD = """
UPDATE account SET available_nanos = available_nanos - :amount, held_nanos = held_nanos + :amount
WHERE id = :account AND available_nanos >= :amount
"""
_HOLD_IN_BATCH = "UPDATE batch SET held_nanos = held_nanos + :amount WHERE id = :batch"
_RELEASE = """
UPDATE account SET held_nanos = held_nanos - :amount, available_nanos = available_nanos + :amount
WHERE id = :account
"""
_RELEASE_IN_BATCH = "UPDATE batch SET held_nanos = 0 WHERE id = :batch"


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account was granted and where it is, in nanodollars.

    granted + overrun = available + held + spent, always.
    """

    granted_nanos: int
    available_nanos: int
    held_nanos: int
    spent_nanos: int
    overrun_nanos: int


def grant(
    tx: Tx,
    store: Store,
    account_id: str,
    amount_nanos: int,
    *,
    idempotency_key: str,
    note: str | None = None,
) -> bool:
    """Give an account credits; False if this grant was made before.

    Raises:
        NotFoundError: there is no such account.
        ConflictError: the same key granted another amount.
        ValueError: the amount is not positive, or cannot be counted.
    """
    _check_amount(amount_nanos)
    names = {"account": account_id, "amount": amount_nanos}
    granted = _execute(tx, store, _LOCK_ACCOUNT, account=account_id).scalar_one_or_none()
    if granted is None:
        raise NotFoundError
    if granted + amount_nanos > NANOS_MAX:
        raise ValueError("more credits than can be counted")
    key = f"{Kind.GRANT.value}:{account_id}:{idempotency_key}"
    before = tx.exec(select(LedgerEntry).where(LedgerEntry.idempotency_key == key)).one_or_none()
    if before is not None:
        if before.amount_nanos != amount_nanos:
            raise ConflictError("this key was used to grant another amount")
        return False
    _execute(tx, store, _GRANT, **names)
    entry = Entry(
        account_id, Kind.GRANT, Book.GRANTED, Book.AVAILABLE, amount_nanos, key, note=note
    )
    write_entries(tx, store, [entry])
    return True


def hold(tx: Tx, store: Store, account_id: str, batch_id: str, amount_nanos: int) -> None:
    """Hold credits for a batch, once; holding nothing writes nothing.

    Raises:
        InsufficientCreditsError: the account has less than that available.
        NotFoundError: there is no such batch of this account.
    """
    if amount_nanos == 0:
        return
    _check_amount(amount_nanos)
    tx.flush()  # the batch may be new in this very transaction
    batch = _execute(tx, store, _LOCK_BATCH, batch=batch_id).one_or_none()
    if batch is None or batch[0] != account_id:
        raise NotFoundError
    key = f"{Kind.HOLD.value}:{batch_id}"
    if written_keys(tx, store, [key]):
        return
    if _execute(tx, store, _HOLD, account=account_id, amount=amount_nanos).rowcount == 0:
        available = balance_of(tx, account_id).available_nanos
        raise InsufficientCreditsError(
            f"this batch may cost ${nanos_to_dollars(amount_nanos)}, and "
            f"${nanos_to_dollars(available)} of credits are available; "
            "set a budget, or have credits granted"
        )
    _execute(tx, store, _HOLD_IN_BATCH, batch=batch_id, amount=amount_nanos)
    entry = Entry(
        account_id, Kind.HOLD, Book.AVAILABLE, Book.HELD, amount_nanos, key, batch_id=batch_id
    )
    write_entries(tx, store, [entry])


def release(tx: Tx, store: Store, batch_id: str) -> int:
    """Give back what a closed batch still holds; the amount, 0 the second time.

    Raises:
        InvariantError: it was released before, and holds something again.
    """
    batch = _execute(tx, store, _LOCK_BATCH, batch=batch_id).one_or_none()
    if batch is None or batch[1] == 0:
        return 0
    account_id, held = batch
    key = f"{Kind.RELEASE.value}:{batch_id}"
    if written_keys(tx, store, [key]):
        raise InvariantError(f"{batch_id} was released before, and holds credits again")
    _execute(tx, store, _RELEASE_IN_BATCH, batch=batch_id)
    _execute(tx, store, _RELEASE, account=account_id, amount=held)
    entry = Entry(account_id, Kind.RELEASE, Book.HELD, Book.AVAILABLE, held, key, batch_id=batch_id)
    write_entries(tx, store, [entry])
    return int(held)


def balance_of(session: Session, account_id: str) -> Balance:
    """What an account has.

    Raises:
        NotFoundError: there is no such account.
    """
    account = session.get(Account, account_id, populate_existing=True)
    if account is None:
        raise NotFoundError
    return Balance(
        granted_nanos=account.granted_nanos,
        available_nanos=account.available_nanos,
        held_nanos=account.held_nanos,
        spent_nanos=account.spent_nanos,
        overrun_nanos=account.overrun_nanos,
    )


def transactions_of(
    session: Session, account_id: str, *, after: str | None = None, limit: int = 50
) -> list[LedgerEntry]:
    """An account's entries, latest first; `after` is the id of the last one seen."""
    query = select(LedgerEntry).where(LedgerEntry.account_id == account_id)
    if after is not None:
        query = query.where(col(LedgerEntry.id) < after)
    return list(session.exec(query.order_by(col(LedgerEntry.id).desc()).limit(limit)))


def _check_amount(amount_nanos: int) -> None:
    if not 0 < amount_nanos <= NANOS_MAX:
        raise ValueError("an amount is positive, and can be counted")


def _execute(
    tx: Tx, store: Store, statement: str, **names: object
) -> sa.CursorResult[*tuple[Any, ...]]:
    return tx.connection().execute(store.sql(statement), names)
