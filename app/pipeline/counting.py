"""counting: closed jobs are added to their batch's counters, and whoever asked is told of them."""

from collections import Counter
from collections.abc import Mapping

from app.billing.budget import Left
from app.db import Tx
from app.domain.states import EndReason, JobState
from app.pipeline.sample import end_sample
from app.pipeline.services import Services
from app.pipeline.tell import tell, tell_closed_jobs
from app.queue import Step, send_after_commit
from app.webhooks.events import progress_of, threshold_passed

_COUNT_BATCH = """
UPDATE batch SET calls_total = calls_total + :calls, calls_closed = calls_closed + :cached,
  calls_cached = calls_cached + :cached, jobs_succeeded = jobs_succeeded + :succeeded,
  jobs_failed = jobs_failed + :failed, jobs_cancelled = jobs_cancelled + :cancelled,
  jobs_expired = jobs_expired + :expired
WHERE id = :batch
RETURNING jobs_total - jobs_succeeded - jobs_failed - jobs_cancelled - jobs_expired, ending,
  jobs_total - sample, jobs_total, account_id
"""
_WANTS_JOBS = """
SELECT EXISTS (SELECT 1 FROM endpoint WHERE wants_jobs AND account_id = :account)
"""
#: How an unfinished job of a batch that ended early ends.
JOB_END = {
    EndReason.CANCELLED: JobState.CANCELLED,
    EndReason.EXPIRED: JobState.EXPIRED,
    EndReason.BUDGET_EXHAUSTED: JobState.FAILED,
    EndReason.TOO_MANY_FAILED: JobState.CANCELLED,
}


def count_jobs(
    tx: Tx,
    services: Services,
    batch_id: str,
    closed: Mapping[str, JobState],
    *,
    calls: int = 0,
    cached: int = 0,
) -> None:
    """Add closed jobs and new calls to the batch's counters; say so if that is all it does now."""
    states = Counter(closed.values())
    row = tx.run(
        services.store.sql(_COUNT_BATCH),
        {
            "batch": batch_id,
            "calls": calls,
            "cached": cached,
            "succeeded": states[JobState.SUCCEEDED],
            "failed": states[JobState.FAILED],
            "cancelled": states[JobState.CANCELLED],
            "expired": states[JobState.EXPIRED],
        },
    ).one()
    left = Left(*row)
    note_closed(tx, services, batch_id, left, closed)
    if left.jobs and left.ending is not None and calls:
        # It ended while this round was written: what was just queued is closed with the rest.
        send_after_commit(tx, services.queue, Step.RECONCILE)


def note_closed(
    tx: Tx, services: Services, batch_id: str, left: Left, closed: Mapping[str, JobState]
) -> None:
    """Jobs were closed and counted: tell of them, and say so if that is all it does now."""
    _tell_of(tx, services, batch_id, left, closed)
    if left.jobs == 0:
        send_after_commit(tx, services.queue, Step.FINALIZE, batch_id)
    elif left.ending is None and left.jobs == left.jobs_beyond_sample:
        end_sample(tx, services, batch_id)


def _tell_of(
    tx: Tx, services: Services, batch_id: str, left: Left, closed: Mapping[str, JobState]
) -> None:
    """Tell of closed jobs if anybody may want that, and of the progress that they are."""
    if not closed:
        return
    asked = {"account": left.account_id}
    if tx.fast(services.store.sql(_WANTS_JOBS), asked)[0][0]:
        tell_closed_jobs(tx, services, left.account_id, batch_id, closed)
    done = left.jobs_total - left.jobs
    percent = threshold_passed(left.jobs_total, done - len(closed), done)
    if percent is not None and left.jobs:
        event = progress_of(batch_id, percent, services.store.now(tx))
        tell(tx, services, left.account_id, batch_id, event)
