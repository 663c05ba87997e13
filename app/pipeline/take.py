"""Taking calls: the statements of a claim, for each store.

Calls are taken, their attempts written and, last by the lock order, their worst case is reserved
on the batch. PostgreSQL does all of it in one statement, which also reads what the calls ask.
SQLite has one writer, so there that is read when nobody waits for the commit any more.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from app.billing.budget import ROOM, reserve
from app.db import Store, Tx
from app.pipeline.prepare import ASKED, BASE_URL, KEY_ID, Asks

#: What is taken of an entry: that which is due, if its lane and this worker may send. While some
#: old snapshot is open, PostgreSQL keeps what the index says of all that was ever taken: it is not
#: walked over again by a claim that begins where the last one ended.
_DUE = """
  SELECT id FROM call
  WHERE lane_id = :lane AND model = :model AND batch_id = :batch AND state = 'queued'
    AND rank >= :from_rank AND crash_count < :crashes_below AND due_at <= {now}
    AND EXISTS (SELECT 1 FROM lane WHERE lane.id = :lane AND lane.state = 'open')
    AND EXISTS (SELECT 1 FROM worker WHERE worker.id = :worker AND worker.lease_until > {now})
  ORDER BY rank, id LIMIT :n
"""
#: A claimed call, in the order of `dispatch`'s.
_COLUMNS = """call.id, call.epoch, call.job_id, call.account_id, call.label, call.role,
  call.attempts, call.unknowns, call.crash_count, {age_s(call.waiting_since)}, call.max_tokens,
  call.tokens_bound, call.worst_nanos, call.rank, call.fail_fast"""
WIDTH = 15
_WORST = 12
_RANK = 13
#: The reservation adds up what the calls may cost, so it comes after them. Where it is not made
#: `first_left` is NULL, and whoever asked rolls back.
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
),
w AS (
  SELECT CAST(COALESCE(SUM(u.worst_nanos), 0) AS bigint) AS amount, COUNT(*) AS calls FROM u
),
b AS (
  UPDATE batch SET reserved_nanos = reserved_nanos + w.amount
  FROM w WHERE w.calls > 0 AND batch.id = :batch AND {ROOM.format(amount="w.amount")}
  RETURNING batch.first_left
)
SELECT u.*, (SELECT first_left FROM b), ({BASE_URL}), ({KEY_ID}), own.body, prompt.body
FROM u
{ASKED.format(call="u")}
ORDER BY u.rank, u.id
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


class Taken(NamedTuple):
    """Calls that were taken.

    Attributes:
        rows: the calls, by their rank; their first `WIDTH` columns are `_COLUMNS`.
        first_left: of the first calls that may stop the batch, how many have not ended; None if
            there is no room for the calls, or the batch may not send.
        asks: what they ask, where it was read with them.
    """

    rows: Sequence[Sequence[Any]]
    first_left: int | None = None
    asks: Asks | None = None

    @property
    def last_rank(self) -> int:
        """The highest of their ranks; 0 if there are none."""
        return int(self.rows[-1][_RANK]) if self.rows else 0


def take(tx: Tx, store: Store, names: Mapping[str, Any]) -> Taken:
    """Take calls, write their attempts, and reserve what they may cost."""
    return _on_sqlite(tx, store, names) if store.is_sqlite else _on_postgresql(tx, store, names)


def _on_postgresql(tx: Tx, store: Store, names: Mapping[str, Any]) -> Taken:
    rows = tx.fast(store.sql(_CLAIM), names)
    if not rows:
        return Taken(())
    first_left, base_url, key_id, _, _ = rows[0][WIDTH:]
    requests = {row[0]: row[-2] for row in rows if row[-2] is not None}
    prompts = {row[2]: row[-1] for row in rows if row[-1] is not None}
    return Taken(rows, first_left, Asks(base_url, key_id, requests, prompts))


def _on_sqlite(tx: Tx, store: Store, names: Mapping[str, Any]) -> Taken:
    find, *changes = map(store.sql, _CLAIM_ON_SQLITE)
    taken = {**names, "ids": tx.fast(find, names)[0][0]}
    for change in changes:
        tx.change(change, taken)
    rows = tx.select(store.sql(_CLAIMED), WIDTH, taken)
    if not rows:
        return Taken(())
    worst = sum(row[_WORST] or 0 for row in rows)
    return Taken(rows, reserve(tx, store, names["batch"], worst))
