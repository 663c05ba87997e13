"""Plans, jobs and results of calls, as plain values; and a whole job played through its mode."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.domain.plan import (
    CallResult,
    JobView,
    JudgeSpec,
    Mode,
    Outcome,
    Plan,
    PlannedCall,
    Round,
)
from app.domain.prompt import Message, ModelRef, Params, Prompt, Variant
from app.domain.states import CallState

ROUNDS_MAX = 10

Answer = Callable[[PlannedCall], str | CallState]


def make_variant(name: str, *, label: str | None = None, **params: Any) -> Variant:
    """A variant of the model `name`, labelled by it."""
    return Variant(label or name, ModelRef.parse(name, param="models"), Params(**params))


def make_plan(mode: str, *models: str | Variant, judge: JudgeSpec | None = None) -> Plan:
    """A plan of these models."""
    variants = [make_variant(model) if isinstance(model, str) else model for model in models]
    return Plan(mode, tuple(variants), judge)


def make_judge_plan(
    *models: str | Variant,
    judges: Sequence[str | Variant] = ("jury/one",),
    criteria: Sequence[str] = (),
    allow_self: bool = False,
) -> Plan:
    """A judged plan; two contestants unless told."""
    panel = [make_variant(judge) if isinstance(judge, str) else judge for judge in judges]
    spec = JudgeSpec(tuple(panel), tuple(criteria), allow_self)
    return make_plan("judge", *(models or ("acme/a", "acme/b")), judge=spec)


def make_job(
    plan: Plan, question: str = "Why is the sky blue?", *, reference: str | None = None, seed="s1"
) -> JobView:
    """A job that asks one question."""
    return JobView(Prompt([Message("user", question)], reference), plan, seed)


def make_result(call: PlannedCall, answer: str | CallState, *, round_: int = 0) -> CallResult:
    """How a call ended: with a text, or in a state without one."""
    state = answer if isinstance(answer, CallState) else CallState.SUCCEEDED
    text = "" if isinstance(answer, CallState) else answer
    reason = "rate_limited" if state is CallState.FAILED else None
    return CallResult(round_, call.role, call.label, state, text, reason, call.meta)


def make_results(round_: Round, answer: Answer, *, number: int = 0) -> list[CallResult]:
    """How the calls of a round ended."""
    return [make_result(call, answer(call), round_=number) for call in round_.calls]


def make_verdict(
    call: PlannedCall, scores: Mapping[str, float], *, criteria: int = 0, overall: str = "So."
) -> str:
    """A judge's answer with these scores, by label."""
    ids = {label: key for key, label in (call.meta or {})["contestants"].items()}
    marks = {f"c{place}": 5 for place in range(1, criteria + 1)}
    return json.dumps(
        {
            "scores": {
                ids[label]: {"reasoning": f"{ids[label]} is fine.", "score": score}
                | ({"criteria": marks} if criteria else {})
                for label, score in scores.items()
            },
            "overall": overall,
        }
    )


def play(mode: Mode, job: JobView, answer: Answer) -> tuple[list[Round], Outcome]:
    """Every round of a job, and how it ends, where `answer` says how each call does."""
    rounds = [mode.plan(job)]
    results: list[CallResult] = []
    while len(rounds) <= ROUNDS_MAX:
        results += make_results(rounds[-1], answer, number=len(rounds) - 1)
        step = mode.advance(job, results)
        if isinstance(step, Outcome):
            return rounds, step
        rounds.append(step)
    raise AssertionError(f"{mode.name} does not end")
