"""Without a key for a provider: the same model through the aggregator, where there is one.

Decided once, at submit: the plan that is stored names the aggregator's model, so that lane,
limits, breaker, parameters and price are the aggregator's everywhere, and the label stays what
the client asked for. A key that is added later is used by later batches.
"""

from collections.abc import Callable

import msgspec
from sqlmodel import Session

from app.domain.errors import InvalidRequestError
from app.domain.plan import Plan
from app.domain.prompt import Variant
from app.domain.states import LaneState
from app.pipeline.lanes import lanes_for, variants_of
from app.providers import registry
from app.providers.aggregator import AGGREGATOR, aggregator_for


def rerouted(session: Session, account_id: str, plan: Plan) -> Plan:
    """The plan, with the aggregator's models for providers that nobody has a key for.

    Raises:
        InvalidRequestError: the aggregator does not take a parameter; names the variant.
    """
    providers = {one.variant.ref.provider for one in variants_of(plan)}
    lanes = lanes_for(session, account_id, {*providers, AGGREGATOR})
    usable = {name for name, lane in lanes.items() if lane.state != LaneState.CLOSED}
    keyless = {name for name in providers - usable if registry.is_known(name)}
    if AGGREGATOR not in usable or not keyless:
        return plan

    def moved(variant: Variant) -> Variant:
        return _moved(variant) if variant.ref.provider in keyless else variant

    return _with(plan, moved)


def _moved(variant: Variant) -> Variant:
    ref = aggregator_for(variant.ref.provider, variant.ref.model)
    if ref is None:
        return variant  # whoever asks for its lane says that there is none
    try:
        registry.adapter_for(AGGREGATOR).check(variant.params, ref.model)
    except InvalidRequestError as error:
        message = f"{variant.label}, which would go through {AGGREGATOR}: {error.message}"
        raise InvalidRequestError(message, param=error.param) from None
    return msgspec.structs.replace(variant, ref=ref)


def _with(plan: Plan, moved: Callable[[Variant], Variant]) -> Plan:
    judge, blend, mesh = plan.judge, plan.blend, plan.mesh
    if judge is not None:
        judge = msgspec.structs.replace(judge, judges=tuple(map(moved, judge.judges)))
    if blend is not None and blend.synthesizer is not None:
        blend = msgspec.structs.replace(blend, synthesizer=moved(blend.synthesizer))
    if mesh is not None:
        mesh = msgspec.structs.replace(mesh, fallback=tuple(map(moved, mesh.fallback)))
    variants = tuple(map(moved, plan.variants))
    return msgspec.structs.replace(plan, variants=variants, judge=judge, blend=blend, mesh=mesh)
