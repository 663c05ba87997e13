"""From rows to result lines: a page of jobs in a handful of queries, however many calls it has."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.domain.ids import batch_id_of
from app.domain.plan import Plan
from app.domain.states import CALL_CLOSED, JOB_CLOSED, Billed, CallState, JobState, Role
from app.models import Call, Lane, StoredCompletion, StoredText, StoredVerdict, UsageRow
from app.reports.owned import these
from app.reports.views import CompletionView, ErrorView, ResultLine, UsageView
from app.vault.texts import PLAIN, Texts, texts_by_batch

_ANSWER, _EXTRA = aliased(StoredText), aliased(StoredText)
_ROLES: dict[str, int] = {Role.CANDIDATE: 0, Role.JUDGE: 1, Role.SYNTHESIZER: 2}
_OUTCOME_KINDS = {"blend": "synthesis", "mesh": "route"}
_CLOSED_CALLS = sorted(CALL_CLOSED)


class JobRow(NamedTuple):
    """What of a job its line tells."""

    id: str
    position: int
    custom_id: str
    state: str
    reason: str | None
    message: str | None
    plan: int = 0


class _Extra(msgspec.Struct, frozen=True):
    """What a model answered beside its text."""

    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


_EXTRAS = msgspec.json.Decoder(_Extra)
_NO_EXTRA = _Extra()


class _CallRow(NamedTuple):
    """A closed call with everything that it brought."""

    id: str
    job_id: str
    label: str
    provider: str
    model: str
    lane_billed: str
    role: str
    round: int
    state: str
    failures: int
    unknowns: int
    reason: str | None
    message: str | None
    model_returned: str | None
    finish_reason: str | None
    flags: str | None
    latency_ms: int | None
    billed: str | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost_nanos: int | None
    text: str | None
    extra: str | None


_COLUMNS = (
    *(Call.id, Call.job_id, Call.label, Lane.provider, Call.model, Lane.billed, Call.role),
    *(Call.round, Call.state, Call.attempts, Call.unknowns, Call.reason, Call.message),
    *(StoredCompletion.model_returned, StoredCompletion.finish_reason, StoredCompletion.flags),
    *(StoredCompletion.latency_ms, UsageRow.billed, UsageRow.input_tokens),
    *(UsageRow.cache_read_tokens, UsageRow.cache_write_tokens, UsageRow.output_tokens),
    *(UsageRow.reasoning_tokens, UsageRow.estimated, UsageRow.cost_nanos),
    *(_ANSWER.body, _EXTRA.body),
)


class _Opened:
    """Opens what the jobs' batches keep sealed; a retry's jobs may be of several."""

    def __init__(self, by_batch: Mapping[str, Texts]) -> None:
        self._sealed = {id_: texts for id_, texts in by_batch.items() if texts.is_sealed}

    @classmethod
    def by(cls, session: Session, jobs: Sequence[JobRow]) -> "_Opened":
        return cls(texts_by_batch(session, {batch_id_of(job.id) for job in jobs}))

    def of(self, job_id: str) -> Texts:
        return self._sealed.get(batch_id_of(job_id), PLAIN)

    def job(self, job: JobRow) -> JobRow:
        if not self._sealed:
            return job
        message = self.of(job.id).open_message("job.message", job.id, job.message)
        return job._replace(message=message)

    def call(self, call: _CallRow) -> _CallRow:
        if not self._sealed:
            return call
        texts, id_ = self.of(call.job_id), call.id
        return call._replace(
            message=texts.open_message("call.message", id_, call.message),
            text=None if call.text is None else texts.open("answer", id_, call.text),
            extra=None if call.extra is None else texts.open("extra", id_, call.extra),
        )


class _Order:
    """The order in which a plan lists what is called, and its mode."""

    def __init__(self, plan: Plan) -> None:
        self.mode = plan.mode
        judges = plan.judge.judges if plan.judge is not None else ()
        candidates = plan.variants + (plan.mesh.fallback if plan.mesh is not None else ())
        self._places = {
            (role.value, variant.label): place
            for role, variants in ((Role.CANDIDATE, candidates), (Role.JUDGE, judges))
            for place, variant in enumerate(variants)
        }

    def of(self, call: _CallRow) -> tuple[int, int, int, str]:
        """Candidates as the plan lists them, then judges by round."""
        place = self._places.get((call.role, call.label), len(self._places))
        return (_ROLES[call.role], call.round, place, call.id)


class Lines:
    """Makes the lines of a batch's jobs; `plan` gives the completions their order."""

    def __init__(self, plan: Plan) -> None:
        self._orders = [_Order(one) for one in plan.all]
        self._modes = {one.mode for one in plan.all}
        self._is_judged = any(one.judge is not None for one in plan.all)

    def of(self, session: Session, jobs: Sequence[JobRow]) -> list[ResultLine]:
        """The jobs' lines, in their order."""
        texts = _Opened.by(session, jobs)
        closed = [job.id for job in jobs if job.state in JOB_CLOSED]
        verdicts = _verdicts(session, closed, texts) if self._is_judged else {}
        how = _outcomes(session, closed, self._modes, texts)
        calls: dict[str, list[_CallRow]] = {job.id: [] for job in jobs}
        for row in session.connection().execute(calls_statement(session, list(calls))):
            call = texts.call(_CallRow(*row))
            calls[call.job_id].append(call)
        return [
            self._line(texts.job(job), calls[job.id], verdicts.get(job.id), how.get(job.id))
            for job in jobs
        ]

    def open(self, job: JobRow) -> ResultLine:
        """The line of a job that is not closed, without what it has so far."""
        return msgspec.structs.replace(self._line(job, (), None, None), cost_nanos=None)

    def _line(
        self,
        job: JobRow,
        calls: Collection[_CallRow],
        verdict: msgspec.Raw | None,
        how: msgspec.Raw | None,
    ) -> ResultLine:
        order = self._orders[job.plan]
        completions = [_completion(call) for call in sorted(calls, key=order.of)]
        costs = [one.cost_nanos for one in completions]
        reason = why(job.reason, job.message)
        failed = job.state in JOB_CLOSED and job.state != JobState.SUCCEEDED
        return ResultLine(
            custom_id=job.custom_id,
            job_id=job.id,
            mode=order.mode,
            state=job.state,
            completions=completions,
            verdict=verdict,
            synthesis=_synthesis(how, calls) if order.mode == "blend" and how else None,
            route=how if order.mode == "mesh" else None,
            cost_nanos=None if None in costs else sum(cost or 0 for cost in costs),
            error=(reason or ErrorView(reason=job.state)) if failed else None,
            note=None if failed else reason,
        )


def calls_statement(session: Session, job_ids: Sequence[str]) -> Select[Any]:
    """The closed calls of these jobs, with what they answered and used."""
    wanted = these(session, job_ids)
    statement: Select[Any] = (
        select(*_COLUMNS)  # type: ignore[call-overload]
        .select_from(wanted)
        .join(Call, col(Call.job_id) == wanted.c.value)
        .join(Lane, col(Lane.id) == Call.lane_id)
        .outerjoin(StoredCompletion, col(StoredCompletion.call_id) == Call.id)
        .outerjoin(UsageRow, col(UsageRow.call_id) == Call.id)
        .outerjoin(_ANSWER, (_ANSWER.owner_id == Call.id) & (_ANSWER.kind == "answer"))
        .outerjoin(_EXTRA, (_EXTRA.owner_id == Call.id) & (_EXTRA.kind == "extra"))
        .where(col(Call.state).in_(_CLOSED_CALLS))
    )
    return statement


def _verdicts(
    session: Session, job_ids: Sequence[str], texts: _Opened
) -> Mapping[str, msgspec.Raw]:
    wanted = these(session, job_ids)
    rows = session.connection().execute(
        select(StoredVerdict.job_id, StoredVerdict.body)
        .select_from(wanted)
        .join(StoredVerdict, col(StoredVerdict.job_id) == wanted.c.value)
    )
    return {id_: msgspec.Raw(texts.of(id_).open("verdict", id_, body)) for id_, body in rows}


def _outcomes(
    session: Session, job_ids: Sequence[str], modes: Collection[str], texts: _Opened
) -> Mapping[str, msgspec.Raw]:
    """How each job's blend or mesh came about, as it was stored."""
    kinds = [kind for mode, kind in _OUTCOME_KINDS.items() if mode in modes]
    if not kinds:
        return {}
    wanted = these(session, job_ids)
    rows = session.connection().execute(
        select(StoredText.owner_id, StoredText.kind, StoredText.body)
        .select_from(wanted)
        .join(
            StoredText,
            (col(StoredText.owner_id) == wanted.c.value) & (col(StoredText.kind).in_(kinds)),
        )
    )
    return {id_: msgspec.Raw(texts.of(id_).open(kind, id_, body)) for id_, kind, body in rows}


def _synthesis(how: msgspec.Raw, calls: Collection[_CallRow]) -> msgspec.Raw:
    """The synthesis with its text, which is the answer of the call that it names."""
    told = msgspec.json.decode(how)
    named = (call for call in calls if call.label == told["label"] and call.role != Role.JUDGE)
    text = next((call.text for call in named), None)
    return msgspec.Raw(msgspec.json.encode({"text": text, **told}))


def _completion(call: _CallRow) -> CompletionView:
    cached = call.billed == Billed.CACHED
    sent = call.finish_reason is not None and not cached
    extra = _NO_EXTRA if call.extra is None else _EXTRAS.decode(call.extra)
    failed = call.state != CallState.SUCCEEDED
    return CompletionView(
        call_id=call.id,
        label=call.label,
        provider=call.provider,
        model=call.model,
        model_returned=call.model_returned,
        role=call.role,
        state=call.state,
        text=call.text,
        reasoning=extra.reasoning,
        tool_calls=extra.tool_calls,
        finish_reason=call.finish_reason,
        flags=call.flags.split(",") if call.flags else [],
        usage=_usage(call) if call.billed is not None else None,
        cost_nanos=_cost(call),
        billed=call.billed or call.lane_billed,
        latency_ms=call.latency_ms,
        # Tries that counted: waiting for a rate limit costs none.
        attempts=call.failures + call.unknowns + int(sent),
        unknown_attempts=call.unknowns,
        cached=cached,
        error=why(call.reason or call.state, call.message) if failed else None,
    )


def _cost(call: _CallRow) -> int | None:
    """What the answer cost; without one 0, unless a request left and nobody knows its end."""
    if call.billed is None:
        return None if call.unknowns else 0
    return call.cost_nanos


def _usage(call: _CallRow) -> UsageView:
    return UsageView(
        input_tokens=call.input_tokens,
        cache_read_tokens=call.cache_read_tokens,
        cache_write_tokens=call.cache_write_tokens,
        output_tokens=call.output_tokens,
        reasoning_tokens=call.reasoning_tokens,
        estimated=call.estimated,
    )


def why(reason: str | None, message: str | None) -> ErrorView | None:
    """Why something ended as it did, if there is anything to say."""
    return None if reason is None else ErrorView(reason=reason, message=message)
