"""The simulated judge and the judge mode understand each other."""

import random
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from app.domain.plan import PlannedCall
from app.domain.states import Role
from app.modes.judge import Judge
from app.providers.simulated import ANSWER_NOISE, JUDGE_NOISE, MODELS
from app.providers.simulated_judge import judge, mark
from app.stats.battles import Battles
from app.stats.ratings import rate
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


@pytest.mark.parametrize(
    "spec",
    [
        {"scoring": "rubric"},
        {"scoring": "pairwise"},
        {"scoring": "pairwise", "pairs": 3},
        {"escalate_below": 1.0},
    ],
    ids=str,
)
def test_with_enough_prompts_the_whole_planted_order_is_recovered(spec):
    """Answers and judges as noisy as the simulator's own, on forty prompts."""
    planted = {name: MODELS[name].quality for name in ("tin", "gold", "bronze", "silver")}
    labels = {f"simulated/{name}": quality for name, quality in planted.items()}
    plan = make_judge_plan(*labels, judges=("jury/one", "jury/two"), **spec)
    draw = random.Random(7)

    def answer(call: PlannedCall) -> str:
        if call.role is Role.CANDIDATE:
            return (
                f"Because.\n{mark(min(max(draw.gauss(labels[call.label], ANSWER_NOISE), 0), 10))}"
            )
        spoken = judge(
            msgspec.to_builtins(call.messages), call.params.response_format, draw, JUDGE_NOISE
        )
        assert spoken is not None
        return spoken

    scores = np.full((40, len(labels)), np.nan)
    for row in scores:
        _, outcome = play(Judge(), make_job(plan, seed=str(draw.random())), answer)
        for score in outcome.verdict.scores:
            row[list(labels).index(score.label)] = score.score
    ratings = {one.name: one for one in rate(Battles.of_scores(list(labels), scores))}
    found = sorted(labels, key=lambda label: -ratings[label].theta)
    assert found == [f"simulated/{name}" for name in ("gold", "silver", "bronze", "tin")]
    # Each neighbour is told apart from the next, not only listed before it.
    for better, worse in pairwise(found):
        assert ratings[better].theta - ratings[worse].theta > 2 * ratings[worse].error
