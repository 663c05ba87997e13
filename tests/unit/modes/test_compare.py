"""compare asks every variant, and needs one answer to succeed."""

import pytest

from app.domain.errors import InvalidRequestError
from app.domain.plan import Outcome
from app.domain.states import CallState
from app.modes.compare import Compare
from tests.factories.plans import make_job, make_judge_plan, make_plan, make_variant, play

MODELS = (
    make_variant("acme/a", label="cool", temperature=0.0),
    make_variant("acme/a", label="warm", temperature=1.0),
    make_variant("acme/b"),
)
JOB = make_job(make_plan("compare", *MODELS))


def test_every_variant_is_asked_in_one_round_under_its_own_label():
    rounds, _ = play(Compare(), JOB, lambda _: "Hello.")
    [calls] = [round_.calls for round_ in rounds]
    assert [call.label for call in calls] == ["cool", "warm", "acme/b"]
    assert [call.params for call in calls] == [variant.params for variant in MODELS]


def test_p17_one_answer_is_enough_for_the_job_to_succeed():
    _, outcome = play(
        Compare(), JOB, lambda call: "Hello." if call.label == "warm" else CallState.FAILED
    )
    assert outcome == Outcome(succeeded=True)


def test_a_job_without_any_answer_failed():
    _, outcome = play(Compare(), JOB, lambda _: CallState.EXPIRED)
    assert (outcome.succeeded, outcome.reason) == (False, "all_failed")


def test_i15_sixty_four_variants_are_taken_and_one_more_is_refused():
    Compare().check(make_plan("compare", *(f"acme/m{number}" for number in range(64))))
    with pytest.raises(InvalidRequestError, match="has 65") as refused:
        Compare().check(make_plan("compare", *(f"acme/m{number}" for number in range(65))))
    assert refused.value.param == "models"


def test_judges_are_refused_rather_than_ignored():
    with pytest.raises(InvalidRequestError) as refused:
        Compare().check(make_plan("compare", "acme/a", judge=make_judge_plan().judge))
    assert refused.value.param == "judge"
