"""Parking: a lane that can send nothing stops at once, for every worker, and says so once.

One whose key was refused waits for somebody to replace it; one whose quota is used up for the day,
or for the month, opens again by itself.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, update
from sqlmodel import col, select

from app.db import Commit, Tx
from app.domain.states import LaneState
from app.models import Backlog, Batch, Lane
from app.pipeline.services import Services
from app.pipeline.tell import tell
from app.queue import Step, send_after_commit
from app.webhooks.events import lane_parked

#: Quotas by the reason an error gives, and how long one is waited for that does not say.
QUOTAS = {"quota_exhausted": 3600.0, "spend_limit": 3600.0}

#: Not if the key was replaced meanwhile: what was refused is not what the lane has now.
_PARK = """
UPDATE lane SET state = 'parked', parked_reason = :reason, parked_at = {now},
  parked_until = CASE WHEN :for_ms >= 0 THEN {after_ms(:for_ms)} END
WHERE id = :lane AND state = 'open'
  AND COALESCE((SELECT provider_key.id FROM provider_key WHERE lane_id = :lane), '') = :key
"""


def park_lane(
    services: Services, lane_id: str, key_id: str | None, reason: str, for_s: float | None = None
) -> bool:
    """Park a lane until its key is set again, or for so long; answers whether this call did."""
    names = {
        "lane": lane_id,
        "key": key_id or "",
        "reason": reason,
        "for_ms": -1 if for_s is None else round(for_s * 1000),
    }
    with services.store.transaction(Commit.PARK) as tx:
        if tx.run(services.store.sql(_PARK), names).rowcount == 0:
            return False
        _announce(tx, services, lane_id)
    return True


def reopen_lanes(services: Services) -> int:
    """Open the lanes whose quota is there again; answers how many."""
    with services.store.read() as session:
        now = services.store.now(session)
        over = session.exec(select(Lane.id).where(*_is_over(now)).limit(1)).first()
    if over is None:
        return 0
    with services.store.transaction(Commit.PARK) as tx:
        opened = tx.run(
            update(Lane)
            .where(*_is_over(now))
            .values(
                state=LaneState.OPEN.value, parked_reason=None, parked_at=None, parked_until=None
            )
            .returning(col(Lane.provider), col(Lane.id))
        ).all()
        for provider, lane_id in opened:
            send_after_commit(tx, services.queue, Step.DISPATCH, provider, lane_id)
    return len(opened)


def _is_over(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (col(Lane.state) == LaneState.PARKED.value, col(Lane.parked_until) <= now)


def _announce(tx: Tx, services: Services, lane_id: str) -> None:
    now, lane = services.store.now(tx), tx.get_one(Lane, lane_id)
    waiting = tx.exec(
        select(Batch.id, Batch.account_id)
        .join(Backlog, col(Backlog.batch_id) == Batch.id)
        .where(Backlog.lane_id == lane_id)
        .distinct()
        .order_by(col(Batch.id))
    ).all()
    for batch_id, account_id in waiting:
        tell(tx, services, account_id, batch_id, lane_parked(batch_id, lane_id, lane.provider, now))
