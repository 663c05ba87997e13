"""What a blend's plan comes to: who answers and who synthesizes, under which labels, how often.

The labels of a job's calls are all different, and the same whenever they are worked out:

- `<label>`, in the first round; of self_moa `<label>/sample1`, `<label>/sample2`, …
- `<label>/layer2`, `<label>/layer3`, where a model of moa answers again
- `synthesis`; in a chain also `synthesis/2`, `synthesis/3`, …
- `synthesis/without/<label>`, made without one of the answers to see what it brought
"""

from collections.abc import Iterator

import msgspec

from app.domain.errors import InvalidRequestError
from app.domain.plan import BlendSpec, Plan
from app.domain.prompt import ModelRef, Params, Variant
from app.modes.base import check_parts, check_variants
from app.modes.blend_wording import TASKS, VIEWPOINTS
from app.modes.judge_plan import check_judges

MODELS_MIN, MODELS_MAX = 2, 6
LAYERS_MAX = 3
SAMPLES_MIN, SAMPLES_MAX = 2, 8
MIN_CANDIDATES = 2
WITHOUT = "synthesis/without/"

#: No higher than every vendor takes.
TEMPERATURES = (0.4, 0.7, 1.0)
_SEED_MAX = 2**63 - 1


def spec_of(plan: Plan) -> BlendSpec:
    """How the plan blends: by consensus, if it does not say."""
    return plan.blend or BlendSpec()


def synthesizer_of(plan: Plan) -> Variant:
    """Who synthesizes: the first model, if the plan does not say."""
    return spec_of(plan).synthesizer or plan.variants[0]


def least_of(plan: Plan) -> int:
    """How many answers it takes to blend them."""
    wanted = spec_of(plan).min_candidates
    return MIN_CANDIDATES if wanted is None else wanted


def answering(plan: Plan) -> list[Variant]:
    """Who answers in the first round: every variant, or the samples of the one there is."""
    spec = spec_of(plan)
    if spec.strategy != "self_moa":
        return list(plan.variants)
    [model] = plan.variants
    return [
        Variant(f"{model.label}/sample{place + 1}", model.ref, _sampled(model.params, spec, place))
        for place in range(spec.samples)
    ]


def viewpoint_of(place: int) -> str:
    """From which point of view a sample is asked; they take turns."""
    return list(VIEWPOINTS)[place % len(VIEWPOINTS)]


def layer_label(label: str, layer: int) -> str:
    """The label under which a model answers in a layer."""
    return label if layer == 1 else f"{label}/layer{layer}"


def synthesis_label(step: int) -> str:
    """The label of a synthesis: of a chain's step, or of the only one."""
    return "synthesis" if step == 1 else f"synthesis/{step}"


def without_label(label: str) -> str:
    """The label of a synthesis that is made without the answer of a label."""
    return f"{WITHOUT}{label}"


def is_without(label: str) -> bool:
    """Whether a label is that of a synthesis without one of the answers."""
    return label.startswith(WITHOUT)


def syntheses_max(plan: Plan) -> int:
    """How many syntheses there may be: a chain's draft begins as the first answer."""
    return len(answering(plan)) - 1 if spec_of(plan).strategy == "chain" else 1


def check_blend(plan: Plan) -> None:
    """Refuse a plan that cannot be blended.

    Raises:
        InvalidRequestError: with the field at fault in `param`.
    """
    spec = spec_of(plan)
    check_parts(plan, "blend", "judge")
    if spec.strategy not in TASKS:
        raise _invalid("blend.strategy", f"there are {', '.join(TASKS)}")
    alone = spec.strategy == "self_moa"
    least, most = (1, 1) if alone else (MODELS_MIN, MODELS_MAX)
    check_variants(plan, least=least, most=most)
    if not 1 <= spec.layers <= LAYERS_MAX:
        raise _invalid("blend.layers", f"there may be 1 to {LAYERS_MAX}")
    if spec.layers > 1 and spec.strategy != "moa":
        raise _invalid("blend.layers", f"{spec.strategy} has 1 layer; more are for moa")
    if not SAMPLES_MIN <= spec.samples <= SAMPLES_MAX:
        raise _invalid("blend.samples", f"there may be {SAMPLES_MIN} to {SAMPLES_MAX}")
    asked = spec.samples if alone else len(plan.variants)
    if not 1 <= least_of(plan) <= asked:
        raise _invalid(
            "blend.min_candidates", f"there are {asked} candidates; ask for 1 to {asked}"
        )
    _check_labels(plan)
    _check_contribution(plan)
    if plan.judge is not None:
        labels = [*(variant.label for variant in answering(plan)), synthesis_label(1)]
        if spec.contribution:
            labels += [without_label(variant.label) for variant in answering(plan)]
        check_judges(plan.judge, set(_contestants(plan)), labels, star=True)


def _check_contribution(plan: Plan) -> None:
    if not spec_of(plan).contribution:
        return
    if plan.judge is None:
        raise _invalid("blend.contribution", "it takes judges to tell what an answer brought")
    if spec_of(plan).strategy == "chain" or len(answering(plan)) <= MODELS_MIN:
        raise _invalid("blend.contribution", "it takes 3 answers or more, and one synthesis")


def _check_labels(plan: Plan) -> None:
    """No model may be called as a later call of the job is, nor a judge as a synthesis is."""
    syntheses = {synthesis_label(step) for step in range(1, MODELS_MAX)}
    layers = range(2, spec_of(plan).layers + 1)
    taken = {layer_label(variant.label, layer) for variant in plan.variants for layer in layers}
    judges = plan.judge.judges if plan.judge else ()
    for field, variants, labels in (
        ("models", plan.variants, taken | syntheses),
        ("judge.judges", judges, syntheses),
    ):
        for place, variant in enumerate(variants):
            if variant.label in labels or is_without(variant.label):
                problem = f"{variant.label!r} is what a call of the blend itself is called"
                raise _invalid(f"{field}[{place}]", problem)


def _contestants(plan: Plan) -> Iterator[ModelRef]:
    """Whose answers a judge of the blend would see."""
    yield from (variant.ref for variant in plan.variants)
    yield synthesizer_of(plan).ref


def _sampled(params: Params, spec: BlendSpec, place: int) -> Params:
    """A sample's own parameters: another temperature and another seed than its neighbours'."""
    if params.seed is not None:
        # With the same seed, samples of one point of view would be the same answer again.
        params = msgspec.structs.replace(
            params, seed=min(params.seed, _SEED_MAX - SAMPLES_MAX) + place
        )
    if params.temperature is not None or not spec.vary_temperature:
        return params
    # One on from the last turn, so that no pair of temperature and viewpoint comes twice.
    turn = place // len(VIEWPOINTS)
    temperature = TEMPERATURES[(place + turn) % len(TEMPERATURES)]
    return msgspec.structs.replace(params, temperature=temperature)


def _invalid(param: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(f"{param}: {problem}", param=param)
