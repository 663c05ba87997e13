"""OpenAI's Chat Completions, the language that most vendors and local servers speak too.

Facts are from openai-python's own types (3.54.0, `openai.types.chat`) and OpenAI's API
reference. An OpenAI-compatible vendor is a configuration of this adapter, not new code.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from app.domain.completion import Completion, FinishReason, Usage
from app.domain.errors import (
    InvalidRequestError,
    MalformedCompletionError,
    ProviderKeyRefusedError,
    ProviderRefusedError,
)
from app.domain.prompt import Params
from app.domain.wire import Request, Response
from app.providers.base import CallInput, CredentialLike
from app.providers.failures import REQUEST_ID_CHARS_MAX, ErrorWords, failure_of, request_id_of
from app.providers.reading import (
    count_of,
    decode_json,
    estimate_input_tokens,
    estimate_tokens,
    raw_json,
    sanitise,
    sanitise_json,
)

NAME_CHARS_MAX = 256
OPENAI_STOPS_MAX = 4

_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
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
                    f"extra.{field}: {self.name} is told this by Overnight itself; "
                    "use the parameter of that name, or repeats for several answers",
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
            raise failure_of(response, _error_words(response.body), credential)
        data, is_mended = decode_json(response.body)
        choice, message = _first_choice(data)
        text, is_clean = _text_of(message)
        finish_reason, flag = _finish_reason(choice, message)
        tool_calls = _tool_calls(message)
        reasoning = _reasoning(message)
        shown = text + (reasoning or "") + (str(tool_calls) if tool_calls else "")
        usage = _usage(data.get("usage"), call, shown)
        flags = (
            ("sanitised", is_mended or not is_clean),
            (flag, flag is not None),
            ("empty", not text and not tool_calls),
            ("usage_estimated", usage.estimated),
        )
        return Completion(
            text=text,
            finish_reason=finish_reason,
            usage=usage,
            model_returned=_name(data.get("model"), NAME_CHARS_MAX),
            reasoning=reasoning,
            tool_calls=tool_calls,
            usage_raw=raw_json(data.get("usage")),
            request_id=request_id_of(response) or _name(data.get("id"), REQUEST_ID_CHARS_MAX),
            flags=tuple(name for name, is_set in flags if name and is_set),
        )

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
            f"stop: openai takes at most {OPENAI_STOPS_MAX} sequences", param="stop"
        )
    refused = []
    if _O_SERIES.match(model):
        refused += ["temperature", "top_p"]
    if _NO_STOP.match(model):
        refused.append("stop")
    for field in refused:
        if getattr(params, field) is not None:
            raise InvalidRequestError(f"{field}: openai's {model} does not take it", param=field)


def _bearer(provider: str, secret: str) -> str:
    if not (secret.isascii() and secret.isprintable()):
        raise ProviderKeyRefusedError(
            f"the key for {provider} has characters that no key has", reason="malformed_key"
        )
    return f"Bearer {secret}"


def _first_choice(data: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    choices = data.get("choices") if isinstance(data, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        # Some gateways answer 200 with an error inside.
        reason = "error_in_success" if isinstance(data, dict) and "error" in data else "no_choices"
        raise MalformedCompletionError("the answer holds no choice", reason=reason)
    return choice, message


def _text_of(message: Mapping[str, Any]) -> tuple[str, bool]:
    """The visible text, and whether it was clean; a refusal's own words where there is no other."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [
            part.get("text") or part.get("refusal") for part in content if isinstance(part, dict)
        ]
        content = "".join(part for part in parts if isinstance(part, str))
    if not content:
        content = message.get("refusal")
    text, is_changed = sanitise(content if isinstance(content, str) else "")
    return text, not is_changed


def _finish_reason(
    choice: Mapping[str, Any], message: Mapping[str, Any]
) -> tuple[FinishReason, str | None]:
    """Why it stopped, and a flag that keeps a word we do not know."""
    said = choice.get("finish_reason")
    reason = _FINISH_REASONS.get(said) if isinstance(said, str) else None
    if message.get("refusal") and reason is not FinishReason.CONTENT_FILTER:
        return FinishReason.REFUSAL, None
    if reason is None:
        word = "missing" if said is None else sanitise(str(said))[0][:40]
        return FinishReason.UNKNOWN, f"finish_reason:{word}"
    return reason, None


def _reasoning(message: Mapping[str, Any]) -> str | None:
    """Thoughts, as DeepSeek and vLLM (`reasoning_content`) or OpenRouter (`reasoning`) show them."""
    for field in ("reasoning_content", "reasoning"):
        value = message.get(field)
        if isinstance(value, str) and value:
            return sanitise(value)[0]
    return None


def _tool_calls(message: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return None
    return [sanitise_json(call) for call in calls if isinstance(call, dict)] or None


def _usage(told: Any, call: CallInput, shown: str) -> Usage:
    """The usage as told, or as estimated where what is told cannot be.

    Cached and written tokens are inside the prompt's, reasoning inside the completion's
    (`openai.types.completion_usage`).
    """
    usage = told if isinstance(told, dict) else {}
    inputs, outputs = count_of(usage.get("prompt_tokens")), count_of(usage.get("completion_tokens"))
    # A prompt has tokens, and so has a text; nothing was said in none.
    is_estimated = not inputs or outputs is None or (outputs == 0 and shown != "")
    input_tokens = inputs or estimate_input_tokens(call.messages)
    output_tokens = outputs or estimate_tokens(shown)
    cached = _detail(usage, "prompt_tokens_details", "cached_tokens", input_tokens)
    written = _detail(usage, "prompt_tokens_details", "cache_write_tokens", input_tokens - cached)
    return Usage(
        input_tokens=input_tokens,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output_tokens,
        reasoning_tokens=_detail(
            usage, "completion_tokens_details", "reasoning_tokens", output_tokens
        ),
        estimated=is_estimated,
    )


def _detail(usage: Mapping[str, Any], group: str, field: str, most: int) -> int:
    details = usage.get(group)
    return min(count_of(details.get(field)) or 0, most) if isinstance(details, dict) else 0


def _name(value: Any, chars_max: int) -> str | None:
    return sanitise(value[:chars_max])[0] if isinstance(value, str) and value else None


def _error_words(body: bytes) -> ErrorWords:
    """What an error body says, in the shapes of OpenAI, Ollama, vLLM and FastAPI servers."""
    try:
        data, _ = decode_json(body)
    except MalformedCompletionError:
        return ErrorWords()
    if not isinstance(data, dict):
        return ErrorWords()
    error = data.get("error")
    if isinstance(error, str):
        return ErrorWords(error)
    told = error if isinstance(error, dict) else data
    message = told.get("message") or told.get("detail") or ""
    words = (told.get("code"), told.get("type"))
    return ErrorWords(
        message if isinstance(message, str) else raw_json(message) or "",
        tuple(word for word in words if isinstance(word, str)),
    )
