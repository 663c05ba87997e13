"""How the installation is: from counters, the backlog and small indexes, never a scan of calls."""

from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from redis import RedisError
from sqlmodel import Session, col, func, or_, select

from app.db import Store
from app.domain.signs import Sign
from app.domain.states import LaneState
from app.limits.survey import LaneVitals, survey
from app.models import Backlog, Batch, Call, Lane, Vital, Worker
from app.queue import redis_client

#: Lanes that are told of one by one; of more, only how many.
LANES_MAX = 1000


@dataclass(frozen=True, slots=True)
class LaneLife:
    """A lane that has work, or is parked."""

    id: str
    provider: str
    parked_for: str | None
    vitals: LaneVitals


@dataclass(frozen=True, slots=True)
class Operation:
    """The installation just now.

    Attributes:
        reconciler_age_s: since `reconcile` last came to its end; None if it never did.
        reconciled: how often it did.
        workers: processes whose lease is good.
        workers_late: processes whose lease has passed, and whose calls are not given back yet.
        workers_lost: processes that were lost so far, altogether.
        writer_lag_s: the longest that a worker's answer has waited to be written.
        batches: open batches by state.
        jobs_queued: jobs that are not planned yet.
        calls_queued: calls that wait, due or not.
        calls_due: those of them that belong to batches of which something could be sent now.
        calls_in_flight: calls that a worker holds.
        lanes_parked: how many are.
        lanes: those with work, and parked ones.
        lanes_more: how many of these are not listed.
        broker_up: whether it answered.
    """

    reconciler_age_s: float | None
    reconciled: int
    workers: int
    workers_late: int
    workers_lost: int
    writer_lag_s: float
    batches: dict[str, int]
    jobs_queued: int
    calls_queued: int
    calls_due: int
    calls_in_flight: int
    lanes_parked: int = 0
    lanes: list[LaneLife] = field(default_factory=list)
    lanes_more: int = 0
    broker_up: bool = False


def operation(store: Store, broker_url: str, *, with_lanes: bool = True) -> Operation:
    """Look at the store, and at the broker if lanes are asked for."""
    with store.read() as session:
        now = Store.now(session)
        vitals = {one.name: one for one in session.exec(select(Vital)).all()}
        alive, late, lag_ms = _workers(session, now)
        batches, jobs_queued, calls_open = _open_batches(session)
        in_flight = session.exec(
            select(func.count()).select_from(Call).where(col(Call.worker_id).is_not(None))
        ).one()
        due = _due(session, now)
        parked = session.exec(
            select(func.count()).select_from(Lane).where(Lane.state == LaneState.PARKED)
        ).one()
        lanes = _lanes(session) if with_lanes else []
    reconciled, lost = vitals.get(Sign.RECONCILED), vitals.get(Sign.WORKERS_LOST)
    known = _survey(broker_url, [lane.id for lane in lanes[:LANES_MAX]]) if with_lanes else None
    return Operation(
        reconciler_age_s=(now - reconciled.at).total_seconds() if reconciled else None,
        reconciled=reconciled.count if reconciled else 0,
        workers=alive,
        workers_late=late,
        workers_lost=lost.count if lost else 0,
        writer_lag_s=lag_ms / 1000,
        batches=batches,
        jobs_queued=jobs_queued,
        calls_queued=max(0, calls_open - in_flight),
        calls_due=max(0, due - in_flight),
        calls_in_flight=in_flight,
        lanes_parked=parked,
        lanes=[_lane(lane, known or {}) for lane in lanes[:LANES_MAX]],
        lanes_more=max(0, len(lanes) - LANES_MAX),
        broker_up=known is not None,
    )


def _workers(session: Session, now: datetime) -> tuple[int, int, int]:
    rows = session.exec(select(Worker.lease_until, Worker.writer_lag_ms)).all()
    alive = [lag for until, lag in rows if until > now]
    return len(alive), len(rows) - len(alive), max(alive, default=0)


def _open_batches(session: Session) -> tuple[dict[str, int], int, int]:
    rows = session.exec(
        select(
            Batch.state,
            func.count(),
            func.sum(Batch.jobs_queued),
            func.sum(col(Batch.calls_total) - col(Batch.calls_closed)),
        )
        .where(col(Batch.closed_at).is_(None))
        .group_by(Batch.state)
    ).all()
    counts = {state: count for state, count, _, _ in rows}
    return counts, sum(int(row[2]) for row in rows), sum(int(row[3]) for row in rows)


def _due(session: Session, now: datetime) -> int:
    """Open calls of batches that have something due on a lane that is open."""
    due = (
        select(Backlog.batch_id)
        .join(Lane, col(Lane.id) == Backlog.lane_id)
        .where(Backlog.due_at <= now, Lane.state == LaneState.OPEN)
    )
    total = session.exec(
        select(func.sum(col(Batch.calls_total) - col(Batch.calls_closed)))
        .where(col(Batch.closed_at).is_(None), sa.not_(col(Batch.paused)))
        .where(col(Batch.id).in_(due))
    ).one()
    return int(total or 0)


def _lanes(session: Session) -> list[Lane]:
    working = select(Backlog.lane_id).distinct()
    return list(
        session.exec(
            select(Lane)
            .where(or_(Lane.state == LaneState.PARKED, col(Lane.id).in_(working)))
            .order_by(col(Lane.id))
        ).all()
    )


def _lane(lane: Lane, known: dict[str, LaneVitals]) -> LaneLife:
    parked = (lane.parked_reason or "parked").partition(":")[0]
    return LaneLife(
        lane.id,
        lane.provider.partition(":")[0],  # a custom server's name is its account's own
        parked if lane.state == LaneState.PARKED else None,
        known.get(lane.id, LaneVitals()),
    )


def _survey(broker_url: str, lane_ids: list[str]) -> dict[str, LaneVitals] | None:
    """What the broker knows of lanes; None if it is away."""
    client = redis_client(broker_url)
    try:
        client.ping()
        return survey(client, lane_ids)
    except (RedisError, OSError):
        return None
    finally:
        client.close()
