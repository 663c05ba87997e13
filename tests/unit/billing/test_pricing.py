"""Prices come from the bundled list or from the provider itself; unknown is None, never zero."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from app.billing import pricing
from app.billing.catalogue import PROVIDERS, VERSION_CHARS_MAX, price_at
from app.billing.pricing import ListedPrice, price_of, register_listed
from app.domain.completion import Usage
from app.providers import registry

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
USAGE = Usage(input_tokens=1000, cache_read_tokens=400, output_tokens=100)


@pytest.fixture
def provider() -> Iterator[str]:
    """A provider that brings its own prices, for one test."""
    name = "brings-its-own"
    yield name
    pricing._listed.pop(name, None)
    pricing._defaults.pop(name, None)


def make_model(prices: ModelPrice | list[ConditionalPrice]) -> ModelInfo:
    return ModelInfo(id="acme-1", match=ClauseEquals("acme-1"), prices=prices)


def flat(input_: str, output: str, **others: Decimal | TieredPrices) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(input_), output_mtok=Decimal(output), **others)


def test_a_known_model_costs_what_its_vendor_lists() -> None:
    price = price_of("openai", "gpt-4o", AT)
    assert price is not None
    # $2.50, cached $1.25 and $10 per million: 600 fresh, 400 cached, 100 out.
    assert price.cost_nanos(USAGE) == 1_500_000 + 500_000 + 1_000_000


def test_a_price_names_the_list_and_the_model_it_is_from() -> None:
    price = price_of("openai", "gpt-4o", AT)
    assert price is not None
    assert price.version.startswith("genai-prices ")
    assert "gpt-4o" in price.version


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "no-such-model"),
        ("no-such-vendor", "gpt-4o"),
        ("custom:local", "gpt-4o"),
        ("custom:openai", "gpt-4o"),
        ("openai", "whisper-1"),  # priced by the hour
        ("openai", "text-embedding-3-small"),  # has no price of output
    ],
)
def test_an_unknown_price_is_none(provider: str, model: str) -> None:
    assert price_of(provider, model, AT) is None


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude-opus-5"),
        ("arcee", "trinity-large-thinking"),
        ("cerebras", "gpt-oss-120b"),
        ("cohere", "command-a-03-2025"),
        ("deepseek", "deepseek-v4-pro"),
        ("fireworks", "accounts/fireworks/models/deepseek-v4-pro"),
        ("google", "gemini-3.5-flash"),
        ("groq", "openai/gpt-oss-120b"),
        ("minimax", "MiniMax-M2.7"),
        ("mistral", "mistral-large-2512"),
        ("moonshot", "kimi-k3"),
        ("openai", "gpt-6-sol"),
        ("openrouter", "anthropic/claude-opus-5"),
        ("perplexity", "sonar-pro"),
        ("together", "openai/gpt-oss-120b"),
        ("xai", "grok-4.7"),
        ("zai", "glm-5.3"),
    ],
)
def test_a_model_of_each_priced_vendor_has_a_price(provider: str, model: str) -> None:
    price = price_of(provider, model)
    assert price is not None
    assert 0 < price.cost_nanos(USAGE) < 100_000_000


def test_every_vendor_has_prices_but_two_that_nobody_lists() -> None:
    unpriced = {*registry.known_providers()} - PROVIDERS.keys()
    assert unpriced == {"nvidia", "qwen", "simulated"}


def test_every_provider_we_name_is_in_the_list() -> None:
    from genai_prices.data import providers  # noqa: PLC0415 - a second, for this test only

    assert set(PROVIDERS.values()) <= {provider.id for provider in providers}


def test_every_listed_price_can_be_read_and_bounds_itself() -> None:
    from genai_prices.data import providers  # noqa: PLC0415 - a second, for this test only

    priced = 0
    sizes = [
        Usage(input_tokens=n, cache_write_tokens=n // 2, output_tokens=n) for n in (7, 300_000)
    ]
    for provider in providers:
        for model in provider.models:
            price = price_at(model, AT)
            if price is not None:
                priced += 1
                assert len(price.version) <= VERSION_CHARS_MAX
                for usage in sizes:
                    cost = price.cost_nanos(usage)
                    assert 0 <= cost <= price.worst_nanos(usage.input_tokens, usage.output_tokens)
    assert priced > 1000


def test_our_sums_are_the_list_s_own() -> None:
    from genai_prices import Usage as TheirUsage  # noqa: PLC0415 - a second, for this test only
    from genai_prices import calc_price  # noqa: PLC0415

    for provider, model in [
        ("anthropic", "claude-haiku-5-5"),
        ("google", "gemini-2.5-pro"),
        ("openai", "gpt-5.2"),
        ("xai", "grok-4"),
        ("deepseek", "deepseek-chat"),
    ]:
        for tokens in (1_000, 250_000):
            price = price_of(provider, model, AT)
            theirs = calc_price(
                TheirUsage(input_tokens=tokens, cache_read_tokens=400, output_tokens=99),
                model,
                provider_id=PROVIDERS[provider],
                genai_request_timestamp=AT,
            )
            usage = Usage(input_tokens=tokens, cache_read_tokens=400, output_tokens=99)
            assert price is not None
            assert price.cost_nanos(usage) == theirs.total_price * 10**9


def test_b5_a_dated_price_takes_over_and_each_names_its_own_version() -> None:
    model = make_model(
        [
            ConditionalPrice(prices=flat("1", "2")),
            ConditionalPrice(StartDateConstraint(date(2026, 6, 2)), prices=flat("3", "4")),
        ]
    )
    before = price_at(model, AT)
    after = price_at(model, AT.replace(day=2))
    assert before is not None
    assert after is not None
    assert before.cost_nanos(USAGE) == 1_000_000 + 200_000
    assert after.cost_nanos(USAGE) == 3_000_000 + 400_000
    assert after.version == f"{before.version} since 2026-06-02"


def test_the_worst_case_covers_the_dear_hours_of_the_next_days() -> None:
    peak = TimeOfDateConstraint(time(1, 0, tzinfo=UTC), time(4, 0, tzinfo=UTC))
    model = make_model(
        [
            ConditionalPrice(prices=flat("1", "2")),
            ConditionalPrice(peak, prices=flat("5", "6")),
        ]
    )
    price = price_at(model, AT)
    assert price is not None
    assert price.cost_nanos(Usage(input_tokens=1000, output_tokens=1000)) == 3_000_000
    assert price.worst_nanos(1000, 1000) == 11_000_000


def test_the_worst_case_covers_tiers_cache_writes_and_images_but_no_sound() -> None:
    prices = flat(
        "1",
        "2",
        cache_write_mtok=Decimal("1.25"),
        cache_write_1h_mtok=TieredPrices(base=Decimal(2), tiers=[Tier(200_000, Decimal(4))]),
        output_image_mtok=Decimal(30),
        input_audio_mtok=Decimal(100),
        output_audio_mtok=Decimal(200),
    )
    price = price_at(make_model(prices), AT)
    assert price is not None
    assert price.worst_nanos(1000, 1000) == 4_000_000 + 30_000_000


def test_b9_a_negative_price_in_the_list_is_no_known_price() -> None:
    assert price_at(make_model(flat("-1", "2")), AT) is None
    assert price_at(make_model(flat("1", "-2")), AT) is None


def test_a_model_listed_as_free_costs_nothing_and_one_without_prices_is_unknown() -> None:
    free = price_at(make_model(flat("0", "0")), AT)
    assert free is not None
    assert free.cost_nanos(USAGE) == 0
    assert price_at(make_model(ModelPrice()), AT) is None


def test_a_provider_may_bring_its_own_prices(provider: str) -> None:
    register_listed(provider, {"dear": ListedPrice(2_000_000, 4_000_000)})
    price = price_of(provider, "dear")
    assert price is not None
    assert price.cost_nanos(USAGE) == 2_000_000 + 400_000
    assert price.worst_nanos(1000, 100) == 2_400_000
    assert price_of(provider, "another") is None


def test_b5_newly_registered_prices_replace_the_old_and_have_another_version(provider: str) -> None:
    register_listed(provider, {}, ListedPrice(1_000_000, 1_000_000), version="1")
    old = price_of(provider, "any")
    register_listed(provider, {}, ListedPrice(2_000_000, 2_000_000), version="2")
    new = price_of(provider, "any")
    assert old is not None
    assert new is not None
    assert (old.cost_nanos(USAGE), new.cost_nanos(USAGE)) == (1_100_000, 2_200_000)
    assert old.version != new.version


def test_a_price_is_looked_up_once_a_minute() -> None:
    first = price_of("openai", "gpt-4o", AT)
    assert price_of("openai", "gpt-4o", AT.replace(second=59)) is first
    assert price_of("openai", "gpt-4o", AT.replace(minute=1)) is not first
