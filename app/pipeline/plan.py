"""plan: jobs become calls, a chunk per transaction, so that the first are sent at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlmodel import Session

from app.db import Commit, Store, Tx
from app.domain.ids import job_id
from app.domain.prompt import Prompt
from app.domain.states import BatchState
from app.models import Batch
from app.modes.registry import mode_for
from app.pipeline.calls import (
    BatchContext,
    JobCalls,
    Rounds,
    insert_rounds,
    load_context,
    make_rounds,
)
from app.pipeline.hints import hint_jobs
from app.pipeline.services import Services
from app.pipeline.tell import tell
from app.queue import Step, send_after_commit
from app.webhooks.events import EventType, batch_event

_FIRST_CHUNK = 64
_CHUNK = 1000
#: On SQLite a transaction keeps every other writer waiting.
_CHUNK_SQLITE = 250

_TO_PLAN = """
SELECT job.id, job.position, job.plan, t.body FROM job
JOIN stored_text t ON t.owner_id = job.id AND t.kind = 'prompt'
WHERE job.id BETWEEN :first AND :last AND job.state = 'queued'
ORDER BY job.id
"""
_START_JOBS = """
UPDATE job SET state = 'running', round = 1, outstanding = d.n
FROM {rows(id text, n int)} WHERE job.id = d.id
"""
#: The same where all of a range begin with as many calls.
_START_RANGE = """
UPDATE job SET state = 'running', round = 1, outstanding = :n
WHERE id BETWEEN :first AND :last
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


class ToPlan(NamedTuple):
    """A job that is planned next: its place, the number of its plan, and its prompt as JSON."""

    id: str
    position: int
    number: int
    prompt: str


class _StoppedError(Exception):
    """The batch may not be planned any further just now, or somebody else is at it."""


def plan(services: Services, batch_id: str) -> int:
    """Plan every queued job of a batch; answers how many. Safe to run twice at once.

    What is to be written is read and made before the transaction, which begins only to write
    it: it takes effect only if nobody else has planned these jobs meanwhile.
    """
    planned, chunk = 0, _FIRST_CHUNK
    context: BatchContext | None = None
    while True:
        with services.store.read() as session:
            context = _context(session, services, batch_id, context)
            made = None if context is None else _make(session, services, context, chunk)
        if context is None or made is None:
            return planned
        try:
            with services.store.transaction(Commit.PLAN) as tx:
                _write(tx, services, context, made)
        except _StoppedError:
            return planned
        planned += len(made.rounds.jobs)
        chunk = _CHUNK_SQLITE if services.store.is_sqlite else _CHUNK


def plan_with(
    tx: Tx, services: Services, context: BatchContext, jobs: Iterable[ToPlan], now: datetime
) -> None:
    """Plan all jobs of a new batch in the transaction that submits it, for who waits for them."""
    _write(tx, services, context, _made_of(context, jobs, now))


@dataclass(frozen=True, slots=True)
class _Made:
    """A chunk of jobs, from the `first` to the `last` id, with their calls."""

    first: str
    last: str
    rounds: Rounds
    now: datetime


def _context(
    session: Session, services: Services, batch_id: str, before: BatchContext | None
) -> BatchContext | None:
    """The batch as it is now, while it may be planned; what never changes is read once."""
    batch = session.get(Batch, batch_id)
    if batch is None or batch.state not in {BatchState.QUEUED, BatchState.RUNNING}:
        return None
    if before is None:
        return load_context(session, batch, services.settings.max_tokens_default)
    before.batch = batch
    return before


def _make(session: Session, services: Services, context: BatchContext, chunk: int) -> _Made | None:
    """The next jobs' calls; None if there are none to plan."""
    batch = context.batch
    position = batch.jobs_total - batch.jobs_queued
    count = min(chunk, batch.plan_until - position)
    if count <= 0:
        return None
    first, last = job_id(batch.id, position), job_id(batch.id, position + count - 1)
    statement = services.store.sql(_TO_PLAN)
    jobs = session.connection().execute(statement, {"first": first, "last": last}).all()
    if len(jobs) != count:
        return None
    opened = (
        ToPlan(id_, position, number, context.texts.open("prompt", id_, body))
        for id_, position, number, body in jobs
    )
    return _made_of(context, opened, services.store.now(session))


def _made_of(context: BatchContext, jobs: Iterable[ToPlan], now: datetime) -> _Made:
    rounds = [_first_round(context, job) for job in jobs]
    made = make_rounds(context, rounds, now)
    return _Made(rounds[0].job_id, rounds[-1].job_id, made, now)


def _write(tx: Tx, services: Services, context: BatchContext, made: _Made) -> None:
    store, batch = services.store, context.batch
    inserted = insert_rounds(tx, store, context, made.rounds)
    jobs = made.rounds.jobs
    left = {job.job_id: len(job.calls) - inserted.cached[job.job_id] for job in jobs}
    _start_jobs(tx, store, made, left)
    calls, cached = sum(len(job.calls) for job in jobs), inserted.cached.total()
    _start_batch(tx, store, batch, {"jobs": len(jobs), "calls": calls, "cached": cached})
    if batch.jobs_queued == batch.jobs_total:
        event = batch_event(EventType.BATCH_STARTED, batch.id, made.now)
        tell(tx, services, batch.account_id, batch.id, event)
    for provider, lane_id in inserted.lanes:
        send_after_commit(tx, services.queue, Step.DISPATCH, provider, lane_id)
    hint_jobs(tx, services, batch.id, batch.mode, [id_ for id_, n in left.items() if n == 0])


def _start_jobs(tx: Tx, store: Store, made: _Made, left: Mapping[str, int]) -> None:
    counts = set(left.values())
    if len(counts) == 1:
        of_range = {"first": made.first, "last": made.last, "n": counts.pop()}
        tx.change(store.sql(_START_RANGE), of_range)
        return
    rows = msgspec.json.encode([{"id": id_, "n": n} for id_, n in left.items()]).decode()
    tx.change(store.sql(_START_JOBS), {"rows": rows})


def _first_round(context: BatchContext, job: ToPlan) -> JobCalls:
    prompt = msgspec.json.decode(job.prompt, type=Prompt)
    view = context.view_of(job.id, job.number, prompt)
    first = mode_for(view.plan.mode).plan(view)
    return JobCalls(job.id, job.position, 1, prompt, first.calls)


def _start_batch(tx: Tx, store: Store, batch: Batch, counts: Mapping[str, int]) -> None:
    known = {"batch": batch.id, "queued": batch.jobs_queued}
    if tx.change(store.sql(_START_BATCH), {**known, **counts}) == 0:
        raise _StoppedError
