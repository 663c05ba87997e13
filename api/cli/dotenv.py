"""Provider keys from lines of `NAME=value`, as a `.env` file has them.

Only names that are known for a provider's key are taken; nothing of a value is ever shown.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from api.cli.failure import ExitCode, Failure
from app.domain.secret import Secret

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_SUFFIX = "_API_KEY"
#: Names of keys that the vendors' own clients read, beside `<PROVIDER>_API_KEY`.
_OTHER_NAMES = {
    "CO_API_KEY": "cohere",
    "DASHSCOPE_API_KEY": "qwen",
    "GEMINI_API_KEY": "google",
    "NVIDIA_NIM_API_KEY": "nvidia",
    "PPLX_API_KEY": "perplexity",
    "TOGETHERAI_API_KEY": "together",
    "ZHIPUAI_API_KEY": "zai",
    "Z_AI_API_KEY": "zai",
}


class Found(NamedTuple):
    """Keys by provider, and names of variables that may be keys of nobody known."""

    keys: dict[str, Secret]
    unknown: list[str]


def read_keys(lines: Iterable[str], providers: Iterable[str]) -> Found:
    """The keys that lines set for providers.

    Raises:
        Failure: a line cannot be read, or two of them give one provider different keys; it
            names lines and variables, never values.
    """
    names = {_variable_of(one): one for one in providers}
    names |= {name: one for name, one in _OTHER_NAMES.items() if one in names.values()}
    keys: dict[str, Secret] = {}
    given_by: dict[str, str] = {}
    unknown = []
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("\ufeff")
        if not text or text.startswith("#"):
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            raise Failure(f"line {number}: it is no NAME=value", ExitCode.USAGE)
        name, value = found[1], _value(found[2])
        provider = names.get(name)
        if provider is None:
            if name.endswith(_SUFFIX):
                unknown.append(name)
            continue
        if not value:
            continue
        if provider in keys and keys[provider].reveal() != value:
            raise Failure(
                f"line {number}: {name} is not the same as {given_by[provider]}, and {provider} "
                "has one key",
                ExitCode.USAGE,
            )
        keys[provider], given_by[provider] = Secret(value), name
    return Found(keys, unknown)


def _variable_of(provider: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", provider.upper()) + _SUFFIX


def _value(text: str) -> str:
    """A value without its quotes, or without the comment behind it."""
    for quote in ("'", '"'):
        if text.startswith(quote) and (end := text.find(quote, 1)) > 0:
            return text[1:end].strip()
    return re.split(r"\s#", text, maxsplit=1)[0].strip()
