"""The calls of judges: a question for each, and a second one where the answer is no verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.domain.plan import CallResult, JobView, JudgeSpec, PlannedCall, Round
from app.domain.states import Role
from app.modes.excerpt import cuts
from app.modes.judge_material import Material, gather
from app.modes.judge_pairs import ReadPreference
from app.modes.judge_plan import CANARY, Ask, sized, spec_of
from app.modes.judge_prompt import (
    Question,
    preference_format,
    put_again,
    put_question,
    verdict_format,
)
from app.modes.judge_verdict import ReadVerdict, Unreadable
from app.modes.judge_wording import CANARY as CANARY_TEXT

Reading = ReadVerdict | ReadPreference | Unreadable
#: What tells a job's questions apart: the judge's label, and the two that a pair was shown as.
Key = tuple[str, tuple[str, ...]]


def is_repair(result: CallResult) -> bool:
    """Whether a judge's result answers its second question."""
    return bool((result.meta or {}).get("repair"))


def key_of(result: CallResult) -> Key:
    """Which question a judge's result answers, whether for the first or the second time."""
    return result.label, tuple((result.meta or {}).get("pair", ()))


def questions(job: JobView, answers: Mapping[str, str], asks: Sequence[Ask]) -> Round:
    """The questions, each with ids and an order of its own."""
    spec, material = spec_of(job.plan), _material(job, answers)
    calls = []
    for ask in asks:
        shown = _shown(material, ask)
        question = put_question(shown, spec.criteria, *_seed(job, ask), pair=ask.shown)
        calls.append(_call(ask, spec, question, _meta(ask, question, shown, repair=False)))
    return Round(tuple(calls))


def repairs(
    job: JobView,
    answers: Mapping[str, str],
    judged: Sequence[CallResult],
    readings: Mapping[Key, Reading],
) -> Round | None:
    """A second question for each answer that could not be read; None if all could be."""
    spec = spec_of(job.plan)
    texts = {key_of(result): result.text for result in judged}
    calls = []
    material: Material | None = None
    for place, judge in enumerate(spec.judges):
        unread = [
            (pair, reading)
            for (label, pair), reading in readings.items()
            if label == judge.label and isinstance(reading, Unreadable)
        ]
        for pair, reading in unread:
            material = material or _material(job, answers)
            ask = Ask(judge, place, pair)
            shown = _shown(material, ask)
            question = put_again(
                shown,
                spec.criteria,
                *_seed(job, ask),
                previous=texts[judge.label, pair],
                problem=reading.problem,
                pair=pair,
            )
            meta = _meta(ask, question, shown, repair=True) | {"problem": reading.problem}
            calls.append(_call(ask, spec, question, meta))
    return Round(tuple(calls)) if calls else None


def _seed(job: JobView, ask: Ask) -> tuple[str, ...]:
    return (job.seed, "judge", str(ask.place), *ask.shown)


def _material(job: JobView, answers: Mapping[str, str]) -> Material:
    planted = {CANARY: CANARY_TEXT} if spec_of(job.plan).canary else {}
    material = gather(job, {**answers, **planted})
    addressing = tuple(label for label in material.addressing if label not in planted)
    return msgspec.structs.replace(material, addressing=addressing)


def _shown(material: Material, ask: Ask) -> Material:
    """What of the material a question shows: of a pair, the two."""
    if not ask.shown:
        return material
    return msgspec.structs.replace(
        material,
        answers={label: material.answers[label] for label in ask.shown},
        addressing=tuple(label for label in material.addressing if label in ask.shown),
    )


def _call(ask: Ask, spec: JudgeSpec, question: Question, meta: dict[str, Any]) -> PlannedCall:
    ids, judge = list(question.contestants), ask.judge
    form = preference_format(ids) if ask.shown else verdict_format(ids, spec.criteria)
    params = sized(judge.params, len(ids), len(spec.criteria))
    return PlannedCall(
        Role.JUDGE,
        judge.label,
        judge.ref,
        msgspec.structs.replace(params, response_format=form),
        messages=question.messages,
        meta=meta,
    )


def _meta(ask: Ask, question: Question, material: Material, *, repair: bool) -> dict[str, Any]:
    """What is recorded with a question: who was shown under which id, where, and how much."""
    meta: dict[str, Any] = {
        "repair": repair,
        "contestants": question.contestants,
        # A JSON object need not keep its order in a store.
        "order": list(question.contestants.values()),
    }
    if ask.shown:
        meta["pair"] = list(ask.shown)
    meta |= cuts(material.answers, material.answer_chars_max)
    if material.addressing:
        meta["addresses_judge"] = list(material.addressing)
    return meta
