"""plan: jobs become calls, a chunk per transaction, so that the first are sent at once."""

from collections.abc import Mapping

import msgspec

from app.db import Commit, Store, Tx
from app.domain.ids import job_id
from app.domain.plan import JobView
from app.domain.prompt import Prompt
from app.domain.states import BatchState
from app.models import Batch
from app.modes.registry import mode_for
from app.pipeline.calls import BatchContext, JobCalls, insert_calls, load_context
from app.pipeline.record import hint_jobs
from app.pipeline.services import Services
from app.pipeline.tell import tell
from app.queue import Step, send_after_commit
from app.webhooks.events import EventType, batch_event

_FIRST_CHUNK = 64
_CHUNK = 1000
#: On SQLite a transaction keeps every other writer waiting.
_CHUNK_SQLITE = 250

_TO_PLAN = """
SELECT job.id, job.position, t.body FROM job
JOIN stored_text t ON t.owner_id = job.id AND t.kind = 'prompt'
WHERE job.id BETWEEN :first AND :last AND job.state = 'queued'
ORDER BY job.id {lock_job}
"""
_START_JOBS = """
UPDATE job SET state = 'running', round = 1, outstanding = d.n
FROM {rows(id text, n int)} WHERE job.id = d.id
"""
#: Not a row of it changes where the batch was cancelled or paused in the meantime, or where
#: somebody else has planned these jobs.
_START_BATCH = """
UPDATE batch SET state = 'running', started_at = COALESCE(started_at, {now}),
       calls_total = calls_total + :calls, calls_closed = calls_closed + :cached,
       calls_cached = calls_cached + :cached, jobs_queued = jobs_queued - :jobs
WHERE id = :batch AND jobs_queued = :queued
  AND state IN ('queued', 'running') AND ending IS NULL AND NOT paused
  AND (not_before IS NULL OR not_before <= {now})
"""


class _StoppedError(Exception):
    """The batch may not be planned any further just now, or somebody else is at it."""


def plan(services: Services, batch_id: str) -> int:
    """Plan every queued job of a batch; answers how many. Safe to run twice at once."""
    planned, chunk = 0, _FIRST_CHUNK
    while True:
        try:
            with services.store.transaction(Commit.PLAN) as tx:
                done = _plan_chunk(tx, services, batch_id, chunk)
        except _StoppedError:
            return planned
        if done == 0:
            return planned
        planned += done
        chunk = _CHUNK_SQLITE if services.store.is_sqlite else _CHUNK


def _plan_chunk(tx: Tx, services: Services, batch_id: str, chunk: int) -> int:
    store = services.store
    batch = tx.get(Batch, batch_id)
    if batch is None or batch.state not in {BatchState.QUEUED, BatchState.RUNNING}:
        raise _StoppedError
    first = batch.jobs_total - batch.jobs_queued
    count = min(chunk, batch.plan_until - first)
    if count <= 0:
        return 0
    ids = {"first": job_id(batch_id, first), "last": job_id(batch_id, first + count - 1)}
    jobs = tx.fast(store.sql(_TO_PLAN), ids)
    if len(jobs) != count:
        raise _StoppedError
    context = load_context(tx, batch, services.settings.max_tokens_default)
    rounds = [_first_round(context, *job) for job in jobs]
    made = insert_calls(tx, store, context, rounds, store.now(tx))
    left = {job.job_id: len(job.calls) - made.cached[job.job_id] for job in rounds}
    counts = [{"id": id_, "n": n} for id_, n in left.items()]
    tx.run(store.sql(_START_JOBS), {"rows": msgspec.json.encode(counts).decode()})
    calls, cached = sum(len(job.calls) for job in rounds), made.cached.total()
    _start_batch(tx, store, batch, {"jobs": count, "calls": calls, "cached": cached})
    if first == 0:
        event = batch_event(EventType.BATCH_STARTED, batch_id, store.now(tx))
        tell(tx, services, batch.account_id, batch_id, event)
    for provider, lane_id in made.lanes:
        send_after_commit(tx, services.queue, Step.DISPATCH, provider, lane_id)
    hint_jobs(tx, services, batch_id, batch.mode, [id_ for id_, n in left.items() if n == 0])
    return len(jobs)


def _first_round(context: BatchContext, id_: str, position: int, body: str) -> JobCalls:
    prompt = msgspec.json.decode(body, type=Prompt)
    view = JobView(prompt, context.plan, seed=context.seed_of(id_, prompt))
    first = mode_for(context.plan.mode).plan(view)
    return JobCalls(id_, position, 1, prompt.messages, first.calls)


def _start_batch(tx: Tx, store: Store, batch: Batch, counts: Mapping[str, int]) -> None:
    known = {"batch": batch.id, "queued": batch.jobs_queued}
    result = tx.run(store.sql(_START_BATCH), {**known, **counts})
    if result.rowcount == 0:
        raise _StoppedError
