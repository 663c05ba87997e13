"""What the API itself adds to the views of `app.reports`: pages, files, keys and credits."""

from datetime import datetime
from typing import Literal, cast

import msgspec

from app.billing.ledger import Balance
from app.domain.states import Seal
from app.models import InputFile, LedgerEntry
from app.reports.views import BatchView, ResultLine
from app.vault.provider_keys import ProviderKeyView


class BatchPage(msgspec.Struct, frozen=True):
    """Batches, newest first. `next` is the `after` of the next page; null at the end."""

    data: list[BatchView]
    next: str | None
    object: Literal["list"] = "list"


class ResultPage(msgspec.Struct, frozen=True):
    """Results in job order. `next` is the `after` of the next page; null at the end."""

    data: list[ResultLine]
    next: int | None
    object: Literal["list"] = "list"


class FileView(msgspec.Struct, frozen=True):
    """An input file."""

    id: str
    filename: str
    bytes: int
    sha256: str
    created_at: datetime
    format: Literal["jsonl", "csv", "parquet"] = "jsonl"
    retention: Literal["keep", "none"] = "keep"
    object: Literal["file"] = "file"

    @classmethod
    def of(cls, row: InputFile) -> "FileView":
        """The view of a file."""
        known = cast("Literal['jsonl', 'csv', 'parquet']", row.format)
        kept: Literal["keep", "none"] = "none" if row.seal == Seal.BATCH else "keep"
        return cls(row.id, row.filename, row.bytes, row.sha256, row.created_at, known, kept)


class LimitsView(msgspec.Struct, frozen=True):
    """Requests and tokens per minute, and calls at a time; null where there is no limit."""

    rpm: int | None
    tpm: int | None
    in_flight: int | None


class KeyView(msgspec.Struct, frozen=True):
    """A provider's setting. Of its key only the last characters are ever shown again."""

    provider: str
    key_id: str | None
    hint: str | None
    base_url: str | None
    limits: LimitsView
    state: str
    parked_reason: str | None
    created_at: datetime
    last_used_at: datetime | None

    @classmethod
    def of(cls, view: ProviderKeyView) -> "KeyView":
        """What of a setting is shown."""
        limits = view.limits
        return cls(
            provider=view.provider,
            key_id=view.key_id,
            hint=view.hint,
            base_url=view.base_url,
            limits=LimitsView(limits.rpm, limits.tpm, limits.in_flight),
            state=view.state.value,
            parked_reason=view.parked_reason,
            created_at=view.created_at,
            last_used_at=view.last_used_at,
        )


class KeyList(msgspec.Struct, frozen=True):
    """Every provider's setting, by name."""

    data: list[KeyView]
    object: Literal["list"] = "list"


class CreditsView(msgspec.Struct, frozen=True):
    """Credits in nanodollars: granted + overrun = available + held + spent."""

    granted_nanos: int
    available_nanos: int
    held_nanos: int
    spent_nanos: int
    overrun_nanos: int

    @classmethod
    def of(cls, balance: Balance) -> "CreditsView":
        """The view of a balance."""
        return cls(
            balance.granted_nanos,
            balance.available_nanos,
            balance.held_nanos,
            balance.spent_nanos,
            balance.overrun_nanos,
        )


class TransactionView(msgspec.Struct, frozen=True):
    """One movement of credits, from one of the account's books to another."""

    id: str
    kind: str
    debit: str
    credit: str
    amount_nanos: int
    batch_id: str | None
    call_id: str | None
    price_version: str | None
    note: str | None
    created_at: datetime

    @classmethod
    def of(cls, entry: LedgerEntry) -> "TransactionView":
        """The view of a ledger entry."""
        return cls(
            id=entry.id,
            kind=entry.kind,
            debit=entry.debit,
            credit=entry.credit,
            amount_nanos=entry.amount_nanos,
            batch_id=entry.batch_id,
            call_id=entry.call_id,
            price_version=entry.price_version,
            note=entry.note,
            created_at=entry.created_at,
        )


class TransactionPage(msgspec.Struct, frozen=True):
    """Movements, latest first. `next` is the `after` of the next page; null at the end."""

    data: list[TransactionView]
    next: str | None
    object: Literal["list"] = "list"


class WebhookSecretView(msgspec.Struct, frozen=True):
    """The account's signing secret, for checking what it is sent."""

    secret: str
