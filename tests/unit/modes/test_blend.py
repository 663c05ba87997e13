"""blend: candidates, then whatever the strategy does with them, and always a defined end."""

from collections.abc import Mapping

import pytest

from app.domain.completion import FinishReason
from app.domain.plan import Outcome, Plan, PlannedCall, Round, Synthesis
from app.domain.states import CallState, Role
from app.modes.blend import Blend
from tests.factories.plans import (
    End,
    Said,
    make_blend_plan,
    make_job,
    make_results,
    make_variant,
    play,
)

BLEND = Blend()
FAILED, REFUSED = CallState.FAILED, CallState.REFUSED
CUT = End(CallState.SUCCEEDED, "Half an ans", finish_reason=FinishReason.LENGTH)
ONE_ROUND = ["consensus", "council", "best_of", "moa"]
MODELS = ["acme/a", "acme/b", "acme/c"]


def plays(plan: Plan, said: Mapping[str, Said] | None = None) -> tuple[list[Round], Outcome]:
    """Play a job whose calls end as `said`, by label; the others answer."""
    return play(
        BLEND, make_job(plan), lambda call: (said or {}).get(call.label, f"I am {call.label}.")
    )


def labels(rounds: list[Round]) -> list[list[str]]:
    return [[call.label for call in round_.calls] for round_ in rounds]


def shown(call: PlannedCall) -> set[str]:
    """Whose answers a call shows."""
    return set(call.meta["answers"].values())


@pytest.mark.parametrize("strategy", ONE_ROUND)
def test_candidates_answer_then_one_synthesis_reads_them_all(strategy):
    rounds, outcome = plays(make_blend_plan(strategy=strategy))

    assert labels(rounds) == [MODELS, ["synthesis"]]
    [call] = rounds[1].calls
    assert call.role is Role.SYNTHESIZER
    assert shown(call) == set(MODELS)
    assert outcome == Outcome(
        succeeded=True,
        synthesis=Synthesis("synthesis", strategy, "acme/a", sources=MODELS, candidates=MODELS),
    )


def test_the_first_model_synthesizes_with_its_own_parameters_unless_another_is_named():
    first = make_variant("acme/a", temperature=0.1)
    rounds, _ = plays(make_blend_plan(first, "acme/b"))
    assert (rounds[1].calls[0].ref, rounds[1].calls[0].params) == (first.ref, first.params)

    smith = make_variant("smith/s", max_tokens=9)
    rounds, outcome = plays(make_blend_plan(first, "acme/b", synthesizer=smith))
    assert (rounds[1].calls[0].ref, rounds[1].calls[0].params) == (smith.ref, smith.params)
    assert outcome.synthesis.synthesizer == "smith/s"


def test_a_plan_that_says_nothing_blends_by_consensus():
    plan = Plan("blend", make_blend_plan().variants)
    BLEND.check(plan)
    assert plays(plan)[1].synthesis.strategy == "consensus"


def test_a_chain_works_in_one_answer_after_another():
    rounds, outcome = plays(make_blend_plan(*MODELS, "acme/d", strategy="chain"))

    assert labels(rounds)[1:] == [["synthesis"], ["synthesis/2"], ["synthesis/3"]]
    steps = [round_.calls[0] for round_ in rounds[1:]]
    assert [step.meta["draft"] for step in steps] == ["acme/a", "synthesis", "synthesis/2"]
    assert [shown(step) for step in steps] == [{"acme/b"}, {"acme/c"}, {"acme/d"}]
    assert outcome.synthesis.label == "synthesis/3"
    assert outcome.synthesis.candidates == [*MODELS, "acme/d"]


@pytest.mark.parametrize("missing", [REFUSED, "", " \n"])
def test_a_chain_goes_on_without_an_answer_whose_synthesis_is_missing(missing: Said):
    plan = make_blend_plan(*MODELS, "acme/d", strategy="chain")
    rounds, outcome = plays(plan, {"synthesis/2": missing})

    assert rounds[3].calls[0].meta["draft"] == "synthesis"
    assert shown(rounds[3].calls[0]) == {"acme/d"}
    synthesis = outcome.synthesis
    assert (synthesis.label, synthesis.fell_back) == ("synthesis/3", False)
    assert (synthesis.candidates, synthesis.left_out) == (
        ["acme/a", "acme/b", "acme/d"],
        ["acme/c"],
    )
    assert synthesis.reason == ("refused" if missing is REFUSED else "empty")
    assert (outcome.succeeded, outcome.reason) == (True, "answers_left_out")


def test_a_chain_whose_synthesizer_fails_ends_with_the_draft_it_has():
    plan = make_blend_plan(*MODELS, "acme/d", strategy="chain")
    rounds, outcome = plays(plan, {"synthesis/2": FAILED})

    assert len(rounds) == 3
    synthesis = outcome.synthesis
    assert (synthesis.label, synthesis.reason) == ("synthesis", "rate_limited")
    assert (synthesis.candidates, synthesis.left_out) == (
        ["acme/a", "acme/b"],
        ["acme/c", "acme/d"],
    )


def test_j10_a_chain_without_any_draft_falls_back():
    plan = make_blend_plan(strategy="chain")
    rounds, outcome = plays(plan, {"synthesis": REFUSED, "synthesis/2": REFUSED})
    assert [round_.calls[0].meta["draft"] for round_ in rounds[1:]] == ["acme/a", "acme/a"]
    assert (outcome.synthesis.label, outcome.synthesis.fell_back) == ("acme/a", True)


def test_moa_answers_again_layer_by_layer_with_the_last_answers_as_references():
    rounds, outcome = plays(make_blend_plan(strategy="moa", layers=3))

    second = [f"{model}/layer2" for model in MODELS]
    third = [f"{model}/layer3" for model in MODELS]
    assert labels(rounds) == [MODELS, second, third, ["synthesis"]]
    assert {call.role for round_ in rounds[:3] for call in round_.calls} == {Role.CANDIDATE}
    assert [shown(call) for call in rounds[1].calls] == [set(MODELS)] * 3
    assert [shown(call) for call in rounds[2].calls] == [set(second)] * 3
    assert shown(rounds[3].calls[0]) == set(third)
    assert [call.meta["layer"] for call in rounds[2].calls] == [3, 3, 3]
    assert (outcome.synthesis.layers, outcome.synthesis.candidates) == (3, third)
    assert outcome.synthesis.sources == MODELS


def test_a_model_that_fails_in_a_later_layer_keeps_the_answer_it_had():
    rounds, outcome = plays(make_blend_plan(strategy="moa", layers=3), {"acme/b/layer2": FAILED})
    seen = {"acme/a/layer2", "acme/b", "acme/c/layer2"}
    assert [shown(call) for call in rounds[2].calls] == [seen] * 3
    assert outcome.synthesis.candidates == [f"{model}/layer3" for model in MODELS]


def test_a_model_without_an_answer_is_not_asked_for_another():
    rounds, _ = plays(make_blend_plan(strategy="moa", layers=2), {"acme/b": FAILED})
    assert labels(rounds)[1] == ["acme/a/layer2", "acme/c/layer2"]


def test_a_layer_that_brings_nothing_is_the_last():
    silent = {f"{model}/layer2": FAILED for model in MODELS}
    rounds, outcome = plays(make_blend_plan(strategy="moa", layers=3), silent)
    assert labels(rounds)[2:] == [["synthesis"]]
    assert shown(rounds[2].calls[0]) == set(MODELS)
    assert outcome.synthesis.layers == 2


def test_self_moa_blends_samples_of_one_model():
    rounds, outcome = plays(make_blend_plan(strategy="self_moa", samples=3))
    samples = ["acme/a/sample1", "acme/a/sample2", "acme/a/sample3"]
    assert labels(rounds) == [samples, ["synthesis"]]
    assert {call.ref.model for round_ in rounds for call in round_.calls} == {"a"}
    assert (outcome.synthesis.sources, outcome.synthesis.candidates) == (["acme/a"], samples)


def test_a_candidate_that_failed_declined_or_fell_silent_is_not_blended():
    said = {"acme/b": FAILED, "acme/c": REFUSED, "acme/d": " "}
    plan = make_blend_plan(*MODELS, "acme/d", "acme/e")
    rounds, outcome = plays(plan, said)
    assert shown(rounds[1].calls[0]) == {"acme/a", "acme/e"}
    assert outcome.synthesis.candidates == ["acme/a", "acme/e"]


@pytest.mark.parametrize("silence", [FAILED, REFUSED, "", CallState.EXPIRED])
def test_j6_fewer_answers_than_it_takes_fail_the_job_and_no_synthesis_is_bought(silence: Said):
    rounds, outcome = plays(make_blend_plan(), {"acme/a": silence, "acme/c": silence})
    assert len(rounds) == 1
    assert outcome == Outcome(
        succeeded=False,
        reason="too_few_candidates",
        message="1 of 3 candidates answered, and it takes 2.",
    )


def test_j6_how_many_answers_it_takes_can_be_set():
    said = {"acme/a": FAILED}
    assert not plays(make_blend_plan(min_candidates=3), said)[1].succeeded
    assert plays(make_blend_plan(min_candidates=2), said)[1].synthesis.label == "synthesis"


@pytest.mark.parametrize("strategy", [*ONE_ROUND, "chain"])
def test_j6_one_answer_is_the_blend_where_that_is_enough_and_nothing_more_is_bought(strategy):
    plan = make_blend_plan(strategy=strategy, min_candidates=1)
    rounds, outcome = plays(plan, {"acme/a": FAILED, "acme/c": REFUSED})
    assert len(rounds) == 1
    assert (outcome.succeeded, outcome.reason) == (True, "fell_back")
    assert outcome.synthesis == Synthesis(
        *("acme/b", strategy, "acme/a", MODELS, ["acme/b"]), fell_back=True, reason="one_candidate"
    )


@pytest.mark.parametrize(
    ("said", "reason"),
    [(REFUSED, "refused"), ("", "empty"), (" \n", "empty"), (FAILED, "rate_limited")],
)
@pytest.mark.parametrize("strategy", ONE_ROUND)
def test_j10_without_a_synthesis_the_first_candidate_stands_in_and_is_marked(
    strategy, said: Said, reason: str
):
    _, outcome = plays(make_blend_plan(strategy=strategy), {"synthesis": said})
    assert (outcome.succeeded, outcome.reason) == (True, "fell_back")
    assert outcome.message == f"There is no synthesis ({reason}); this is the answer of acme/a."
    assert outcome.synthesis == Synthesis(
        *("acme/a", strategy, "acme/a", MODELS, ["acme/a"]), fell_back=True, reason=reason
    )


def test_j10_an_answer_that_was_cut_off_stands_in_only_where_every_one_was():
    assert plays(make_blend_plan(), {"acme/a": CUT, "synthesis": ""})[1].synthesis.label == "acme/b"
    all_cut = dict.fromkeys(MODELS, CUT) | {"synthesis": ""}
    assert plays(make_blend_plan(), all_cut)[1].synthesis.label == "acme/a"


def test_j10_an_answer_of_a_later_layer_stands_in_before_an_earlier_one():
    said = {"acme/a/layer2": FAILED, "synthesis": REFUSED}
    _, outcome = plays(make_blend_plan(strategy="moa", layers=2), said)
    assert outcome.synthesis.label == "acme/b/layer2"


@pytest.mark.parametrize(
    "end", [CallState.CANCELLED, CallState.EXPIRED, End(FAILED, reason="budget_exhausted")]
)
@pytest.mark.parametrize("strategy", ["consensus", "chain"])
def test_a_synthesis_that_ended_with_its_batch_leaves_the_job_undone(end: Said, strategy):
    _, outcome = plays(make_blend_plan(strategy=strategy), {"synthesis": end})
    assert not outcome.succeeded
    assert outcome.reason in {"cancelled", "expired", "budget_exhausted"}
    assert outcome.synthesis is None


def test_j8_no_candidate_is_bought_twice():
    for strategy in (*ONE_ROUND, "chain"):
        rounds, _ = plays(make_blend_plan(strategy=strategy), {"synthesis": FAILED})
        asked = [label for round_ in labels(rounds) for label in round_]
        assert len(set(asked)) == len(asked)
        assert {call.role for call in rounds[-1].calls} == {Role.SYNTHESIZER}


def test_j8_a_synthesis_planned_again_after_a_crash_is_the_same_call():
    job = make_job(make_blend_plan())
    results = make_results(BLEND.plan(job), lambda call: call.label)
    assert BLEND.advance(job, results) == BLEND.advance(job, list(reversed(results)))
