"""The ledger: every movement of credits, written once; and the prices of accounts' own."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field

from app.domain.states import Billed
from app.models.base import Id, LongText, Nanos, Table, UTCDateTime, Word, check_state


class LedgerEntry(Table, table=True):
    """One movement between two of an account's books, so that it balances by construction.

    No foreign keys and no names: entries outlive what they were for. Triggers refuse to
    change or delete one.
    """

    __tablename__ = "ledger_entry"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('grant', 'hold', 'capture', 'release', 'refund', 'adjustment')",
            name="kind_known",
        ),
        CheckConstraint("amount_nanos > 0", name="positive"),
        CheckConstraint("debit <> credit", name="moves"),
        UniqueConstraint("idempotency_key"),
        Index("ix_ledger_entry_account", "account_id", "id"),
        Index("ix_ledger_entry_batch", "batch_id"),
    )

    id: str = Field(sa_type=Id, primary_key=True)
    account_id: str = Field(sa_type=Id)
    batch_id: str | None = Field(default=None, sa_type=Id)
    call_id: str | None = Field(default=None, sa_type=Id)
    kind: str = Field(sa_type=Word)
    debit: str = Field(sa_type=Word)
    credit: str = Field(sa_type=Word)
    amount_nanos: int = Field(sa_type=Nanos)
    idempotency_key: str = Field(sa_type=LongText)
    price_version: str | None = Field(default=None, sa_type=Word)
    note: str | None = Field(default=None, sa_type=LongText)
    created_at: datetime = Field(sa_type=UTCDateTime)


class OwnPriceRow(Table, table=True):
    """What an account pays for a model in place of the list's price, by who is charged."""

    __tablename__ = "own_price"
    __table_args__ = (
        check_state("billed", (Billed.BYOK, Billed.CREDITS)),
        CheckConstraint(
            "input_micros >= 0 AND output_micros >= 0 AND cache_read_micros >= 0",
            name="not_negative",
        ),
    )

    account_id: str = Field(sa_type=Id, primary_key=True)
    provider: str = Field(sa_type=Word, primary_key=True)
    model: str = Field(sa_type=LongText, primary_key=True)
    billed: str = Field(sa_type=Word, primary_key=True)
    input_micros: int = Field(sa_type=Nanos)  # per million tokens
    output_micros: int = Field(sa_type=Nanos)
    cache_read_micros: int | None = Field(default=None, sa_type=Nanos)
    created_at: datetime = Field(sa_type=UTCDateTime)
