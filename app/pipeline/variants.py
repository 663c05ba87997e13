"""From what a client wrote to the plan that every job of the batch follows."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from app.billing.terms import Terms
from app.domain.checks import Check
from app.domain.errors import InvalidRequestError
from app.domain.money import NANOS_MAX
from app.domain.plan import BlendSpec, JudgeSpec, MeshSpec, Plan
from app.domain.prompt import Message, ModelRef, Params, Variant, one_word_for_tokens
from app.domain.spec import BatchBody, BlendBody, CheckBody, ModelSpec
from app.modes.registry import mode_for
from app.pipeline.lanes import variants_of
from app.pipeline.lines import CheckPrompt
from app.providers import registry

#: The call whose cost orders the models of a mesh.
_SIZE_TOKENS = 1000


def make_plan(body: BatchBody) -> Plan:
    """The plan of a batch: models by repeats as labelled variants, and the judges.

    Raises:
        InvalidRequestError: naming the field at fault.
    """
    defaults = read_params(body.params, "params")
    variants = _variants(body.models, defaults, body.repeats, "models")
    plan = Plan(
        body.mode,
        tuple(variants),
        judge=_judge_spec(body),
        blend=_blend_spec(body),
        mesh=_mesh_spec(body, defaults),
    )
    mode_for(plan.mode).check(plan)
    return plan


def prompt_check(plan: Plan) -> CheckPrompt:
    """A check of whether every model of the plan takes the images of a prompt."""
    refs = {(one.variant.ref.provider, one.variant.ref.model): one for one in variants_of(plan)}
    asked = [ref for ref in refs if registry.is_known(ref[0])]  # require_lanes says so of others

    def check(messages: Sequence[Message]) -> None:
        for provider, model in asked:
            registry.adapter_for(provider).check_prompt(messages, model)

    return check


def _judge_spec(body: BatchBody) -> JudgeSpec | None:
    if body.judge is None:
        return None
    # The batch's parameters are the contestants'; a judge has only those of its own.
    judges = _variants(body.judge.judges, Params(), 1, "judge.judges")
    return JudgeSpec(
        judges=tuple(judges),
        criteria=tuple(body.judge.criteria),
        allow_self=body.judge.allow_self,
        scoring=body.judge.scoring,
        pairs=body.judge.pairs,
        checks=tuple(_checks(body.judge.checks)),
        escalate_below=body.judge.escalate_below,
        canary=body.judge.canary,
    )


def _checks(bodies: Sequence[CheckBody]) -> Iterator[Check]:
    """The checks; one without a name is called by its kind, and by a number from the second on."""
    kinds = Counter[str]()
    for body in bodies:
        kinds[body.kind] += 1
        number = kinds[body.kind]
        name = body.name or (body.kind if number == 1 else f"{body.kind} {number}")
        yield Check(body.kind, name, body.value, body.ignore_case, body.tolerance)


def _blend_spec(body: BatchBody) -> BlendSpec | None:
    blend = body.blend or (BlendBody() if body.mode == "blend" else None)
    if blend is None:
        return None
    given = [] if blend.synthesizer is None else [blend.synthesizer]
    synthesizers = _variants(given, Params(), 1, "blend.synthesizer")
    first = body.models[0]
    ref = ModelRef.parse(first if isinstance(first, str) else first.model, param="models[0]")
    return BlendSpec(
        strategy=blend.strategy,
        synthesizer=synthesizers[0] if synthesizers else None,
        layers=blend.layers,
        samples=blend.samples,
        min_candidates=blend.min_candidates,
        vary_temperature=_takes_temperature(ref),
        contribution=blend.contribution,
    )


def _takes_temperature(ref: ModelRef) -> bool:
    try:
        registry.adapter_for(ref.provider).check(Params(temperature=0.5), ref.model)
    except InvalidRequestError:
        return False
    return True


def _mesh_spec(body: BatchBody, defaults: Params) -> MeshSpec | None:
    if body.mesh is None:
        return None
    fallback = _variants(body.mesh.fallback, defaults, 1, "mesh.fallback")
    return MeshSpec(tuple(fallback), body.mesh.strategy)


def cheapest_first(plan: Plan) -> Plan:
    """A mesh by cost tries what a call of some size costs least first, unknown prices last.

    By prices of the account's own where there are, and the list's.
    """
    mesh, terms = plan.mesh, Terms(plan.prices)
    if mesh is None or mesh.strategy != "cost":
        return plan

    def dearness(variant: Variant) -> int:
        price = terms.price_of(variant.ref.provider, variant.ref.model)
        return NANOS_MAX if price is None else price.worst_nanos(_SIZE_TOKENS, _SIZE_TOKENS)

    order = tuple(one.label for one in sorted([*plan.variants, *mesh.fallback], key=dearness))
    return msgspec.structs.replace(plan, mesh=msgspec.structs.replace(mesh, order=order))


def _variants(
    models: Sequence[str | ModelSpec], defaults: Params, repeats: int, field: str
) -> list[Variant]:
    variants: list[Variant] = []
    labels: dict[str, str] = {}
    for index, entry in enumerate(models):
        where = f"{field}[{index}]"
        spec = ModelSpec(model=entry) if isinstance(entry, str) else entry
        ref = ModelRef.parse(spec.model, param=where)
        params = read_params(spec.params, f"{where}.params").over(defaults)
        _check_params(ref, params, where)
        label = spec.label or str(ref)
        if label in labels:
            raise InvalidRequestError(
                f"{where}: {label!r} is already {labels[label]}; give one of them a label of its "
                "own, or use repeats to ask the same model several times",
                param=where,
            )
        labels[label] = where
        variants += _repeated(label, ref, params, repeats)
    return variants


def _repeated(label: str, ref: ModelRef, params: Params, repeats: int) -> list[Variant]:
    if repeats == 1:
        return [Variant(label, ref, params)]
    return [Variant(f"{label}#{n}", ref, params, n) for n in range(1, repeats + 1)]


def _check_params(ref: ModelRef, params: Params, where: str) -> None:
    if not registry.is_known(ref.provider):
        return  # require_lanes says so, with what to do
    try:
        registry.adapter_for(ref.provider).check(params, ref.model)
    except InvalidRequestError as error:
        param = f"{where}.params" + (f".{error.param}" if error.param else "")
        raise InvalidRequestError(f"{param}: {error.message}", param=param) from None


def read_params(given: dict[str, Any], where: str) -> Params:
    """Parameters as a client wrote them.

    Raises:
        InvalidRequestError: one is unknown or out of its range.
    """
    try:
        return msgspec.convert(one_word_for_tokens(given), Params)
    except InvalidRequestError as error:
        param = f"{where}.{error.param}"
        raise InvalidRequestError(f"{param}: {error.message}", param=param) from None
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        param = where + path.rstrip("`")
        hint = "; unknown parameters go inside params.extra" if "unknown field" in reason else ""
        raise InvalidRequestError(f"{param}: {reason}{hint}", param=param) from None
