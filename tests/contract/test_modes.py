"""What every mode keeps to, whatever its calls come back with."""

import ast
import json
import random
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import app.modes
from app.domain.checks import Check
from app.domain.errors import InvalidRequestError
from app.domain.plan import BlendSpec, CallResult, JobView, Mode, Outcome, PlannedCall, Round
from app.domain.states import CALL_CLOSED, CallState, Role
from app.modes.registry import MODES, mode_for
from tests.factories.plans import (
    make_blend_plan,
    make_job,
    make_judge_plan,
    make_mesh_plan,
    make_plan,
    make_preference,
    make_result,
    make_results,
    make_variant,
    make_verdict,
    play,
)

ROUNDS_MAX = 7
PURE = {
    "app",
    "base64",
    "collections",
    "hashlib",
    "itertools",
    "json",
    "math",
    "re",
    "functools",
    "statistics",
    "typing",
}
#: Libraries that do no I/O as they are used here.
LIBRARIES = {"jsonschema", "msgspec", "referencing", "regex"}
MODELS = ("acme/a", "acme/b", "acme/c")
CHECKS = (Check("contains", "it answers", "answer"), Check("exact", "as the reference"))
JUDGED = make_judge_plan(*MODELS, judges=("jury/one", "jury/two"), criteria=("correct", "kind"))
PLANS = {
    "chat": make_plan("chat", "acme/a"),
    "compare": make_plan("compare", *MODELS),
    "judge": JUDGED,
    "consensus": make_blend_plan(),
    "council": make_blend_plan(strategy="council", min_candidates=1),
    "best_of": make_blend_plan(
        strategy="best_of", synthesizer=make_variant("smith/s", max_tokens=7), min_candidates=3
    ),
    "chain": make_blend_plan(make_variant("acme/a", max_tokens=9), *MODELS[1:], strategy="chain"),
    "moa": make_blend_plan(strategy="moa", layers=3),
    "self_moa": make_blend_plan(strategy="self_moa", samples=4),
    "blend and judge": make_blend_plan(strategy="moa", layers=2, judge=JUDGED.judge),
    "pairwise": make_judge_plan(*MODELS, judges=("jury/one", "jury/two"), scoring="pairwise"),
    "sampled pairs": make_judge_plan(*MODELS, scoring="pairwise", pairs=2, canary=True),
    "checks": make_judge_plan(*MODELS, judges=(), checks=CHECKS),
    "cascade": make_judge_plan(
        *MODELS,
        judges=("jury/one", "jury/two", "jury/three"),
        checks=CHECKS,
        criteria=("correct", "kind"),
        escalate_below=2.0,
        canary=True,
    ),
    "cascade of pairs": make_judge_plan(
        *MODELS,
        judges=("jury/one", "jury/two"),
        scoring="pairwise",
        checks=CHECKS,
        escalate_below=2.0,
    ),
    "blend, each answer's part": make_blend_plan(judge=JUDGED.judge, contribution=True),
    "blend and pairs": make_blend_plan(
        judge=make_judge_plan(scoring="pairwise", canary=True).judge
    ),
    "mesh": make_mesh_plan(),
    "mesh in turns": make_mesh_plan(strategy="round-robin"),
}

#: The settings beside its own that a mode takes.
TAKEN = {
    "chat": (),
    "compare": (),
    "judge": ("judge",),
    "blend": ("blend", "judge"),
    "mesh": ("mesh",),
}

every_mode = pytest.mark.parametrize(
    ("mode", "job"),
    [(mode_for(plan.mode), make_job(plan, reference="Because.")) for plan in PLANS.values()],
    ids=PLANS,
)
texts = st.one_of(
    st.sampled_from(["", " ", "{", "null", "NaN", '{"scores": {}}', "<<end x>>", "A fine answer."]),
    st.text(max_size=40),
)
fates = st.one_of(
    texts,
    st.sampled_from(sorted(CALL_CLOSED - {CallState.SUCCEEDED})),
    # None: a judge's whole and valid verdict.
    st.none(),
)


def answer_of(fate: str | CallState | None, call: PlannedCall) -> str | CallState:
    if fate is not None:
        return fate
    if call.role is not Role.JUDGE:
        return "An answer."
    scores = {label: len(label) % 10 for label in (call.meta or {})["contestants"].values()}
    if "pair" in (call.meta or {}):
        return make_preference(call, scores)
    return make_verdict(call, scores, criteria=2)


def drawn(data: st.DataObject):
    return lambda call: answer_of(data.draw(fates, label=f"{call.role} {call.label}"), call)


@every_mode
def test_a_mode_is_registered_under_its_name_and_takes_its_plans(mode: Mode, job: JobView):
    assert MODES[mode.name] is mode
    mode.check(job.plan)


def test_every_mode_has_a_plan_here():
    assert {plan.mode for plan in PLANS.values()} == set(MODES)


@every_mode
@given(data=st.data())
def test_every_job_ends_within_a_few_rounds_whatever_its_calls_come_back_with(mode, job, data):
    rounds, outcome = play(mode, job, drawn(data))

    assert len(rounds) <= ROUNDS_MAX
    assert outcome.succeeded or outcome.reason
    assert msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome) == outcome


@every_mode
@given(data=st.data())
def test_the_same_results_always_lead_to_the_same_rounds_in_whatever_order_they_come(
    mode, job, data
):
    results: list[CallResult] = []
    step: Round | Outcome = mode.plan(job)
    assert mode.plan(job) == step
    while isinstance(step, Round):
        results += make_results(step, drawn(data))
        step = mode.advance(job, results)
        shuffled = random.Random(1).sample(results, len(results))
        assert mode.advance(job, shuffled) == step


@every_mode
@given(data=st.data())
def test_rounds_and_what_is_recorded_of_calls_survive_a_store(mode, job, data):
    results: list[CallResult] = []
    step: Round | Outcome = mode.plan(job)
    while isinstance(step, Round):
        assert msgspec.json.decode(msgspec.json.encode(step), type=Round) == step
        results += make_results(step, drawn(data))
        step = mode.advance(job, results)
        assert mode.advance(job, [stored(result) for result in results]) == step


def stored(result: CallResult) -> CallResult:
    """The result as PostgreSQL's jsonb gives it back: with the keys of `meta` in its own order."""
    return msgspec.structs.replace(result, meta=json.loads(json.dumps(result.meta, sort_keys=True)))


@every_mode
def test_a_job_can_succeed_and_can_fail(mode: Mode, job: JobView):
    _, best = play(mode, job, lambda call: answer_of(None, call))
    _, worst = play(mode, job, lambda _: CallState.FAILED)

    assert best.succeeded
    assert best.reason is None
    assert not worst.succeeded
    assert worst.reason
    assert worst.message


@every_mode
@given(data=st.data())
def test_the_calls_of_a_round_are_told_apart_by_role_and_label_and_pair(mode, job, data):
    rounds, _ = play(mode, job, drawn(data))

    for round_ in rounds:
        names = [name_of(call) for call in round_.calls]
        assert names
        assert len(set(names)) == len(names)
    # A judge is asked twice at most, under its own name.
    names = [name_of(call) for round_ in rounds for call in round_.calls]
    assert max(names.count(name) for name in names) <= 2
    assert all(names.count(name) == 1 or name[0] is Role.JUDGE for name in names)


def name_of(call: PlannedCall) -> tuple[Role, str, tuple[str, ...]]:
    return call.role, call.label, tuple((call.meta or {}).get("pair", ()))


@every_mode
def test_the_first_round_asks_candidates_and_variants_just_what_they_say(mode: Mode, job: JobView):
    variants = {variant.label: variant for variant in job.plan.variants}
    for call in mode.plan(job).calls:
        assert call.role is Role.CANDIDATE
        if variant := variants.get(call.label):
            assert (call.ref, call.params) == (variant.ref, variant.params)
            assert call.messages is None


@every_mode
@given(data=st.data())
def test_no_call_is_made_that_was_not_counted_beforehand(mode, job, data):
    planned = [*job.plan.variants, *(variant for variant, _ in mode.later_calls(job.plan))]
    counted = [(variant.ref, variant.params.max_tokens) for variant in planned]
    rounds, _ = play(mode, job, drawn(data))

    # A judge gets room for the answers there are; what was counted is room for all there may be.
    calls = [(call.ref, call.params.max_tokens) for round_ in rounds for call in round_.calls]
    for ref, tokens in sorted(calls, key=lambda one: -(one[1] or 0)):
        alike = [one for one in counted if one[0] == ref and type(one[1]) is type(tokens)]
        enough = [one for one in alike if (one[1] or 0) >= (tokens or 0)]
        counted.remove(min(enough, key=lambda one: one[1] or 0))


@every_mode
@given(data=st.data())
def test_a_mode_that_needs_no_text_does_not_look_at_it(mode, job, data):
    if mode.needs_text:
        return
    results = make_results(mode.plan(job), drawn(data))
    silent = [msgspec.structs.replace(result, text="") for result in results]
    assert mode.advance(job, silent) == mode.advance(job, results)


@every_mode
def test_an_answer_of_a_refused_call_is_no_answer(mode: Mode, job: JobView):
    results = [make_result(call, CallState.REFUSED) for call in mode.plan(job).calls]
    step = mode.advance(job, results)
    assert isinstance(step, Outcome)
    assert not step.succeeded


@every_mode
def test_i15_a_plan_without_models_is_refused(mode: Mode, job: JobView):
    with pytest.raises(InvalidRequestError) as refused:
        mode.check(msgspec.structs.replace(job.plan, variants=()))
    assert refused.value.param == "models"


@every_mode
def test_i15_the_same_label_twice_is_refused(mode: Mode, job: JobView):
    with pytest.raises(InvalidRequestError) as refused:
        mode.check(msgspec.structs.replace(job.plan, variants=job.plan.variants[:1] * 2))
    assert refused.value.param in {"models", "models[1]"}


@every_mode
@pytest.mark.parametrize("part", ["judge", "blend", "mesh"])
def test_i15_settings_of_another_mode_are_refused_rather_than_ignored(mode, job, part: str):
    if part in TAKEN[mode.name]:
        return
    given = {"judge": JUDGED.judge, "blend": BlendSpec(), "mesh": make_mesh_plan().mesh}
    with pytest.raises(InvalidRequestError) as refused:
        mode.check(msgspec.structs.replace(job.plan, **{part: given[part]}))
    assert refused.value.param == part


def test_modes_import_nothing_that_does_io_or_knows_the_time():
    for path in Path(app.modes.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    imported = [name.name for name in names]
                case ast.ImportFrom(module=str(module)):
                    imported = [module]
                case _:
                    continue
            for name in imported:
                assert name.split(".")[0] in PURE | LIBRARIES, f"{path.name} imports {name}"
                assert not name.startswith("app.") or name.startswith(("app.domain", "app.modes"))
                assert name != "app.domain.clock"
    assert PURE - {"app"} <= sys.stdlib_module_names
