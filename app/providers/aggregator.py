"""The aggregator: OpenRouter serves most vendors' models, under names that follow from theirs."""

import re
from collections.abc import Callable

from app.domain.prompt import ModelRef

AGGREGATOR = "openrouter"

#: Our names of vendors, and OpenRouter's (openrouter.ai/models). Who serves the models of others
#: (Groq, Cerebras, Together, Fireworks) is not here: another host is another contestant.
_AUTHORS = {
    "anthropic": "anthropic",
    "arcee": "arcee-ai",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "google": "google",
    "minimax": "minimax",
    "mistral": "mistralai",
    "moonshot": "moonshotai",
    "openai": "openai",
    "perplexity": "perplexity",
    "qwen": "qwen",
    "xai": "x-ai",
    "zai": "z-ai",
}
#: Names that move: with the vendor they mean another model than with OpenRouter, or none.
_MOVING = re.compile(r"-latest$|^deepseek-(?:chat|reasoner|flash)$|^chat-latest$")
_DAY = re.compile(r"-20\d{6}$")
#: `claude-sonnet-4-5`, and of old `claude-3-5-sonnet`.
_VERSION = re.compile(r"(?<=-)(\d+)-(\d+)(?=-|$)")


def serves(provider: str) -> bool:
    """Whether the aggregator has models of this vendor."""
    return provider in _AUTHORS


def aggregator_for(provider: str, model: str) -> ModelRef | None:
    """The same model with the aggregator; None where no name of it follows from this one."""
    author = _AUTHORS.get(provider)
    if author is None or _MOVING.search(model):
        return None
    name = _RENAMED.get(provider, str.lower)(model)
    # Tuned models are an account's own, and some vendors serve others' models, too.
    return None if set(name) & {"/", ":"} else ModelRef(AGGREGATOR, f"{author}/{name}")


def _anthropic(model: str) -> str:
    """Without the day of the snapshot, of which a version has but one; with a dot in the version."""
    return _VERSION.sub(r"\1.\2", _DAY.sub("", model)).removesuffix(".0")


def _google(model: str) -> str:
    return model.removeprefix("models/")


def _moonshot(model: str) -> str:
    return model.removesuffix("-preview") if re.search(r"-\d{4}-preview$", model) else model


_RENAMED: dict[str, Callable[[str], str]] = {
    "anthropic": _anthropic,
    "google": _google,
    "moonshot": _moonshot,
}
