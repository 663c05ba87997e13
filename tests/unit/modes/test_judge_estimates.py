"""An estimate counts the calls of every scoring as a run makes them."""

from collections import Counter

import pytest

from app.domain.checks import Check
from app.domain.plan import Plan, PlannedCall
from app.domain.states import Role
from app.modes.judge import Judge
from app.modes.judge_plan import CANARY
from app.pipeline.rehearsal import rehearse
from tests.factories.plans import make_job, make_judge_plan, make_preference, make_verdict, play

JUDGE = Judge()
A, B, C, D = MODELS = ("acme/a", "acme/b", "acme/c", "acme/d")
ONE, TWO = "jury/one", "jury/two"
WORTH = {A: 9.0, B: 6.0, C: 6.0, D: 1.0, CANARY: 0.0}
RIGHT = Check("contains", "right", "blue")


def pairwise(*models: str, judges=(ONE,), **spec) -> Plan:
    return make_judge_plan(*models, judges=judges, scoring="pairwise", **spec)


PLANS = {
    "rubric": make_judge_plan(*MODELS, judges=(ONE, TWO), criteria=("kind",)),
    "rubric with a canary": make_judge_plan(*MODELS, canary=True),
    "pairwise": pairwise(*MODELS, judges=(ONE, TWO)),
    "sampled pairs and a canary": pairwise(*MODELS, pairs=3, canary=True),
    "checks": make_judge_plan(*MODELS, judges=(), checks=(RIGHT,)),
    "checks and judges": make_judge_plan(*MODELS, checks=(RIGHT,)),
    "cascade": make_judge_plan(*MODELS, judges=(ONE, TWO), escalate_below=1.0),
    "cascade of pairs": pairwise(*MODELS, judges=(ONE, TWO), escalate_below=1.0),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("alike", [True, False])
def test_the_estimate_counts_the_calls_of_a_run_and_the_bound_holds(plan: Plan, *, alike: bool):
    """Where nothing fails and answers are alike; where they differ a cascade may need fewer."""

    def say(call: PlannedCall) -> str:
        if call.role is Role.CANDIDATE:
            return "It is blue."
        worth = dict.fromkeys(WORTH, 5.0) if alike else WORTH
        if "pair" in call.meta:
            return make_preference(call, worth)
        labels = call.meta["contestants"].values()
        return make_verdict(
            call, {one: worth[one] for one in labels}, criteria=len(plan.judge.criteria)
        )

    job = make_job(plan)
    rounds, _ = play(JUDGE, job, say)
    made = Counter((call.role, call.label) for round_ in rounds for call in round_.calls)
    expected = Counter(
        (one.call.role, one.call.label) for one in rehearse(plan, job.prompt, lambda _: 20)
    )
    if alike or plan.judge.escalate_below is None:
        assert made == expected
    assert made <= expected
    assert expected.total() <= len(plan.variants) + len(JUDGE.later_calls(plan))
