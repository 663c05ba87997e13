"""Batches in OpenAI's own fields (openai-python 3.54.0, `openai.types.Batch`)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlmodel import Session, col, select

from app.domain.errors import NotFoundError
from app.domain.states import BatchState
from app.models import Batch, BatchSpec, InputFile, OpenAIBatch

#: Our states, and OpenAI's word for where such a batch is.
_STATUSES = {
    BatchState.QUEUED: "validating",
    BatchState.RUNNING: "in_progress",
}


class BatchErrors(msgspec.Struct, frozen=True):
    """What is wrong with an input, line by line."""

    data: list[dict[str, Any]]
    object: Literal["list"] = "list"


class RequestCounts(msgspec.Struct, frozen=True):
    """`openai.types.BatchRequestCounts`."""

    total: int
    completed: int
    failed: int


class BatchObject(msgspec.Struct, frozen=True, kw_only=True):
    """`openai.types.Batch`."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    model: str | None
    errors: BatchErrors | None
    input_file_id: str
    completion_window: str
    status: str
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts | None
    usage: msgspec.Raw | None
    metadata: dict[str, str] | None


class _Words(msgspec.Struct, frozen=True):
    """What is shown of the client's own words."""

    metadata: dict[str, str] = {}


def batch_object(session: Session, account_id: str, batch_id: str) -> BatchObject:
    """One batch as it is now.

    Raises:
        NotFoundError: the account has no such batch from this door.
    """
    found = _read(session, account_id, [batch_id])
    if not found:
        raise NotFoundError(f"there is no batch {batch_id[:64]!r}")
    return found[0]


def list_batch_objects(
    session: Session, account_id: str, after: str | None, limit: int
) -> tuple[list[BatchObject], bool]:
    """A page of the batches that came through this door, newest first, and whether more follow."""
    statement = select(OpenAIBatch.batch_id).where(OpenAIBatch.account_id == account_id)
    if after is not None:
        statement = statement.where(col(OpenAIBatch.batch_id) < after)
    ids = session.exec(statement.order_by(col(OpenAIBatch.batch_id).desc()).limit(limit + 1)).all()
    return _read(session, account_id, ids[:limit]), len(ids) > limit


def _read(session: Session, account_id: str, ids: Sequence[str]) -> list[BatchObject]:
    rows = session.exec(
        select(Batch, OpenAIBatch, BatchSpec.body)
        .join(OpenAIBatch, col(OpenAIBatch.batch_id) == Batch.id)
        .join(BatchSpec, col(BatchSpec.batch_id) == Batch.id)
        .where(Batch.account_id == account_id, col(Batch.id).in_(ids))
        .order_by(col(Batch.id).desc())
        .execution_options(populate_existing=True)
    ).all()
    names = [name for _, row, _ in rows for name in (row.output_file_id, row.error_file_id)]
    written = set(session.exec(select(InputFile.id).where(col(InputFile.id).in_(names))).all())
    return [_object(batch, row, body, written) for batch, row, body in rows]


def _object(batch: Batch, row: OpenAIBatch, body: str, written: set[str]) -> BatchObject:
    state = BatchState(batch.state)
    closed = {one: _seconds(batch.closed_at) if one is state else None for one in BatchState}
    return BatchObject(
        id=batch.id,
        endpoint=row.endpoint,
        model=row.model,
        errors=None if row.errors is None else BatchErrors(msgspec.json.decode(row.errors)),
        input_file_id=batch.input_file_id or "",
        completion_window=row.completion_window,
        status=_STATUSES.get(state, state.value),
        output_file_id=row.output_file_id if row.output_file_id in written else None,
        error_file_id=row.error_file_id if row.error_file_id in written else None,
        created_at=int(batch.created_at.timestamp()),
        in_progress_at=_seconds(batch.started_at),
        expires_at=_seconds(batch.deadline),
        finalizing_at=_seconds(batch.finalizing_at),
        completed_at=closed[BatchState.COMPLETED],
        failed_at=closed[BatchState.FAILED],
        expired_at=closed[BatchState.EXPIRED],
        cancelling_at=_seconds(batch.cancelling_at),
        cancelled_at=closed[BatchState.CANCELLED],
        request_counts=None if row.errors is not None else _counts(batch, row),
        usage=None if row.usage is None else msgspec.Raw(row.usage.encode()),
        metadata=msgspec.json.decode(body, type=_Words).metadata or None,
    )


def _counts(batch: Batch, row: OpenAIBatch) -> RequestCounts:
    """Live from the batch's counters; of a closed one, what its files hold."""
    completed = batch.jobs_succeeded if row.completed is None else row.completed
    failed = batch.jobs_closed - batch.jobs_succeeded if row.failed is None else row.failed
    return RequestCounts(batch.jobs_total, completed, failed)


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
