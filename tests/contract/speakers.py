"""Every adapter there is, with the language it speaks, and a model to ask."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from app.domain.completion import Completion
from app.domain.errors import ProviderError
from app.domain.prompt import ImagePart, ImageUrl, Message, Params, TextPart
from app.domain.secret import Secret
from app.domain.wire import Response
from app.providers import registry
from app.providers.base import Adapter, CallInput, Credential
from tests.contract.languages import Chat, Gemini, Language, Messages, Responses

CANARY = "sk-canary-0123456789"
BASE_URL = "https://llm.example.com/v1"
PNG = "data:image/png;base64,iVBORw0KGgo="
MESSAGES = [
    Message("system", "You are terse."),
    Message("user", [TextPart("What is this?"), ImagePart(ImageUrl(PNG))]),
    Message("assistant", "A cat."),
    Message("user", "And what is 1+1? 😀"),
]


@dataclass(frozen=True)
class Speaker:
    """An adapter, and how to talk with it."""

    name: str
    adapter: Adapter
    language: Language

    def credential(self, base_url: str = BASE_URL) -> Credential:
        return Credential(self.adapter.name, base_url, Secret(CANARY))

    def call(self, params: Params | None = None) -> CallInput:
        return CallInput("call_1", self.language.model, MESSAGES, params or Params(), attempt=2)

    def sent(self, params: Params | None = None) -> Any:
        """The body of a request."""
        return json.loads(self.adapter.build(self.call(params), self.credential()).body)

    def read(self, body: object, status: int = 200, **headers: str) -> Completion:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = Response(status, named, data)
        return self.adapter.read(response, self.call(), self.credential())

    def failure(self, body: object, status: int = 200, **headers: str) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            self.read(body, status, **headers)
        assert CANARY not in repr(caught.value)
        return caught.value


def speaker_of(name: str) -> Speaker:
    """The speaker of a provider, or of OpenAI's other door."""
    if name == "openai responses":
        return Speaker(name, registry.adapter_for("openai"), Responses())
    languages: dict[str, Language] = {"anthropic": Messages(), "google": Gemini()}
    return Speaker(name, registry.adapter_for(name), languages.get(name, Chat()))


NAMES = [*registry.known_providers(), "custom:local", "openai responses"]
SPEAKERS = {name: speaker_of(name) for name in NAMES}
#: One for each language, where vendors do not differ.
ONE_EACH = [SPEAKERS[name] for name in ("openai", "openai responses", "anthropic", "google")]
