"""A batch's budget: what its calls may still cost is reserved before they are sent.

One row per batch, for calls with the account's own keys and with credits alike. Reservations
never exceed the cap; spend exceeds it only where a provider counted more than the bound it was
sent, and that is flagged as an overrun.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from app.db import Store, Tx

_RESERVE = """
UPDATE batch SET reserved_nanos = reserved_nanos + :amount
WHERE id = :batch AND state = 'running' AND ending IS NULL AND NOT paused
  AND (cap_nanos IS NULL OR reserved_nanos + spent_nanos + :amount <= cap_nanos)
RETURNING id
"""
#: No IS NULL in a RETURNING: SQLite 3.40 takes every column there for one that is never NULL.
#: `overrun_nanos` is the larger of what was spent beyond the cap and what was captured beyond
#: the account's credits (see captures.py); both only grow.
_SETTLE = """
WITH c AS MATERIALIZED (
  SELECT batch.id AS batch_id, d.* FROM
    {rows(id text, reserved bigint, spent bigint, unpriced int, unknowns int, duplicate bigint,
          wasted bigint, closed int)}
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
  calls_closed = calls_closed + c.closed
FROM c WHERE batch.id = c.batch_id
RETURNING batch.id, CASE WHEN batch.spent_nanos > batch.cap_nanos THEN 1 ELSE 0 END,
  batch.ending, batch.first_left
"""


class Settlement(msgspec.Struct, frozen=True):
    """What the end of one attempt means for its batch's budget; amounts in nanodollars.

    Attributes:
        batch_id: whose budget.
        reserved_nanos: what was reserved for the attempt, and no longer is.
        spent_nanos: what it cost; 0 if nothing was bought, or at no known price.
        unpriced_calls: 1 if something was bought at no known price.
        unknown_attempts: 1 if nobody will ever know whether something was bought.
        possible_duplicate_nanos: what such an attempt may have cost.
        wasted_nanos: what of `spent_nanos` bought an answer that could not be read.
        calls_closed: 1 if its call is done.
    """

    batch_id: str
    reserved_nanos: int = 0
    spent_nanos: int = 0
    unpriced_calls: int = 0
    unknown_attempts: int = 0
    possible_duplicate_nanos: int = 0
    wasted_nanos: int = 0
    calls_closed: int = 0


def reserve(tx: Tx, store: Store, batch_id: str, amount_nanos: int) -> bool:
    """Reserve the worst case of calls that are about to be sent.

    False if the batch may not send, or its budget has no room; the caller rolls back, for
    its claim must not stand without the reservation. Calls at no known price count as 0.
    """
    return bool(tx.fast(store.sql(_RESERVE), {"batch": batch_id, "amount": amount_nanos}))


class Settled(NamedTuple):
    """What the batches' rows said on the way.

    Attributes:
        overrun: the batches that have now spent more than their cap.
        first_left: of batches that count their first calls, how many have not ended before.
    """

    overrun: list[str]
    first_left: dict[str, int]


def settle_many(tx: Tx, store: Store, settlements: Iterable[Settlement]) -> Settled:
    """Move a group's reservations to what was really spent, batches locked in order of id."""
    totals: dict[str, list[int]] = {}
    for one in settlements:
        total = totals.setdefault(one.batch_id, [0] * 7)
        total[0] += one.reserved_nanos
        total[1] += one.spent_nanos
        total[2] += one.unpriced_calls
        total[3] += one.unknown_attempts
        total[4] += one.possible_duplicate_nanos
        total[5] += one.wasted_nanos
        total[6] += one.calls_closed
    if not totals:
        return Settled([], {})
    names = ("reserved", "spent", "unpriced", "unknowns", "duplicate", "wasted", "closed")
    rows = [{"id": id_, **dict(zip(names, total, strict=True))} for id_, total in totals.items()]
    settled = tx.fast(store.sql(_SETTLE), {"rows": msgspec.json.encode(rows).decode()})
    return Settled(
        sorted(batch_id for batch_id, is_over, _, _ in settled if is_over),
        {batch_id: left for batch_id, _, ending, left in settled if left and ending is None},
    )
