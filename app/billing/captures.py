"""Captures: what a group of calls cost is taken from the credits held for their batches.

A capture never fails. It takes from the batch's hold; where that is short, the hold is first
topped up from what the account has available, and then by an overrun, which is flagged.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from app.billing.entries import Book, Entry, Kind, write_entries, written_keys
from app.db import Store, Tx
from app.domain.errors import InvariantError

_LOCK_BATCHES = """
SELECT batch.id, batch.held_nanos FROM {rows(id text)} {join} batch ON batch.id = d.id
ORDER BY batch.id {lock}
"""
_LOCK_ACCOUNTS = """
SELECT account.id, account.available_nanos FROM {rows(id text)} {join} account ON account.id = d.id
ORDER BY account.id {lock}
"""
_MOVE_BATCHES = """
UPDATE batch SET held_nanos = d.held FROM {rows(id text, held bigint)} WHERE batch.id = d.id
"""
_MOVE_ACCOUNTS = """
UPDATE account SET available_nanos = available_nanos - d.topped_up,
  held_nanos = held_nanos + d.topped_up + d.overrun - d.captured,
  spent_nanos = spent_nanos + d.captured, overrun_nanos = overrun_nanos + d.overrun
FROM {rows(id text, topped_up bigint, overrun bigint, captured bigint)} WHERE account.id = d.id
"""
#: Never added up with what went over the cap: the two may be the same money.
_FLAG_OVERRUNS = """
UPDATE batch SET overrun_nanos = s.total
FROM (SELECT e.batch_id, SUM(e.amount_nanos) AS total
      FROM {rows(id text)} {join} ledger_entry e ON e.batch_id = d.id
      WHERE e.kind = 'adjustment' GROUP BY e.batch_id) s
WHERE batch.id = s.batch_id AND batch.overrun_nanos < s.total
"""


class Capture(msgspec.Struct, frozen=True):
    """What one call through a platform credential cost, in nanodollars.

    `note` is a snapshot of its usage; with `price_version` it says how the amount came about.
    """

    account_id: str
    batch_id: str
    call_id: str
    amount_nanos: int
    price_version: str | None = None
    note: str | None = None


class _Books:
    """The balances that a group of captures moves, and how far it has moved them."""

    def __init__(self, held: dict[str, int], available: dict[str, int]) -> None:
        self.held = held
        self.available = available
        self.topped_up: dict[str, int] = defaultdict(int)
        self.overrun: dict[str, int] = defaultdict(int)
        self.captured: dict[str, int] = defaultdict(int)
        self.overrun_batches: set[str] = set()

    def take(self, one: Capture) -> Iterator[Entry]:
        """Move the balances by one capture; the entries that say so."""
        short = max(0, one.amount_nanos - self.held[one.batch_id])
        top_up = min(short, self.available[one.account_id])
        if top_up:
            self.available[one.account_id] -= top_up
            self.topped_up[one.account_id] += top_up
            yield _entry(one, Kind.HOLD, Book.AVAILABLE, Book.HELD, top_up)
        if short > top_up:
            self.overrun[one.account_id] += short - top_up
            self.overrun_batches.add(one.batch_id)
            yield _entry(one, Kind.ADJUSTMENT, Book.OVERRUN, Book.HELD, short - top_up)
        self.held[one.batch_id] += short - one.amount_nanos
        self.captured[one.account_id] += one.amount_nanos
        yield _entry(one, Kind.CAPTURE, Book.HELD, Book.SPENT, one.amount_nanos)


def _entry(one: Capture, kind: Kind, debit: Book, credit: Book, amount_nanos: int) -> Entry:
    is_capture = kind is Kind.CAPTURE
    return Entry(
        one.account_id,
        kind,
        debit,
        credit,
        amount_nanos,
        key=f"{kind.value}:{one.call_id}",
        batch_id=one.batch_id,
        call_id=one.call_id,
        price_version=one.price_version if is_capture else None,
        note=one.note if is_capture else None,
    )


def capture_many(tx: Tx, store: Store, captures: Iterable[Capture]) -> list[str]:
    """Capture what calls cost, each call once however often it is told.

    Batches are locked in order of id, then accounts. Calls that cost nothing write nothing.

    Returns:
        The batches whose calls were now captured beyond the account's credits.

    Raises:
        InvariantError: an amount is negative, or its batch or account is not there.
    """
    due = {one.call_id: one for one in captures if one.amount_nanos}
    if any(one.amount_nanos < 0 for one in due.values()):
        raise InvariantError("a capture is never negative")
    if not due:
        return []
    books = _Books(
        _lock(tx, store, _LOCK_BATCHES, {one.batch_id for one in due.values()}),
        _lock(tx, store, _LOCK_ACCOUNTS, {one.account_id for one in due.values()}),
    )
    done = written_keys(tx, store, [f"{Kind.CAPTURE.value}:{call_id}" for call_id in due])
    fresh = [due[call_id] for call_id in sorted(due) if f"capture:{call_id}" not in done]
    write_entries(tx, store, [entry for one in fresh for entry in books.take(one)])
    _move(tx, store, books, {one.batch_id for one in fresh})
    return sorted(books.overrun_batches)


def _lock(tx: Tx, store: Store, statement: str, ids: set[str]) -> dict[str, int]:
    rows = _execute(tx, store, statement, [{"id": id_} for id_ in ids])
    found = {row[0]: row[1] for row in rows}
    if len(found) < len(ids):
        raise InvariantError(f"captured for what is not there: {sorted(ids - found.keys())}")
    return found


def _move(tx: Tx, store: Store, books: _Books, batch_ids: set[str]) -> None:
    if not batch_ids:
        return
    held = [{"id": id_, "held": books.held[id_]} for id_ in batch_ids]
    _execute(tx, store, _MOVE_BATCHES, held)
    if books.overrun_batches:
        _execute(tx, store, _FLAG_OVERRUNS, [{"id": id_} for id_ in books.overrun_batches])
    moved = [
        {
            "id": id_,
            "topped_up": books.topped_up[id_],
            "overrun": books.overrun[id_],
            "captured": captured,
        }
        for id_, captured in books.captured.items()
    ]
    _execute(tx, store, _MOVE_ACCOUNTS, moved)


def _execute(
    tx: Tx, store: Store, statement: str, rows: Sequence[Mapping[str, object]]
) -> sa.CursorResult[*tuple[Any, ...]]:
    encoded = msgspec.json.encode(rows).decode()
    return tx.connection().execute(store.sql(statement), {"rows": encoded})
