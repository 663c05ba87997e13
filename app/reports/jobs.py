"""One job in full: what it asked, every call with every attempt, and what came of it."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec
from sqlmodel import Session, col, select

from app.domain.prompt import Prompt
from app.domain.states import CALL_CLOSED, CallState
from app.models import Attempt, Batch, Call, Job, Lane, StoredText
from app.reports.lines import JobRow, Lines, why
from app.reports.owned import own_job, plan_of
from app.reports.views import AttemptView, CallView, JobView
from app.vault.texts import Texts, texts_of


def job_view(session: Session, account_id: str, job_id: str) -> JobView:
    """One job.

    Raises:
        NotFoundError: the account has no such job.
        GoneError: its batch's text was destroyed.
    """
    job = own_job(session, account_id, job_id)
    lines = Lines(plan_of(session, job.batch_id))
    texts = texts_of(session, session.get_one(Batch, job.batch_id))
    row = JobRow(job.id, job.position, job.custom_id, job.state, job.reason, job.message, job.plan)
    (line,) = lines.of(session, [row])
    return JobView(
        **{name: getattr(line, name) for name in line.__struct_fields__},
        batch_id=job.batch_id,
        position=job.position,
        round=job.round,
        closed_at=job.closed_at,
        prompt=_prompt(session, job, texts),
        calls=_calls(session, job, texts),
    )


def _prompt(session: Session, job: Job, texts: Texts) -> Prompt | None:
    kept = session.get(StoredText, (job.id, "prompt"))
    if kept is None:
        return None
    return msgspec.json.decode(texts.open("prompt", job.id, kept.body), type=Prompt)


def _calls(session: Session, job: Job, texts: Texts) -> list[CallView]:
    calls = session.exec(
        select(Call, Lane.provider)
        .join(Lane, col(Lane.id) == Call.lane_id)
        .where(Call.job_id == job.id)
        .order_by(col(Call.round), col(Call.id))
        .execution_options(populate_existing=True)
    ).all()
    attempts: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in session.exec(
        select(Attempt)
        .join(Call, col(Call.id) == Attempt.call_id)
        .where(Call.job_id == job.id)
        .order_by(col(Attempt.call_id), col(Attempt.epoch))
        .execution_options(populate_existing=True)
    ):
        attempts[attempt.call_id].append(attempt)
    return [_call(call, provider, attempts[call.id], texts) for call, provider in calls]


def _call(call: Call, provider: str, attempts: Sequence[Attempt], texts: Texts) -> CallView:
    message = texts.open_message("call.message", call.id, call.message)
    waits = call.state == CallState.QUEUED
    failed = call.state in CALL_CLOSED and call.state != CallState.SUCCEEDED
    return CallView(
        call_id=call.id,
        round=call.round,
        role=call.role,
        label=call.label,
        provider=provider,
        model=call.model,
        lane=call.lane_id,
        state=call.state,
        wait_reason=call.wait_reason if waits else None,
        due_at=call.due_at if waits else None,
        error=why(call.reason or call.state, message) if failed else None,
        meta=None if call.meta is None else msgspec.json.decode(call.meta),
        created_at=call.created_at,
        closed_at=call.closed_at,
        attempts=[_attempt(attempt, texts) for attempt in attempts],
    )


def _attempt(attempt: Attempt, texts: Texts) -> AttemptView:
    return AttemptView(
        epoch=attempt.epoch,
        state=attempt.state,
        status_code=attempt.status_code,
        reason=attempt.reason,
        message=texts.open_message("attempt.message", attempt.call_id, attempt.message),
        request_id=attempt.request_id,
        latency_ms=attempt.latency_ms,
        cost_nanos=attempt.cost_nanos,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
    )
