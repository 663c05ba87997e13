"""Which providers there are, and what carries their calls."""

import pytest

from app.domain.errors import InvalidRequestError
from app.domain.prompt import Message, Params
from app.net import GuardedSender, parse_trusted
from app.providers import registry, simulated
from app.providers.base import CallInput, Credential
from app.providers.registry import SenderKind
from app.providers.senders import FastSender, SenderSet

LOOPBACK = parse_trusted(("127.0.0.0/8", "::1/128", "localhost", "llm.internal"))
NOBODY = parse_trusted(())


PARITY = [
    *("anthropic", "arcee", "cerebras", "cohere", "deepseek", "fireworks", "google", "groq"),
    *("minimax", "mistral", "moonshot", "nvidia", "openai", "openrouter", "perplexity", "qwen"),
    *("together", "xai", "zai"),
]


def test_every_provider_of_the_list_is_known_and_ours() -> None:
    assert registry.known_providers() == tuple(sorted([*PARITY, "simulated"]))


@pytest.mark.parametrize("provider", PARITY)
def test_each_has_a_base_url_of_its_own_and_needs_a_key(provider: str) -> None:
    base_url = registry.default_base_url(provider) or ""
    assert base_url.startswith("https://")
    assert registry.needs_key(provider)
    call = CallInput("call_1", "test-model", [Message("user", "x")], Params())
    adapter = registry.adapter_for(provider)
    assert adapter.build(call, Credential(provider)).url.startswith(f"{base_url}/")
    assert adapter.probe(Credential(provider)).url.startswith("https://")


def test_the_settings_name_the_version_of_anthropics_api_and_its_default_bound() -> None:
    call = CallInput("call_1", "claude-test", [Message("user", "x")], Params())
    before = registry.adapter_for("anthropic").build(call, Credential("anthropic"))
    try:
        registry.configure(anthropic_version="2023-06-01", max_tokens_default=7)
        after = registry.adapter_for("anthropic").build(call, Credential("anthropic"))
    finally:
        registry.configure(anthropic_version="2026-10-21", max_tokens_default=4096)
    assert before.headers["anthropic-version"] == "2026-10-21"
    assert after.headers["anthropic-version"] == "2023-06-01"
    assert b'"max_tokens":4096' in before.body
    assert b'"max_tokens":7' in after.body


def test_anthropic_alone_needs_a_bound_with_every_request() -> None:
    names = [*registry.known_providers(), "custom:x"]
    assert [name for name in names if registry.needs_bound(name)] == ["anthropic"]


@pytest.mark.parametrize("provider", ["openai", "simulated", "custom:local", "custom:a-b_2"])
def test_these_providers_are_known_and_speak_some_language(provider: str) -> None:
    assert registry.is_known(provider)
    assert registry.adapter_for(provider).name == provider


@pytest.mark.parametrize(
    "provider",
    [
        "",
        "custom:",
        "custom:A",
        "custom:a b",
        "custom:../x",
        "custom:a\n",
        "OpenAI",
        "acme",
        "custom:é",
    ],
)
def test_others_are_not(provider: str) -> None:
    assert not registry.is_known(provider)
    with pytest.raises(InvalidRequestError, match="known are anthropic, .*, zai and custom"):
        registry.adapter_for(provider)


def test_a_key_is_needed_by_vendors_only() -> None:
    needed = {name: registry.needs_key(name) for name in ("openai", "simulated", "custom:x")}
    assert needed == {"openai": True, "simulated": False, "custom:x": False}


def test_only_a_custom_server_has_no_base_url_of_its_own() -> None:
    assert registry.default_base_url("openai") == "https://api.openai.com/v1"
    assert registry.default_base_url("custom:x") is None


@pytest.mark.parametrize(
    ("provider", "base_url", "kind"),
    [
        ("openai", None, SenderKind.FAST),
        ("openai", "https://proxy.example.com/v1", SenderKind.GUARDED),
        ("openai", "http://127.0.0.1:8080/v1", SenderKind.FAST),
        ("custom:x", "https://api.example.com/v1", SenderKind.GUARDED),
        ("custom:x", "http://127.0.0.1:8080/v1", SenderKind.FAST),
        ("custom:x", "http://localhost:8080/v1", SenderKind.FAST),
        ("custom:x", "http://llm.internal/v1", SenderKind.FAST),
        ("custom:x", "http://10.0.0.1/v1", SenderKind.GUARDED),
        ("custom:x", "http://127.1:8080/v1", SenderKind.GUARDED),
        ("custom:x", "https://user@127.0.0.1/v1", SenderKind.GUARDED),
        ("custom:x", None, SenderKind.GUARDED),
        ("simulated", None, SenderKind.SIMULATED),
        ("simulated", "https://api.example.com/v1", SenderKind.SIMULATED),
    ],
)
def test_p16_an_accounts_own_url_is_guarded_unless_the_operator_trusts_its_host(
    provider: str, base_url: str | None, kind: SenderKind
) -> None:
    assert registry.sender_kind(provider, base_url, LOOPBACK) is kind


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8080/v1", "https://169.254.169.254/v1"])
def test_p16_without_trust_nothing_of_an_accounts_goes_the_fast_way(base_url: str) -> None:
    assert registry.sender_kind("custom:x", base_url, NOBODY) is SenderKind.GUARDED
    assert registry.sender_kind("openai", base_url, NOBODY) is SenderKind.GUARDED


async def test_each_kind_has_its_sender() -> None:
    senders = SenderSet(("127.0.0.0/8",))
    assert isinstance(senders.of(SenderKind.FAST), FastSender)
    assert isinstance(senders.of(SenderKind.GUARDED), GuardedSender)
    assert isinstance(senders.of(SenderKind.SIMULATED), simulated.SimulatedSender)
    await senders.close()


def test_only_the_simulated_providers_prices_are_listed_here() -> None:
    assert registry.listed_price("simulated", "gold") == simulated.PRICES["gold"]
    assert registry.listed_price("simulated", "another") == simulated.OTHER_PRICE
    assert registry.listed_price("openai", "gpt-5.2") is None
