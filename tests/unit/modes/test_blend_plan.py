"""Which plans can be blended, and what their samples and later calls are."""

import pytest

from app.domain.errors import InvalidRequestError
from app.domain.plan import Plan
from app.modes.blend import Blend
from app.modes.blend_plan import TEMPERATURES, answering, viewpoint_of
from tests.factories.plans import make_blend_plan, make_job, make_variant

BLEND = Blend()


def later(plan: Plan) -> list[tuple[str, int]]:
    return [(variant.label, reads) for variant, reads in BLEND.later_calls(plan)]


def models(count: int) -> list[str]:
    return [f"acme/m{number}" for number in range(count)]


def test_later_calls_of_one_synthesis():
    assert later(make_blend_plan(*models(4))) == [("synthesis", 4)]


def test_later_calls_of_a_chain_are_one_less_than_its_answers():
    plan = make_blend_plan(*models(4), strategy="chain")
    assert later(plan) == [("synthesis", 2), ("synthesis/2", 2), ("synthesis/3", 2)]


def test_later_calls_of_moa_are_its_layers_and_a_synthesis():
    plan = make_blend_plan("acme/a", "acme/b", strategy="moa", layers=3)
    layers = [f"acme/{name}/layer{layer}" for layer in (2, 3) for name in "ab"]
    assert later(plan) == [*((label, 2) for label in layers), ("synthesis", 2)]


def test_later_calls_of_self_moa_are_the_samples_beyond_its_one_model_and_a_synthesis():
    plan = make_blend_plan(strategy="self_moa", samples=3)
    assert later(plan) == [("acme/a/sample2", 0), ("acme/a/sample3", 0), ("synthesis", 3)]


def test_samples_take_turns_in_their_point_of_view():
    plan = make_blend_plan(strategy="self_moa", samples=5)
    calls = BLEND.plan(make_job(plan)).calls
    turn = ["correctness", "edge_cases", "sceptic"]
    assert [call.meta["viewpoint"] for call in calls] == [*turn, *turn[:2]]
    assert all(call.messages[0].role == "system" for call in calls)
    assert len({call.messages[0].text for call in calls}) == 3
    assert all(call.messages[1:] == make_job(plan).prompt.messages for call in calls)


def test_no_two_samples_have_the_same_temperature_and_point_of_view():
    samples = answering(make_blend_plan(strategy="self_moa", samples=8))
    pairs = {(viewpoint_of(place), one.params.temperature) for place, one in enumerate(samples)}
    assert len(pairs) == 8
    assert {temperature for _, temperature in pairs} == set(TEMPERATURES)
    assert max(TEMPERATURES) <= 1.0


@pytest.mark.parametrize("varied", [True, False])
def test_a_temperature_that_is_set_is_kept(varied):
    model = make_variant("acme/a", temperature=0.2)
    plan = make_blend_plan(model, strategy="self_moa", samples=4, vary_temperature=varied)
    assert {one.params.temperature for one in answering(plan)} == {0.2}


def test_a_model_that_takes_no_temperature_is_sent_none():
    plan = make_blend_plan(strategy="self_moa", vary_temperature=False)
    assert {one.params.temperature for one in answering(plan)} == {None}


@pytest.mark.parametrize("seed", [0, -5, 2**63 - 1])
def test_with_a_seed_every_sample_has_one_of_its_own_that_can_be_sent(seed: int):
    model = make_variant("acme/a", seed=seed)
    seeds = [one.params.seed for one in answering(make_blend_plan(model, strategy="self_moa"))]
    assert len(set(seeds)) == 3
    assert all(-(2**63) <= one < 2**63 for one in seeds)


def test_samples_keep_the_models_other_parameters():
    model = make_variant("acme/a", label="mine", max_tokens=7, stop=["."])
    plan = make_blend_plan(model, strategy="self_moa", samples=2)
    assert [one.label for one in answering(plan)] == ["mine/sample1", "mine/sample2"]
    assert {(one.params.max_tokens, *one.params.stop) for one in answering(plan)} == {(7, ".")}


@pytest.mark.parametrize(
    "plan",
    [
        make_blend_plan(*models(2)),
        make_blend_plan(*models(6), min_candidates=6),
        make_blend_plan(*models(6), strategy="moa", layers=3, min_candidates=1),
        make_blend_plan(strategy="self_moa", samples=2),
        make_blend_plan(strategy="self_moa", samples=8, min_candidates=8),
        make_blend_plan(make_variant("acme/a", label="x/layer2"), "acme/b", "acme/c"),
    ],
)
def test_i15_a_plan_within_its_limits_is_taken(plan: Plan):
    BLEND.check(plan)


@pytest.mark.parametrize("strategy", ["consensus", "council", "best_of", "chain", "moa"])
@pytest.mark.parametrize("count", [1, 7])
def test_i15_two_to_six_models_are_blended(strategy, count: int):
    with pytest.raises(InvalidRequestError, match=f"2 to 6, and this batch has {count}") as refused:
        BLEND.check(make_blend_plan(*models(count), strategy=strategy))
    assert refused.value.param == "models"


def test_i15_self_moa_has_exactly_one_model():
    with pytest.raises(InvalidRequestError, match="exactly 1") as refused:
        BLEND.check(make_blend_plan("acme/a", "acme/b", strategy="self_moa"))
    assert refused.value.param == "models"


@pytest.mark.parametrize(
    ("plan", "param"),
    [
        (make_blend_plan(strategy="vote"), "blend.strategy"),
        (make_blend_plan(strategy="moa", layers=0), "blend.layers"),
        (make_blend_plan(strategy="moa", layers=4), "blend.layers"),
        (make_blend_plan(strategy="chain", layers=2), "blend.layers"),
        (make_blend_plan(strategy="self_moa", samples=1), "blend.samples"),
        (make_blend_plan(strategy="self_moa", samples=9), "blend.samples"),
        (make_blend_plan(min_candidates=0), "blend.min_candidates"),
        (make_blend_plan(min_candidates=4), "blend.min_candidates"),
        (make_blend_plan(strategy="self_moa", min_candidates=4), "blend.min_candidates"),
        (make_blend_plan("acme/a", make_variant("acme/b", label="synthesis")), "models[1]"),
        (make_blend_plan(make_variant("acme/b", label="synthesis/3"), "acme/a"), "models[0]"),
        (
            make_blend_plan(
                "a/b", make_variant("c/d", label="a/b/layer2"), strategy="moa", layers=2
            ),
            "models[1]",
        ),
    ],
)
def test_i15_a_plan_that_cannot_be_blended_is_refused_by_its_field(plan: Plan, param: str):
    with pytest.raises(InvalidRequestError) as refused:
        BLEND.check(plan)
    assert refused.value.param == param
