"""The calls of a blend: first answers, answers of a later layer, and syntheses."""

from collections.abc import Sequence
from typing import Any

import msgspec

from app.domain.completion import FinishReason
from app.domain.plan import CallResult, JobView, Plan, PlannedCall, Round
from app.domain.prompt import Message, Variant
from app.domain.states import Role
from app.modes import blend_wording as wording
from app.modes.base import candidates_round
from app.modes.blend_plan import (
    answering,
    layer_label,
    spec_of,
    synthesis_label,
    synthesizer_of,
    viewpoint_of,
)
from app.modes.blend_prompt import Rules, ask_with_answers, with_system


class Answer(msgspec.Struct, frozen=True):
    """A model's answer that can be blended, and the call and the layer it comes from."""

    label: str
    variant: Variant
    layer: int
    text: str
    is_whole: bool


def has_words(result: CallResult) -> bool:
    """Whether a call brought something to read."""
    return result.succeeded and bool(result.text.strip())


def first_round(job: JobView) -> Round:
    """Every model's answer, or each sample's from its point of view."""
    if spec_of(job.plan).strategy != "self_moa":
        return candidates_round(job.plan)
    calls = []
    for place, sample in enumerate(answering(job.plan)):
        name = viewpoint_of(place)
        note = wording.VIEWPOINT.format(viewpoint=wording.VIEWPOINTS[name])
        messages = with_system(job.prompt.messages, note)
        calls.append(_call(Role.CANDIDATE, sample, messages, {"viewpoint": name}))
    return Round(tuple(calls))


def answers_of(plan: Plan, results: Sequence[CallResult]) -> list[Answer]:
    """Each model's latest answer with words in it, in the order of the plan.

    A model whose call of a later layer came to nothing keeps the answer that it had.
    """
    found = {result.label: result for result in results if result.role is Role.CANDIDATE}
    answers = []
    for variant in answering(plan):
        for layer in range(spec_of(plan).layers, 0, -1):
            result = found.get(layer_label(variant.label, layer))
            if result is not None and has_words(result):
                whole = result.finish_reason is not FinishReason.LENGTH
                answers.append(Answer(result.label, variant, layer, result.text, whole))
                break
    return answers


def layers_run(plan: Plan, results: Sequence[CallResult]) -> int:
    """How many layers were asked so far."""
    labels = {result.label for result in results if result.role is Role.CANDIDATE}
    return max(
        layer
        for layer in range(1, spec_of(plan).layers + 1)
        if layer == 1 or any(layer_label(one.label, layer) in labels for one in plan.variants)
    )


def layer_round(job: JobView, answers: Sequence[Answer], layer: int) -> Round:
    """Every model that has an answer gives another, with all the answers as references."""
    origin = wording.ORIGIN if layer == 2 else wording.ORIGIN_LAYERED  # noqa: PLR2004 - the second
    texts = {answer.label: answer.text for answer in answers}
    calls = []
    for answer in answers:
        label = layer_label(answer.variant.label, layer)
        asked = ask_with_answers(
            job.prompt.messages,
            Rules(wording.LAYER, origin),
            texts,
            (job.seed, "blend", label),
            room_tokens=job.plan.room_tokens,
        )
        variant = msgspec.structs.replace(answer.variant, label=label)
        calls.append(_call(Role.CANDIDATE, variant, asked.messages, {"layer": layer} | asked.meta))
    return Round(tuple(calls))


def synthesis_round(
    job: JobView,
    answers: Sequence[tuple[str, str]],
    *,
    step: int = 1,
    layers: int = 1,
    draft: str | None = None,
    label: str | None = None,
) -> Round:
    """The synthesis of answers, as (label, text); of a chain, a step of it.

    `draft` is the label of the one among them that the others are worked into, and `label` that
    of the synthesis, where it is not the blend's own.
    """
    label = label or synthesis_label(step)
    asked = ask_with_answers(
        job.prompt.messages,
        _rules(job.plan, layers),
        dict(answers),
        (job.seed, "blend", label),
        draft=draft,
        room_tokens=job.plan.room_tokens,
    )
    variant = msgspec.structs.replace(synthesizer_of(job.plan), label=label)
    return Round((_call(Role.SYNTHESIZER, variant, asked.messages, asked.meta),))


def _rules(plan: Plan, layers: int) -> Rules:
    strategy = spec_of(plan).strategy
    origin = wording.ORIGIN if layers == 1 else wording.ORIGIN_LAYERED
    if strategy == "self_moa":
        origin = wording.ORIGIN_SAMPLED
    hand_in = wording.HAND_IN_COUNCIL if strategy == "council" else wording.HAND_IN
    return Rules(wording.TASKS[strategy], origin, hand_in)


def _call(
    role: Role, variant: Variant, messages: list[Message], meta: dict[str, Any]
) -> PlannedCall:
    return PlannedCall(role, variant.label, variant.ref, variant.params, messages, meta)
