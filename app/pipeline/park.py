"""Parking: a lane whose key was refused stops at once, for every worker, and says so once."""

from sqlmodel import col, select

from app.db import Commit, Tx
from app.models import Backlog, Batch, Lane
from app.pipeline.services import Services
from app.queue import Step, send_after_commit
from app.webhooks.events import lane_parked, record_event

#: Not if the key was replaced meanwhile: what was refused is not what the lane has now.
_PARK = """
UPDATE lane SET state = 'parked', parked_reason = :reason, parked_at = {now}
WHERE id = :lane AND state = 'open'
  AND COALESCE((SELECT provider_key.id FROM provider_key WHERE lane_id = :lane), '') = :key
"""


def park_lane(services: Services, lane_id: str, key_id: str | None, reason: str) -> bool:
    """Park a lane until its key is set again; answers whether this call did."""
    with services.store.transaction(Commit.PARK) as tx:
        parked = tx.run(
            services.store.sql(_PARK), {"lane": lane_id, "key": key_id or "", "reason": reason}
        )
        if parked.rowcount == 0:
            return False
        _announce(tx, services, lane_id)
    return True


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
        event = lane_parked(batch_id, lane_id, lane.provider, now)
        for delivery_id in record_event(tx, services.store, account_id, batch_id, event):
            send_after_commit(tx, services.queue, Step.DELIVER, delivery_id)
