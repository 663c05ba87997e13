"""Batches and their jobs, with the text apart: updates of a row never copy a prompt."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from app.domain.states import BatchState, EndReason, GoneReason, JobState, Seal
from app.models.base import Id, LongText, Nanos, Table, UTCDateTime, Word, check_state


class Batch(Table, table=True):
    """One submission: its state, its counters and its budget."""

    __tablename__ = "batch"
    __table_args__ = (
        check_state("state", BatchState),
        check_state("ending", EndReason, nullable=True),
        CheckConstraint("reserved_nanos >= 0 AND spent_nanos >= 0", name="not_negative"),
        CheckConstraint(
            "jobs_queued >= 0 AND jobs_queued + jobs_succeeded + jobs_failed + jobs_cancelled"
            " + jobs_expired <= jobs_total",
            name="counts_add_up",
        ),
        Index("ix_batch_account", "account_id", "id"),
        # Lists, and what they are narrowed by; a question that is waited for is in no list.
        *(
            Index(
                f"ix_batch_{name}",
                "account_id",
                *columns,
                "id",
                sqlite_where=text("interactive = 0"),
                postgresql_where=text("NOT interactive"),
            )
            for name, columns in (("listed", ()), ("name", ("name",)), ("state", ("state",)))
        ),
        Index(
            "ix_batch_open",
            "id",
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
        check_state("seal", Seal, nullable=True),
        check_state("gone_reason", GoneReason, nullable=True),
        # Whose text is there, and has a time to go; and whose rows are still to be deleted.
        Index(
            "ix_batch_kept",
            "account_id",
            "closed_at",
            sqlite_where=text("closed_at IS NOT NULL AND gone_at IS NULL"),
            postgresql_where=text("closed_at IS NOT NULL AND gone_at IS NULL"),
        ),
        Index(
            "ix_batch_to_erase",
            "id",
            sqlite_where=text("gone_at IS NOT NULL AND erased_at IS NULL"),
            postgresql_where=text("gone_at IS NOT NULL AND erased_at IS NULL"),
        ),
    )

    id: str = Field(sa_type=Id, primary_key=True)
    account_id: str = Field(sa_type=Id, foreign_key="account.id")
    name: str | None = Field(default=None, sa_type=LongText)
    mode: str = Field(sa_type=Word)
    state: str = Field(default=BatchState.QUEUED.value, sa_type=Word)
    # Why it ends early; set once, and nothing is claimed or planned after that.
    ending: str | None = Field(default=None, sa_type=Word)
    priority: int = 5
    interactive: bool = False  # set by doors that wait for the answer, never by a client
    paused: bool = False
    paused_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    paused_s: int = 0  # for how long it was paused before, altogether
    # So many of its jobs, the first, are planned; the rest once it is resumed, which sets None.
    sample: int | None = None
    at_most_once: bool = False
    cache: bool = False  # its calls may take the answers of earlier ones, and give theirs
    seal: str | None = Field(default=None, sa_type=Word)  # under whose key its texts are
    gone_reason: str | None = Field(default=None, sa_type=Word)  # why its text was destroyed
    gone_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    erased_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # with its last row
    retry_of: str | None = Field(default=None, sa_type=Id)
    input_file_id: str | None = Field(default=None, sa_type=Id)

    created_at: datetime = Field(sa_type=UTCDateTime)
    not_before: datetime | None = Field(default=None, sa_type=UTCDateTime)
    deadline: datetime | None = Field(default=None, sa_type=UTCDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    cancelling_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    finalizing_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)

    jobs_total: int
    # The last of them, by position: jobs are planned in order.
    jobs_queued: int
    jobs_succeeded: int = 0
    jobs_failed: int = 0
    jobs_cancelled: int = 0
    jobs_expired: int = 0
    calls_total: int = 0
    calls_closed: int = 0
    calls_cached: int = 0  # closed with an earlier answer, and never sent

    event_seq: int = 0  # of the last event that was told of it

    stop_if_failed_percent: int | None = None
    first_left: int = 0  # of the first calls that decide on that, how many have not ended yet
    first_failed: int = 0  # and how many of the others failed

    # The budget, for BYOK and credits alike. `reserved` is what calls in `sending` may cost.
    cap_nanos: int | None = Field(default=None, sa_type=Nanos)
    reserved_nanos: int = Field(default=0, sa_type=Nanos)
    spent_nanos: int = Field(default=0, sa_type=Nanos)
    # What of the account's credits this batch still holds.
    held_nanos: int = Field(default=0, sa_type=Nanos)
    overrun_nanos: int = Field(default=0, sa_type=Nanos)
    unpriced_calls: int = 0
    unknown_attempts: int = 0
    possible_duplicate_nanos: int = Field(default=0, sa_type=Nanos)
    wasted_nanos: int = Field(default=0, sa_type=Nanos)  # of `spent_nanos`, on unreadable answers

    @property
    def jobs_closed(self) -> int:
        """How many of its jobs are closed, however they ended."""
        return self.jobs_succeeded + self.jobs_failed + self.jobs_cancelled + self.jobs_expired

    @property
    def plan_until(self) -> int:
        """The position from which on no job is planned yet."""
        return self.jobs_total if self.sample is None else self.sample

    @property
    def is_sampled(self) -> bool:
        """Whether its sample is done, and the rest waits for `resume`."""
        return self.sample is not None and self.jobs_closed >= self.sample


class BatchSpec(Table, table=True):
    """What the batch asks, as JSON: what the client wrote, but for jobs and secrets, and its plan."""

    __tablename__ = "batch_spec"

    batch_id: str = Field(sa_type=Id, primary_key=True, foreign_key="batch.id")
    plan: str = Field(sa_type=LongText)
    body: str = Field(sa_type=LongText)


class BatchMetadata(Table, table=True):
    """A pair of a batch's metadata, to find the batch by; what is shown of it is in its spec."""

    __tablename__ = "batch_metadata"

    account_id: str = Field(sa_type=Id, primary_key=True)
    name: str = Field(sa_type=LongText, primary_key=True)
    value: str = Field(sa_type=LongText, primary_key=True)
    batch_id: str = Field(sa_type=Id, primary_key=True, index=True)


class Job(Table, table=True):
    """One prompt through the batch's mode."""

    __tablename__ = "job"
    __table_args__ = (
        check_state("state", JobState),
        CheckConstraint("outstanding >= 0", name="not_negative"),
        # To read a retry together with what it retries. No other batch has an entry in it, and
        # `custom_id` has no index: it would take a quarter of a large submit, which sees to it
        # that each is there once.
        Index(
            "ix_job_retry_of",
            "batch_id",
            "retry_of",
            sqlite_where=text("retry_of IS NOT NULL"),
            postgresql_where=text("retry_of IS NOT NULL"),
        ),
        Index(
            "ix_job_to_advance",
            "batch_id",
            "id",
            sqlite_where=text("state = 'running' AND outstanding = 0"),
            postgresql_where=text("state = 'running' AND outstanding = 0"),
        ),
    )

    id: str = Field(sa_type=Id, primary_key=True)  # made of the batch's and the position
    # No foreign key: a batch and its jobs are written in one transaction, and checking each of
    # them against it would take a fifth of a large submit.
    batch_id: str = Field(sa_type=Id)
    account_id: str = Field(sa_type=Id)
    position: int
    custom_id: str = Field(sa_type=Id)
    # These are the store's own defaults, too, so that a submit need not send them.
    state: str = Field(
        default=JobState.QUEUED.value,
        sa_type=Word,
        sa_column_kwargs={"server_default": JobState.QUEUED.value},
    )
    round: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    # Open calls of the current round.
    outstanding: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    # Which of its batch's plans it follows.
    plan: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    retry_of: int | None = None  # of the job that it retries, the position in the other batch
    reason: str | None = Field(default=None, sa_type=Word)
    message: str | None = Field(default=None, sa_type=LongText)
    closed_at: datetime | None = Field(default=None, sa_type=UTCDateTime)


class StoredText(Table, table=True):
    """Text of a job or a call, by its id and kind: all that privacy is about is in here.

    `prompt` (a job's messages and reference), `request` (a call's own messages and
    parameters, where they are not the job's), `answer`, `extra` (reasoning and tool calls),
    `synthesis` and `route` (how a job's blend or mesh came about).
    """

    __tablename__ = "stored_text"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('prompt', 'request', 'answer', 'extra', 'synthesis', 'route')",
            name="kind_known",
        ),
    )

    owner_id: str = Field(sa_type=Id, primary_key=True)
    kind: str = Field(sa_type=Word, primary_key=True)
    batch_id: str = Field(sa_type=Id)
    body: str = Field(sa_type=LongText)


class StoredVerdict(Table, table=True):
    """The judges' verdict on a job; `body` is the whole of it, as JSON."""

    __tablename__ = "verdict"

    job_id: str = Field(sa_type=Id, primary_key=True, foreign_key="job.id")
    batch_id: str = Field(sa_type=Id, index=True)
    winner: str | None = Field(default=None, sa_type=LongText)
    abstained: int = 0
    body: str = Field(sa_type=LongText)


class InputFile(Table, table=True):
    """An input file, or what a batch came to; the bytes are in file storage, under its id."""

    __tablename__ = "file"
    __table_args__ = (
        CheckConstraint("format IN ('jsonl', 'csv', 'parquet')", name="format_known"),
        check_state("seal", Seal, nullable=True),
    )

    id: str = Field(sa_type=Id, primary_key=True)
    account_id: str = Field(sa_type=Id, foreign_key="account.id", index=True)
    filename: str = Field(sa_type=LongText)
    bytes: int = Field(sa_type=Nanos)
    sha256: str = Field(sa_type=Word)
    format: str = Field(default="jsonl", sa_type=Word)
    purpose: str = Field(default="batch", sa_type=Word)  # or `batch_output`
    seal: str | None = Field(default=None, sa_type=Word)  # then the hash is of what is stored
    batch_id: str | None = Field(default=None, sa_type=Id)  # of an output: kept as its texts are
    created_at: datetime = Field(sa_type=UTCDateTime)
    # From then on it is as good as gone, and reconcile deletes it.
    expires_at: datetime | None = Field(default=None, sa_type=UTCDateTime, index=True)


class TextKey(Table, table=True):
    """The key of a batch or file that retains nothing, wrapped by a day's key of the keyring.

    Its row is deleted to destroy what it sealed. A file's is taken over by the batch made of it.
    """

    __tablename__ = "text_key"
    __table_args__ = (UniqueConstraint("batch_id"), UniqueConstraint("file_id"))

    id: str = Field(sa_type=Id, primary_key=True)
    account_id: str = Field(sa_type=Id, index=True)
    batch_id: str | None = Field(default=None, sa_type=Id)
    file_id: str | None = Field(default=None, sa_type=Id)
    day: str = Field(sa_type=Word, index=True)
    wrapped: str = Field(sa_type=LongText)
    created_at: datetime = Field(sa_type=UTCDateTime)


class IdempotencyKey(Table, table=True):
    """A submission seen before: the same key with the same bytes is the same batch."""

    __tablename__ = "idempotency_key"

    account_id: str = Field(sa_type=Id, primary_key=True)
    key: str = Field(sa_type=LongText, primary_key=True)
    body_sha256: str = Field(sa_type=Word)
    batch_id: str = Field(sa_type=Id)
    created_at: datetime = Field(sa_type=UTCDateTime, index=True)
