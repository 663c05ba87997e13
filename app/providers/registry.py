"""The providers there are. A new one is a line here and a file beside this one."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from app.domain.errors import AddressRefusedError, InvalidRequestError
from app.domain.prompt import PROVIDER_PATTERN
from app.net import Trusted, target_of
from app.providers import anthropic, simulated
from app.providers.aggregator import AGGREGATOR, aggregator_for
from app.providers.anthropic import AnthropicMessages
from app.providers.base import Adapter
from app.providers.google import BASE_URL as GOOGLE_URL
from app.providers.google import GenerateContent
from app.providers.openai import ChatCompletions, Dialect
from app.providers.openai_doors import OpenAI
from app.providers.openai_responses import Responses
from app.providers.vendors import OPENAI, VENDORS

__all__ = [
    "AGGREGATOR",
    "CUSTOM_PREFIX",
    "SIMULATED",
    "Provider",
    "SenderKind",
    "adapter_for",
    "aggregator_for",
    "configure",
    "default_base_url",
    "is_custom",
    "is_known",
    "known_providers",
    "listed_price",
    "needs_bound",
    "needs_key",
    "sender_kind",
    "speaks_openai",
]

CUSTOM_PREFIX = "custom:"
SIMULATED = "simulated"


class SenderKind(StrEnum):
    """What carries a call."""

    FAST = "fast"  # hosts of vendors, and hosts that the operator trusts
    GUARDED = "guarded"  # every other URL that an account set
    SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider we know by name; one without a base URL of its own needs the account's."""

    adapter: Adapter
    base_url: str
    needs_key: bool = True
    needs_bound: bool = False


def _openai(base_url: str) -> Provider:
    chat = ChatCompletions("openai", base_url, OPENAI)
    return Provider(OpenAI(chat, Responses("openai", base_url)), base_url)


def _anthropic(version: str, max_tokens_default: int) -> Provider:
    adapter = AnthropicMessages("anthropic", version=version, max_tokens_default=max_tokens_default)
    return Provider(adapter, anthropic.BASE_URL, needs_bound=True)


_BUILT_IN = {
    "anthropic": _anthropic(anthropic.VERSION, anthropic.MAX_TOKENS_DEFAULT),
    "google": Provider(GenerateContent("google"), GOOGLE_URL),
    "openai": _openai("https://api.openai.com/v1"),
    **{
        name: Provider(ChatCompletions(name, vendor.base_url, vendor.dialect), vendor.base_url)
        for name, vendor in VENDORS.items()
    },
    SIMULATED: Provider(
        ChatCompletions(
            SIMULATED, simulated.BASE_URL, Dialect(check_extra=simulated.check_extra, embeds=True)
        ),
        simulated.BASE_URL,
        needs_key=False,
    ),
}


def configure(*, anthropic_version: str, max_tokens_default: int) -> None:
    """Take what the settings say of providers, once, when a process starts.

    Args:
        anthropic_version: the version of Anthropic's API to ask for.
        max_tokens_default: the bound on answers for who must be sent one.
    """
    _BUILT_IN["anthropic"] = _anthropic(anthropic_version, max_tokens_default)


def known_providers() -> tuple[str, ...]:
    """The providers known by name, less the custom ones."""
    return tuple(sorted(_BUILT_IN))


def is_custom(provider: str) -> bool:
    """Whether it is a server of the account's own, set by its base URL."""
    return provider.startswith(CUSTOM_PREFIX)


def is_known(provider: str) -> bool:
    """Whether there is such a provider: one of ours, or any well-named `custom:<name>`."""
    if is_custom(provider):
        return re.fullmatch(PROVIDER_PATTERN, provider, re.ASCII) is not None
    return provider in _BUILT_IN


def needs_key(provider: str) -> bool:
    """Whether the provider is of no use without a key. A custom server may have none."""
    return not is_custom(provider) and _built_in(provider).needs_key


def needs_bound(provider: str) -> bool:
    """Whether every request to the provider has a bound on tokens, be it a default."""
    return not is_custom(provider) and _built_in(provider).needs_bound


def speaks_openai(provider: str) -> bool:
    """Whether the provider takes OpenAI's parameters in OpenAI's own words."""
    return isinstance(adapter_for(provider), ChatCompletions | OpenAI)


def default_base_url(provider: str) -> str | None:
    """The vendor's own base URL; None for a custom server, which has only the account's."""
    return None if is_custom(provider) else _built_in(provider).base_url


def adapter_for(provider: str) -> Adapter:
    """The adapter that speaks the provider's language.

    Raises:
        InvalidRequestError: there is no such provider.
    """
    return _custom_adapter(provider) if is_custom(provider) else _built_in(provider).adapter


def sender_kind(provider: str, base_url: str | None, trusted: Trusted) -> SenderKind:
    """What carries a call of this provider to this base URL, if the account set one.

    The fast sender has no address guard, so it goes only where nobody but the vendor or the
    operator says: an account's own URL is guarded, unless the operator trusts its very host.
    """
    if provider == SIMULATED:
        return SenderKind.SIMULATED
    if base_url is None and not is_custom(provider):
        return SenderKind.FAST
    return SenderKind.FAST if _is_trusted(base_url or "", trusted) else SenderKind.GUARDED


def listed_price(provider: str, model: str) -> tuple[int, int] | None:
    """A price that this registry itself lists: micro-dollars per million tokens, in and out."""
    if provider != SIMULATED:
        return None
    return simulated.PRICES.get(model, simulated.OTHER_PRICE)


def _built_in(provider: str) -> Provider:
    try:
        return _BUILT_IN[provider]
    except KeyError:
        raise InvalidRequestError(
            f"provider {provider[:80]!r} is not known; known are {', '.join(known_providers())} "
            "and custom:<name>",
            param="provider",
        ) from None


@lru_cache(maxsize=1024)
def _is_trusted(base_url: str, trusted: Trusted) -> bool:
    try:
        return target_of(base_url, trusted).is_trusted
    except AddressRefusedError:
        return False  # the guarded sender refuses it, with the reason


@lru_cache(maxsize=1024)
def _custom_adapter(provider: str) -> Adapter:
    return ChatCompletions(provider) if is_known(provider) else _built_in(provider).adapter
