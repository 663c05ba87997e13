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

from app.billing.pricing import price_of
from app.db import Commit, Store, Tx
from app.domain.states import EndReason, Role
from app.models import Batch
from app.pipeline.backlog import Entry
from app.pipeline.outcomes import POISON_CRASHES, SUSPECT_CRASHES, ClaimedCall
from app.pipeline.prepare import Prepared, prepare
from app.pipeline.record import end_early
from app.pipeline.services import Services
from app.pipeline.take import WIDTH, Taken, take

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
    """What a claim got.

    Attributes:
        calls: the calls, by their rank.
        short: why they are fewer than were asked for.
        mark: the rank that the next claim may begin at.
    """

    calls: Sequence[Prepared]
    short: Room | None = None
    mark: int = 0


def claim(
    services: Services,
    worker_id: str,
    entry: Entry,
    wanted: int,
    *,
    from_rank: int = 0,
    suspect: bool = True,
) -> Claim:
    """Claim up to `wanted` due calls of one entry, and reserve what they may cost.

    No two of them are suspected of ending their process: whoever holds two when it ends could
    not tell which it was.

    Args:
        services: the store.
        worker_id: who claims.
        entry: of what.
        wanted: how many at most.
        from_rank: where to begin, to be quick: an earlier claim's mark. What is queued again goes
            by its old rank, so a mark is to be kept for a moment only; where too little is found
            behind it, what is before it is looked at, now or by the next claim.
        suspect: whether one of them may be suspected; not if this process has such a call.
    """
    store = services.store
    crashes_below = POISON_CRASHES if suspect else SUSPECT_CRASHES
    # The first look-up of a vendor's price takes a while, which here stops no loop.
    price_of(entry.provider, entry.model)
    while True:
        try:
            with store.transaction(Commit.CLAIM) as tx:
                limits = {"n": wanted, "from_rank": from_rank, "crashes_below": crashes_below}
                calls, taken = _claim_in(tx, store, worker_id, entry, limits)
        except _NoRoomError as refusal:
            if refusal.fits:
                wanted = refusal.fits
            elif from_rank:
                from_rank = 0  # what is before it may cost less
            else:
                return _refused(services, entry) if refusal.budget else Claim((), Room.FIRST)
            continue
        except _StoppedError:
            return Claim((), Room.STOPPED)
        if not calls and from_rank:
            from_rank = 0
            continue
        prepared = prepare(store, entry, calls, taken.asks) if calls else []
        if len(calls) == wanted:
            return Claim(prepared, None, taken.last_rank)
        return Claim(prepared, None if from_rank else Room.EXHAUSTED)


class _StoppedError(Exception):
    """The lane is not open, or this worker's lease has passed."""


class _NoRoomError(Exception):
    """There is room for the first `fits` of the calls only.

    In the `budget`; or among the first calls, or those that are suspected.
    """

    def __init__(self, fits: int, *, budget: bool) -> None:
        super().__init__(fits)
        self.fits = fits
        self.budget = budget


def _claim_in(
    tx: Tx, store: Store, worker_id: str, entry: Entry, limits: Mapping[str, int]
) -> tuple[list[ClaimedCall], Taken]:
    who = {"lane": entry.lane_id, "worker": worker_id}
    names = {**who, "model": entry.model, "batch": entry.batch_id, **limits}
    taken = take(tx, store, names)
    if not taken.rows:
        if not tx.fast(store.sql(_GUARD), who)[0][0]:
            raise _StoppedError
        return [], taken
    calls = [_claimed(entry, worker_id, row) for row in taken.rows]
    suspects = [at for at, one in enumerate(calls) if one.crash_count >= SUSPECT_CRASHES]
    if len(suspects) > 1:
        raise _NoRoomError(suspects[1], budget=False)
    if taken.first_left is None:
        raise _NoRoomError(_fitting(tx, entry.batch_id, calls), budget=True)
    if taken.first_left:
        _hold_back(tx, store, calls, taken.first_left)
    return calls, taken


def _hold_back(tx: Tx, store: Store, calls: Sequence[ClaimedCall], first_left: int) -> None:
    """Let no more candidates be in flight than first calls are to come: they may stop the others.

    The batch's row is locked by now, so that nobody counts beside us.
    """
    if all(one.role is not Role.CANDIDATE for one in calls):
        return
    sending = tx.fast(store.sql(_SENDING), {"batch": calls[0].batch_id})[0][0]
    if sending > first_left:
        raise _NoRoomError(max(0, len(calls) - (sending - first_left)), budget=False)


def _claimed(entry: Entry, worker_id: str, row: Sequence[Any]) -> ClaimedCall:
    (id_, epoch, job, account, label, role, attempts, unknowns, crashes, waited_s, max_tokens,
     tokens, worst, _, fail_fast) = row[:WIDTH]  # fmt: skip
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
