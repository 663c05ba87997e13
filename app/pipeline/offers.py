"""offers: which models an account can call now, at what price, and with whose key."""

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from redis import RedisError
from sqlmodel import Session, col, select

from app.billing.catalogue import listed_models
from app.billing.pricing import Price
from app.billing.terms import Terms
from app.billing.windows import context_tokens
from app.domain.money import nanos_to_dollars
from app.domain.prompt import ModelRef
from app.domain.states import Billed, LaneState
from app.limits.local_breaker import Circuit
from app.limits.survey import breakers
from app.models import Lane
from app.pipeline.lanes import lanes_for
from app.pipeline.prices import own_prices
from app.pipeline.services import Services
from app.providers import registry, simulated
from app.providers.aggregator import AGGREGATOR, aggregator_for, serves
from app.queue import redis_client

_NANOS_PER_MICRO = 1000
#: What the price list has beside models that answer in chat, and patterns of names.
_NOT_CHAT = re.compile(
    r"(?:^|-)(?:audio|embedding|image|moderation|realtime|transcribe|tts|whisper)(?:-|$)|-$|^ft:"
)


class PriceOffer(msgspec.Struct, frozen=True):
    """Dollars per million tokens, as exact decimal strings."""

    input_usd: str
    cache_read_usd: str
    output_usd: str


class ModelOffer(msgspec.Struct, frozen=True):
    """A model that can be called now. `price` is null where nobody lists one.

    `via` is the aggregator, where its key is used for want of one for the provider; the price
    is then the aggregator's. `context_tokens` is null where the list does not say. `breaker` is
    `closed`, `open` while it failed too often, or `half_open` while a single call tries; null
    where the broker, which knows it, is away.
    """

    model: str
    provider: str
    key: str
    price: PriceOffer | None
    via: str | None = None
    context_tokens: int | None = None
    breaker: str | None = None


class ProviderOffer(msgspec.Struct, frozen=True):
    """A provider, and whether its models can be called.

    `key` says who pays: `byok` the account with a key of its own, `credits` the platform's
    key, `none` nobody; null without a key. `reason` says why nothing can be called, or what
    to know; where `models_listed` is false it takes names that are not listed here. `failing`
    names models whose breaker is not closed.
    """

    provider: str
    key: str | None
    state: str | None
    models_listed: bool
    reason: str | None
    via: str | None = None
    failing: tuple[str, ...] = ()


class Offers(msgspec.Struct, frozen=True):
    """What can be called now."""

    data: list[ModelOffer]
    providers: list[ProviderOffer]


def offers(services: Services, account_id: str) -> Offers:
    """Every provider the account may ask, and the models that are known of those it can."""
    with services.store.read() as session:
        names = [*registry.known_providers(), *_custom_providers(session, account_id)]
        lanes = lanes_for(session, account_id, names)
        terms = Terms(own_prices(session, account_id), services.settings.margin_percent)
    aggregator = lanes.get(AGGREGATOR)
    shut = _not_closed(services)
    providers = [
        msgspec.structs.replace(
            _provider_offer(name, lanes.get(name), aggregator),
            failing=_failing(lanes.get(name), shut or {}),
        )
        for name in names
    ]
    models = [
        offer
        for one in providers
        if one.key is not None and one.state == LaneState.OPEN
        for offer in _model_offers(one, lanes.get(one.via or one.provider), shut, terms)
    ]
    return Offers(models, providers)


def _not_closed(services: Services) -> dict[Circuit, str] | None:
    """The breakers that are not closed; None if the broker is away."""
    client = redis_client(services.settings.broker_url)
    try:
        return breakers(client)
    except (RedisError, OSError):
        return None
    finally:
        client.close()


def _failing(lane: Lane | None, shut: Mapping[Circuit, str]) -> tuple[str, ...]:
    return tuple(sorted(model for lane_id, model in shut if lane and lane_id == lane.id))


def _custom_providers(session: Session, account_id: str) -> Sequence[str]:
    return session.exec(
        select(Lane.provider)
        .where(Lane.account_id == account_id, col(Lane.state) != LaneState.CLOSED.value)
        .where(col(Lane.provider).startswith(registry.CUSTOM_PREFIX))
        .order_by(col(Lane.provider))
    ).all()


def _provider_offer(provider: str, lane: Lane | None, aggregator: Lane | None) -> ProviderOffer:
    is_listed = not registry.is_custom(provider)
    if provider == registry.SIMULATED:
        # Its lane is made when it is first asked.
        return ProviderOffer(provider, "none", LaneState.OPEN.value, is_listed, None)
    if lane is None or lane.state == LaneState.CLOSED:
        missing = f"there is no key: PUT /v1/settings/keys/{provider}"
        if aggregator is not None and aggregator.state == LaneState.OPEN and serves(provider):
            told = f"there is no key for it, so its models go through {AGGREGATOR}"
            billed = aggregator.billed
            return ProviderOffer(provider, billed, aggregator.state, is_listed, told, AGGREGATOR)
        return ProviderOffer(provider, None, None, is_listed, missing)
    reason = None if is_listed else f"any model that the server has, as {provider}/<model>"
    if lane.state == LaneState.PARKED and lane.parked_until is not None:
        reason = f"until {lane.parked_until:%Y-%m-%d %H:%M} UTC: {lane.parked_reason}"
    elif lane.state == LaneState.PARKED:
        reason = f"the provider refused the key: {lane.parked_reason}"
    return ProviderOffer(provider, lane.billed, lane.state, is_listed, reason)


def _model_offers(
    one: ProviderOffer, lane: Lane | None, shut: Mapping[Circuit, str] | None, terms: Terms
) -> Iterator[ModelOffer]:
    provider, key, via = one.provider, str(one.key), one.via
    billed = Billed.CREDITS if key == Billed.CREDITS else Billed.BYOK
    names = simulated.MODELS if provider == registry.SIMULATED else listed_models(provider)
    for name in names:
        ref = ModelRef(provider, name) if via is None else aggregator_for(provider, name)
        price = None if ref is None else terms.price_of(ref.provider, ref.model, billed)
        if ref is not None and price is not None and not _NOT_CHAT.search(name):
            context = context_tokens(ref.provider, ref.model)
            offered = _price_offer(price)
            breaker = None
            if shut is not None:
                breaker = shut.get((lane.id, ref.model), "closed") if lane else "closed"
            yield ModelOffer(f"{provider}/{name}", provider, key, offered, via, context, breaker)


def _price_offer(price: Price) -> PriceOffer:
    rates = price.rates
    return PriceOffer(
        _dollars(rates.input),
        _dollars(rates.cache_read),
        _dollars(rates.output),
    )


def _dollars(micros: int) -> str:
    return nanos_to_dollars(micros * _NANOS_PER_MICRO)
