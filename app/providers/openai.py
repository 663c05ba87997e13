"""OpenAI's Chat Completions, the language that most vendors and local servers speak too.

Facts are from openai-python's own types (3.54.0, `openai.types.chat`) and OpenAI's API
reference. An OpenAI-compatible vendor is a configuration of this adapter, not new code.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from app.domain.completion import Completion
from app.domain.errors import (
    InvalidRequestError,
    ProviderKeyRefusedError,
    ProviderRefusedError,
)
from app.domain.prompt import Params
from app.domain.wire import Request, Response
from app.providers.base import CallInput, CredentialLike
from app.providers.failures import failure_of
from app.providers.openai_answer import completion_of, error_words

OPENAI_STOPS_MAX = 4

#: What a parameter of ours already says, and what the engine decides. `n` and the bounds on
#: tokens would also get past a budget.
_OURS_IN_EXTRA = frozenset(
    {
        *("max_completion_tokens", "max_tokens", "messages", "model", "n", "response_format"),
        *("seed", "stop", "stream", "stream_options", "temperature", "top_p"),
    }
)
#: OpenAI's first reasoning models, which refuse to be sampled otherwise than they are.
_O_SERIES = re.compile(r"^o\d")
_NO_STOP = re.compile(r"^(?:o3|o4-mini)(?:-|$)")

CheckExtra = Callable[[Mapping[str, Any]], None]


class ChatCompletions:
    """An adapter for OpenAI (`is_openai`) or for a server that imitates it."""

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        *,
        is_openai: bool = False,
        check_extra: CheckExtra | None = None,
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._is_openai = is_openai
        self._check_extra = check_extra

    def check(self, params: Params, model: str) -> None:
        """Refuse what the vendor does not take, as `Adapter.check` says."""
        extra = params.extra or {}
        for field in extra:
            if field in _OURS_IN_EXTRA:
                raise InvalidRequestError(
                    f"{self.name} is told this by Overnight itself; use the parameter of that "
                    "name, or repeats for several answers",
                    param=f"extra.{field}",
                )
        if self._check_extra is not None:
            self._check_extra(extra)
        if self._is_openai:
            _check_openai(params, model)

    def build(self, call: CallInput, credential: CredentialLike) -> Request:
        """A request, as `Adapter.build` says."""
        url = self._url(credential, "/chat/completions")
        headers = {
            "content-type": "application/json",
            # OpenAI logs it with the request: platform.openai.com/docs/api-reference/debugging.
            "x-client-request-id": f"{call.id}-{call.attempt}",
            **self._authorization(credential),
        }
        try:
            body = msgspec.json.encode(self._body(call))
        except (ValueError, TypeError, OverflowError):
            # The exception would hold the prompt.
            raise ProviderRefusedError(
                f"the call cannot be written as JSON for {self.name}", reason="not_encodable"
            ) from None
        return Request("POST", url, headers, body)

    def probe(self, credential: CredentialLike) -> Request:
        """A request for the list of models, as `Adapter.probe` says."""
        return Request("GET", self._url(credential, "/models"), self._authorization(credential))

    def read(self, response: Response, call: CallInput, credential: CredentialLike) -> Completion:
        """The completion, as `Adapter.read` says."""
        if not 200 <= response.status_code < 300:  # noqa: PLR2004 - the class of successes
            raise failure_of(response, error_words(response.body), credential)
        return completion_of(response, call)

    def _url(self, credential: CredentialLike, path: str) -> str:
        base_url = credential.base_url or self._base_url
        if base_url is None:
            raise ProviderRefusedError(f"{self.name} has no base URL", reason="no_base_url")
        return base_url.rstrip("/") + path

    def _authorization(self, credential: CredentialLike) -> dict[str, str]:
        if credential.secret is None:
            return {}
        return {"authorization": _bearer(self.name, credential.secret.reveal())}

    def _body(self, call: CallInput) -> dict[str, Any]:
        params = call.params
        body: dict[str, Any] = {**params.extra} if params.extra else {}
        body["model"] = call.model
        body["messages"] = call.messages
        for field in ("temperature", "top_p", "stop", "seed", "response_format"):
            value = getattr(params, field)
            if value is not None:
                body[field] = value
        if (tokens_max := call.output_tokens_max) is not None:
            # OpenAI deprecated the old name, and its reasoning models refuse it; most
            # servers that imitate it know only that one.
            body["max_completion_tokens" if self._is_openai else "max_tokens"] = tokens_max
        return body


def _check_openai(params: Params, model: str) -> None:
    if params.stop is not None and len(params.stop) > OPENAI_STOPS_MAX:
        raise InvalidRequestError(
            f"openai takes at most {OPENAI_STOPS_MAX} sequences", param="stop"
        )
    refused = []
    if _O_SERIES.match(model):
        refused += ["temperature", "top_p"]
    if _NO_STOP.match(model):
        refused.append("stop")
    for field in refused:
        if getattr(params, field) is not None:
            raise InvalidRequestError(f"openai's {model} does not take it", param=field)


def _bearer(provider: str, secret: str) -> str:
    if not (secret.isascii() and secret.isprintable()):
        raise ProviderKeyRefusedError(
            f"the key for {provider} has characters that no key has", reason="malformed_key"
        )
    return f"Bearer {secret}"
