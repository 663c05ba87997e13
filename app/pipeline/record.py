"""The grouped writer's one transaction: everything that follows from a group of attempts.

The fence comes first: only calls this worker still holds, at the epoch it claimed, are
written at all. Then in lock order calls, jobs, batches, accounts, each by id.
"""

from collections import Counter
from collections.abc import Sequence

from app.billing.budget import settle_many
from app.billing.captures import capture_many
from app.db import Commit, Store, Tx
from app.domain.states import EndReason
from app.models import StoredText
from app.pipeline.calls import TEXT_COLUMNS, announce
from app.pipeline.counting import note_closed
from app.pipeline.facts import facts_of, known_facts
from app.pipeline.hints import hint_ready
from app.pipeline.outcomes import Finished
from app.pipeline.record_calls import HOLDS, write_calls
from app.pipeline.record_rows import JobEnd, Rows, encode, job_ends
from app.pipeline.services import Services
from app.pipeline.stop import count_first, ends_of
from app.pipeline.tell import tell
from app.queue import Step, send_after_commit
from app.vault.texts import Texts, texts_by_batch
from app.webhooks.events import EventType, batch_event

#: The calls of a group that this worker still holds: what it takes up again where the fence let
#: only some of them through.
_HELD = f"""
SELECT call.id FROM {{rows(id text, epoch int, worker_id text)}} {{join}} call ON call.id = d.id
WHERE {HOLDS}
ORDER BY call.id {{lock_call}}
"""  # noqa: S608 - our own words
COUNT_DOWN = """
WITH j AS MATERIALIZED (
  SELECT job.id AS job_id, d.n FROM {rows(id text, n int)} {join} job ON job.id = d.id
  ORDER BY job.id {lock}
)
UPDATE job SET outstanding = outstanding - j.n FROM j WHERE job.id = j.job_id
RETURNING job.id, job.batch_id, job.outstanding
"""
#: The jobs of single calls are never without open ones, so they need no countdown.
_END_JOBS = """
WITH j AS MATERIALIZED (
  SELECT job.id AS job_id, d.state, d.reason, d.message
  FROM {rows(id text, state text, reason text, message text)} {join} job ON job.id = d.id
  ORDER BY job.id {lock_job}
)
UPDATE job SET state = j.state, outstanding = 0, reason = j.reason, message = j.message,
  closed_at = {now}
FROM j WHERE job.id = j.job_id
"""
_END_EARLY = """
UPDATE batch SET ending = :why WHERE id = :id AND closed_at IS NULL AND ending IS NULL
RETURNING account_id
"""


class _StaleError(Exception):
    """Some calls of the group are somebody else's now."""


def record(services: Services, group: Sequence[Finished]) -> frozenset[str]:
    """Write a group of finished attempts in one transaction; answers whose were written.

    Calls that their worker no longer holds are left alone: somebody else has them, or closed
    them.
    """
    ends = _job_ends(services, group)
    texts = _texts_of(services, group)
    rows = Rows(group, ends, texts)
    try:
        with services.store.transaction(Commit.RECORD) as tx:
            return _record(tx, services, rows, group)
    except _StaleError:
        pass
    with services.store.transaction(Commit.RECORD) as tx:
        held = {row[0] for row in tx.fast(services.store.sql(_HELD), {"rows": rows.held()})}
        came = [one for one in group if one.call.id in held]
        if not came:
            return frozenset()
        left = Rows(came, {id_: end for id_, end in ends.items() if id_ in held}, texts)
        return _record(tx, services, left, came)


def _job_ends(services: Services, group: Sequence[Finished]) -> dict[str, JobEnd]:
    """How the jobs end of which the group has the only call."""
    singles = [one for one in group if one.call.single and one.closes]
    if not singles:
        return {}
    batches = {one.call.batch_id for one in singles}
    facts = {id_: known for id_ in batches if (known := known_facts(id_)) is not None}
    if len(facts) < len(batches):
        with services.store.read() as session:
            facts = {id_: facts_of(session, id_) for id_ in batches}
    return job_ends(facts, singles)


def _texts_of(services: Services, group: Sequence[Finished]) -> dict[str, Texts]:
    """How batches keep their texts, where they seal them: most do not, and are not looked up."""
    sealed = {one.call.batch_id for one in group if one.call.sealed}
    if not sealed:
        return {}
    with services.store.read() as session:
        return texts_by_batch(session, sealed)


def _record(tx: Tx, services: Services, rows: Rows, came: Sequence[Finished]) -> frozenset[str]:
    store = services.store
    if write_calls(tx, store, rows) != len(rows.group):
        raise _StaleError
    if rows.texts:
        store.insert_rows(tx, StoredText, TEXT_COLUMNS, rows.texts)
    ready = count_down(tx, store, rows.countdown)
    if rows.job_ends:
        tx.change(store.sql(_END_JOBS), {"rows": encode(rows.job_ends)})
    settled = settle_many(tx, store, rows.settlements)
    captures = rows.captures()
    overrun = {*settled.overrun, *(capture_many(tx, store, captures) if captures else ())}
    stopped = count_first(tx, store, settled.first_left, ends_of(came))
    announce(tx, store, rows.waiting())
    hint_ready(tx, services, ready)
    for batch_id, left in settled.left.items():
        note_closed(tx, services, batch_id, left, rows.closed_jobs[batch_id])
    if overrun:
        end_early(tx, services, sorted(overrun), EndReason.BUDGET_EXHAUSTED)
    if stopped:
        end_early(tx, services, stopped, EndReason.TOO_MANY_FAILED)
    return frozenset(one.call.id for one in came)


def count_down(tx: Tx, store: Store, closed: Counter[str]) -> list[tuple[str, str]]:
    """Take closed calls off their jobs' countdowns; answers (batch, job) of those at zero."""
    if not closed:
        return []
    counts = [{"id": job_id, "n": n} for job_id, n in sorted(closed.items())]
    counted = tx.fast(store.sql(COUNT_DOWN), {"rows": encode(counts)})
    return [(row[1], row[0]) for row in counted if row[2] == 0]


def end_early(tx: Tx, services: Services, batch_ids: Sequence[str], why: EndReason) -> None:
    """Nothing of these batches is claimed any more; `reconcile` closes what is open."""
    for batch_id in sorted(batch_ids):
        ended = tx.run(
            services.store.sql(_END_EARLY), {"id": batch_id, "why": why.value}
        ).one_or_none()
        if ended is not None and why is EndReason.BUDGET_EXHAUSTED:
            event = batch_event(EventType.BATCH_BUDGET_REACHED, batch_id, services.store.now(tx))
            tell(tx, services, ended[0], batch_id, event)
    send_after_commit(tx, services.queue, Step.RECONCILE)
