"""What a model costs. Unknown is None, never zero.

Providers that bring prices of their own register them here; those of the others come from the
bundled list, looked up by the minute, so that dated prices take over while we run. A custom
server has no known price.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from app.billing.catalogue import find_model, price_at
from app.billing.rates import ListedPrice, Price
from app.domain.clock import utc_now

__all__ = ["ListedPrice", "Price", "price_of", "register_listed"]

_listed: dict[str, dict[str, Price]] = {}
_defaults: dict[str, Price] = {}


def register_listed(
    provider: str,
    models: Mapping[str, ListedPrice],
    default: ListedPrice | None = None,
    *,
    version: str = "listed",
) -> None:
    """Take a provider's own prices; they come before the list's, and replace earlier ones.

    Args:
        provider: its name.
        models: the price of each model.
        default: the price of every other model; without one they have no known price.
        version: which prices these are, for the records.
    """
    _listed[provider] = {
        model: price.as_price(f"{provider} {version} {model}") for model, price in models.items()
    }
    _defaults.pop(provider, None)
    if default is not None:
        _defaults[provider] = default.as_price(f"{provider} {version}")


def price_of(provider: str, model: str, at: datetime | None = None) -> Price | None:
    """The price of a model, now or at another moment; None if it is not known."""
    listed = _listed.get(provider)
    if listed is not None:
        return listed.get(model) or _defaults.get(provider)
    return _price_at(int((at or utc_now()).timestamp()) // 60, provider, model)


@lru_cache(maxsize=4096)
def _price_at(minute: int, provider: str, model: str) -> Price | None:
    found = find_model(provider, model)
    return None if found is None else price_at(found, datetime.fromtimestamp(minute * 60, UTC))
