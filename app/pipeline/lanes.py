"""Which lane a call goes through: decided by nothing but the presence of a key."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import UNSET
from sqlmodel import Session, col, or_, select

from app.domain.errors import InvalidRequestError
from app.domain.plan import Plan
from app.domain.prompt import Params, Prompt, Variant
from app.domain.states import LaneState, Role
from app.models import Lane
from app.providers import registry
from app.providers.aggregator import AGGREGATOR, aggregator_for


def lanes_for(session: Session, account_id: str, providers: Iterable[str]) -> dict[str, Lane]:
    """The lane of each provider that has one: the account's own before the platform's.

    A closed lane is only answered where there is no open one: its calls end with a reason.
    """
    lanes = session.exec(
        select(Lane)
        .where(col(Lane.provider).in_(sorted(set(providers))))
        .where(or_(col(Lane.account_id) == account_id, col(Lane.account_id).is_(None)))
    ).all()
    best: dict[str, Lane] = {}
    for lane in sorted(lanes, key=_preference, reverse=True):
        best[lane.provider] = lane
    return best


def _preference(lane: Lane) -> tuple[bool, bool]:
    """Sorts open before closed, then the account's own before the platform's."""
    return (lane.state == LaneState.CLOSED, lane.account_id is None)


class Named(NamedTuple):
    """A variant the plan may call, what as, and the field of the submission it is from."""

    field: str
    role: Role
    variant: Variant


def variants_of(plan: Plan) -> list[Named]:
    """Every variant the plan may call: contestants, judges, synthesizer and fallbacks."""
    return [named for one in plan.all for named in _variants_of(one)]


def _variants_of(plan: Plan) -> list[Named]:
    named = [Named("models", Role.CANDIDATE, variant) for variant in plan.variants]
    if plan.judge is not None:
        named += [Named("judge.judges", Role.JUDGE, variant) for variant in plan.judge.judges]
    if plan.blend is not None and plan.blend.synthesizer is not None:
        named.append(Named("blend.synthesizer", Role.SYNTHESIZER, plan.blend.synthesizer))
    if plan.mesh is not None:
        named += [Named("mesh.fallback", Role.CANDIDATE, one) for one in plan.mesh.fallback]
    return named


def params_of(plan: Plan) -> dict[tuple[Role, str], Params]:
    """The parameters of each variant, by what it is called as: what its calls need not store.

    Of two plans that call different things the same, the first counts.
    """
    named = reversed(variants_of(plan))
    return {(role, variant.label): variant.params for _, role, variant in named}


def params_for(
    known: Mapping[tuple[Role, str], Params], role: Role, label: str, prompt: Prompt
) -> Params | None:
    """What a call is asked with that stores nothing else: its variant's, over its job's own."""
    params = known.get((role, label))
    if params is None or prompt.params is UNSET or role is not Role.CANDIDATE:
        return params
    return params.over(prompt.params)


def require_lanes(session: Session, account_id: str, named: Sequence[Named]) -> dict[str, Lane]:
    """The lane of every provider that is named.

    Raises:
        InvalidRequestError: a provider is not known, or nobody has a key for it.
    """
    lanes = lanes_for(session, account_id, (one.variant.ref.provider for one in named))
    for param, _, variant in named:
        provider = variant.ref.provider
        if not registry.is_known(provider):
            raise InvalidRequestError(
                f"{param}: provider {provider!r} is not known; known are "
                f"{', '.join(registry.known_providers())} and custom:<name>",
                param=param,
            )
        lane = lanes.get(provider)
        if lane is None or lane.state == LaneState.CLOSED:
            raise InvalidRequestError(
                f"{param}: there is no key for {provider!r}; add one with "
                f"`overnight keys set {provider}` or PUT /v1/settings/keys/{provider}"
                f"{_or_aggregator(variant)}",
                param=param,
            )
    return lanes


def _or_aggregator(variant: Variant) -> str:
    """That a key of the aggregator would do as well, where it would."""
    if aggregator_for(variant.ref.provider, variant.ref.model) is None:
        return ""
    return f"; or one for {AGGREGATOR!r}, which serves it, too"
