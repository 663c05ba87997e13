"""finalize: a batch with no open job closes its books, says so, and never changes again."""

from sqlmodel import Session, col, select

from app.billing.ledger import release
from app.billing.tally import rollups_of, tally_batch
from app.db import Commit, Tx
from app.domain.ids import job_range
from app.domain.states import BATCH_CLOSED, BatchState, EndReason
from app.models import Backlog, Batch, Call
from app.pipeline.openai.output import register_outputs, write_outputs
from app.pipeline.services import Services
from app.pipeline.tell import tell
from app.webhooks.events import EventType, batch_event

_EVENT_OF = {
    BatchState.COMPLETED: EventType.BATCH_COMPLETED,
    BatchState.FAILED: EventType.BATCH_FAILED,
    BatchState.EXPIRED: EventType.BATCH_EXPIRED,
    BatchState.CANCELLED: EventType.BATCH_CANCELLED,
}


def finalize(services: Services, batch_id: str) -> bool:
    """Close a batch if none of its jobs is open; answers whether this call did.

    Two transactions, so that output files have a place between them: the first says that no
    job will change any more, the second is the close, and makes the files known.
    """
    with services.store.transaction(Commit.FINALIZE) as tx:
        batch = _locked(tx, batch_id)
        if batch is None or not _is_done(batch):
            return False
        if batch.state in {BatchState.QUEUED, BatchState.RUNNING}:
            batch.state = BatchState.FINALIZING
            batch.finalizing_at = services.store.now(tx)
    # None of its calls will change any more, so what they came to is added up without a lock.
    with services.store.read() as session:
        tallies = tally_batch(session, session.get_one(Batch, batch_id))
    outputs = write_outputs(services, batch_id)
    with services.store.transaction(Commit.CLOSE) as tx:
        batch = _locked(tx, batch_id)
        if batch is None or batch.state in BATCH_CLOSED:
            return False
        _close(tx, services, batch)
        if outputs is not None:
            register_outputs(tx, batch, outputs)
        tx.add_all(rollups_of(batch, tallies))
    return True


def _locked(tx: Tx, batch_id: str) -> Batch | None:
    return tx.exec(
        select(Batch).where(Batch.id == batch_id).with_for_update(key_share=True)
    ).one_or_none()


def _is_done(batch: Batch) -> bool:
    return batch.state not in BATCH_CLOSED and batch.jobs_closed == batch.jobs_total


def _close(tx: Tx, services: Services, batch: Batch) -> None:
    batch.state = _final_state(tx, batch)
    batch.closed_at = services.store.now(tx)
    tx.flush()
    for row in tx.exec(select(Backlog).where(Backlog.batch_id == batch.id)):
        tx.delete(row)
    release(tx, services.store, batch.id)
    if batch.interactive:
        return  # whoever waits for it is told otherwise
    event = batch_event(_EVENT_OF[BatchState(batch.state)], batch.id, batch.closed_at)
    tell(tx, services, batch.account_id, batch.id, event)


def _final_state(session: Session, batch: Batch) -> BatchState:
    if batch.state == BatchState.CANCELLING:
        return BatchState.CANCELLED
    if batch.ending == EndReason.EXPIRED:
        return BatchState.EXPIRED
    if batch.ending == EndReason.TOO_MANY_FAILED:
        return BatchState.FAILED
    if batch.jobs_succeeded == 0 and not _ever_sent(session, batch.id):
        return BatchState.FAILED
    return BatchState.COMPLETED


def _ever_sent(session: Session, batch_id: str) -> bool:
    """Whether any call was ever claimed: a batch of which nothing could be run has failed."""
    of_batch = col(Call.job_id).between(*job_range(batch_id))
    sent = select(Call.id).where(of_batch, col(Call.epoch) > 0).limit(1)
    return session.exec(sent).first() is not None
