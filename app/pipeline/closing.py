"""Closing what a batch that ends early still has open, a window of its jobs per transaction.

Calls in `sending` are left to their workers: what they bring is recorded and charged
truthfully, and their jobs close when they are back.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlmodel import col, select

from app.db import Commit, Store, Tx
from app.domain.ids import job_range
from app.domain.states import CallState, EndReason, JobState, Role
from app.models import Batch, Job
from app.pipeline.counting import JOB_END, count_jobs
from app.pipeline.hints import hint_ready
from app.pipeline.record import count_down, end_early
from app.pipeline.services import Services
from app.pipeline.stop import count_first

_WINDOW = 500
CALL_END = {
    EndReason.CANCELLED: CallState.CANCELLED,
    EndReason.EXPIRED: CallState.EXPIRED,
    EndReason.BUDGET_EXHAUSTED: CallState.FAILED,
    EndReason.TOO_MANY_FAILED: CallState.CANCELLED,
}
_CLOSE_CALLS = """
WITH c AS MATERIALIZED (
  SELECT call.id FROM {rows(id text)} {join} call ON call.job_id = d.id
  WHERE call.state = 'queued' ORDER BY call.id {lock_call}
)
UPDATE call SET state = :state, reason = :reason, message = :message, closed_at = {now},
  waiting_since = NULL
FROM c WHERE call.id = c.id
RETURNING call.job_id
"""
_CLOSE_WAITING = """
WITH c AS MATERIALIZED (
  SELECT id FROM call
  WHERE lane_id = :lane AND state = 'queued' AND created_at <= {after_ms(:waited_ms)}
    AND (CAST(:model AS TEXT) IS NULL OR model = :model)
    AND (CAST(:batch AS TEXT) IS NULL OR batch_id = :batch)
    AND (:fail_fast = 0 OR fail_fast)
  ORDER BY id LIMIT :n {lock}
)
UPDATE call SET state = 'failed', reason = :reason, message = :message, closed_at = {now},
  waiting_since = NULL
FROM c WHERE call.id = c.id
RETURNING call.job_id, call.batch_id, call.role
"""
_CLOSE_JOBS = """
UPDATE job SET state = d.state, reason = d.reason, closed_at = {now}
FROM {rows(id text, state text, reason text)}
WHERE job.id = d.id AND job.state = 'queued'
"""
_COUNT_QUEUED = "UPDATE batch SET jobs_queued = jobs_queued - :n WHERE id = :batch"
_COUNT_CALLS = """
UPDATE batch SET calls_closed = calls_closed + :n WHERE id = :batch
RETURNING ending, first_left
"""


def close_open_work(services: Services, batch_id: str) -> int:
    """Close the queued calls and unplanned jobs of a batch that ends early; answers how many."""
    closed, after = 0, 0
    while True:
        with services.store.transaction(Commit.CLOSE_OPEN) as tx:
            batch = tx.get(Batch, batch_id)
            if batch is None or batch.ending is None or batch.closed_at is not None:
                return closed
            window = tx.exec(
                select(Job.id, Job.position)
                .where(col(Job.id).between(*job_range(batch_id, after)))
                .where(col(Job.state).in_([JobState.QUEUED, JobState.RUNNING]))
                .order_by(col(Job.id))
                .limit(_WINDOW)
            ).all()
            if not window:
                return closed
            closed += _close_window(tx, services, batch, [row[0] for row in window])
            after = window[-1][1] + 1


def _close_window(tx: Tx, services: Services, batch: Batch, job_ids: Sequence[str]) -> int:
    ending = EndReason(str(batch.ending))
    rows = tx.run(
        services.store.sql(_CLOSE_CALLS),
        {
            "rows": msgspec.json.encode([{"id": job_id} for job_id in job_ids]).decode(),
            "state": CALL_END[ending].value,
            "reason": ending.value,
            "message": None,
        },
    ).all()
    ready = count_down(tx, services.store, Counter(row[0] for row in rows))
    jobs = _close_unplanned(tx, services, job_ids, ending)
    _count_calls(tx, services.store, batch.id, len(rows))
    if jobs:
        tx.run(services.store.sql(_COUNT_QUEUED), {"batch": batch.id, "n": len(jobs)})
        count_jobs(tx, services, batch.id, dict.fromkeys(jobs, JOB_END[ending]))
    hint_ready(tx, services, ready)
    return len(rows) + len(jobs)


def _close_unplanned(
    tx: Tx, services: Services, job_ids: Sequence[str], ending: EndReason
) -> Sequence[str]:
    queued = tx.exec(
        select(Job.id)
        .where(col(Job.id).in_(job_ids), Job.state == JobState.QUEUED)
        .order_by(col(Job.id))
        .with_for_update(key_share=True)
    ).all()
    if queued:
        end = {"state": JOB_END[ending].value, "reason": ending.value}
        rows = msgspec.json.encode([{"id": id_, **end} for id_ in queued]).decode()
        tx.run(services.store.sql(_CLOSE_JOBS), {"rows": rows})
    return queued


def _count_calls(tx: Tx, store: Store, batch_id: str, closed: int) -> int:
    """Add closed calls to their batch's; answers how many of its first calls were left."""
    if not closed:
        return 0
    ending, left = tx.run(store.sql(_COUNT_CALLS), {"batch": batch_id, "n": closed}).one()
    return left if ending is None else 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Whose queued calls have waited too long: a lane's, or only a model's or batch's of it.

    With `only_fail_fast`, only of those whose mode has another model to try.
    """

    lane_id: str
    reason: str
    message: str
    waited_s: float = 0
    model: str | None = None
    batch_id: str | None = None
    only_fail_fast: bool = False


def close_waiting(services: Services, waiting: Waiting) -> int:
    """End queued calls that have waited so long already; answers how many.

    For lanes that cannot send: parked beyond `wait_max_s`, failing for as long, or closed since
    their key is gone.
    """
    closed = 0
    while True:
        with services.store.transaction(Commit.CLOSE_WAITING) as tx:
            rows = _close_waiting(tx, services.store, waiting)
            ready = count_down(tx, services.store, Counter(row[0] for row in rows))
            left = {
                batch_id: _count_calls(tx, services.store, batch_id, count)
                for batch_id, count in sorted(Counter(row[1] for row in rows).items())
            }
            failed = [(row[1], True) for row in rows if row[2] == Role.CANDIDATE]
            stopped = count_first(tx, services.store, left, failed)
            hint_ready(tx, services, ready)
            if stopped:
                end_early(tx, services, stopped, EndReason.TOO_MANY_FAILED)
        closed += len(rows)
        if len(rows) < _WINDOW:
            return closed


def _close_waiting(tx: Tx, store: Store, waiting: Waiting) -> Sequence[Any]:
    return tx.run(
        store.sql(_CLOSE_WAITING),
        {
            "lane": waiting.lane_id,
            "model": waiting.model,
            "batch": waiting.batch_id,
            "fail_fast": int(waiting.only_fail_fast),
            "n": _WINDOW,
            "reason": waiting.reason,
            "message": waiting.message,
            "waited_ms": -round(waiting.waited_s * 1000),
        },
    ).all()
