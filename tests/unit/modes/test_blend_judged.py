"""A blend with judges is scored against the answers it was made of."""

import json

import pytest

from app.domain.errors import InvalidRequestError
from app.domain.plan import BlendSpec, JudgeSpec, Outcome, Plan, PlannedCall, Round
from app.domain.states import CallState, Role
from app.modes.blend import Blend
from app.pipeline.rehearsal import rehearse
from tests.factories.plans import (
    Said,
    make_blend_plan,
    make_job,
    make_preference,
    make_variant,
    make_verdict,
    play,
)

BLEND = Blend()
PANEL = JudgeSpec((make_variant("jury/one"), make_variant("jury/two")))
SCORES = {"acme/a": 4, "acme/b": 6, "acme/c": 5, "synthesis": 9}


def plays(plan: Plan, said: dict[str, Said] | None = None) -> tuple[list[Round], Outcome]:
    """Play a job; judges score by the label behind each id, unless something else is said."""

    def answer(call: PlannedCall) -> Said:
        if call.label in (said or {}):
            return said[call.label]
        if call.role is not Role.JUDGE:
            return f"I am {call.label}."
        contestants = call.meta["contestants"].values()
        return make_verdict(call, {label: SCORES[label] for label in contestants})

    return play(BLEND, make_job(plan), answer)


@pytest.mark.parametrize("strategy", ["consensus", "chain", "moa"])
def test_judges_score_the_blend_against_the_models_latest_answers(strategy):
    layers = 2 if strategy == "moa" else 1
    rounds, outcome = plays(make_blend_plan(strategy=strategy, layers=layers, judge=PANEL))

    first, second = rounds[-1].calls
    assert (first.role, second.role) == (Role.JUDGE, Role.JUDGE)
    assert sorted(first.meta["order"]) == sorted(SCORES)
    last = f"I am {'acme/a/layer2' if strategy == 'moa' else 'acme/a'}."
    assert last in first.messages[1].text
    assert outcome.verdict.winner == "synthesis"
    assert [score.label for score in outcome.verdict.scores] == [
        *("synthesis", "acme/b", "acme/c", "acme/a")
    ]
    assert outcome.synthesis.label == ("synthesis/2" if strategy == "chain" else "synthesis")
    assert not outcome.synthesis.fell_back


def test_a_judge_is_not_told_which_answer_is_the_blend():
    rounds, _ = plays(make_blend_plan(judge=PANEL))
    for call in rounds[-1].calls:
        document = json.loads(call.messages[1].text.split("\n")[1])
        assert all(contestant.keys() == {"id", "answer"} for contestant in document["contestants"])
        assert "synthesis" not in json.dumps([entry["id"] for entry in document["contestants"]])


def test_a_verdict_that_cannot_be_read_is_asked_for_once_more():
    rounds, outcome = plays(make_blend_plan(judge=PANEL), {"jury/one": "Hm."})
    assert [call.label for call in rounds[-1].calls] == ["jury/one"]
    assert rounds[-1].calls[0].meta["repair"] is True
    assert outcome.verdict.abstained == 1
    assert outcome.succeeded


@pytest.mark.parametrize("silence", ["", CallState.REFUSED, CallState.FAILED])
def test_j6_where_there_is_no_synthesis_no_judge_is_paid(silence: Said):
    rounds, outcome = plays(make_blend_plan(judge=PANEL), {"synthesis": silence})
    assert len(rounds) == 2
    assert outcome.verdict is None
    assert outcome.synthesis.fell_back


@pytest.mark.parametrize("judge", ["acme/b", "smith/s"])
def test_a_judge_of_its_own_answer_or_of_its_own_synthesis_is_refused_unless_allowed(judge: str):
    plan = make_blend_plan(synthesizer=make_variant("smith/s"))
    own = JudgeSpec((make_variant(judge),))
    with pytest.raises(InvalidRequestError) as refused:
        BLEND.check(Plan(plan.mode, plan.variants, own, plan.blend))
    assert refused.value.param == "judge.judges[0]"
    allowed = JudgeSpec(own.judges, allow_self=True)
    BLEND.check(Plan(plan.mode, plan.variants, allowed, plan.blend))


def test_the_synthesis_of_a_judge_is_marked():
    smith = make_variant("smith/s")
    plan = make_blend_plan(synthesizer=smith, judge=JudgeSpec((smith,), allow_self=True))
    _, outcome = plays(plan)
    assert {score.label for score in outcome.verdict.scores if score.self_judged} == {"synthesis"}


def test_i15_a_judge_may_not_be_called_as_a_synthesis_is():
    judge = JudgeSpec((make_variant("jury/one", label="synthesis"),))
    with pytest.raises(InvalidRequestError) as refused:
        BLEND.check(make_blend_plan(judge=judge))
    assert refused.value.param == "judge.judges[0]"


def test_judges_are_counted_beforehand_with_all_they_read():
    plan = make_blend_plan(judge=PANEL)
    assert [(variant.label, reads) for variant, reads in BLEND.later_calls(plan)] == [
        ("synthesis", 3),
        ("jury/one", 4),
        ("jury/one", 5),
        ("jury/two", 4),
        ("jury/two", 5),
    ]
    assert plan.blend == BlendSpec()


PAIRWISE = JudgeSpec((make_variant("jury/one"),), scoring="pairwise")


def test_pairs_are_of_the_blend_and_each_answer_in_both_orders():
    def answer(call: PlannedCall) -> Said:
        if call.role is Role.JUDGE:
            return make_preference(call, SCORES)
        return f"I am {call.label}."

    plan = make_blend_plan(judge=PAIRWISE)
    rounds, outcome = play(BLEND, make_job(plan), answer)
    asked = {tuple(call.meta["pair"]) for call in rounds[-1].calls}
    others = {"acme/a", "acme/b", "acme/c"}
    assert asked == {("synthesis", one) for one in others} | {(one, "synthesis") for one in others}
    assert outcome.verdict.winner == "synthesis"
    assert len(rehearse(plan, make_job(plan).prompt, lambda _: 9)) == sum(
        len(round_.calls) for round_ in rounds
    )


def test_the_blend_is_made_again_without_each_answer_and_judged_beside_itself():
    without = {f"synthesis/without/acme/{one}": 7 for one in "abc"}

    def answer(call: PlannedCall) -> Said:
        if call.role is not Role.JUDGE:
            return f"I am {call.label}."
        labels = call.meta["contestants"].values()
        return make_verdict(call, {label: (SCORES | without)[label] for label in labels})

    plan = make_blend_plan(judge=PANEL, contribution=True)
    rounds, outcome = play(BLEND, make_job(plan), answer)
    assert [call.label for call in rounds[2].calls] == list(without)
    for call, left_out in zip(rounds[2].calls, "abc", strict=True):
        text = "".join(message.text for message in call.messages)
        assert f"I am acme/{left_out}." not in text
        assert text.count("I am acme/") == 2
    assert {score.label for score in outcome.verdict.scores} == {*SCORES, *without}
    assert outcome.synthesis.candidates == ["acme/a", "acme/b", "acme/c"]


@pytest.mark.parametrize(
    "plan",
    [
        make_blend_plan(contribution=True),
        make_blend_plan("acme/a", "acme/b", judge=PANEL, contribution=True),
        make_blend_plan(strategy="chain", judge=PANEL, contribution=True),
    ],
)
def test_i15_what_each_answer_brought_cannot_always_be_told(plan: Plan):
    with pytest.raises(InvalidRequestError) as refused:
        BLEND.check(plan)
    assert refused.value.param == "blend.contribution"
