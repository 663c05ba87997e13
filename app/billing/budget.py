"""A batch's budget: what its calls may still cost is reserved before they are sent.

One row per batch, for calls with the account's own keys and with credits alike. Reservations
never exceed the cap; spend exceeds it only where a provider counted more than the bound it was
sent, and that is flagged as an overrun.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from app.db import Store, Tx

#: Whether a batch may send, and its budget has room for an amount.
ROOM = """state = 'running' AND ending IS NULL AND NOT paused
  AND (cap_nanos IS NULL OR reserved_nanos + spent_nanos + {amount} <= cap_nanos)"""
_RESERVE = f"""
UPDATE batch SET reserved_nanos = reserved_nanos + :amount
WHERE id = :batch AND {ROOM.format(amount=":amount")}
RETURNING first_left
"""  # noqa: S608 - our own words
#: No IS NULL in a RETURNING: SQLite 3.40 takes every column there for one that is never NULL.
#: `overrun_nanos` is the larger of what was spent beyond the cap and what was captured beyond
#: the account's credits (see captures.py); both only grow.
_SETTLE = """
WITH c AS MATERIALIZED (
  SELECT batch.id AS batch_id, d.* FROM
    {rows(id text, reserved bigint, spent bigint, unpriced int, unknowns int, duplicate bigint,
          wasted bigint, closed int, succeeded int, failed int)}
  {join} batch ON batch.id = d.id
  ORDER BY batch.id {lock}
)
UPDATE batch SET reserved_nanos = reserved_nanos - c.reserved,
  spent_nanos = spent_nanos + c.spent,
  overrun_nanos = CASE WHEN spent_nanos + c.spent - cap_nanos > overrun_nanos
                       THEN spent_nanos + c.spent - cap_nanos ELSE overrun_nanos END,
  unpriced_calls = unpriced_calls + c.unpriced,
  unknown_attempts = unknown_attempts + c.unknowns,
  possible_duplicate_nanos = possible_duplicate_nanos + c.duplicate,
  wasted_nanos = wasted_nanos + c.wasted,
  calls_closed = calls_closed + c.closed, jobs_succeeded = jobs_succeeded + c.succeeded,
  jobs_failed = jobs_failed + c.failed
FROM c WHERE batch.id = c.batch_id
RETURNING batch.id, CASE WHEN batch.spent_nanos > batch.cap_nanos THEN 1 ELSE 0 END,
  batch.ending, batch.first_left,
  jobs_total - jobs_succeeded - jobs_failed - jobs_cancelled - jobs_expired, jobs_total - sample,
  batch.jobs_total, batch.account_id
"""

_TOTALS = (
    "reserved", "spent", "unpriced", "unknowns", "duplicate", "wasted", "closed", "succeeded",
    "failed",
)  # fmt: skip


class Settlement(msgspec.Struct, frozen=True):
    """What the end of attempts means for their batch's budget; amounts in nanodollars.

    Attributes:
        batch_id: whose budget.
        reserved_nanos: what was reserved for them, and no longer is.
        spent_nanos: what they cost; 0 if nothing was bought, or at no known price.
        unpriced_calls: how many bought something at no known price.
        unknown_attempts: of how many nobody will ever know whether something was bought.
        possible_duplicate_nanos: what those may have cost.
        wasted_nanos: what of `spent_nanos` bought answers that could not be read.
        calls_closed: how many calls are done.
        jobs_succeeded: how many jobs ended with their call, and succeeded.
        jobs_failed: how many jobs ended with their call, and failed.
    """

    batch_id: str
    reserved_nanos: int = 0
    spent_nanos: int = 0
    unpriced_calls: int = 0
    unknown_attempts: int = 0
    possible_duplicate_nanos: int = 0
    wasted_nanos: int = 0
    calls_closed: int = 0
    jobs_succeeded: int = 0
    jobs_failed: int = 0


class Left(NamedTuple):
    """What a batch still has to do.

    Attributes:
        jobs: how many are open.
        ending: why it ends early, if it does.
        jobs_beyond_sample: how many are not of its sample; None if it has none.
        jobs_total: how many it has in all.
        account_id: whose it is.
    """

    jobs: int
    ending: str | None
    jobs_beyond_sample: int | None
    jobs_total: int
    account_id: str


def reserve(tx: Tx, store: Store, batch_id: str, amount_nanos: int) -> int | None:
    """Reserve the worst case of calls that are about to be sent.

    Answers how many of the first calls that may stop the batch have not ended, which is 0 for
    most; None if the batch may not send, or its budget has no room. Then the caller rolls back,
    for its claim must not stand without the reservation. Calls at no known price count as 0.
    """
    rows = tx.fast(store.sql(_RESERVE), {"batch": batch_id, "amount": amount_nanos})
    return int(rows[0][0]) if rows else None


class Settled(NamedTuple):
    """What the batches' rows said on the way.

    Attributes:
        overrun: the batches that have now spent more than their cap.
        first_left: of batches that count their first calls, how many have not ended before.
        left: of batches of which jobs ended, what there still is to do.
    """

    overrun: list[str]
    first_left: dict[str, int]
    left: dict[str, Left]


def settle_many(tx: Tx, store: Store, settlements: Iterable[Settlement]) -> Settled:
    """Move a group's reservations to what was really spent, batches locked in order of id."""
    totals: dict[str, list[int]] = {}
    for one in settlements:
        total = totals.setdefault(one.batch_id, [0] * len(_TOTALS))
        for place, amount in enumerate(msgspec.structs.astuple(one)[1:]):
            total[place] += amount
    if not totals:
        return Settled([], {}, {})
    rows = [{"id": id_, **dict(zip(_TOTALS, total, strict=True))} for id_, total in totals.items()]
    settled = tx.fast(store.sql(_SETTLE), {"rows": msgspec.json.encode(rows).decode()})
    return Settled(
        sorted(row[0] for row in settled if row[1]),
        {row[0]: row[3] for row in settled if row[3] and row[2] is None},
        {row[0]: Left(row[4], row[2], *row[5:]) for row in settled if any(totals[row[0]][-2:])},
    )
