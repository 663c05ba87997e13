"""Reads the bundled price list of `genai-prices`. Nothing here goes over the network.

Its tiers are cliffs: a request with more input tokens than a tier's start pays that tier's
rate for all of its tokens. Its dated and time-of-day prices are looked up for a moment.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from app.billing.rates import VERSION_CHARS_MAX, Band, Price, Rates, rate_of

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

#: Our names of providers, and the list's. One that is not here has no known price.
PROVIDERS = {
    "anthropic": "anthropic",
    "arcee": "arcee",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "google": "google",
    "groq": "groq",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshotai",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "xai": "x-ai",
    "zai": "zai",
}
#: A call is bounded at one hour and paid at another: the worst case looks this far ahead, past
#: every hour of a day and the deadline of an ordinary batch.
_AHEAD_HOURS = 48
#: What no request of ours asks for, and so no bound has to cover.
_NOT_ASKED = ("audio", "video")


@lru_cache(maxsize=4096)
def find_model(provider: str, model: str) -> "ModelInfo | None":
    """The list's entry for a model of one of our providers, by the list's own matching."""
    listed_as = PROVIDERS.get(provider)
    if listed_as is None:
        return None
    # Here, because it takes a second and 60 MB, and many a process never meets such a model.
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    providers = get_snapshot().providers
    found = next((one for one in providers if one.id == listed_as), None)
    return None if found is None else found.find_model(model, all_providers=providers)


@lru_cache(maxsize=64)
def listed_models(provider: str) -> tuple[str, ...]:
    """The names of the models that the list has for one of our providers."""
    listed_as = PROVIDERS.get(provider)
    if listed_as is None:
        return ()
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - as above

    found = [one for one in get_snapshot().providers if one.id == listed_as]
    return tuple(model.id for one in found for model in one.models)


def price_at(model: "ModelInfo", moment: datetime) -> Price | None:
    """The price of a model at a moment; None where tokens have none, or one that makes no sense."""
    prices = model.get_prices(moment)
    if prices.input_mtok is None or prices.output_mtok is None:
        return None
    ahead = _prices_ahead(model, moment)
    try:
        return Price(
            [Band(start, _rates_over(prices, start)) for start in _starts(prices)],
            worst_input=max(_dearest(one, is_output=False) for one in ahead),
            worst_output=max(_dearest(one, is_output=True) for one in ahead),
            version=_version(model, prices),
            # Micro-dollars per thousand requests are nanodollars per request.
            request_nanos=_dearest_of(prices.requests_kcount),
        )
    except ValueError:
        return None


def _prices_ahead(model: "ModelInfo", moment: datetime) -> list["ModelPrice"]:
    """The prices in force now and at every hour for a while."""
    hours = range(_AHEAD_HOURS + 1) if isinstance(model.prices, list) else range(1)
    ahead = {
        id(prices): prices
        for hour in hours
        for prices in [model.get_prices(moment + timedelta(hours=hour))]
    }
    return list(ahead.values())


def _starts(prices: "ModelPrice") -> list[int]:
    """Where the rates of a request change, in input tokens."""
    values = vars(prices).values()
    return sorted({0} | {tier.start for value in values for tier in getattr(value, "tiers", ())})


def _rates_over(prices: "ModelPrice", start: int) -> Rates:
    """The rates of requests larger than `start`; what has no price of its own costs its kind's."""

    def rate(key: str, otherwise: int = 0) -> int:
        value = getattr(prices, key)
        return otherwise if value is None else _rate_over(value, start)

    fresh, output = rate("input_mtok"), rate("output_mtok")
    return Rates(
        input=fresh,
        cache_read=rate("cache_read_mtok", fresh),
        cache_write=rate("cache_write_mtok", fresh),
        output=output,
        reasoning=rate("output_reasoning_mtok", output),
    )


def _rate_over(value: Any, start: int) -> int:
    if isinstance(value, Decimal):
        return rate_of(value)
    reached = [tier.price for tier in value.tiers if tier.start <= start]
    return rate_of(reached[-1] if reached else value.base)  # the list sorts tiers by their start


def _dearest(prices: "ModelPrice", *, is_output: bool) -> int:
    """The most any input or output token may cost, whatever its kind and the request's size."""
    return max(
        _dearest_of(value)
        for key, value in vars(prices).items()
        if key.endswith("_mtok")
        and key.startswith("output_") == is_output
        and not any(kind in key for kind in _NOT_ASKED)
    )


def _dearest_of(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, Decimal):
        return rate_of(value)
    return max(map(rate_of, [value.base, *(tier.price for tier in value.tiers)]))


def _version(model: "ModelInfo", prices: "ModelPrice") -> str:
    """The list's version, the model, and where it has several prices, since when this one is."""
    from genai_prices import __version__  # noqa: PLC0415 - as above

    since = ""
    for dated in model.prices if isinstance(model.prices, list) else ():
        if dated.prices is prices and dated.constraint is not None:
            started = vars(dated.constraint)
            since = f" since {started.get('start_date') or started['start_time']}"
    return f"genai-prices {__version__} {model.id}{since}"[:VERSION_CHARS_MAX]
