"""The calls of judges: a question for each, and a second one where the answer is no verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.domain.errors import InvariantError
from app.domain.plan import CallResult, JobView, JudgeSpec, Plan, PlannedCall, Round
from app.domain.prompt import Params, Variant
from app.domain.states import Role
from app.modes.excerpt import cuts
from app.modes.judge_material import Material, gather
from app.modes.judge_prompt import Question, put_again, put_question, verdict_format
from app.modes.judge_verdict import ReadVerdict, Unreadable

MAX_TOKENS_DEFAULT = 1_024


def spec_of(plan: Plan) -> JudgeSpec:
    """Who judges, and by what: a plan that was checked names them."""
    if plan.judge is None:
        raise InvariantError("a judged plan has no judges, though it was checked at submit")
    return plan.judge


def is_repair(result: CallResult) -> bool:
    """Whether a judge's result answers its second question."""
    return bool((result.meta or {}).get("repair"))


def questions(job: JobView, answers: Mapping[str, str]) -> Round:
    """A question for each judge, each with ids and an order of its own."""
    spec, material = spec_of(job.plan), gather(job, answers)
    calls = []
    for place, judge in enumerate(spec.judges):
        question = put_question(material, spec.criteria, job.seed, "judge", str(place))
        meta = _meta(question, material, repair=False)
        calls.append(_call(judge, spec, question, meta))
    return Round(tuple(calls))


def repairs(
    job: JobView,
    answers: Mapping[str, str],
    judged: Sequence[CallResult],
    readings: Mapping[str, ReadVerdict | Unreadable],
) -> Round | None:
    """A second question for each judge whose answer could not be read; None if all could be."""
    spec = spec_of(job.plan)
    texts = {result.label: result.text for result in judged}
    calls = []
    material: Material | None = None
    for place, judge in enumerate(spec.judges):
        reading = readings.get(judge.label)
        if not isinstance(reading, Unreadable):
            continue
        material = material or gather(job, answers)
        question = put_again(
            material,
            spec.criteria,
            *(job.seed, "judge", str(place)),
            previous=texts[judge.label],
            problem=reading.problem,
        )
        meta = _meta(question, material, repair=True) | {"problem": reading.problem}
        calls.append(_call(judge, spec, question, meta))
    return Round(tuple(calls)) if calls else None


def _call(judge: Variant, spec: JudgeSpec, question: Question, meta: dict[str, Any]) -> PlannedCall:
    ids = list(question.contestants)
    return PlannedCall(
        Role.JUDGE,
        judge.label,
        judge.ref,
        msgspec.structs.replace(
            sized(judge.params, len(ids), len(spec.criteria)),
            response_format=verdict_format(ids, spec.criteria),
        ),
        messages=question.messages,
        meta=meta,
    )


def sized(params: Params, contestants: int, criteria: int) -> Params:
    """A judge's parameters, with room for a verdict on so many where none was set."""
    if params.max_tokens is not None:
        return params
    room = 256 + contestants * (96 + 12 * criteria)
    return msgspec.structs.replace(params, max_tokens=max(MAX_TOKENS_DEFAULT, room))


def _meta(question: Question, material: Material, *, repair: bool) -> dict[str, Any]:
    """What is recorded with a question: who was shown under which id, where, and how much."""
    meta: dict[str, Any] = {
        "repair": repair,
        "contestants": question.contestants,
        # A JSON object need not keep its order in a store.
        "order": list(question.contestants.values()),
    }
    meta |= cuts(material.answers, material.answer_chars_max)
    if material.addressing:
        meta["addresses_judge"] = list(material.addressing)
    return meta
