"""Which provider a model's bare name means, if that is plain."""

from sqlmodel import Session, col, or_, select

from app.billing.catalogue import find_model
from app.domain.errors import InvalidRequestError
from app.domain.states import LaneState
from app.models import Lane
from app.providers import registry, simulated
from app.providers.aggregator import AGGREGATOR

_SHOWN = 8


def is_full(name: str) -> bool:
    """Whether a model is written as `provider/model`; then it is taken at its word."""
    provider, slash, _ = name.partition("/")
    return slash != "" and registry.is_known(provider)


class Names:
    """Resolves names for one account: by its keys, and by who lists such a model.

    Args:
        session: where the account's lanes are read, once.
        account_id: whose names they are.
    """

    def __init__(self, session: Session, account_id: str) -> None:
        self._keyed = sorted(
            session.exec(
                select(Lane.provider)
                .where(or_(col(Lane.account_id) == account_id, col(Lane.account_id).is_(None)))
                .where(col(Lane.state) != LaneState.CLOSED.value)
                .distinct()
            ).all()
        )

    def full(self, name: str) -> str:
        """A bare name as `provider/model`.

        Raises:
            InvalidRequestError: no provider, or more than one, may be meant; lists them.
        """
        keyed = [one for one in self._keyed if _lists(one, name)]
        # The aggregator has what others have, too.
        found = [one for one in keyed if one != AGGREGATOR] or keyed
        if _is_simulated(name) and registry.SIMULATED not in found:
            found.append(registry.SIMULATED)
        if not found:
            found = [one for one in self._keyed if one != registry.SIMULATED]
            if len(found) > 1 or any(_lists(one, name) for one in registry.known_providers()):
                found = []
        if len(found) != 1:
            raise self._unclear(name, found)
        return f"{found[0]}/{name}"

    def _unclear(self, name: str, found: list[str]) -> InvalidRequestError:
        shown = name[:80]
        if found:
            choices = " or ".join(f"{one}/{shown}" for one in found[:_SHOWN])
            return InvalidRequestError(
                f"model: {shown!r} may be several models; write {choices}", param="model"
            )
        listed = [one for one in registry.known_providers() if _lists(one, name)]
        choices = " or ".join(f"{one}/{shown}" for one in (listed or self._keyed)[:_SHOWN])
        hint = f"; write {choices}" if choices else ""
        keyless = f", and there is no key for {' or '.join(listed)}" if listed else ""
        return InvalidRequestError(
            f"model: no provider with a key here lists {shown!r}{keyless}{hint}", param="model"
        )


def _is_simulated(name: str) -> bool:
    return name in simulated.MODELS


def _lists(provider: str, name: str) -> bool:
    if provider == registry.SIMULATED:
        return _is_simulated(name)
    return find_model(provider, name) is not None
