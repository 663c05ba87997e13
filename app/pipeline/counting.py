"""counting: closed jobs are added to their batch's counters, and whoever asked is told of them."""

from collections import Counter
from collections.abc import Mapping

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
  jobs_total - sample, jobs_total, account_id,
  EXISTS (SELECT 1 FROM endpoint WHERE wants_jobs AND endpoint.account_id = batch.account_id)
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
    left, ending, left_by_sample, *told = tx.run(
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
    _tell_of(tx, services, batch_id, closed, (left, *told))
    if left == 0:
        send_after_commit(tx, services.queue, Step.FINALIZE, batch_id)
    elif ending is None and left == left_by_sample:
        end_sample(tx, services, batch_id)
    elif ending is not None and calls:
        # It ended while this round was written: what was just queued is closed with the rest.
        send_after_commit(tx, services.queue, Step.RECONCILE)


def _tell_of(
    tx: Tx,
    services: Services,
    batch_id: str,
    closed: Mapping[str, JobState],
    counted: tuple[int, int, str, bool],
) -> None:
    """Tell of closed jobs if anybody may want that, and of the progress that they are."""
    left, total, account_id, wants_jobs = counted
    if wants_jobs and closed:
        tell_closed_jobs(tx, services, account_id, batch_id, closed)
    percent = threshold_passed(total, total - left - len(closed), total - left)
    if percent is not None and left:
        event = progress_of(batch_id, percent, services.store.now(tx))
        tell(tx, services, account_id, batch_id, event)
