"""The backlog: where calls wait, over all lanes and batches, and from when on they are due."""

import msgspec

from app.db import Commit, Store
from app.domain.states import Billed

_NEXT_DUE = """
SELECT MIN(due_at) FROM call
WHERE lane_id = :lane AND model = :model AND batch_id = :batch AND state = 'queued'
"""
_LOCK_BACKLOG = """
SELECT 1 FROM backlog WHERE lane_id = :lane AND model = :model AND batch_id = :batch {lock}
"""
_DROP_BACKLOG = """
DELETE FROM backlog WHERE lane_id = :lane AND model = :model AND batch_id = :batch
"""
#: Where another worker took the last of them just now, the row stays as it is, in vain.
_SET_BACKLOG = """
UPDATE backlog SET due_at = COALESCE((SELECT MIN(due_at) FROM call WHERE lane_id = :lane
  AND model = :model AND batch_id = :batch AND state = 'queued'), due_at),
  wait_reason = (SELECT wait_reason FROM call WHERE lane_id = :lane AND model = :model
                 AND batch_id = :batch AND state = 'queued' ORDER BY due_at LIMIT 1)
WHERE lane_id = :lane AND model = :model AND batch_id = :batch
"""


_NOTE_WAIT = """
UPDATE backlog SET wait_reason = :why,
  waiting_since = CASE WHEN :counts = 1 THEN COALESCE(waiting_since, {now}) END
WHERE lane_id = :lane AND model = :model AND batch_id = :batch
"""


_HOLD = """
UPDATE backlog SET due_at = {after_ms(:for_ms)}, wait_reason = :why
WHERE lane_id = :lane AND model = :model AND batch_id = :batch AND due_at < {after_ms(:for_ms)}
"""


#: In the order of `Entry`'s fields.
_DUE = """
SELECT backlog.lane_id, backlog.model, backlog.batch_id, backlog.account_id, lane.provider,
  lane.billed, lane.base_url, lane.rpm, lane.tpm, lane.in_flight, batch.priority,
  batch.interactive, batch.mode, CASE WHEN backlog.waiting_since IS NULL THEN 0 ELSE 1 END,
  COALESCE(provider_key.id, '')
FROM backlog JOIN lane ON lane.id = backlog.lane_id JOIN batch ON batch.id = backlog.batch_id
LEFT JOIN provider_key ON provider_key.lane_id = backlog.lane_id
WHERE backlog.due_at <= {now} AND lane.state = 'open' AND batch.state = 'running'
  AND batch.ending IS NULL AND NOT batch.paused
"""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One line of the backlog that is due: where calls wait, and what is known of their batch."""

    lane_id: str
    model: str
    batch_id: str
    account_id: str
    provider: str
    billed: Billed
    base_url: str | None
    rpm: int | None
    tpm: int | None
    in_flight: int | None
    priority: int
    interactive: bool
    mode: str
    noted: bool  # the store says why it waits
    key_id: str = ""  # of the lane's provider key; empty where it needs none

    @property
    def key(self) -> tuple[str, str, str]:
        """What a claim asks for."""
        return (self.lane_id, self.model, self.batch_id)


def due_backlog(store: Store) -> list[Entry]:
    """What is due, over all lanes and batches that may send."""
    with store.read() as reader:
        rows = reader.select(store.sql(_DUE), len(Entry.__struct_fields__), {})
    return msgspec.convert(rows, list[Entry], strict=False)


def note_wait(store: Store, entry: Entry, why: str | None, *, counts: bool = False) -> None:
    """Say why an entry is not sent though it is due; None when it is again.

    Args:
        store: where it is said.
        entry: which.
        why: one machine-readable word.
        counts: whether that wait ends calls once it is longer than `wait_max_s`.
    """
    with store.transaction(Commit.WAIT) as tx:
        tx.run(
            store.sql(_NOTE_WAIT),
            {
                "lane": entry.lane_id,
                "model": entry.model,
                "batch": entry.batch_id,
                "why": why,
                "counts": int(counts),
            },
        )


def hold(store: Store, entry: Entry, why: str, for_s: float) -> None:
    """Say that an entry is not sent for so long though it is due, because of a limit of its lane.

    It costs nothing meanwhile, and is looked at earlier only if something is queued for it.
    """
    with store.transaction(Commit.WAIT) as tx:
        tx.run(
            store.sql(_HOLD),
            {
                "lane": entry.lane_id,
                "model": entry.model,
                "batch": entry.batch_id,
                "why": why,
                "for_ms": round(for_s * 1000),
            },
        )


def rest(store: Store, entry: Entry) -> float | None:
    """Nothing more of an entry is due: note when it is again, in seconds; None if never.

    The row is locked before the calls are looked at, so that whoever queues one meanwhile
    writes the row after us.
    """
    names = {"lane": entry.lane_id, "model": entry.model, "batch": entry.batch_id}
    with store.transaction(Commit.REST) as tx:
        if tx.run(store.sql(_LOCK_BACKLOG), names).first() is None:
            return None
        statement = store.sql(f"SELECT {{age_s(({_NEXT_DUE}))}}")
        age_s = tx.execute(statement, names).scalar_one()
        if age_s is None:
            tx.run(store.sql(_DROP_BACKLOG), names)
            return None
        tx.run(store.sql(_SET_BACKLOG), names)
        return max(0.0, -float(age_s))
