"""Real rows, made the short way: each function adds one thing and what cannot be without it.

Counters are kept as the engine keeps them: a job counts in its batch, a call in its batch and
its job, an answer's cost in what the batch has spent. What calls in `sending` reserve is not
counted. Any column may be named.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import Session

from app.domain.ids import Prefix, job_id, new_id
from app.domain.plan import Plan
from app.domain.prompt import Message, Prompt
from app.domain.states import CALL_CLOSED, BatchState, CallState, JobState
from app.models import (
    Account,
    Attempt,
    Batch,
    BatchSpec,
    Call,
    Job,
    Lane,
    StoredCompletion,
    UsageRow,
)
from tests.factories.base import (
    NIGHT,
    add_row,
    as_json,
    lane_of,
    make_account,
    make_lane,
    make_text,
)
from tests.factories.plans import make_plan

__all__ = [
    "NIGHT",
    "Answer",
    "make_account",
    "make_answer",
    "make_attempt",
    "make_batch",
    "make_call",
    "make_job",
    "make_lane",
]

_COUNTED = {
    JobState.SUCCEEDED: "jobs_succeeded",
    JobState.FAILED: "jobs_failed",
    JobState.CANCELLED: "jobs_cancelled",
    JobState.EXPIRED: "jobs_expired",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call answered, and what that used."""

    text: str = "Because of the way light scatters."
    finish_reason: str = "stop"
    input_tokens: int = 10
    output_tokens: int = 20
    cost_nanos: int | None = 1_000
    latency_ms: int = 500
    reasoning: str | None = None
    model_returned: str | None = None


def make_batch(
    session: Session,
    account: Account,
    plan: Plan | None = None,
    *,
    metadata: dict[str, str] | None = None,
    **values: Any,
) -> Batch:
    """A batch without jobs, running since an hour ago, with its plan and its lanes."""
    plan = plan or make_plan("compare", "simulated/a", "simulated/b")
    judges = plan.judge.judges if plan.judge else ()
    for provider in dict.fromkeys(one.ref.provider for one in (*plan.variants, *judges)):
        lane_of(session, account.id, provider)
    now = datetime.now(UTC)
    batch = add_row(
        session,
        Batch,
        {
            "id": new_id(Prefix.BATCH),
            "account_id": account.id,
            "mode": plan.mode,
            "state": BatchState.RUNNING.value,
            "created_at": now - timedelta(hours=1),
            "started_at": now - timedelta(hours=1),
            "jobs_total": 0,
            "jobs_queued": 0,
        },
        values,
    )
    body = {
        "mode": plan.mode,
        "models": [str(variant.ref) for variant in plan.variants],
        "metadata": metadata or {},
    }
    spec = {"batch_id": batch.id, "plan": as_json(plan), "body": as_json(body)}
    add_row(session, BatchSpec, spec, {})
    return batch


def make_job(
    session: Session, batch: Batch, prompt: str = "Why is the sky blue?", **values: Any
) -> Job:
    """The batch's next job, succeeded unless told, and its prompt; `reference` goes with that."""
    batch = session.get_one(Batch, batch.id)
    reference = values.pop("reference", None)
    position = batch.jobs_total
    state = JobState(values.get("state", JobState.SUCCEEDED))
    job = add_row(
        session,
        Job,
        {
            "id": job_id(batch.id, position),
            "batch_id": batch.id,
            "account_id": batch.account_id,
            "position": position,
            "custom_id": f"q{position + 1}",
            "state": state.value,
            "round": 0 if state is JobState.QUEUED else 1,
            "closed_at": NIGHT if state in _COUNTED else None,
        },
        values,
    )
    batch.jobs_total += 1
    batch.jobs_queued += int(state is JobState.QUEUED)
    if state in _COUNTED:
        setattr(batch, _COUNTED[state], getattr(batch, _COUNTED[state]) + 1)
    make_text(
        session, batch, job.id, "prompt", as_json(Prompt([Message("user", prompt)], reference))
    )
    return job


def make_call(
    session: Session,
    job: Job,
    label: str = "simulated/a",
    *,
    answer: Answer | str | None = None,
    **values: Any,
) -> Call:
    """A call of a job, succeeded unless told, with its attempt and its answer if it has one.

    The label is read as `provider/model` where no `provider` and `model` are given.
    """
    batch = session.get_one(Batch, job.batch_id)
    provider, _, model = label.partition("#")[0].partition("/")
    lane = lane_of(session, batch.account_id, values.pop("provider", provider))
    state = CallState(values.get("state", CallState.SUCCEEDED))
    was_sent = state not in {CallState.QUEUED, CallState.CANCELLED, CallState.EXPIRED}
    call = add_row(
        session,
        Call,
        {
            "id": new_id(Prefix.CALL),
            "job_id": job.id,
            "batch_id": batch.id,
            "account_id": batch.account_id,
            "lane_id": lane.id,
            "model": model or label,
            "label": label,
            "role": "candidate",
            "round": 1,
            "rank": job.position,
            "state": state.value,
            "due_at": NIGHT,
            "epoch": int(was_sent),
            "attempts": int(state is CallState.FAILED),
            "worker_id": new_id(Prefix.WORKER) if state is CallState.SENDING else None,
            "created_at": NIGHT,
            "closed_at": NIGHT if state in CALL_CLOSED else None,
        },
        _with_meta(values),
    )
    batch.calls_total += 1
    _count_call(session, batch, call)
    if call.epoch:
        make_attempt(session, call)
    if state in {CallState.SUCCEEDED, CallState.REFUSED}:
        given = answer if isinstance(answer, Answer) else Answer(text=answer or Answer().text)
        make_answer(session, call, given)
    return call


def make_attempt(session: Session, call: Call, **values: Any) -> Attempt:
    """An attempt of a call, at its epoch and in the state that its own leads to."""
    states = {"succeeded": "succeeded", "refused": "succeeded", "sending": "sending"}
    return add_row(
        session,
        Attempt,
        {
            "call_id": call.id,
            "epoch": call.epoch,
            "worker_id": call.worker_id or new_id(Prefix.WORKER),
            "state": states.get(call.state, "failed"),
            "started_at": NIGHT,
            "finished_at": None if call.state == "sending" else NIGHT + timedelta(seconds=1),
            "reason": call.reason,
            "message": call.message,
            "worst_nanos": call.worst_nanos,
        },
        values,
    )


def make_answer(session: Session, call: Call, answer: Answer) -> StoredCompletion:
    """What a call answered: completion, usage and text; its cost is spent."""
    batch = session.get_one(Batch, call.batch_id)
    lane = session.get_one(Lane, call.lane_id)
    batch.spent_nanos += answer.cost_nanos or 0
    batch.unpriced_calls += int(answer.cost_nanos is None)
    make_text(session, batch, call.id, "answer", answer.text)
    if answer.reasoning is not None:
        extra = {"reasoning": answer.reasoning, "tool_calls": None}
        make_text(session, batch, call.id, "extra", as_json(extra))
    shared = {"call_id": call.id, "latency_ms": answer.latency_ms, "created_at": NIGHT}
    usage = {
        "account_id": call.account_id,
        "batch_id": call.batch_id,
        "lane_id": call.lane_id,
        "provider": lane.provider,
        "model": call.model,
        "label": call.label,
        "role": call.role,
        "billed": lane.billed,
        "input_tokens": answer.input_tokens,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": answer.output_tokens,
        "reasoning_tokens": 0,
        "estimated": False,
        "cost_nanos": answer.cost_nanos,
    }
    add_row(session, UsageRow, shared | usage, {})
    completion = {
        "epoch": call.epoch,
        "finish_reason": answer.finish_reason,
        "model_returned": answer.model_returned,
    }
    return add_row(session, StoredCompletion, shared | completion, {})


def _with_meta(values: dict[str, Any]) -> dict[str, Any]:
    meta = values.get("meta")
    return values if meta is None else values | {"meta": as_json(meta)}


def _count_call(session: Session, batch: Batch, call: Call) -> None:
    if call.closed_at is not None:
        batch.calls_closed += 1
    else:
        session.get_one(Job, call.job_id).outstanding += 1
