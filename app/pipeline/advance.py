"""advance: a finished round is handed to its mode, which answers with the next or the outcome.

Three actors lead here (`advance`, `judge` and `blend`), chosen by the batch's mode. The
countdown, the state and the round are compared and set under the job's lock, so that a hint
delivered twice does nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import msgspec

from app.db import Commit, Store, Tx
from app.domain.completion import FinishReason
from app.domain.plan import CallResult, Mode, Outcome, Round
from app.domain.prompt import Prompt
from app.domain.states import CallState, EndReason, JobState, Role
from app.models import Batch
from app.modes.registry import mode_for
from app.pipeline.answers import insert_outcomes
from app.pipeline.calls import (
    BatchContext,
    Inserted,
    JobCalls,
    insert_rounds,
    load_context,
    make_rounds,
)
from app.pipeline.counting import JOB_END, count_jobs
from app.pipeline.hints import hint_jobs
from app.pipeline.services import Services
from app.queue import Step, send_after_commit
from app.vault.texts import Texts

GROUP = 200
#: Behind a CASE, so that the ids are looked up: open, the planner walks the whole batch.
_LOCK_JOBS = """
SELECT job.id, job.batch_id, job.position, job.round, job.plan FROM {rows(id text)}
{join} job ON job.id = d.id
WHERE CASE WHEN job.batch_id = :batch AND job.state = 'running' AND job.outstanding = 0
           THEN 1 ELSE 0 END = 1
ORDER BY job.id {lock}
"""
_CALLS = """
SELECT call.id, call.job_id, call.round, call.role, call.label, call.state, call.reason,
  call.meta, NULL, NULL, NULL
FROM {rows(id text)} {join} call ON call.job_id = d.id ORDER BY call.round, call.id
"""
_CALLS_WITH_ENDS = """
SELECT call.id, call.job_id, call.round, call.role, call.label, call.state, call.reason,
  call.meta, attempt.status_code, attempt.latency_ms, completion.finish_reason
FROM {rows(id text)} {join} call ON call.job_id = d.id
LEFT JOIN attempt ON attempt.call_id = call.id AND attempt.epoch = call.epoch
LEFT JOIN completion ON completion.call_id = call.id
ORDER BY call.round, call.id
"""
_TEXTS = """
SELECT t.owner_id, t.body FROM {rows(id text)}
{join} stored_text t ON t.owner_id = d.id AND t.kind = :kind
"""
_SET_JOBS = """
UPDATE job SET state = d.state, round = d.round, outstanding = d.n, reason = d.reason,
  message = d.message, closed_at = CASE WHEN d.closes = 1 THEN {now} END
FROM {rows(id text, state text, round int, n int, reason text, message text, closes int)}
WHERE job.id = d.id
"""
_ROLES = {role.value: role for role in Role}
_CALL_STATES = {state.value: state for state in CallState}


class _Job(NamedTuple):
    """What of a job is needed to move it on."""

    id: str
    batch_id: str
    position: int
    round: int
    plan: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one job."""

    job: _Job
    state: JobState
    reason: str | None = None
    message: str | None = None
    outcome: Outcome | None = None
    next: JobCalls | None = None


def advance(services: Services, batch_id: str, job_ids: Sequence[str]) -> int:
    """Move jobs whose round is done; answers how many moved."""
    moved = 0
    for start in range(0, len(job_ids), GROUP):
        with services.store.transaction(Commit.ADVANCE) as tx:
            moved += _advance_group(tx, services, batch_id, job_ids[start : start + GROUP])
    return moved


def _advance_group(tx: Tx, services: Services, batch_id: str, job_ids: Sequence[str]) -> int:
    store = services.store
    wanted = {"batch": batch_id, "rows": _ids(job_ids)}
    jobs = [_Job(*row) for row in tx.fast(store.sql(_LOCK_JOBS), wanted)]
    batch = tx.get(Batch, batch_id)
    if not jobs or batch is None:
        return 0
    context = load_context(tx, batch, services.settings.max_tokens_default)
    modes = {job.plan: mode_for(context.plan.of(job.plan).mode) for job in jobs}
    with_text = any(mode.needs_text for mode in modes.values())
    read = partial(_texts, tx, store, context.texts) if with_text else None
    material = _read(tx, store, [job.id for job in jobs], read)
    decisions = [_decide(context, modes[job.plan], job, material) for job in jobs]
    _apply(tx, services, context, decisions)
    return len(decisions)


@dataclass(frozen=True, slots=True)
class _Material:
    """What the modes read: each job's results, and prompts where the mode wants text."""

    results: dict[str, list[CallResult]]
    prompts: dict[str, Prompt]


_ReadTexts = Callable[[Sequence[str], str], dict[str, str]]


def _read(tx: Tx, store: Store, job_ids: Sequence[str], read: _ReadTexts | None) -> _Material:
    """Every call of the jobs; answers, prompts and last attempts where the mode reads text."""
    statement = _CALLS if read is None else _CALLS_WITH_ENDS
    rows = tx.fast(store.sql(statement), {"rows": _ids(job_ids)})
    texts = {} if read is None else read([row[0] for row in rows], "answer")
    results: dict[str, list[CallResult]] = {job_id: [] for job_id in job_ids}
    for call_id, job_id, round_, role, label, state, reason, meta, code, latency_ms, finish in rows:
        results[job_id].append(
            CallResult(
                round_,
                _ROLES[role],
                label,
                _CALL_STATES[state],
                texts.get(call_id, ""),
                reason,
                msgspec.json.decode(meta) if meta else None,
                code,
                latency_ms,
                FinishReason(finish) if finish else None,
            )
        )
    prompts = {} if read is None else read(job_ids, "prompt")
    decoded = {id_: msgspec.json.decode(body, type=Prompt) for id_, body in prompts.items()}
    return _Material(results, decoded)


def _texts(tx: Tx, store: Store, texts: Texts, owners: Sequence[str], kind: str) -> dict[str, str]:
    rows = tx.fast(store.sql(_TEXTS), {"rows": _ids(owners), "kind": kind})
    return {row[0]: texts.open(kind, row[0], row[1]) for row in rows}


def _ids(ids: Iterable[str]) -> str:
    return _encode([{"id": id_} for id_ in ids])


_NO_PROMPT = Prompt([])
_NO_CALLS = Inserted(set(), Counter())


def _decide(context: BatchContext, mode: Mode, job: _Job, material: _Material) -> Decision:
    prompt = material.prompts.get(job.id, _NO_PROMPT)
    results = material.results[job.id]
    answer = mode.advance(context.view_of(job.id, job.plan, prompt), results)
    if isinstance(answer, Outcome):
        state = JobState.SUCCEEDED if answer.succeeded else JobState.FAILED
        if not answer.succeeded and _was_cut_short(context.batch, results):
            return _ended(context.batch, job)
        return Decision(job, state, answer.reason, answer.message, outcome=answer)
    if context.batch.ending:
        return _ended(context.batch, job)
    return Decision(job, JobState.RUNNING, next=_next_round(job, prompt, answer))


def _was_cut_short(batch: Batch, results: Sequence[CallResult]) -> bool:
    """Whether a call was not made because the batch ended; else its job ended by itself."""
    return batch.ending is not None and any(
        result.state in {CallState.CANCELLED, CallState.EXPIRED}
        or result.error_reason == batch.ending
        for result in results
    )


def _next_round(job: _Job, prompt: Prompt, answer: Round) -> JobCalls:
    return JobCalls(job.id, job.position, job.round + 1, prompt, answer.calls)


def _ended(batch: Batch, job: _Job) -> Decision:
    ending = EndReason(str(batch.ending))
    return Decision(job, JOB_END[ending], reason=ending.value)


def _apply(
    tx: Tx, services: Services, context: BatchContext, decisions: Sequence[Decision]
) -> None:
    store = services.store
    batch = context.batch
    rounds = [one.next for one in decisions if one.next is not None]
    made = (
        insert_rounds(tx, store, context, make_rounds(context, rounds, store.now(tx)))
        if rounds
        else _NO_CALLS
    )
    rows = [_job_row(one, made.cached[one.job.id], context.texts) for one in decisions]
    tx.fast(store.sql(_SET_JOBS), {"rows": _encode(rows)})
    outcomes = {one.job.id: one.outcome for one in decisions if one.outcome is not None}
    insert_outcomes(tx, store, batch.id, outcomes, context.texts)
    closed = {one.job.id: one.state for one in decisions if one.next is None}
    calls = sum(len(one.calls) for one in rounds)
    count_jobs(tx, services, batch.id, closed, calls=calls, cached=made.cached.total())
    for provider, lane_id in made.lanes:
        send_after_commit(tx, services.queue, Step.DISPATCH, provider, lane_id)
    done = [one.job_id for one in rounds if made.cached[one.job_id] == len(one.calls)]
    hint_jobs(tx, services, batch.id, batch.mode, done)


def _job_row(one: Decision, cached: int, texts: Texts) -> dict[str, Any]:
    goes_on = one.next is not None
    return {
        "id": one.job.id,
        "state": one.state.value,
        "round": one.job.round + int(goes_on),
        "n": len(one.next.calls) - cached if one.next is not None else 0,
        "reason": one.reason,
        "message": texts.seal_message("job.message", one.job.id, one.message),
        "closes": int(not goes_on),
    }


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()
