"""Which lane a call goes through: decided by nothing but the presence of a key."""

from collections.abc import Iterable

from sqlmodel import Session, col, or_, select

from app.domain.errors import InvalidRequestError
from app.domain.plan import Plan
from app.domain.prompt import Variant
from app.domain.states import LaneState
from app.models import Lane
from app.providers import registry


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


def variants_of(plan: Plan) -> list[tuple[str, Variant]]:
    """Every variant the plan may call, contestants and judges, each with its field's name."""
    named = [("models", variant) for variant in plan.variants]
    if plan.judge is not None:
        named += [("judge.judges", variant) for variant in plan.judge.judges]
    return named


def require_lanes(session: Session, account_id: str, plan: Plan) -> dict[str, Lane]:
    """The lane of every provider the plan needs.

    Raises:
        InvalidRequestError: a provider is not known, or nobody has a key for it.
    """
    named = variants_of(plan)
    lanes = lanes_for(session, account_id, (variant.ref.provider for _, variant in named))
    for param, variant in named:
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
                f"`overnight keys set {provider}` or PUT /v1/settings/keys/{provider}",
                param=param,
            )
    return lanes
