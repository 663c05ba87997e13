"""Accounts, their API keys, and the lanes and provider keys their calls go through."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from app.domain.states import Billed, LaneState, Retention
from app.models.base import Id, LongText, Nanos, Table, UTCDateTime, Word, check_state


class Account(Table, table=True):
    """A tenant. Its balance moves only together with ledger entries, and always adds up."""

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint(
            "granted_nanos + overrun_nanos = held_nanos + available_nanos + spent_nanos",
            name="balances",
        ),
        CheckConstraint("held_nanos >= 0 AND available_nanos >= 0", name="not_negative"),
        check_state("retention", Retention),
    )

    id: str = Field(sa_type=Id, primary_key=True)
    name: str = Field(sa_type=LongText)
    created_at: datetime = Field(sa_type=UTCDateTime)
    granted_nanos: int = Field(default=0, sa_type=Nanos)
    overrun_nanos: int = Field(default=0, sa_type=Nanos)
    held_nanos: int = Field(default=0, sa_type=Nanos)
    available_nanos: int = Field(default=0, sa_type=Nanos)
    spent_nanos: int = Field(default=0, sa_type=Nanos)
    # The account's data key, wrapped by the master key that `data_key_kid` names.
    data_key_wrapped: str = Field(sa_type=LongText)
    data_key_kid: str = Field(sa_type=Word)
    webhook_secret_sealed: str = Field(sa_type=LongText)
    # How its texts are kept: `none` is for every batch, `seal` for those that keep theirs.
    retention: str = Field(default=Retention.KEEP.value, sa_type=Word)
    seal: bool = False
    retention_days: int | None = None  # after a batch's close; None: for ever
    # Then its id and its balance are all that is left: its key and its name are no more.
    deleted_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    disabled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    # The account's own limits; None: what the settings say, 0: none.
    requests_per_minute: int | None = Field(default=None, sa_type=Nanos)
    queued_jobs_max: int | None = Field(default=None, sa_type=Nanos)
    storage_bytes_max: int | None = Field(default=None, sa_type=Nanos)


class ApiKey(Table, table=True):
    """One of ours, `ovn_…`; only its SHA-256 is here."""

    __tablename__ = "api_key"
    __table_args__ = (UniqueConstraint("secret_sha256"),)

    id: str = Field(sa_type=Id, primary_key=True)
    account_id: str = Field(sa_type=Id, foreign_key="account.id", index=True)
    name: str = Field(sa_type=LongText)
    secret_sha256: str = Field(sa_type=Word)
    hint: str = Field(sa_type=Word)
    scopes: str = Field(sa_type=Word)
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Lane(Table, table=True):
    """One provider credential's place in the world: the unit that rate limits belong to.

    An account has one lane per provider; a lane without an account is the platform's.
    """

    __tablename__ = "lane"
    __table_args__ = (
        check_state("state", LaneState),
        check_state("billed", (Billed.BYOK, Billed.CREDITS)),
        Index("uq_lane_account_provider", "account_id", "provider", unique=True),
        Index(
            "uq_lane_platform",
            "provider",
            unique=True,
            sqlite_where=text("account_id IS NULL"),
            postgresql_where=text("account_id IS NULL"),
        ),
    )

    id: str = Field(sa_type=Id, primary_key=True)
    account_id: str | None = Field(default=None, sa_type=Id, foreign_key="account.id")
    provider: str = Field(sa_type=Word)
    billed: str = Field(sa_type=Word)
    state: str = Field(default=LaneState.OPEN.value, sa_type=Word)
    base_url: str | None = Field(default=None, sa_type=LongText)
    rpm: int | None = None
    tpm: int | None = None
    in_flight: int | None = None
    parked_reason: str | None = Field(default=None, sa_type=LongText)
    parked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    # When a quota is there again, and the lane opens by itself.
    parked_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)


class ProviderKey(Table, table=True):
    """The client's own key for a lane, sealed. Its id is part of what is sealed."""

    __tablename__ = "provider_key"
    __table_args__ = (UniqueConstraint("lane_id"),)

    id: str = Field(sa_type=Id, primary_key=True)
    lane_id: str = Field(sa_type=Id, foreign_key="lane.id")
    account_id: str = Field(sa_type=Id, foreign_key="account.id", index=True)
    provider: str = Field(sa_type=Word)
    sealed: str = Field(sa_type=LongText)
    hint: str = Field(sa_type=Word)
    created_at: datetime = Field(sa_type=UTCDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
