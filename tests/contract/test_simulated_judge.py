"""The simulated judge and the judge mode understand each other."""

import random

import msgspec
import pytest

from app.domain.plan import PlannedCall
from app.domain.states import Role
from app.modes.judge import Judge
from app.providers.simulated_judge import judge, mark
from tests.factories.plans import make_job, make_judge_plan, play

PLANTED = {"acme/poor": 2.0, "acme/fair": 5.0, "acme/good": 8.0}


@pytest.mark.parametrize("criteria", [(), ("correct", "kind")])
@pytest.mark.parametrize("repaired", [False, True])
def test_a_verdict_by_the_simulated_judge_recovers_the_planted_order(criteria, repaired):
    plan = make_judge_plan(*PLANTED, criteria=criteria)

    def answer(call: PlannedCall) -> str:
        if call.role is Role.CANDIDATE:
            return f"Because.\n{mark(PLANTED[call.label])}"
        if repaired and not call.meta["repair"]:
            return "Let me think."
        messages = msgspec.to_builtins(call.messages)
        spoken = judge(messages, call.params.response_format, random.Random(1), 0.0)
        assert spoken is not None
        return spoken

    rounds, outcome = play(Judge(), make_job(plan), answer)

    assert len(rounds) == (3 if repaired else 2)
    assert outcome.verdict.abstained == 0
    assert {score.label: score.score for score in outcome.verdict.scores} == PLANTED
    assert outcome.verdict.winner == "acme/good"


@pytest.mark.parametrize("scoring", ["rubric", "pairwise"])
@pytest.mark.parametrize("escalate_below", [None, 1.0])
def test_every_scoring_recovers_the_planted_order_and_no_canary_wins(scoring, escalate_below):
    plan = make_judge_plan(
        *PLANTED,
        judges=("jury/one", "jury/two"),
        scoring=scoring,
        escalate_below=escalate_below,
        canary=True,
    )

    def answer(call: PlannedCall) -> str:
        if call.role is Role.CANDIDATE:
            return f"Because.\n{mark(PLANTED[call.label])}"
        messages = msgspec.to_builtins(call.messages)
        spoken = judge(messages, call.params.response_format, random.Random(1), 0.0)
        assert spoken is not None
        return spoken

    _, outcome = play(Judge(), make_job(plan), answer)

    assert [score.label for score in outcome.verdict.scores] == sorted(
        PLANTED, key=PLANTED.get, reverse=True
    )
    assert outcome.verdict.canaries
    assert not any(canary.fooled for canary in outcome.verdict.canaries)
