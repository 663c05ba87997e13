"""land: finished attempts are recorded, and what somebody waits for goes on at once.

Everything else goes on by a hint; so does this, where the process does not live to see to it.
"""

from collections.abc import Sequence

from app.pipeline.advance import advance
from app.pipeline.outcomes import Finished
from app.pipeline.record import record
from app.pipeline.services import Services


def land(services: Services, group: Sequence[Finished]) -> frozenset[str]:
    """Record a group, then move the jobs on that somebody waits for, if their round is done."""
    recorded = record(services, group)
    awaited = {
        (one.call.batch_id, one.call.job_id)
        for one in group
        if one.call.interactive and one.closes and one.call.id in recorded
    }
    for batch_id, job_id in sorted(awaited):
        advance(services, batch_id, [job_id])
    return recorded
