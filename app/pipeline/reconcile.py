"""reconcile: whatever was lost or stuck is found in the store, and sent again.

Several may run at once, and any of it may be cut short: every part claims its rows, and
finds the rest the next time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import structlog
from sqlmodel import Session, col, or_, select

from app.db import Commit, Store, db_now
from app.domain.ids import job_range
from app.domain.signs import Sign
from app.domain.states import BatchState, Billed, EndReason, JobState, LaneState, Role
from app.models import Attempt, Backlog, Batch, Call, IdempotencyKey, Job, Lane, Worker
from app.pipeline.closing import Waiting, close_open_work, close_waiting
from app.pipeline.deliver import is_delivery_due
from app.pipeline.hints import step_of
from app.pipeline.outcomes import ClaimedCall, Policy, unknown
from app.pipeline.park import reopen_lanes
from app.pipeline.purge import open_purges
from app.pipeline.record import end_early, record
from app.pipeline.services import Services
from app.pipeline.stored_files import sweep_files
from app.pipeline.vitals import note
from app.queue import Step

log = structlog.get_logger(__name__)

_RECOVER = 200
_HINTS = 200
_IDEMPOTENCY_KEPT = timedelta(days=7)
#: Its row goes only when nothing points at it, and only if it did not come back.
_FORGET_WORKER = """
DELETE FROM worker WHERE id = :id AND lease_until < {now}
  AND NOT EXISTS (SELECT 1 FROM call WHERE call.worker_id = worker.id)
"""


class Hint(msgspec.Struct, frozen=True):
    """Work that is due: a step, and its ids."""

    step: Step
    ids: tuple[str, ...]


def reconcile(services: Services) -> list[Hint]:
    """Recover what lost workers held, end what must end, and say what is due.

    Answers the hints it sent, so that a worker whose broker is gone can follow them itself.
    """
    recover_lost_workers(services)
    expire_batches(services)
    reopen_lanes(services)
    end_stuck_lanes(services)
    for batch_id in _ending_batches(services.store):
        close_open_work(services, batch_id)
    forget_old_keys(services)
    sweep_files(services)
    hints = due_work(services.store)
    for hint in hints:
        services.queue.send(hint.step, *hint.ids)
    with services.store.transaction(Commit.RECONCILED) as tx:
        note(tx, services.store, Sign.RECONCILED)
    return hints


def policy_of(services: Services) -> Policy:
    """The bounds of trying again, as they are set."""
    settings = services.settings
    return Policy(settings.attempts_max, settings.unknown_resends_max, settings.wait_max_s)


def recover_lost_workers(services: Services) -> int:
    """Give back every call whose worker's lease has passed; answers how many."""
    recovered = 0
    with services.store.read() as session:
        lost = session.exec(select(Worker.id).where(col(Worker.lease_until) < db_now())).all()
    for worker_id in lost:
        count = recover_worker(services, worker_id, reason="worker_lost", crashed=True)
        recovered += count
        log.warning("worker_lost", worker=worker_id, calls=count)
        with services.store.transaction(Commit.WORKER_FORGOTTEN) as tx:
            note(tx, services.store, Sign.WORKERS_LOST)
    return recovered


def recover_worker(services: Services, worker_id: str, *, reason: str, crashed: bool) -> int:
    """Give back what a worker that is gone held: ambiguous, all of it; answers how many."""
    policy, recovered = policy_of(services), 0
    while True:
        held = held_by(services.store, worker_id)
        group = [
            unknown(call, policy, reason=reason, message=None, crashed=crashed) for call in held
        ]
        if group:
            recovered += len(record(services, group))
        if len(held) < _RECOVER:
            break
    with services.store.transaction(Commit.WORKER_FORGOTTEN) as tx:
        tx.run(services.store.sql(_FORGET_WORKER), {"id": worker_id})
    return recovered


def held_by(store: Store, worker_id: str) -> list[ClaimedCall]:
    """Calls that the store says a worker holds, some of them if there are many."""
    with store.read() as session:
        rows = session.exec(
            select(Call, Attempt, Batch, Lane)
            .join(Attempt, (col(Attempt.call_id) == Call.id) & (col(Attempt.epoch) == Call.epoch))
            .join(Batch, col(Batch.id) == Call.batch_id)
            .join(Lane, col(Lane.id) == Call.lane_id)
            .where(Call.worker_id == worker_id)
            .order_by(col(Call.id))
            .limit(_RECOVER)
        ).all()
    return [_held(call, attempt, batch, lane) for call, attempt, batch, lane in rows]


def _held(call: Call, attempt: Attempt, batch: Batch, lane: Lane) -> ClaimedCall:
    return ClaimedCall(
        id=call.id,
        epoch=call.epoch,
        job_id=call.job_id,
        batch_id=call.batch_id,
        account_id=call.account_id,
        lane_id=call.lane_id,
        provider=lane.provider,
        model=call.model,
        label=call.label,
        role=Role(call.role),
        billed=Billed(lane.billed),
        attempts=call.attempts,
        unknowns=call.unknowns,
        crash_count=call.crash_count,
        waited_s=0.0,
        max_tokens=call.max_tokens,
        tokens_bound=call.tokens_bound,
        worst_nanos=attempt.worst_nanos,
        worker_id=attempt.worker_id,
        at_most_once=batch.at_most_once,
        sealed=batch.seal is not None,
    )


def expire_batches(services: Services) -> None:
    """Mark batches whose deadline has passed."""
    store = services.store
    with store.transaction(Commit.EXPIRE) as tx:
        late = tx.exec(
            select(Batch.id)
            .where(col(Batch.closed_at).is_(None), col(Batch.ending).is_(None))
            .where(col(Batch.deadline) < db_now())
            .where(col(Batch.state).in_([BatchState.QUEUED, BatchState.RUNNING]))
        ).all()
        if late:
            end_early(tx, services, late, EndReason.EXPIRED)


def end_stuck_lanes(services: Services) -> None:
    """End calls of lanes without a key, and of what cannot be sent for longer than a call waits."""
    wait_max_s = services.settings.wait_max_s
    with services.store.read() as session:
        before = services.store.now(session) - timedelta(seconds=wait_max_s)
        rows = session.exec(
            select(Lane, Backlog)
            .join(Backlog, col(Backlog.lane_id) == Lane.id)
            .where(or_(Lane.state != LaneState.OPEN, col(Backlog.waiting_since) < before))
        ).all()
    for lane, backlog in rows:
        waiting = _stuck(lane, backlog, before, wait_max_s)
        if waiting is not None:
            close_waiting(services, waiting)


def _stuck(lane: Lane, backlog: Backlog, before: datetime, wait_max_s: float) -> Waiting | None:
    if lane.state == LaneState.CLOSED:
        return Waiting(lane.id, "key_deleted", f"the key for {lane.provider} was deleted")
    if lane.state == LaneState.PARKED and _is_quota_or_fresh(lane, before):
        text = f"{lane.provider} refused the key: {lane.parked_reason}"
        return Waiting(lane.id, "lane_parked", text, only_fail_fast=True)
    if lane.state == LaneState.PARKED:
        text = f"{lane.provider} refused the key, and no other was set: {lane.parked_reason}"
        return Waiting(lane.id, "provider_unavailable", text, wait_max_s)
    if backlog.waiting_since is not None and backlog.waiting_since < before:
        text = f"{lane.provider} failed for longer than a call waits ({backlog.wait_reason})"
        return Waiting(
            lane.id, "provider_unavailable", text, wait_max_s, backlog.model, backlog.batch_id
        )
    return None


def _is_quota_or_fresh(lane: Lane, before: datetime) -> bool:
    """Whether only those calls end that have another model to try: a quota is waited for."""
    return lane.parked_until is not None or lane.parked_at is None or lane.parked_at >= before


def _ending_batches(store: Store) -> Sequence[str]:
    with store.read() as session:
        return session.exec(
            select(Batch.id).where(col(Batch.closed_at).is_(None), col(Batch.ending).is_not(None))
        ).all()


def forget_old_keys(services: Services) -> None:
    """Drop idempotency keys after their seven days."""
    with services.store.read() as session:
        before = services.store.now(session) - _IDEMPOTENCY_KEPT
        old = session.exec(
            select(IdempotencyKey).where(col(IdempotencyKey.created_at) < before).limit(1000)
        ).all()
    if old:
        with services.store.transaction(Commit.FORGET_KEYS) as tx:
            for row in old:
                tx.delete(row)


def due_work(store: Store) -> list[Hint]:
    """Every step that has something to do just now; doing it twice does nothing."""
    with store.read() as session:
        open_batches = session.exec(
            select(Batch).where(col(Batch.closed_at).is_(None)).order_by(col(Batch.id))
        ).all()
        now = store.now(session)
        hints: list[Hint] = []
        for batch in open_batches:
            hints += _batch_hints(session, batch, now=now)
        hints += [Hint(Step.PURGE, (id_,)) for id_ in open_purges(session)]
        if is_delivery_due(session, store):
            hints.append(Hint(Step.DELIVER, ()))
    return hints


def _batch_hints(session: Session, batch: Batch, *, now: datetime) -> list[Hint]:
    hints: list[Hint] = []
    left = (
        batch.jobs_total - batch.jobs_succeeded - batch.jobs_failed
        - batch.jobs_cancelled - batch.jobs_expired
    )  # fmt: skip
    if left == 0:
        return [Hint(Step.FINALIZE, (batch.id,))]
    starts = batch.not_before is None or batch.not_before <= now
    planned = batch.jobs_total - batch.jobs_queued
    if planned < batch.plan_until and batch.ending is None and not batch.paused and starts:
        hints.append(Hint(Step.PLAN, (batch.id,)))
    ready = session.exec(
        select(Job.id)
        .where(col(Job.id).between(*job_range(batch.id)))
        .where(Job.state == JobState.RUNNING, Job.outstanding == 0)
        .order_by(col(Job.id))
        .limit(_HINTS)
    ).all()
    if ready:
        hints.append(Hint(step_of(batch.mode), (batch.id, *ready)))
    return hints
