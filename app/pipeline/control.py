"""What a client may do to a batch that is under way: cancel, pause, resume, retry."""

from sqlmodel import col, select

from app.db import Commit, Tx
from app.domain.errors import ConflictError, NotFoundError
from app.domain.states import BATCH_CLOSED, BatchState, EndReason, LaneState
from app.models import Backlog, Batch, Lane
from app.pipeline.services import Services
from app.queue import Step, send_after_commit


def cancel(services: Services, account_id: str, batch_id: str) -> None:
    """Stop what has not started. After this no call is claimed; those in flight are recorded.

    Cancelling a batch that is being cancelled is no error, and changes nothing.

    Raises:
        NotFoundError: the account has no such batch.
        ConflictError: the batch is closed or about to be.
    """
    with services.store.transaction(Commit.CANCEL) as tx:
        batch = own_batch(tx, account_id, batch_id)
        if batch.state in {BatchState.CANCELLING, BatchState.CANCELLED}:
            return
        if batch.state in BATCH_CLOSED | {BatchState.FINALIZING}:
            raise ConflictError(f"the batch is {batch.state} and cannot be cancelled")
        batch.state = BatchState.CANCELLING
        batch.cancelling_at = services.store.now(tx)
        batch.ending = batch.ending or EndReason.CANCELLED
        send_after_commit(tx, services.queue, Step.RECONCILE)


def pause(services: Services, account_id: str, batch_id: str) -> None:
    """Hold what has not started; calls in flight go on. The deadline goes on as well.

    Raises:
        NotFoundError: the account has no such batch.
        ConflictError: the batch is not queued or running.
    """
    with services.store.transaction(Commit.PAUSE) as tx:
        batch = _open_batch(tx, account_id, batch_id)
        batch.paused = True
        batch.paused_at = batch.paused_at or services.store.now(tx)


def resume(services: Services, account_id: str, batch_id: str) -> None:
    """Go on with a paused batch; one whose sample is done goes on with the rest of its jobs.

    Raises:
        NotFoundError: the account has no such batch.
        ConflictError: the batch is not queued or running.
    """
    with services.store.transaction(Commit.RESUME) as tx:
        batch = _open_batch(tx, account_id, batch_id)
        if batch.is_sampled:
            batch.sample = None
        if batch.paused_at is not None:
            batch.paused_s += round((services.store.now(tx) - batch.paused_at).total_seconds())
        batch.paused, batch.paused_at = False, None
        send_after_commit(tx, services.queue, Step.PLAN, batch.id)
        for lane in tx.exec(
            select(Lane).join(Backlog, col(Backlog.lane_id) == Lane.id)
            .where(Backlog.batch_id == batch.id, Lane.state == LaneState.OPEN).distinct()
        ):  # fmt: skip
            send_after_commit(tx, services.queue, Step.DISPATCH, lane.provider, lane.id)


def own_batch(tx: Tx, account_id: str, batch_id: str) -> Batch:
    """The account's batch, locked.

    Raises:
        NotFoundError: there is none of that id, or it is another account's.
    """
    batch = tx.exec(
        select(Batch)
        .where(Batch.id == batch_id, Batch.account_id == account_id)
        .with_for_update(key_share=True)
    ).one_or_none()
    if batch is None:
        raise NotFoundError(f"there is no batch {batch_id[:64]!r}")
    return batch


def _open_batch(tx: Tx, account_id: str, batch_id: str) -> Batch:
    batch = own_batch(tx, account_id, batch_id)
    if batch.state not in {BatchState.QUEUED, BatchState.RUNNING} or batch.ending is not None:
        raise ConflictError(f"the batch is {batch.ending or batch.state}")
    return batch
