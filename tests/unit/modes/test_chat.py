"""chat ends as its one call does."""

import pytest

from app.domain.errors import InvalidRequestError
from app.domain.plan import Outcome
from app.domain.states import CallState
from app.modes.chat import Chat
from tests.factories.plans import make_job, make_judge_plan, make_plan, make_result, make_variant

JOB = make_job(make_plan("chat", make_variant("acme/a", temperature=0.5)))


def ended(answer: str | CallState) -> Outcome:
    [call] = Chat().plan(JOB).calls
    outcome = Chat().advance(JOB, [make_result(call, answer)])
    assert isinstance(outcome, Outcome)
    return outcome


def test_one_call_asks_the_jobs_own_prompt_with_the_variants_parameters():
    [call] = Chat().plan(JOB).calls
    assert (call.label, call.params.temperature, call.messages) == ("acme/a", 0.5, None)


def test_an_answered_call_is_a_job_that_succeeded():
    assert ended("Hello.") == Outcome(succeeded=True)


def test_a_failed_call_gives_its_reason_to_the_job():
    assert (ended(CallState.FAILED).succeeded, ended(CallState.FAILED).reason) == (
        False,
        "rate_limited",
    )


@pytest.mark.parametrize("state", [CallState.REFUSED, CallState.EXPIRED, CallState.CANCELLED])
def test_p12_a_call_that_ended_without_a_reason_gives_its_state(state: CallState):
    assert ended(state).reason == state.value


def test_several_variants_are_refused_because_that_is_compare():
    with pytest.raises(InvalidRequestError, match="chat takes exactly 1") as refused:
        Chat().check(make_plan("chat", "acme/a", "acme/b"))
    assert refused.value.param == "models"


def test_judges_are_refused_rather_than_ignored():
    with pytest.raises(InvalidRequestError) as refused:
        Chat().check(make_plan("chat", "acme/a", judge=make_judge_plan().judge))
    assert refused.value.param == "judge"
