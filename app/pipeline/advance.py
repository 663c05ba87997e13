"""advance: a finished round is handed to its mode, which answers with the next or the outcome.

Three actors lead here (`advance`, `judge` and `blend`), chosen by the batch's mode. The
countdown, the state and the round are compared and set under the job's lock, so that a hint
delivered twice does nothing.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlmodel import col, select

from app.db import Store, Tx
from app.domain.completion import FinishReason
from app.domain.plan import CallResult, JobView, Mode, Outcome, Round
from app.domain.prompt import Messages, Prompt
from app.domain.states import CallState, EndReason, JobState, Role
from app.models import Attempt, Batch, Call, Job, StoredCompletion, StoredText, StoredVerdict
from app.modes.registry import mode_for
from app.pipeline.calls import TEXT_COLUMNS, BatchContext, JobCalls, insert_calls, load_context
from app.pipeline.services import Services
from app.queue import Step, send_after_commit

GROUP = 200
_VERDICT_COLUMNS = ("job_id", "batch_id", "winner", "abstained", "body")
_SET_JOBS = """
UPDATE job SET state = d.state, round = d.round, outstanding = d.n, reason = d.reason,
  message = d.message, closed_at = CASE WHEN d.closes = 1 THEN {now} END
FROM {rows(id text, state text, round int, n int, reason text, message text, closes int)}
WHERE job.id = d.id
"""
_COUNT_BATCH = """
UPDATE batch SET calls_total = calls_total + :calls, jobs_succeeded = jobs_succeeded + :succeeded,
  jobs_failed = jobs_failed + :failed, jobs_cancelled = jobs_cancelled + :cancelled,
  jobs_expired = jobs_expired + :expired
WHERE id = :batch
RETURNING jobs_total - jobs_succeeded - jobs_failed - jobs_cancelled - jobs_expired, ending
"""
#: How an unfinished job of a batch that ended early ends.
JOB_END = {
    EndReason.CANCELLED: JobState.CANCELLED,
    EndReason.EXPIRED: JobState.EXPIRED,
    EndReason.BUDGET_EXHAUSTED: JobState.FAILED,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one job."""

    job: Job
    state: JobState
    reason: str | None = None
    message: str | None = None
    outcome: Outcome | None = None
    next: JobCalls | None = None


def advance(services: Services, batch_id: str, job_ids: Sequence[str]) -> int:
    """Move jobs whose round is done; answers how many moved."""
    moved = 0
    for start in range(0, len(job_ids), GROUP):
        with services.store.transaction() as tx:
            moved += _advance_group(tx, services, batch_id, job_ids[start : start + GROUP])
    return moved


def _advance_group(tx: Tx, services: Services, batch_id: str, job_ids: Sequence[str]) -> int:
    jobs = tx.exec(
        select(Job)
        .where(col(Job.id).in_(job_ids), Job.batch_id == batch_id)
        .where(Job.state == JobState.RUNNING, Job.outstanding == 0)
        .order_by(col(Job.id))
        .with_for_update(key_share=True)
    ).all()
    batch = tx.get(Batch, batch_id)
    if not jobs or batch is None:
        return 0
    context = load_context(tx, batch, services.settings.max_tokens_default)
    mode = mode_for(context.plan.mode)
    material = _read(tx, jobs, with_text=mode.needs_text)
    decisions = [_decide(context, mode, job, material) for job in jobs]
    _apply(tx, services, context, decisions)
    return len(decisions)


@dataclass(frozen=True, slots=True)
class _Material:
    """What the modes read: each job's results, and prompts where the mode wants text."""

    results: dict[str, list[CallResult]]
    prompts: dict[str, Prompt]


def _read(tx: Tx, jobs: Sequence[Job], *, with_text: bool) -> _Material:
    """Every call of the jobs; answers, prompts and last attempts where the mode reads text."""
    job_ids = [job.id for job in jobs]
    rows = tx.execute(_calls_of(job_ids, with_text=with_text)).all()
    texts = _texts(tx, [row[0] for row in rows], "answer") if with_text else {}
    results: dict[str, list[CallResult]] = {job_id: [] for job_id in job_ids}
    for call_id, job_id, round_, role, label, state, reason, meta, *last in rows:
        status_code, latency_ms, finish = last or (None, None, None)
        results[job_id].append(
            CallResult(
                round_,
                Role(role),
                label,
                CallState(state),
                texts.get(call_id, ""),
                reason,
                msgspec.json.decode(meta) if meta else None,
                status_code,
                latency_ms,
                FinishReason(finish) if finish else None,
            )
        )
    prompts = _texts(tx, job_ids, "prompt") if with_text else {}
    decoded = {id_: msgspec.json.decode(body, type=Prompt) for id_, body in prompts.items()}
    return _Material(results, decoded)


def _calls_of(job_ids: Sequence[str], *, with_text: bool) -> sa.Select[Any]:
    columns: list[Any] = [Call.id, Call.job_id, Call.round, Call.role, Call.label, Call.state]
    columns += [Call.reason, Call.meta]
    query = sa.select(*columns)
    if with_text:
        query = (
            query.add_columns(
                col(Attempt.status_code),
                col(Attempt.latency_ms),
                col(StoredCompletion.finish_reason),
            )
            .outerjoin(
                Attempt, (col(Attempt.call_id) == Call.id) & (col(Attempt.epoch) == Call.epoch)
            )
            .outerjoin(StoredCompletion, col(StoredCompletion.call_id) == Call.id)
        )
    return query.where(col(Call.job_id).in_(job_ids)).order_by(col(Call.round), col(Call.id))


def _texts(tx: Tx, owners: Sequence[str], kind: str) -> dict[str, str]:
    rows = tx.exec(
        select(StoredText.owner_id, StoredText.body).where(
            col(StoredText.owner_id).in_(owners), StoredText.kind == kind
        )
    )
    return dict(rows.all())


_NO_PROMPT = Prompt([])


def _decide(context: BatchContext, mode: Mode, job: Job, material: _Material) -> Decision:
    prompt = material.prompts.get(job.id, _NO_PROMPT)
    view = JobView(prompt, context.plan, seed=job.id)
    answer = mode.advance(view, material.results[job.id])
    if isinstance(answer, Outcome):
        state = JobState.SUCCEEDED if answer.succeeded else JobState.FAILED
        if not answer.succeeded and context.batch.ending:
            return _ended(context.batch, job)
        return Decision(job, state, answer.reason, answer.message, outcome=answer)
    if context.batch.ending:
        return _ended(context.batch, job)
    return Decision(job, JobState.RUNNING, next=_next_round(job, prompt.messages, answer))


def _next_round(job: Job, prompt: Messages, answer: Round) -> JobCalls:
    return JobCalls(job.id, job.position, job.round + 1, prompt, answer.calls)


def _ended(batch: Batch, job: Job) -> Decision:
    ending = EndReason(str(batch.ending))
    return Decision(job, JOB_END[ending], reason=ending.value)


def _apply(
    tx: Tx, services: Services, context: BatchContext, decisions: Sequence[Decision]
) -> None:
    store = services.store
    rows = [_job_row(one) for one in decisions]
    tx.run(store.sql(_SET_JOBS), {"rows": msgspec.json.encode(rows).decode()})
    _insert_outcomes(tx, store, decisions)
    rounds = [one.next for one in decisions if one.next is not None]
    lanes = insert_calls(tx, store, context, rounds, store.now(tx)) if rounds else set()
    states = Counter(one.state for one in decisions if one.next is None)
    calls = sum(len(one.calls) for one in rounds)
    count_jobs(tx, services, context.batch.id, states, calls)
    for provider, lane_id in lanes:
        send_after_commit(tx, services.queue, Step.DISPATCH, provider, lane_id)


def count_jobs(
    tx: Tx, services: Services, batch_id: str, closed: Counter[JobState], calls: int = 0
) -> None:
    """Add closed jobs and new calls to the batch's counters; finalize it if no job is open."""
    left, ending = tx.run(
        services.store.sql(_COUNT_BATCH),
        {
            "batch": batch_id,
            "calls": calls,
            "succeeded": closed[JobState.SUCCEEDED],
            "failed": closed[JobState.FAILED],
            "cancelled": closed[JobState.CANCELLED],
            "expired": closed[JobState.EXPIRED],
        },
    ).one()
    if left == 0:
        send_after_commit(tx, services.queue, Step.FINALIZE, batch_id)
    elif ending is not None and calls:
        # It ended while this round was written: what was just queued is closed with the rest.
        send_after_commit(tx, services.queue, Step.RECONCILE)


def _job_row(one: Decision) -> dict[str, Any]:
    goes_on = one.next is not None
    return {
        "id": one.job.id,
        "state": one.state.value,
        "round": one.job.round + int(goes_on),
        "n": len(one.next.calls) if one.next is not None else 0,
        "reason": one.reason,
        "message": one.message,
        "closes": int(not goes_on),
    }


def _insert_outcomes(tx: Tx, store: Store, decisions: Sequence[Decision]) -> None:
    verdicts, texts = [], []
    for job, outcome in ((one.job, one.outcome) for one in decisions):
        if outcome is None:
            continue
        if (verdict := outcome.verdict) is not None:
            body = _encode(verdict)
            verdicts.append((job.id, job.batch_id, verdict.winner, verdict.abstained, body))
        if outcome.synthesis is not None:
            texts.append((job.id, "synthesis", job.batch_id, _encode(outcome.synthesis)))
        if outcome.route is not None:
            texts.append((job.id, "route", job.batch_id, _encode(outcome.route)))
    if verdicts:
        store.insert_rows(tx, StoredVerdict, _VERDICT_COLUMNS, verdicts)
    if texts:
        store.insert_rows(tx, StoredText, TEXT_COLUMNS, texts)


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()
