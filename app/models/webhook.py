"""What clients are told: events, the endpoints they go to, and each delivery."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field

from app.domain.states import DeliveryState
from app.models.base import Id, LongText, Table, UTCDateTime, Word, check_state


class Endpoint(Table, table=True):
    """A URL that is told events; with a `batch_id`, only of that batch.

    Without a secret of its own, the account's signs.
    """

    __tablename__ = "endpoint"

    id: str = Field(sa_type=Id, primary_key=True)
    account_id: str = Field(sa_type=Id, foreign_key="account.id", index=True)
    batch_id: str | None = Field(default=None, sa_type=Id, index=True)
    url: str = Field(sa_type=LongText)
    secret_sealed: str | None = Field(default=None, sa_type=LongText)
    created_at: datetime = Field(sa_type=UTCDateTime)
    disabled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Event(Table, table=True):
    """Something a client may be told. `body` is the exact text that is signed and sent."""

    __tablename__ = "event"
    __table_args__ = (UniqueConstraint("event_key"),)

    id: str = Field(sa_type=Id, primary_key=True)
    event_key: str = Field(sa_type=Word)  # deterministic: the same event is written once
    account_id: str = Field(sa_type=Id)
    batch_id: str | None = Field(default=None, sa_type=Id, index=True)
    type: str = Field(sa_type=Word)
    body: str = Field(sa_type=LongText)
    created_at: datetime = Field(sa_type=UTCDateTime)


class Delivery(Table, table=True):
    """One endpoint being told one event, over several delivery attempts."""

    __tablename__ = "delivery"
    __table_args__ = (
        check_state("state", DeliveryState),
        UniqueConstraint("event_id", "endpoint_id"),
        Index(
            "ix_delivery_due",
            "due_at",
            sqlite_where=text("state IN ('queued', 'sending')"),
            postgresql_where=text("state IN ('queued', 'sending')"),
        ),
    )

    id: str = Field(sa_type=Id, primary_key=True)
    event_id: str = Field(sa_type=Id, foreign_key="event.id")
    endpoint_id: str = Field(sa_type=Id, foreign_key="endpoint.id", index=True)
    account_id: str = Field(sa_type=Id)
    state: str = Field(default=DeliveryState.QUEUED.value, sa_type=Word)
    # When queued: the next attempt. When sending: when the attempt is given up for lost.
    due_at: datetime = Field(sa_type=UTCDateTime)
    attempts: int = 0
    epoch: int = 0
    status_code: int | None = None
    error: str | None = Field(default=None, sa_type=LongText)
    response_head: str | None = Field(default=None, sa_type=LongText)
    created_at: datetime = Field(sa_type=UTCDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
