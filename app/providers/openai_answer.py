"""Reading an answer in the shape of OpenAI's Chat Completions, or an error of its kind.

Vendors and servers that imitate it leave out, add and bend fields, so nothing is taken for granted
but that there is a choice with a message.
"""

from collections.abc import Mapping
from typing import Any

from app.domain.completion import Completion, FinishReason, Usage
from app.domain.errors import MalformedCompletionError
from app.domain.wire import Response
from app.providers.base import CallInput
from app.providers.failures import REQUEST_ID_CHARS_MAX, ErrorWords, request_id_of
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

_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


def completion_of(response: Response, call: CallInput) -> Completion:
    """The completion in a successful response.

    Raises:
        MalformedCompletionError: there is none in it.
    """
    try:
        return _read(response, call)
    except MalformedCompletionError as error:
        error.status_code, error.request_id = response.status_code, request_id_of(response)
        raise


def _read(response: Response, call: CallInput) -> Completion:
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


def error_words(body: bytes) -> ErrorWords:
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
