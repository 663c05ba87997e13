"""dispatch: claiming what is due. The pump in `workers` turns; this is its turn.

A claim is one transaction: calls are taken and their attempts written, and last, by the lock
order, their worst case is reserved on the batch's budget. If that does not fit, nothing was
claimed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlmodel import select

from app.billing.budget import reserve
from app.billing.pricing import price_of
from app.db import Commit, Store, Tx
from app.domain.states import EndReason, Role
from app.models import Batch
from app.pipeline.backlog import Entry
from app.pipeline.outcomes import ClaimedCall
from app.pipeline.prepare import Prepared, prepare
from app.pipeline.record import end_early
from app.pipeline.services import Services

#: What is claimed of an entry: that which is due, if its lane and this worker may send.
_DUE = """
  SELECT id FROM call
  WHERE lane_id = :lane AND model = :model AND batch_id = :batch AND state = 'queued'
    AND due_at <= {now}
    AND EXISTS (SELECT 1 FROM lane WHERE lane.id = :lane AND lane.state = 'open')
    AND EXISTS (SELECT 1 FROM worker WHERE worker.id = :worker AND worker.lease_until > {now})
  ORDER BY rank, id LIMIT :n
"""
#: A claimed call, in the order of `_claimed`.
_COLUMNS = """call.id, call.epoch, call.job_id, call.account_id, call.label, call.role,
  call.attempts, call.unknowns, call.crash_count, {age_s(call.waiting_since)}, call.max_tokens,
  call.tokens_bound, call.worst_nanos, call.rank, call.fail_fast"""
_WIDTH = 15
_CLAIM = f"""
WITH c AS MATERIALIZED ({_DUE} {{skip_locked}}),
u AS (
  UPDATE call SET state = 'sending', epoch = epoch + 1, worker_id = :worker
  FROM c WHERE call.id = c.id
  RETURNING {_COLUMNS}
),
a AS (
  INSERT INTO attempt (call_id, epoch, worker_id, state, started_at, worst_nanos)
  SELECT u.id, u.epoch, :worker, 'sending', {{now}}, u.worst_nanos FROM u
)
SELECT * FROM u ORDER BY u.rank, u.id
"""  # noqa: S608 - our own words
#: SQLite writes in one statement what goes to one table, and a row that comes back costs it more
#: than it holds; so the ids come as one value, and so do the calls.
_CLAIM_ON_SQLITE = (
    f"SELECT json_group_array(id) FROM ({_DUE})",  # noqa: S608 - our own words
    """
    UPDATE call SET state = 'sending', epoch = epoch + 1, worker_id = :worker
    WHERE id IN (SELECT value FROM json_each(:ids))
    """,
    """
    INSERT INTO attempt (call_id, epoch, worker_id, state, started_at, worst_nanos)
    SELECT call.id, call.epoch, :worker, 'sending', {now}, call.worst_nanos
    FROM json_each(:ids) d CROSS JOIN call ON call.id = d.value
    """,
)
_CLAIMED = f"SELECT {_COLUMNS} FROM json_each(:ids) d CROSS JOIN call ON call.id = d.value"  # noqa: S608
_SENDING = """
SELECT COUNT(*) FROM call
WHERE worker_id IS NOT NULL AND batch_id = :batch AND role = 'candidate' AND state = 'sending'
"""
#: Why a claim found nothing: because there is nothing, or because this may not send.
_GUARD = """
SELECT EXISTS (SELECT 1 FROM lane WHERE lane.id = :lane AND lane.state = 'open')
  AND EXISTS (SELECT 1 FROM worker WHERE worker.id = :worker AND worker.lease_until > {now})
"""


class Room(StrEnum):
    """Why a claim got fewer than it asked for."""

    EXHAUSTED = "exhausted"  # nothing more is due just now
    BUDGET = "budget"  # the budget has no room until calls in flight come back
    FIRST = "first"  # the batch's first calls are all in flight, and decide on the others
    STOPPED = "stopped"  # the batch, the lane or this worker may not send


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim got; `short` says why it got fewer than were asked for."""

    calls: Sequence[Prepared]
    short: Room | None = None


def claim(services: Services, worker_id: str, entry: Entry, wanted: int) -> Claim:
    """Claim up to `wanted` due calls of one entry, and reserve what they may cost."""
    store = services.store
    # The first look-up of a vendor's price takes a while, which here stops no loop.
    price_of(entry.provider, entry.model)
    while True:
        try:
            with store.transaction(Commit.CLAIM) as tx:
                calls = _claim_in(tx, store, worker_id, entry, wanted)
        except _NoRoomError as refusal:
            if refusal.fits == 0:
                return _refused(services, entry) if refusal.budget else Claim((), Room.FIRST)
            wanted = refusal.fits
            continue
        except _StoppedError:
            return Claim((), Room.STOPPED)
        # What they ask never changes, so it is read when nobody waits for the commit any more.
        prepared = prepare(store, entry, calls) if calls else []
        return Claim(prepared, Room.EXHAUSTED if len(calls) < wanted else None)


class _StoppedError(Exception):
    """The lane is not open, or this worker's lease has passed."""


class _NoRoomError(Exception):
    """There is room for the first `fits` of the calls, in the `budget` or among the first calls."""

    def __init__(self, fits: int, *, budget: bool) -> None:
        super().__init__(fits)
        self.fits = fits
        self.budget = budget


def _claim_in(tx: Tx, store: Store, worker_id: str, entry: Entry, wanted: int) -> list[ClaimedCall]:
    who = {"lane": entry.lane_id, "worker": worker_id}
    names = {**who, "model": entry.model, "batch": entry.batch_id, "n": wanted}
    rows = _take(tx, store, names)
    if not rows:
        if not tx.fast(store.sql(_GUARD), who)[0][0]:
            raise _StoppedError
        return []
    calls = [_claimed(entry, worker_id, row) for row in rows]
    worst = sum(one.worst_nanos or 0 for one in calls)
    first_left = reserve(tx, store, entry.batch_id, worst)
    if first_left is None:
        raise _NoRoomError(_fitting(tx, entry.batch_id, calls), budget=True)
    if first_left:
        _hold_back(tx, store, calls, first_left)
    return calls


def _hold_back(tx: Tx, store: Store, calls: Sequence[ClaimedCall], first_left: int) -> None:
    """Let no more candidates be in flight than first calls are to come: they may stop the others.

    The batch's row is locked by now, so that nobody counts beside us.
    """
    if all(one.role is not Role.CANDIDATE for one in calls):
        return
    sending = tx.fast(store.sql(_SENDING), {"batch": calls[0].batch_id})[0][0]
    if sending > first_left:
        raise _NoRoomError(max(0, len(calls) - (sending - first_left)), budget=False)


def _take(tx: Tx, store: Store, names: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    """Take calls and write their attempts; answers the calls, by their rank."""
    if not store.is_sqlite:
        return tx.fast(store.sql(_CLAIM), names)
    find, *changes = map(store.sql, _CLAIM_ON_SQLITE)
    taken = {**names, "ids": tx.fast(find, names)[0][0]}
    for change in changes:
        tx.change(change, taken)
    return tx.select(store.sql(_CLAIMED), _WIDTH, taken)


def _claimed(entry: Entry, worker_id: str, row: Sequence[Any]) -> ClaimedCall:
    (id_, epoch, job, account, label, role, attempts, unknowns, crashes, waited_s, max_tokens,
     tokens, worst, _, fail_fast) = row  # fmt: skip
    return ClaimedCall(
        id_, epoch, job, entry.batch_id, account, entry.lane_id, entry.provider, entry.model,
        label, Role(role), entry.billed, attempts, unknowns, crashes, float(waited_s or 0),
        max_tokens, tokens, worst, worker_id, fail_fast=bool(fail_fast), interactive=entry.interactive,
    )  # fmt: skip


def _fitting(tx: Tx, batch_id: str, calls: Sequence[ClaimedCall]) -> int:
    """How many of the calls, in their order, the budget has room for.

    Raises:
        _StoppedError: it was not the budget that refused.
    """
    batch = tx.get(Batch, batch_id, populate_existing=True)
    if batch is None or batch.cap_nanos is None or batch.ending or batch.paused:
        raise _StoppedError
    room = batch.cap_nanos - batch.reserved_nanos - batch.spent_nanos
    fits = 0
    for call in calls[:-1]:  # not all of them did
        room -= call.worst_nanos or 0
        if room < 0:
            break
        fits += 1
    return fits


def _refused(services: Services, entry: Entry) -> Claim:
    """The budget has no room for a single call: wait for those in flight, or end the batch."""
    store = services.store
    with store.transaction(Commit.BUDGET) as tx:
        batch = tx.exec(
            select(Batch).where(Batch.id == entry.batch_id).with_for_update(key_share=True)
        ).one()
        if batch.reserved_nanos == 0 and batch.ending is None:
            end_early(tx, services, [batch.id], EndReason.BUDGET_EXHAUSTED)
            return Claim((), Room.STOPPED)
    return Claim((), Room.BUDGET)
