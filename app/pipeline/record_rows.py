"""What a group of finished attempts is written as, made before the transaction that writes it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from app.billing.budget import Settlement
from app.billing.captures import Capture
from app.db import in_ms
from app.domain.plan import CallResult, JobView, Outcome, Plan
from app.domain.prompt import Prompt
from app.domain.states import Billed, CallState, JobState
from app.modes.registry import mode_for
from app.pipeline.facts import Facts
from app.pipeline.outcomes import Finished, usage_snapshot
from app.pipeline.record_whole import whole_row
from app.vault.texts import PLAIN, Texts

COMPLETION_COLUMNS = (
    "call_id", "epoch", "finish_reason", "model_returned", "latency_ms", "flags", "created_at",
)  # fmt: skip
USAGE_COLUMNS = (
    "call_id", "account_id", "batch_id", "lane_id", "provider", "model", "label", "role", "billed",
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "estimated", "cost_nanos", "price_version", "latency_ms", "raw", "created_at",
)  # fmt: skip
_NO_PROMPT = Prompt([])
_COUNTED = {JobState.SUCCEEDED: "jobs_succeeded", JobState.FAILED: "jobs_failed"}


class JobEnd(msgspec.Struct, frozen=True):
    """How the job of a single call ends, which is as the call does."""

    id: str
    state: JobState
    reason: str | None
    message: str | None


class Rows:
    """A group of finished attempts in order of their calls' ids, as statements take it.

    Args:
        group: what finished.
        ends: how the jobs of its single calls end, by call.
        texts: how batches keep their texts, where they seal them.
    """

    def __init__(
        self, group: Sequence[Finished], ends: dict[str, JobEnd], texts: Mapping[str, Texts]
    ) -> None:
        self.group = sorted(group, key=lambda one: one.call.id)
        of = [texts.get(one.call.batch_id, PLAIN) for one in self.group]
        self._texts_of = of
        self.job_ends = sorted(ends.values(), key=lambda one: one.id)
        self.closed_jobs: dict[str, dict[str, JobState]] = {}
        for one in self.group:
            if (end := ends.get(one.call.id)) is not None:
                self.closed_jobs.setdefault(one.call.batch_id, {})[end.id] = end.state
        self.countdown = Counter(
            one.call.job_id for one in self.group if one.closes and one.call.id not in ends
        )
        self.settlements = _settlements(self.group, ends)
        self.answered = [one for one in self.group if one.completion is not None]
        self.texts = [
            row
            for one in self.answered
            for row in _text_rows(one, texts.get(one.call.batch_id, PLAIN))
        ]

    def calls(self) -> list[tuple[Any, ...]]:
        """What becomes of each call."""
        return [tuple(_fence_row(*one).values()) for one in self._with_texts()]

    def attempts(self) -> list[tuple[Any, ...]]:
        """What becomes of each attempt."""
        return [tuple(_attempt_row(*one).values()) for one in self._with_texts()]

    def whole(self) -> str:
        """All of it but texts, an object for each attempt."""
        return encode([whole_row(*one) for one in self._with_texts()])

    def held(self) -> str:
        """What tells whether their worker still has the calls."""
        of = [one.call for one in self.group]
        return encode([{"id": c.id, "epoch": c.epoch, "worker_id": c.worker_id} for c in of])

    def _with_texts(self) -> Iterator[tuple[Finished, Texts]]:
        return zip(self.group, self._texts_of, strict=True)

    def completions(self, now: Any) -> list[tuple[Any, ...]]:
        """The rows of `completion`."""
        return [_completion_row(one, now) for one in self.answered]

    def usages(self, now: Any) -> list[tuple[Any, ...]]:
        """The rows of `usage`."""
        return [_usage_row(one, now) for one in self.answered]

    def captures(self) -> list[Capture]:
        """What calls through the platform's credentials cost."""
        return [
            Capture(
                account_id=one.call.account_id,
                batch_id=one.call.batch_id,
                call_id=one.call.id,
                amount_nanos=one.cost_nanos,
                price_version=one.price_version,
                note=usage_snapshot(one),
            )
            for one in self.group
            if one.call.billed is Billed.CREDITS and one.cost_nanos
        ]

    def waiting(self) -> list[tuple[str, str, str, str, int]]:
        """The soonest that each lane, model and batch has something due again."""
        soonest: dict[tuple[str, str, str, str], int] = {}
        for one in self.group:
            if not one.closes:
                call = one.call
                key = (call.lane_id, call.model, call.batch_id, call.account_id)
                soonest[key] = min(soonest.get(key, 2**62), in_ms(one.delay_s))
        return [(*key, delay_ms) for key, delay_ms in sorted(soonest.items())]


def job_ends(facts: Mapping[str, Facts], singles: Sequence[Finished]) -> dict[str, JobEnd]:
    """How the jobs of single calls end, as their mode says, by call."""
    outcomes: dict[tuple[str, CallState, str | None], Outcome] = {}
    ends = {}
    for one in singles:
        call = one.call
        asked = (call.batch_id, one.state, one.reason)
        outcome = outcomes.get(asked)
        if outcome is None:
            outcome = outcomes[asked] = _outcome(facts[call.batch_id].plan, one)
        state = JobState.SUCCEEDED if outcome.succeeded else JobState.FAILED
        ends[call.id] = JobEnd(call.job_id, state, outcome.reason, outcome.message)
    return ends


def _outcome(plan: Plan, one: Finished) -> Outcome:
    call = one.call
    result = CallResult(1, call.role, call.label, one.state, error_reason=one.reason)
    outcome = mode_for(plan.mode).advance(JobView(_NO_PROMPT, plan, seed=""), [result])
    assert isinstance(outcome, Outcome)  # noqa: S101 - of one call there is no second round
    return outcome


def encode(rows: object) -> str:
    """As JSON."""
    return msgspec.json.encode(rows).decode()


def _fence_row(one: Finished, texts: Texts) -> dict[str, Any]:
    return {
        "id": one.call.id,
        "epoch": one.call.epoch,
        "worker_id": one.call.worker_id,
        "state": one.state.value,
        "closes": int(one.closes),
        "delay_ms": in_ms(one.delay_s),
        "failed": one.failed,
        "unknown": one.unknown,
        "crashed": one.crashed,
        "wait_reason": None if one.closes else one.wait_reason,
        "waiting": int(one.waiting and not one.closes),
        "reason": one.reason,
        "message": texts.seal_message("call.message", one.call.id, one.message),
    }


def _attempt_row(one: Finished, texts: Texts) -> dict[str, Any]:
    return {
        "id": one.call.id,
        "epoch": one.call.epoch,
        "state": one.attempt_state.value,
        "status_code": one.status_code,
        "reason": one.reason,
        "message": texts.seal_message("attempt.message", one.call.id, one.message),
        "request_id": one.request_id,
        "latency_ms": one.latency_ms,
        "cost": one.paid_nanos,
    }


def _completion_row(one: Finished, now: Any) -> tuple[Any, ...]:
    completion = one.completion
    assert completion is not None  # noqa: S101 - the caller has filtered
    flags = ",".join(completion.flags) or None
    # fmt: off
    return (
        one.call.id, one.call.epoch, completion.finish_reason.value, completion.model_returned,
        one.latency_ms, flags, now,
    )
    # fmt: on


def _usage_row(one: Finished, now: Any) -> tuple[Any, ...]:
    call, completion = one.call, one.completion
    assert completion is not None  # noqa: S101 - the caller has filtered
    usage = completion.usage
    # fmt: off
    return (
        call.id, call.account_id, call.batch_id, call.lane_id, call.provider, call.model,
        call.label, call.role.value, call.billed.value,
        usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens,
        usage.output_tokens, usage.reasoning_tokens, usage.estimated,
        one.cost_nanos, one.price_version, one.latency_ms, completion.usage_raw, now,
    )
    # fmt: on


def _text_rows(one: Finished, texts: Texts) -> Iterator[tuple[str, str, str, str]]:
    call, completion = one.call, one.completion
    assert completion is not None  # noqa: S101 - the caller has filtered
    yield texts.row(call.id, "answer", call.batch_id, completion.text)
    if completion.reasoning or completion.tool_calls:
        extra = {"reasoning": completion.reasoning, "tool_calls": completion.tool_calls}
        yield texts.row(call.id, "extra", call.batch_id, encode(extra))


def _settlements(group: Sequence[Finished], ends: dict[str, JobEnd]) -> list[Settlement]:
    """What each batch's budget learns: reservations end, and money may have been spent."""
    totals: dict[str, Counter[str]] = {}
    for one in group:
        total = totals.setdefault(one.call.batch_id, Counter())
        worst = one.call.worst_nanos or 0
        total["reserved_nanos"] += worst
        if one.paid_nanos:
            total["spent_nanos"] += one.paid_nanos
        elif one.bought and one.paid_nanos is None:
            total["unpriced_calls"] += 1
        if one.wasted_nanos:
            total["wasted_nanos"] += one.wasted_nanos
        if one.unknown:
            total["unknown_attempts"] += one.unknown
            total["possible_duplicate_nanos"] += worst
        if one.closes:
            total["calls_closed"] += 1
        end = ends.get(one.call.id)
        if end is not None:
            total[_COUNTED[end.state]] += 1
    return [Settlement(batch_id, **total) for batch_id, total in totals.items()]
