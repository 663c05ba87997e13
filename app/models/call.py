"""Calls, their attempts and what came of them, and the workers that hold them."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field

from app.domain.states import AttemptState, Billed, CallState, Role
from app.models.base import Id, LongText, Nanos, Table, UTCDateTime, Word, check_state


class Call(Table, table=True):
    """One request to one model for one job."""

    __tablename__ = "call"
    __table_args__ = (
        check_state("state", CallState),
        check_state("role", Role),
        Index(
            "ix_call_due",
            "lane_id",
            "model",
            "batch_id",
            "rank",
            "id",
            sqlite_where=text("state = 'queued'"),
            postgresql_where=text("state = 'queued'"),
        ),
        # On worker_id, not on state: a planner that believes no row is 'sending' would
        # take a scan by state for free, and be wrong by a factor of twenty.
        Index(
            "ix_call_held",
            "worker_id",
            sqlite_where=text("worker_id IS NOT NULL"),
            postgresql_where=text("worker_id IS NOT NULL"),
        ),
        Index(
            "ix_call_cache_key",
            "account_id",
            "cache_key",
            sqlite_where=text("cache_key IS NOT NULL"),
            postgresql_where=text("cache_key IS NOT NULL"),
        ),
    )

    id: str = Field(sa_type=Id, primary_key=True)
    job_id: str = Field(sa_type=Id, foreign_key="job.id", index=True)
    batch_id: str = Field(sa_type=Id)
    account_id: str = Field(sa_type=Id)
    lane_id: str = Field(sa_type=Id)
    model: str = Field(sa_type=LongText)
    label: str = Field(sa_type=LongText)
    role: str = Field(sa_type=Word)
    round: int
    rank: int  # the job's position: jobs that have begun end first
    fail_fast: bool = False  # what could be tried again ends it: its mode has another to try
    meta: str | None = Field(default=None, sa_type=LongText)
    # Says what it asks, so that its answer is found again; only where its batch has `cache`.
    cache_key: str | None = Field(default=None, sa_type=Id)

    state: str = Field(default=CallState.QUEUED.value, sa_type=Word)
    due_at: datetime = Field(sa_type=UTCDateTime)
    worker_id: str | None = Field(default=None, sa_type=Id)
    epoch: int = 0  # counts claims; the fencing token of the one that holds it
    attempts: int = 0  # real failures
    unknowns: int = 0  # ambiguous ones
    crash_count: int = 0  # workers lost while they held it
    wait_reason: str | None = Field(default=None, sa_type=Word)
    waiting_since: datetime | None = Field(default=None, sa_type=UTCDateTime)

    max_tokens: int | None = None  # the bound on output that is really sent
    tokens_bound: int = 0  # input and output tokens it may take, for the governor
    worst_nanos: int | None = Field(default=None, sa_type=Nanos)  # None: no known price

    reason: str | None = Field(default=None, sa_type=Word)
    message: str | None = Field(default=None, sa_type=LongText)
    created_at: datetime = Field(sa_type=UTCDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class Attempt(Table, table=True):
    """One HTTP try, written before it is sent."""

    __tablename__ = "attempt"
    __table_args__ = (check_state("state", AttemptState),)

    call_id: str = Field(sa_type=Id, primary_key=True, foreign_key="call.id")
    epoch: int = Field(primary_key=True)
    worker_id: str = Field(sa_type=Id)
    state: str = Field(default=AttemptState.SENDING.value, sa_type=Word)
    started_at: datetime = Field(sa_type=UTCDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    worst_nanos: int | None = Field(default=None, sa_type=Nanos)
    status_code: int | None = None
    reason: str | None = Field(default=None, sa_type=Word)
    message: str | None = Field(default=None, sa_type=LongText)
    request_id: str | None = Field(default=None, sa_type=LongText)
    latency_ms: int | None = None
    cost_nanos: int | None = Field(default=None, sa_type=Nanos)  # also of an unreadable answer


class StoredCompletion(Table, table=True):
    """What a call answered, but for the text, which is in `stored_text`."""

    __tablename__ = "completion"

    call_id: str = Field(sa_type=Id, primary_key=True, foreign_key="call.id")
    epoch: int
    finish_reason: str = Field(sa_type=Word)
    model_returned: str | None = Field(default=None, sa_type=LongText)
    latency_ms: int
    flags: str | None = Field(default=None, sa_type=LongText)
    created_at: datetime = Field(sa_type=UTCDateTime)


class UsageRow(Table, table=True):
    """What one completion consumed and cost. Outlives the text, and names nobody."""

    __tablename__ = "usage"
    __table_args__ = (
        check_state("billed", Billed),
        CheckConstraint("cost_nanos >= 0", name="not_negative"),
    )

    call_id: str = Field(sa_type=Id, primary_key=True)
    account_id: str = Field(sa_type=Id)
    batch_id: str = Field(sa_type=Id, index=True)
    lane_id: str = Field(sa_type=Id)
    provider: str = Field(sa_type=Word)
    model: str = Field(sa_type=LongText)
    label: str = Field(sa_type=LongText)
    role: str = Field(sa_type=Word)
    billed: str = Field(sa_type=Word)
    input_tokens: int = Field(sa_type=Nanos)
    cache_read_tokens: int = Field(sa_type=Nanos)
    cache_write_tokens: int = Field(sa_type=Nanos)
    output_tokens: int = Field(sa_type=Nanos)
    reasoning_tokens: int = Field(sa_type=Nanos)
    estimated: bool
    cost_nanos: int | None = Field(default=None, sa_type=Nanos)  # None: no known price
    price_version: str | None = Field(default=None, sa_type=Word)
    latency_ms: int
    raw: str | None = Field(default=None, sa_type=LongText)
    created_at: datetime = Field(sa_type=UTCDateTime)


class Worker(Table, table=True):
    """A worker process and its lease; past `lease_until` its calls are given back."""

    __tablename__ = "worker"

    id: str = Field(sa_type=Id, primary_key=True)
    host: str = Field(sa_type=LongText)
    pid: int
    version: str = Field(sa_type=Word)
    started_at: datetime = Field(sa_type=UTCDateTime)
    lease_until: datetime = Field(sa_type=UTCDateTime, index=True)
    writer_lag_ms: int = 0  # how long its oldest answer had not been written, at its last renewal


class Vital(Table, table=True):
    """A sign of life of the installation: how often something happened, and when it did last."""

    __tablename__ = "vital"

    name: str = Field(sa_type=Word, primary_key=True)
    count: int = Field(default=0, sa_type=Nanos)
    at: datetime = Field(sa_type=UTCDateTime)


class Backlog(Table, table=True):
    """Says that a lane may have calls of a batch for a model to send, and from when on.

    A row may be there in vain, and never be missing: whoever queues a call writes it in the
    same transaction, and only a dispatch that locked it and found nothing deletes it.
    """

    __tablename__ = "backlog"

    lane_id: str = Field(sa_type=Id, primary_key=True)
    model: str = Field(sa_type=LongText, primary_key=True)
    batch_id: str = Field(sa_type=Id, primary_key=True, index=True)
    account_id: str = Field(sa_type=Id)
    due_at: datetime = Field(sa_type=UTCDateTime)
    wait_reason: str | None = Field(default=None, sa_type=Word)
    # Since when nothing was sent though it was due, for a reason that ends calls in the end.
    waiting_since: datetime | None = Field(default=None, sa_type=UTCDateTime)
