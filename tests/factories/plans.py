"""Plans, jobs and results of calls, as plain values; and a whole job played through its mode."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from app.domain.completion import FinishReason
from app.domain.plan import (
    BlendSpec,
    BlendStrategy,
    CallResult,
    JobView,
    JudgeSpec,
    MeshSpec,
    MeshStrategy,
    Mode,
    Outcome,
    Plan,
    PlannedCall,
    Round,
)
from app.domain.prompt import Message, ModelRef, Params, Prompt, Variant
from app.domain.states import CallState

ROUNDS_MAX = 20


class End(msgspec.Struct, frozen=True):
    """How a call ended, where a text or a state alone does not say it."""

    state: CallState = CallState.FAILED
    text: str = ""
    reason: str | None = None
    status_code: int | None = None
    latency_ms: int | None = None
    finish_reason: FinishReason | None = None


#: A text is a call that succeeded, a state one without a text.
Said = str | CallState | End
Answer = Callable[[PlannedCall], Said]


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
    **spec: Any,
) -> Plan:
    """A judged plan; two contestants unless told."""
    panel = [make_variant(judge) if isinstance(judge, str) else judge for judge in judges]
    judge = JudgeSpec(tuple(panel), tuple(criteria), allow_self, **spec)
    return make_plan("judge", *(models or ("acme/a", "acme/b")), judge=judge)


def make_blend_plan(
    *models: str | Variant,
    strategy: BlendStrategy = "consensus",
    judge: JudgeSpec | None = None,
    **spec: Any,
) -> Plan:
    """A blended plan; three models unless told, and one of self_moa."""
    default = ("acme/a",) if strategy == "self_moa" else ("acme/a", "acme/b", "acme/c")
    plan = make_plan("blend", *(models or default), judge=judge)
    return msgspec.structs.replace(plan, blend=BlendSpec(strategy, **spec))


def make_mesh_plan(
    model: str | Variant = "acme/a",
    *fallback: str | Variant,
    strategy: MeshStrategy = "rate-limit",
    order: Sequence[str] = (),
) -> Plan:
    """A meshed plan; two models to fall back on unless told."""
    listed = make_plan("mesh", *(fallback or ("acme/b", "acme/c"))).variants
    spec = MeshSpec(listed, strategy, tuple(order))
    return msgspec.structs.replace(make_plan("mesh", model), mesh=spec)


def make_job(
    plan: Plan, question: str = "Why is the sky blue?", *, reference: str | None = None, seed="s1"
) -> JobView:
    """A job that asks one question."""
    return JobView(Prompt([Message("user", question)], reference), plan, seed)


def make_result(call: PlannedCall, answer: Said, *, round_: int = 0) -> CallResult:
    """How a call ended."""
    match answer:
        case CallState():  # before str, which it is too
            end = End(answer, reason="rate_limited" if answer is CallState.FAILED else None)
        case str():
            end = End(CallState.SUCCEEDED, answer)
        case End():
            end = answer
    return CallResult(
        *(round_, call.role, call.label, end.state, end.text, end.reason, call.meta),
        status_code=end.status_code,
        latency_ms=end.latency_ms,
        finish_reason=end.finish_reason,
    )


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


def make_preference(call: PlannedCall, scores: Mapping[str, float]) -> str:
    """A judge's answer of two: the one with the higher score, by label."""
    ids = {label: key for key, label in (call.meta or {})["contestants"].items()}
    one, other = (call.meta or {})["pair"]
    better = one if scores[one] > scores[other] else other
    winner = "tie" if scores[one] == scores[other] else ids[better]
    return json.dumps({"reasoning": f"{ids[one]} against {ids[other]}.", "winner": winner})


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
