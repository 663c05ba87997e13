"""Which plans can be judged, and with what parameters judges are called."""

import pytest

from app.domain.errors import InvalidRequestError
from app.domain.plan import Plan, PlannedCall, Round
from app.modes.judge import Judge
from app.modes.judge_plan import MAX_TOKENS_DEFAULT
from tests.factories.plans import make_job, make_judge_plan, make_results, make_variant

JUDGE = Judge()
PANEL = make_judge_plan("acme/a", "acme/b", "acme/c", judges=("jury/one", "jury/two"))


def asked(plan: Plan) -> PlannedCall:
    """The first judge's call."""
    job = make_job(plan)
    round_ = JUDGE.advance(job, make_results(JUDGE.plan(job), lambda call: call.label))
    assert isinstance(round_, Round)
    return round_.calls[0]


def test_judges_keep_their_parameters_but_the_format_is_ours():
    judge = make_variant("jury/one", temperature=0.3, response_format={"type": "text"})
    call = asked(make_judge_plan("acme/a", "acme/b", judges=(judge,)))
    assert call.params.temperature == 0.3
    assert call.params.response_format["json_schema"]["name"] == "verdict"
    assert call.params.max_tokens == MAX_TOKENS_DEFAULT


def test_an_unset_temperature_is_not_sent_because_some_models_refuse_it():
    assert asked(make_judge_plan()).params.temperature is None


def test_a_large_panel_of_contestants_has_room_for_its_verdict_and_a_set_limit_is_kept():
    models = [f"acme/m{number}" for number in range(16)]
    roomy = make_judge_plan(*models, criteria=[f"c{number}" for number in range(12)])
    [first, _] = JUDGE.later_calls(roomy)
    assert first[0].params.max_tokens > 3 * MAX_TOKENS_DEFAULT
    set_ = make_judge_plan(*models, judges=(make_variant("jury/one", max_tokens=50),))
    assert {judge.params.max_tokens for judge, _ in JUDGE.later_calls(set_)} == {50}


def test_later_calls_count_each_judge_twice_and_what_it_reads():
    assert [(judge.label, reads) for judge, reads in JUDGE.later_calls(PANEL)] == [
        ("jury/one", 3),
        ("jury/one", 4),
        ("jury/two", 3),
        ("jury/two", 4),
    ]


@pytest.mark.parametrize(
    ("plan", "param"),
    [
        (Plan("judge", PANEL.variants), "judge"),
        (make_judge_plan("acme/a"), "models"),
        (make_judge_plan(*(f"acme/m{number}" for number in range(17))), "models"),
        (make_judge_plan(judges=()), "judge.judges"),
        (make_judge_plan(judges=[f"jury/{number}" for number in range(33)]), "judge.judges"),
        (make_judge_plan(judges=("jury/one", "jury/one")), "judge.judges[1]"),
        (make_judge_plan(judges=("acme/a",)), "judge.judges[0]"),
        (
            make_judge_plan(judges=("jury/one", make_variant("acme/b", label="other", seed=2))),
            "judge.judges[1]",
        ),
        (make_judge_plan(criteria=("kind", "kind")), "judge.criteria[1]"),
        (make_judge_plan(criteria=(" ",)), "judge.criteria[0]"),
        (make_judge_plan(criteria=[str(number) for number in range(13)]), "judge.criteria"),
    ],
)
def test_i15_a_plan_that_cannot_be_judged_is_refused_by_its_field(plan: Plan, param: str):
    with pytest.raises(InvalidRequestError) as refused:
        JUDGE.check(plan)
    assert refused.value.param == param


def test_i15_sixteen_contestants_and_seven_judges_are_taken():
    JUDGE.check(
        make_judge_plan(
            *(f"acme/m{number}" for number in range(16)),
            judges=[f"jury/{number}" for number in range(7)],
        )
    )
