"""What clients are told: events, the endpoints they go to, and each delivery."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field

from app.domain.states import DeliveryState
from app.models.base import Id, LongText, Table, UTCDateTime, Word, check_state


class Endpoint(Table, table=True):
    """A URL that is told events; with a `batch_id`, only of that batch.

    Without a secret of its own, the account's signs. A deleted one keeps its row, for what was
    delivered to it, but neither its URL nor its secrets.
    """

    __tablename__ = "endpoint"
    __table_args__ = (
        Index("ix_endpoint_account", "account_id", "batch_id"),
        Index(
            "ix_endpoint_jobs",
            "account_id",
            sqlite_where=text("wants_jobs"),
            postgresql_where=text("wants_jobs"),
        ),
    )

    id: str = Field(sa_type=Id, primary_key=True)
    account_id: str = Field(sa_type=Id, foreign_key="account.id")
    batch_id: str | None = Field(default=None, sa_type=Id, index=True)
    name: str = Field(default="", sa_type=LongText)
    url: str = Field(sa_type=LongText)
    event_types: str = Field(sa_type=LongText)  # a JSON array
    wants_jobs: bool = False  # whether it holds the one of which there are many
    secret_sealed: str | None = Field(default=None, sa_type=LongText)
    secret_hint: str | None = Field(default=None, sa_type=Word)
    # The secret before it, which signs as well until then.
    old_secret_sealed: str | None = Field(default=None, sa_type=LongText)
    old_secret_until: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    # Since its last success; NULL and 0 while it takes what it is sent.
    failing_since: datetime | None = Field(default=None, sa_type=UTCDateTime)
    failures: int = 0
    disabled_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    disabled_reason: str | None = Field(default=None, sa_type=Word)
    deleted_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Event(Table, table=True):
    """Something a client may be told. `body` is the exact text that is signed and sent."""

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("event_key"),
        Index("ix_event_account", "account_id", "created_at"),
    )

    id: str = Field(sa_type=Id, primary_key=True)
    event_key: str = Field(sa_type=Word)  # deterministic: the same event is written once
    account_id: str = Field(sa_type=Id)
    batch_id: str | None = Field(default=None, sa_type=Id, index=True)
    type: str = Field(sa_type=Word)
    body: str = Field(sa_type=LongText)
    created_at: datetime = Field(sa_type=UTCDateTime)


class Delivery(Table, table=True):
    """One endpoint being told one event, over several delivery attempts.

    `status_code`, `error` and `response_head` are those of the last.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        check_state("state", DeliveryState),
        UniqueConstraint("event_id", "endpoint_id", "replay"),
        Index("ix_delivery_account", "account_id", "id"),
        Index("ix_delivery_endpoint", "endpoint_id", "id"),
        # Which endpoints have anything is found by the first, what is due of one by all three.
        Index(
            "ix_delivery_open",
            "endpoint_id",
            "state",
            "due_at",
            sqlite_where=text("state IN ('queued', 'sending')"),
            postgresql_where=text("state IN ('queued', 'sending')"),
        ),
        Index(
            "ix_delivery_sending",
            "due_at",
            sqlite_where=text("state = 'sending'"),
            postgresql_where=text("state = 'sending'"),
        ),
    )

    id: str = Field(sa_type=Id, primary_key=True)
    event_id: str = Field(sa_type=Id, foreign_key="event.id")
    endpoint_id: str = Field(sa_type=Id, foreign_key="endpoint.id")
    account_id: str = Field(sa_type=Id)
    replay: int = 0  # the first telling is 0; asked for again, the event is told once more
    state: str = Field(default=DeliveryState.QUEUED.value, sa_type=Word)
    # When queued: the next attempt. When sending: when the attempt is given up for lost.
    due_at: datetime = Field(sa_type=UTCDateTime)
    attempts: int = 0
    epoch: int = 0
    status_code: int | None = None
    error: str | None = Field(default=None, sa_type=LongText)
    response_head: str | None = Field(default=None, sa_type=LongText)
    answers: str = Field(default="[]", sa_type=LongText)  # of every attempt, as JSON
    created_at: datetime = Field(sa_type=UTCDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
