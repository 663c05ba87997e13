"""Reading an answer of Anthropic's Messages, or an error of its kind."""

from collections.abc import Mapping
from typing import Any

from app.domain.completion import Completion, FinishReason, Usage
from app.domain.errors import MalformedCompletionError
from app.domain.wire import Response
from app.providers.base import CallInput
from app.providers.draft import Draft, shown
from app.providers.failures import ErrorWords, completion_by
from app.providers.reading import (
    bounded_usage,
    count_of,
    decode_json,
    detail_of,
    estimate_input_tokens,
    estimate_tokens,
    name_of,
    tool_call,
    unknown_finish,
)

CATEGORY_CHARS_MAX = 40
_FINISH_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
}
_CONTEXT_FULL = "model_context_window_exceeded"


def completion_of(response: Response, call: CallInput) -> Completion:
    """The completion in a successful response.

    Raises:
        MalformedCompletionError: there is none in it.
    """
    return completion_by(_read, _usage, response, call)


def error_words(body: bytes) -> ErrorWords:
    """What an error body says: a code that names the cause, where there is one, and a type."""
    try:
        data, _ = decode_json(body)
    except MalformedCompletionError:
        return ErrorWords()
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict):
        return ErrorWords(error if isinstance(error, str) else "")
    details, message = error.get("details"), error.get("message")
    words = (details.get("error_code") if isinstance(details, dict) else None, error.get("type"))
    return ErrorWords(
        message if isinstance(message, str) else "",
        tuple(word for word in words if isinstance(word, str)),
    )


def _read(response: Response, call: CallInput) -> Completion:
    data, is_mended = decode_json(response.body)
    content = data.get("content") if isinstance(data, dict) else None
    if not isinstance(content, list):
        reason = "error_in_success" if isinstance(data, dict) and "error" in data else "no_content"
        raise MalformedCompletionError("the answer holds no content", reason=reason)
    text, reasoning, tool_calls = _said(content)
    finish_reason, flags, explanation = _finish(data)
    text = text or explanation
    told = data.get("usage")
    return Draft(
        text=text,
        finish_reason=finish_reason,
        usage=_usage(told, call, shown(text, reasoning, tool_calls)),
        usage_told=told,
        model=data.get("model"),
        answer_id=data.get("id"),
        reasoning=reasoning,
        tool_calls=tool_calls,
        flags=flags,
        is_mended=is_mended,
    ).completion(response)


def _said(content: list[Any]) -> tuple[str, str | None, list[dict[str, Any]]]:
    """Text, thoughts and calls of tools; thoughts may be withheld, and then have no text."""
    text, thoughts, tool_calls = "", "", list[dict[str, Any]]()
    for block in content:
        match block:
            case {"type": "text", "text": str(said)}:
                text += said
            case {"type": "thinking", "thinking": str(thought)}:
                thoughts += thought
            case {"type": "tool_use"}:
                tool_calls.append(
                    tool_call(block.get("id"), block.get("name"), block.get("input", {}))
                )
            case _:
                pass  # what a tool of the vendor's own did; none was asked for
    return text, thoughts or None, tool_calls


def _finish(data: Mapping[str, Any]) -> tuple[FinishReason, tuple[str, ...], str]:
    """Why it stopped, what to flag, and what a refusal explains."""
    said = data.get("stop_reason")
    reason = _FINISH_REASONS.get(said) if isinstance(said, str) else None
    if reason is None:
        return FinishReason.UNKNOWN, (unknown_finish(said),), ""
    if said == _CONTEXT_FULL:
        return reason, ("context_exceeded",), ""
    details = data.get("stop_details")
    if reason is not FinishReason.REFUSAL or not isinstance(details, dict):
        return reason, (), ""
    category = name_of(details.get("category"), CATEGORY_CHARS_MAX)
    explanation = details.get("explanation")
    flags = (f"refusal:{category}",) if category else ()
    return reason, flags, explanation if isinstance(explanation, str) else ""


def _usage(told: Any, call: CallInput, said: str) -> Usage:
    """The usage as told: cached and written tokens are beside the input's (`anthropic.types.usage`)."""
    usage = told if isinstance(told, dict) else {}
    fresh, outputs = count_of(usage.get("input_tokens")), count_of(usage.get("output_tokens"))
    read = count_of(usage.get("cache_read_input_tokens")) or 0
    written = count_of(usage.get("cache_creation_input_tokens")) or 0
    inputs = None if fresh is None else fresh + read + written
    return bounded_usage(
        input_tokens=inputs or estimate_input_tokens(call.messages, call.params),
        cached=read,
        written=written,
        output_tokens=outputs or estimate_tokens(said),
        reasoning=detail_of(usage, "output_tokens_details", "thinking_tokens"),
        estimated=not inputs or outputs is None or (outputs == 0 and said != ""),
    )
