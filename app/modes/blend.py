"""blend: several answers become one.

    consensus, council, best_of   answers ──▶ synthesis
    chain                         answers ──▶ synthesis ──▶ synthesis ──▶ …   an answer each
    moa                           answers ──▶ answers (layer 2) ──▶ answers (layer 3) ──▶ synthesis
    self_moa                      samples of one model ──▶ synthesis

A chain's draft begins as the first answer, and takes in one more with every call. With judges,
a panel then scores the blend against the answers, as it does in the mode judge: in its verdict
the blend is `synthesis`, and a model's latest answer has the model's label. `blend_judged`
says how what each answer brought is found.

Only answers with words in them count, and only models that gave one answer again in the next
layer. A model whose call of a later layer comes to nothing keeps the answer that it had, and a
layer that brings nothing at all is the last.

How a job ends:

- fewer answers than `min_candidates`: failed, `too_few_candidates`; no synthesis is bought
- one answer, where that is enough: it is the blend, marked `one_candidate`
- a synthesis: succeeded. A chain goes on without an answer whose synthesis was refused or
  empty, and ends where the call itself failed; what is left out is listed.
- no synthesis, because it was refused, empty or failed: succeeded with the best answer, marked
  `fell_back`. Best is by rule: an answer that was not cut off before one that was, of a later
  layer before an earlier one, and then the order of the plan, in which the client has put them.
- a synthesis that ended with its batch, cancelled, expired or out of budget: failed, for the
  job is not done, and a retry should do it
"""

from collections.abc import Sequence

import msgspec

from app.domain.plan import CallResult, JobView, Outcome, Plan, Round, Synthesis
from app.domain.prompt import Variant
from app.domain.states import CallState, EndReason
from app.modes.blend_judged import (
    contribution_round,
    judged,
    judging_calls,
    labelled,
    syntheses_in,
)
from app.modes.blend_plan import (
    answering,
    check_blend,
    layer_label,
    least_of,
    spec_of,
    syntheses_max,
    synthesis_label,
    synthesizer_of,
)
from app.modes.blend_round import (
    Answer,
    answers_of,
    first_round,
    has_words,
    layer_round,
    layers_run,
    synthesis_round,
)


class Blend:
    """Several answers become one."""

    name = "blend"
    needs_text = True

    def check(self, plan: Plan) -> None:
        """2 to 6 models, or 2 to 8 samples of one, and settings that fit the strategy."""
        check_blend(plan)

    def plan(self, job: JobView) -> Round:
        """The candidates."""
        return first_round(job)

    def advance(self, job: JobView, results: Sequence[CallResult]) -> Round | Outcome:
        """Another layer, a synthesis, a step of the chain, the judges, or the end."""
        answers = answers_of(job.plan, results)
        layers = layers_run(job.plan, results)
        syntheses = syntheses_in(results)
        if not syntheses:
            return _unblended(job.plan, answers, layers) or _after_layer(job, answers, layers)
        progress = _follow(job.plan, answers, syntheses)
        if progress.stopped is not None:
            return _unfinished(progress.stopped)
        if progress.next is not None:
            return _integrate(job, progress.draft or answers[0], progress.next, len(syntheses) + 1)
        outcome = _blended(job.plan, answers, progress, layers)
        if job.plan.judge is None or progress.draft is None:
            return outcome
        return contribution_round(job, answers, results, layers) or judged(
            job, answers, progress.draft, results, outcome
        )

    def later_calls(self, plan: Plan) -> Sequence[tuple[Variant, int]]:
        """Samples beyond the first, answers of later layers, syntheses, and judges twice."""
        spec, asked = spec_of(plan), answering(plan)
        calls = [(sample, 0) for sample in asked[1:]] if spec.strategy == "self_moa" else []
        calls += [
            (labelled(variant, layer_label(variant.label, layer)), len(asked))
            for layer in range(2, spec.layers + 1)
            for variant in asked
        ]
        reads = 2 if spec.strategy == "chain" else len(asked)
        synthesizer = synthesizer_of(plan)
        calls += [
            (labelled(synthesizer, synthesis_label(step)), reads)
            for step in range(1, syntheses_max(plan) + 1)
        ]
        return calls + judging_calls(plan)


class _Progress(msgspec.Struct):
    """How far the syntheses of a job have come.

    `draft` is the last one with words in it, `reason` why one is missing, `next` the answer
    that a chain takes in next; `stopped` is one that ended with its batch.
    """

    taken: list[Answer]
    left_out: list[Answer] = []
    draft: CallResult | None = None
    reason: str | None = None
    next: Answer | None = None
    stopped: CallResult | None = None


def _unblended(plan: Plan, answers: Sequence[Answer], layers: int) -> Outcome | None:
    """How the job ends where there is nothing to blend."""
    least, asked = least_of(plan), len(answering(plan))
    if len(answers) < least:
        return Outcome(
            succeeded=False,
            reason="too_few_candidates",
            message=f"{len(answers)} of {asked} candidates answered, and it takes {least}.",
        )
    if len(answers) == 1:
        return _fallen_back(plan, answers, layers, "one_candidate")
    return None


def _after_layer(job: JobView, answers: Sequence[Answer], layers: int) -> Round:
    """The next layer, if there is one and the last brought something; else the synthesis."""
    if layers < spec_of(job.plan).layers and any(answer.layer == layers for answer in answers):
        return layer_round(job, answers, layers + 1)
    if spec_of(job.plan).strategy == "chain":
        return _integrate(job, answers[0], answers[1], step=1)
    texts = [(answer.label, answer.text) for answer in answers]
    return synthesis_round(job, texts, layers=layers)


def _integrate(job: JobView, draft: CallResult | Answer, new: Answer, step: int) -> Round:
    """A chain's step: one more answer is worked into the draft."""
    texts = [(draft.label, draft.text), (new.label, new.text)]
    return synthesis_round(job, texts, step=step, draft=draft.label)


def _follow(plan: Plan, answers: Sequence[Answer], syntheses: dict[str, CallResult]) -> _Progress:
    """Read the syntheses in the order in which they were asked for."""
    in_chain = spec_of(plan).strategy == "chain"
    progress = _Progress(list(answers[:1]) if in_chain else [])
    waiting = [[answer] for answer in answers[1:]] if in_chain else [list(answers)]
    for step in range(1, len(syntheses) + 1):
        result, new = syntheses[synthesis_label(step)], waiting.pop(0)
        if has_words(result):
            progress.draft = result
            progress.taken += new
        else:
            progress.left_out += new
            progress.reason = progress.reason or _why_missing(result)
        if _ended_with_its_batch(result):
            progress.stopped = result
        elif result.state is CallState.FAILED:
            # Its own retries are spent: the next step would fare no better.
            progress.left_out += [answer for group in waiting for answer in group]
            waiting.clear()
    progress.next = waiting[0][0] if waiting else None
    return progress


def _ended_with_its_batch(result: CallResult) -> bool:
    """Whether it was not made because its batch was cancelled, expired or out of money."""
    return (
        result.state in {CallState.CANCELLED, CallState.EXPIRED}
        or result.error_reason == EndReason.BUDGET_EXHAUSTED
    )


def _why_missing(result: CallResult) -> str:
    if result.succeeded:
        return "empty"
    return result.error_reason or result.state.value


def _unfinished(result: CallResult) -> Outcome:
    reason = result.error_reason or result.state.value
    return Outcome(succeeded=False, reason=reason, message="The synthesis was not made.")


def _blended(plan: Plan, answers: Sequence[Answer], progress: _Progress, layers: int) -> Outcome:
    if progress.draft is None:
        return _fallen_back(plan, answers, layers, progress.reason or "empty")
    synthesis = _synthesis(plan, progress.draft.label, layers)
    synthesis = msgspec.structs.replace(
        synthesis,
        candidates=[answer.label for answer in progress.taken],
        left_out=[answer.label for answer in progress.left_out],
        reason=progress.reason,
    )
    if not progress.left_out:
        return Outcome(succeeded=True, synthesis=synthesis)
    return Outcome(
        succeeded=True,
        reason="answers_left_out",
        message=f"{len(progress.left_out)} of {len(answers)} answers could not be worked in.",
        synthesis=synthesis,
    )


def _fallen_back(plan: Plan, answers: Sequence[Answer], layers: int, reason: str) -> Outcome:
    """The best candidate in place of a synthesis."""
    best = min(answers, key=lambda answer: (not answer.is_whole, -answer.layer))
    synthesis = msgspec.structs.replace(
        _synthesis(plan, best.label, layers),
        candidates=[best.label],
        fell_back=True,
        reason=reason,
    )
    return Outcome(
        succeeded=True,
        reason="fell_back",
        message=f"There is no synthesis ({reason}); this is the answer of {best.label}.",
        synthesis=synthesis,
    )


def _synthesis(plan: Plan, label: str, layers: int) -> Synthesis:
    return Synthesis(
        label=label,
        strategy=spec_of(plan).strategy,
        synthesizer=synthesizer_of(plan).label,
        sources=[variant.label for variant in plan.variants],
        candidates=[],
        layers=layers,
    )
