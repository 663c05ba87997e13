"""Ledger entries: how a movement between two books of an account is written down.

The amount leaves the book named `debit` and arrives in the one named `credit`. `granted` and
`overrun` are where money comes from, so they grow when it leaves them, and shrink when a
correction brings it back; `available`, `held` and
`spent` are where it is. So the account's columns always add up:
granted + overrun = available + held + spent.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

import msgspec

from app.db import Store, Tx
from app.domain.ids import Prefix, new_ids

NOTE_CHARS_MAX = 4000

_INSERT = """
INSERT INTO ledger_entry (id, account_id, batch_id, call_id, kind, debit, credit, amount_nanos,
                          idempotency_key, price_version, note, created_at)
SELECT d.id, d.account, d.batch, d.call, d.kind, d.debit, d.credit, d.amount, d.key, d.version,
       d.note, {now}
FROM {rows(id text, account text, batch text, call text, kind text, debit text, credit text,
           amount bigint, key text, version text, note text)}
"""
_WRITTEN = """
SELECT e.idempotency_key FROM {rows(key text)} {join} ledger_entry e ON e.idempotency_key = d.key
"""


class Book(StrEnum):
    """Where an account's credits come from and where they are."""

    GRANTED = "granted"
    AVAILABLE = "available"
    HELD = "held"
    SPENT = "spent"
    OVERRUN = "overrun"


class Kind(StrEnum):
    """Why credits move."""

    GRANT = "grant"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    REFUND = "refund"
    ADJUSTMENT = "adjustment"


class Entry(msgspec.Struct, frozen=True):
    """One movement, of a positive amount in nanodollars.

    `key` makes it happen once: it is derived from what the movement is for.
    """

    account_id: str
    kind: Kind
    debit: Book
    credit: Book
    amount_nanos: int
    key: str
    batch_id: str | None = None
    call_id: str | None = None
    price_version: str | None = None
    note: str | None = None


def write_entries(tx: Tx, store: Store, entries: Sequence[Entry]) -> None:
    """Write the entries, all of them new. The balances are the caller's to move."""
    if not entries:
        return
    ids = new_ids(Prefix.LEDGER_ENTRY, len(entries))
    rows = [
        {
            "id": id_,
            "account": entry.account_id,
            "batch": entry.batch_id,
            "call": entry.call_id,
            "kind": entry.kind.value,
            "debit": entry.debit.value,
            "credit": entry.credit.value,
            "amount": entry.amount_nanos,
            "key": entry.key,
            "version": entry.price_version,
            "note": entry.note and entry.note[:NOTE_CHARS_MAX],
        }
        for id_, entry in zip(ids, entries, strict=True)
    ]
    tx.connection().execute(store.sql(_INSERT), {"rows": msgspec.json.encode(rows).decode()})


def written_keys(tx: Tx, store: Store, keys: Collection[str]) -> set[str]:
    """Which of these keys have an entry already. Only a lock on the account makes it certain."""
    rows = msgspec.json.encode([{"key": key} for key in keys]).decode()
    found = tx.connection().execute(store.sql(_WRITTEN), {"rows": rows})
    return {row[0] for row in found}
