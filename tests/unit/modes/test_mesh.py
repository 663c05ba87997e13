"""mesh: one model after another, until one answers or the request itself is at fault."""

from collections import Counter

import pytest

from app.domain.errors import InvalidRequestError
from app.domain.plan import CallResult, Outcome, Plan, PlannedCall, Round, RouteStep
from app.domain.prompt import Variant
from app.domain.states import CallState, Role
from app.modes.mesh import MOVES_ON_AT, SKIPPED, Mesh, moves_on
from tests.factories.plans import (
    End,
    Said,
    make_job,
    make_mesh_plan,
    make_plan,
    make_variant,
    play,
)

MESH = Mesh()
PLAN = make_mesh_plan("acme/a", "bolt/b", "core/c")


def plays(*said: Said, plan: Plan = PLAN, seed: str = "s1") -> tuple[list[PlannedCall], Outcome]:
    """Play a job whose calls end as `said`, one after another."""
    left = list(said)
    rounds, outcome = play(MESH, make_job(plan, seed=seed), lambda _: left.pop(0))
    assert not left, "a model was not asked"
    return [call for round_ in rounds for call in round_.calls], outcome


def failed(reason: str | None, status_code: int | None = None) -> End:
    return End(CallState.FAILED, reason=reason, status_code=status_code, latency_ms=9)


def test_the_model_answers_and_nobody_else_is_asked():
    [call], outcome = plays(End(CallState.SUCCEEDED, "Hi.", status_code=200, latency_ms=5))
    assert (call.role, call.label, call.messages) == (Role.CANDIDATE, "acme/a", None)
    assert outcome == Outcome(
        succeeded=True, route=[RouteStep("acme/a", "acme/a", "succeeded", None, 200, 5)]
    )


def test_the_route_says_what_was_tried_skipped_and_successful():
    _, outcome = plays(
        failed("overloaded", 503),
        End(CallState.FAILED, reason="circuit_open"),
        End(CallState.SUCCEEDED, "Hi.", status_code=200, latency_ms=5),
    )
    assert outcome.succeeded
    assert outcome.route == [
        RouteStep("acme/a", "acme/a", "failed", "overloaded", 503, 9),
        RouteStep("bolt/b", "bolt/b", "skipped", "circuit_open"),
        RouteStep("core/c", "core/c", "succeeded", None, 200, 5),
    ]


def test_a_variants_own_label_and_parameters_are_kept():
    plan = make_mesh_plan(make_variant("acme/a", label="first", temperature=0.1), "bolt/b")
    [call], outcome = plays("Hi.", plan=plan)
    assert (call.label, call.params.temperature) == ("first", 0.1)
    assert (outcome.route[0].label, outcome.route[0].model) == ("first", "acme/a")


def test_every_call_gives_up_at_once_but_the_last_models():
    calls, _ = plays(*[failed("overloaded", 503)] * 3)
    assert [(call.label, call.fail_fast) for call in calls] == [
        ("acme/a", True),
        ("bolt/b", True),
        ("core/c", False),
    ]


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_it_moves_on_at_a_status_that_says_not_now(status: int):
    calls, outcome = plays(failed("whatever", status), "Hi.")
    assert [call.label for call in calls] == ["acme/a", "bolt/b"]
    assert outcome.route[0].status_code == status
    assert status in MOVES_ON_AT


@pytest.mark.parametrize("reason", ["timeout", "dropped", "connect", "provider_unavailable"])
def test_it_moves_on_where_no_answer_came(reason: str):
    calls, outcome = plays(failed(reason), "Hi.")
    assert len(calls) == 2
    assert outcome.route[0].outcome == "failed"


@pytest.mark.parametrize("reason", sorted(SKIPPED))
def test_it_moves_on_from_a_model_that_may_not_be_asked_and_says_that_it_was_skipped(reason: str):
    calls, outcome = plays(failed(reason), "Hi.")
    assert len(calls) == 2
    assert outcome.route[0] == RouteStep("acme/a", "acme/a", "skipped", reason)


def test_a_model_that_was_asked_before_its_lane_was_parked_was_not_skipped():
    _, outcome = plays(failed("lane_parked", 401), "Hi.")
    assert outcome.route[0] == RouteStep("acme/a", "acme/a", "failed", "lane_parked", 401, 9)


@pytest.mark.parametrize(
    ("reason", "status"), [("unauthorized", 401), ("forbidden", 403), ("spend_limit", 400)]
)
def test_it_moves_on_from_a_refused_key_because_another_provider_has_another(reason, status):
    calls, outcome = plays(failed(reason, status), "Hi.")
    assert len(calls) == 2
    assert outcome.route[0] == RouteStep("acme/a", "acme/a", "failed", reason, status, 9)


def test_it_moves_on_from_an_answer_that_nobody_can_read():
    calls, _ = plays(failed("not_json", 200), "Hi.")
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("bad_request", 400),
        ("content_filter", 403),
        ("not_found", 404),
        ("too_large", 413),
        ("context_exceeded", 422),
        ("not_sendable", None),
        ("budget_exhausted", None),
        ("poison", None),
    ],
)
def test_p3_a_request_that_is_itself_at_fault_ends_the_job(reason: str, status: int | None):
    calls, outcome = plays(failed(reason, status))
    assert len(calls) == 1
    assert (outcome.succeeded, outcome.reason) == (False, reason)
    assert "1 of 3 models" in outcome.message
    assert outcome.route == [RouteStep("acme/a", "acme/a", "failed", reason, status, 9)]


def test_p12_a_model_that_declines_is_not_asked_to_be_outvoted():
    calls, outcome = plays(End(CallState.REFUSED, "I won't.", "content_filter", 200))
    assert len(calls) == 1
    assert (outcome.succeeded, outcome.reason) == (False, "content_filter")
    assert outcome.route[0].outcome == "failed"


@pytest.mark.parametrize("state", [CallState.CANCELLED, CallState.EXPIRED])
def test_a_call_that_ended_with_its_batch_is_not_followed_by_another(state: CallState):
    calls, outcome = plays(state)
    assert len(calls) == 1
    assert (outcome.succeeded, outcome.reason) == (False, state.value)


def test_where_nobody_answers_the_job_failed_and_the_route_is_whole():
    calls, outcome = plays(
        failed("overloaded", 503), failed("circuit_open"), failed("bad_gateway", 502)
    )
    assert len(calls) == 3
    assert (outcome.succeeded, outcome.reason) == (False, "all_failed")
    assert outcome.message == "None of the 3 models could answer."
    assert [step.outcome for step in outcome.route] == ["failed", "skipped", "failed"]


def test_an_empty_answer_is_an_answer():
    _, outcome = plays("")
    assert outcome.succeeded


def test_j8_no_model_is_asked_twice():
    calls, _ = plays(*[failed("timeout")] * 3)
    assert len({call.label for call in calls}) == len(calls) == 3


def test_round_robin_starts_each_job_at_a_place_drawn_from_its_seed():
    plan = make_mesh_plan("acme/a", "bolt/b", "core/c", strategy="round-robin")
    labels = ["acme/a", "bolt/b", "core/c"]
    starts: Counter[str] = Counter()
    for seed in map(str, range(300)):
        calls, _ = plays(*[failed("timeout")] * 3, plan=plan, seed=seed)
        tried = [call.label for call in calls]
        start = labels.index(tried[0])
        assert tried == labels[start:] + labels[:start]
        assert [call.fail_fast for call in calls] == [True, True, False]
        starts[tried[0]] += 1
    assert all(70 <= starts[label] <= 130 for label in labels)


@pytest.mark.parametrize("strategy", ["latency", "cost"])
def test_latency_and_cost_take_the_order_that_was_worked_out_at_submit(strategy):
    order = ("core/c", "acme/a", "bolt/b")
    plan = make_mesh_plan("acme/a", "bolt/b", "core/c", strategy=strategy, order=order)
    calls, outcome = plays(*[failed("timeout")] * 3, plan=plan)
    assert tuple(call.label for call in calls) == order
    assert tuple(step.label for step in outcome.route) == order


def test_a_model_of_which_nothing_is_known_comes_after_the_others_as_listed():
    plan = make_mesh_plan("acme/a", "bolt/b", "core/c", strategy="latency", order=("core/c",))
    calls, _ = plays(*[failed("timeout")] * 3, plan=plan)
    assert [call.label for call in calls] == ["core/c", "acme/a", "bolt/b"]


def test_an_order_does_not_touch_a_strategy_that_has_its_own():
    plan = make_mesh_plan("acme/a", "bolt/b", order=("bolt/b", "acme/a"))
    assert [call.label for call in MESH.plan(make_job(plan)).calls] == ["acme/a"]


def test_results_of_one_model_lead_to_the_next_however_the_rounds_are_numbered():
    job = make_job(PLAN)
    result = CallResult(7, Role.CANDIDATE, "acme/a", CallState.FAILED, error_reason="timeout")
    step = MESH.advance(job, [result])
    assert isinstance(step, Round)
    assert step.calls[0].label == "bolt/b"


def test_later_calls_are_the_models_to_fall_back_on():
    assert [(variant.label, reads) for variant, reads in MESH.later_calls(PLAN)] == [
        ("bolt/b", 0),
        ("core/c", 0),
    ]


def test_only_a_failed_call_is_moved_on_from():
    result = CallResult(1, Role.CANDIDATE, "a", CallState.SUCCEEDED, status_code=503)
    assert not moves_on(result)


def fifteen() -> list[Variant]:
    return [make_variant(f"acme/m{number}") for number in range(15)]


def test_i15_fifteen_models_to_fall_back_on_are_taken():
    MESH.check(make_mesh_plan("acme/a", *fifteen()))


@pytest.mark.parametrize(
    ("plan", "param"),
    [
        (make_plan("mesh", "acme/a"), "mesh.fallback"),
        (make_mesh_plan("acme/a", *fifteen(), "acme/z"), "mesh.fallback"),
        (make_mesh_plan("acme/a", "acme/a"), "mesh.fallback[0]"),
        (make_mesh_plan("acme/a", "acme/b", "acme/b"), "mesh.fallback[1]"),
        (make_mesh_plan("acme/a", strategy="cheapest"), "mesh.strategy"),
        (Plan("mesh", PLAN.mesh.fallback, mesh=PLAN.mesh), "models"),
    ],
)
def test_i15_a_mesh_that_cannot_be_run_is_refused_by_its_field(plan: Plan, param: str):
    with pytest.raises(InvalidRequestError) as refused:
        MESH.check(plan)
    assert refused.value.param == param
