"""What a batch waits for, read off the store: nobody writes it down for us.

The order is what a person would want to know first: what only they can end (a sample to be
looked at, a pause, a start they set, a key they must replace, a budget), then what passes by itself.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlmodel import Session, col, select

from app.domain.states import BatchState, CallState, LaneState
from app.models import Backlog, Batch, Call, Lane
from app.reports.views import WaitingOn


class _Entry(NamedTuple):
    """One line of a batch's backlog."""

    lane_id: str
    model: str
    due_at: datetime
    wait_reason: str | None
    lane_state: str
    parked_reason: str | None
    parked_until: datetime | None


class _Head(NamedTuple):
    """The call of a line that is claimed first."""

    worst_nanos: int | None
    wait_reason: str | None


def waiting_on(session: Session, batch: Batch, now: datetime) -> WaitingOn | None:
    """Why nothing, or not all, of an open batch can be sent; None if nothing is in its way."""
    if batch.state not in {BatchState.QUEUED, BatchState.RUNNING} or batch.ending is not None:
        return None
    if batch.paused:
        return WaitingOn(reason="sample" if batch.is_sampled else "paused")
    if batch.not_before is not None and batch.not_before > now:
        return WaitingOn(reason="not_before", until=batch.not_before)
    entries = _backlog(session, batch.id)
    return (
        _on_parked_lane(entries)
        or _on_budget(session, batch, entries, now)
        or _on_time(session, batch, entries, now)
    )


def _backlog(session: Session, batch_id: str) -> list[_Entry]:
    columns = (
        col(Backlog.lane_id),
        col(Backlog.model),
        col(Backlog.due_at),
        col(Backlog.wait_reason),
        col(Lane.state),
        col(Lane.parked_reason),
        col(Lane.parked_until),
    )
    rows = session.execute(
        select(*columns)  # type: ignore[call-overload]
        .join(Lane, col(Lane.id) == Backlog.lane_id)
        .where(Backlog.batch_id == batch_id, Lane.state != LaneState.CLOSED)
        .order_by(col(Backlog.due_at), col(Backlog.lane_id), col(Backlog.model))
    )
    return [_Entry(*row) for row in rows]


def _on_parked_lane(entries: Sequence[_Entry]) -> WaitingOn | None:
    for entry in entries:
        if entry.lane_state != LaneState.PARKED:
            continue
        if entry.parked_until is None:
            return WaitingOn(reason="lane_parked", lane=entry.lane_id)
        quota = (entry.parked_reason or "lane_parked").partition(":")[0]
        return WaitingOn(reason=quota, until=entry.parked_until, lane=entry.lane_id)
    return None


def _on_budget(
    session: Session, batch: Batch, entries: Sequence[_Entry], now: datetime
) -> WaitingOn | None:
    """The cap is reached for now: of what is due, not even the first call of a line fits."""
    if batch.cap_nanos is None:
        return None
    room = batch.cap_nanos - batch.reserved_nanos - batch.spent_nanos
    due = [entry for entry in entries if entry.due_at <= now]
    heads = [_head(session, batch.id, entry, due_by=now) for entry in due]
    if heads and all(head is not None and (head.worst_nanos or 0) > room for head in heads):
        return WaitingOn(reason="budget")
    return None


def _on_time(
    session: Session, batch: Batch, entries: Sequence[_Entry], now: datetime
) -> WaitingOn | None:
    """Nothing is under way, and what comes first is not due yet, or had to wait before."""
    if not entries or _in_flight(session, batch.id):
        return None
    first = entries[0]
    head = None if first.wait_reason else _head(session, batch.id, first)
    reason = first.wait_reason or (head.wait_reason if head is not None else None)
    if reason is None:
        return None
    until = first.due_at if first.due_at > now else None
    return WaitingOn(reason=reason, until=until, lane=first.lane_id)


def _head(
    session: Session, batch_id: str, entry: _Entry, *, due_by: datetime | None = None
) -> _Head | None:
    statement = (
        select(Call.worst_nanos, Call.wait_reason)
        .where(Call.lane_id == entry.lane_id, Call.model == entry.model)
        .where(Call.batch_id == batch_id, Call.state == CallState.QUEUED)
    )
    if due_by is not None:
        statement = statement.where(col(Call.due_at) <= due_by)
    row = session.execute(statement.order_by(col(Call.rank), col(Call.id)).limit(1)).first()
    return None if row is None else _Head(*row)


def _in_flight(session: Session, batch_id: str) -> bool:
    """Whether a worker holds a call of the batch; looked up among all that workers hold."""
    held = (
        select(Call.id).where(col(Call.worker_id).is_not(None), Call.batch_id == batch_id).limit(1)
    )
    return session.exec(held).first() is not None
