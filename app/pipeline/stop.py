"""stop: a batch whose first calls fail too often ends before the others are paid for.

Exactly: of the candidate calls that were really made, the first 50 to end as succeeded,
refused or failed, in the order in which they were written down. The batch ends as soon as
more than `stop_if_failed_percent` of 50 have failed among them, for then nothing the others
bring could change it; so a smaller batch may end as well, once as many failed. A refusal is
an answer. Calls that were cancelled, that expired, or that took an earlier answer count for
nothing, and so does whatever ends after the 50.
"""

from collections.abc import Iterable, Iterator, Mapping

from app.db import Store, Tx
from app.domain.states import CallState, Role
from app.pipeline.outcomes import Finished

FIRST_CALLS = 50
#: The row is locked by the statement before, which also said how many are left.
_COUNT_FIRST = """
UPDATE batch SET first_left = first_left - :ended, first_failed = first_failed + :failed
WHERE id = :batch
RETURNING first_failed, stop_if_failed_percent
"""


def count_first(
    tx: Tx, store: Store, left: Mapping[str, int], ended: Iterable[tuple[str, bool]]
) -> list[str]:
    """Count calls that have just ended; answers the batches of which too many failed.

    Args:
        tx: the transaction that ended them, so that each counts once.
        store: where they are.
        left: by batch, how many of its first calls had not ended before.
        ended: in order, the batch of each candidate call, and whether it failed.
    """
    if not any(left.values()):
        return []
    first: dict[str, list[bool]] = {}
    for batch_id, failed in ended:
        counted = first.setdefault(batch_id, [])
        if len(counted) < left.get(batch_id, 0):
            counted.append(failed)
    stopped = []
    for batch_id, counted in sorted(first.items()):
        if not counted:
            continue
        values = {"batch": batch_id, "ended": len(counted), "failed": sum(counted)}
        failed, percent = tx.run(store.sql(_COUNT_FIRST), values).one()
        if failed * 100 > percent * FIRST_CALLS:
            stopped.append(batch_id)
    return stopped


def ends_of(came: Iterable[Finished]) -> Iterator[tuple[str, bool]]:
    """The batch of each candidate call that ended, and whether it failed, as they came in."""
    for one in came:
        if one.closes and one.call.role is Role.CANDIDATE:
            yield one.call.batch_id, one.state is CallState.FAILED
