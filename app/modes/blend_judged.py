"""A blend before its judges: against the answers it was made of, and what each of them brought.

With `contribution`, the synthesis is made again without each of the answers in turn, and judged
with the others: by how much it is worse is what the answer brought.
"""

from collections.abc import Sequence

import msgspec

from app.domain.plan import CallResult, JobView, Outcome, Plan, PlannedCall, Round
from app.domain.prompt import Variant
from app.domain.states import Role
from app.modes.blend_plan import (
    answering,
    is_without,
    spec_of,
    synthesis_label,
    synthesizer_of,
    without_label,
)
from app.modes.blend_round import Answer, has_words, synthesis_round
from app.modes.judge_flow import judge_answers, judged_in
from app.modes.judge_plan import judge_calls

#: Of two answers, the one that is left is no blend.
ANSWERS_MIN = 3


def contribution_round(
    job: JobView, answers: Sequence[Answer], results: Sequence[CallResult], layers: int
) -> Round | None:
    """The syntheses without each answer; None where none are wanted, or they were asked for."""
    if (
        not spec_of(job.plan).contribution
        or len(answers) < ANSWERS_MIN
        or any(is_without(result.label) for result in results)
    ):
        return None
    calls: list[PlannedCall] = []
    for left_out in answers:
        texts = [(one.label, one.text) for one in answers if one is not left_out]
        label = without_label(left_out.variant.label)
        calls += synthesis_round(job, texts, layers=layers, label=label).calls
    return Round(tuple(calls))


def judged(
    job: JobView,
    answers: Sequence[Answer],
    draft: CallResult,
    results: Sequence[CallResult],
    outcome: Outcome,
) -> Round | Outcome:
    """The judges' next questions, or the outcome with their verdict."""
    # Whatever calls they come from, answers are judged under the same labels in every job, so
    # that verdicts can be added up.
    synthesizer = synthesizer_of(job.plan)
    texts = {answer.variant.label: answer.text for answer in answers}
    texts[synthesis_label(1)] = draft.text
    made = {result.label: result for result in results if is_without(result.label)}
    for answer in answers:
        without = made.get(without_label(answer.variant.label))
        if without is not None and has_words(without):
            texts[without.label] = without.text
    own = {answer.variant.label: answer.variant for answer in answers}
    contestants = [own.get(label) or labelled(synthesizer, label) for label in texts]
    plan = msgspec.structs.replace(job.plan, variants=tuple(contestants))
    view = msgspec.structs.replace(job, plan=plan)
    step = judge_answers(view, texts, judged_in(results), focus=synthesis_label(1))
    return step if isinstance(step, Round) else msgspec.structs.replace(outcome, verdict=step)


def judging_calls(plan: Plan) -> list[tuple[Variant, int]]:
    """What judging a blend may take beyond the blend, with how many answers each call reads."""
    if plan.judge is None:
        return []
    asked, contestants = answering(plan), len(answering(plan)) + 1
    if not spec_of(plan).contribution:
        return judge_calls(plan.judge, contestants, star=True)
    synthesizer = synthesizer_of(plan)
    made = [(labelled(synthesizer, without_label(one.label)), len(asked) - 1) for one in asked]
    return made + judge_calls(plan.judge, contestants + len(asked), star=True)


def syntheses_in(results: Sequence[CallResult]) -> dict[str, CallResult]:
    """The syntheses of the blend itself, by label."""
    return {
        result.label: result
        for result in results
        if result.role is Role.SYNTHESIZER and not is_without(result.label)
    }


def labelled(variant: Variant, label: str) -> Variant:
    """The variant under another label."""
    return msgspec.structs.replace(variant, label=label)
