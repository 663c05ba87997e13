"""Reading an answer in the shape of OpenAI's Chat Completions, or an error of its kind.

Vendors and servers that imitate it leave out, add and bend fields, so nothing is taken for granted
but that there is a choice with a message.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.domain.completion import Completion, FinishReason, Usage
from app.domain.errors import MalformedCompletionError
from app.domain.wire import Response
from app.providers.base import CallInput
from app.providers.draft import Draft, shown
from app.providers.failures import BAD_REQUEST, ErrorWords, completion_by
from app.providers.reading import (
    bounded_usage,
    count_of,
    decode_json,
    detail_of,
    estimate_input_tokens,
    estimate_tokens,
    raw_json,
    sanitise_json,
    unknown_finish,
)

STATUS_MAX = 599
NO_WORDS: Mapping[str, str] = {}

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
    return completion_by(_read, _usage, response, call)


def _read(response: Response, call: CallInput) -> Completion:
    data, is_mended = decode_json(response.body)
    choice, message = _first_choice(data)
    text = _text_of(message)
    finish_reason, flag = _finish_reason(choice, message)
    tool_calls, reasoning = _tool_calls(message), _reasoning(message)
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
        flags=(flag,) if flag else (),
        is_mended=is_mended,
    ).completion(response)


def error_words(body: bytes, translated: Mapping[str, str] = NO_WORDS) -> ErrorWords:
    """What an error body says, in the shapes of OpenAI, Ollama, vLLM and FastAPI servers.

    Args:
        body: the answer's.
        translated: the vendor's own words, in `failures`' words.
    """
    try:
        data, _ = decode_json(body)
    except MalformedCompletionError:
        return ErrorWords()
    return _words_of(data, translated)


class Inside(NamedTuple):
    """An error that came as a success: the answer that it stands for, and what it says."""

    response: Response
    said: ErrorWords


def failure_inside(
    response: Response, translated: Mapping[str, str], statuses: Mapping[int, int]
) -> Inside | None:
    """The error that a successful response holds, if it holds one with a status.

    OpenRouter answers 200 with `error.code` as the status of the provider behind it
    (openrouter.ai/docs/api-reference/errors), MiniMax with `base_resp.status_code`
    (platform.minimax.io/docs, error codes).
    """
    try:
        data, _ = decode_json(response.body)
    except MalformedCompletionError:
        return None
    if not isinstance(data, dict):
        return None
    told, code = _told_inside(data, statuses)
    if not BAD_REQUEST <= code <= STATUS_MAX:
        return None
    return Inside(Response(code, response.headers, response.body), _words_of(told, translated))


def _told_inside(data: dict[str, Any], statuses: Mapping[int, int]) -> tuple[dict[str, Any], int]:
    """What tells of the error, and its status; 0 where there is none."""
    base = data.get("base_resp")
    if isinstance(base, dict) and (code := statuses.get(count_of(base.get("status_code")) or 0)):
        return {"message": base.get("status_msg"), "code": base["status_code"]}, code
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    for told in (choice, data):
        error = told.get("error") if isinstance(told, dict) else None
        if isinstance(told, dict) and isinstance(error, dict):
            return told, count_of(error.get("code")) or 0
    return data, 0


def _words_of(data: Any, translated: Mapping[str, str]) -> ErrorWords:
    if not isinstance(data, dict):
        return ErrorWords()
    error = data.get("error")
    told = error if isinstance(error, dict) else data
    message = error if isinstance(error, str) else told.get("message") or told.get("detail") or ""
    words = [str(told[name]) for name in ("code", "type") if isinstance(told.get(name), str | int)]
    metadata = told.get("metadata")
    if isinstance(metadata, dict) and "flagged_input" in metadata:
        words.insert(0, "moderation_blocked")  # OpenRouter's moderation, a 403
    return ErrorWords(
        message if isinstance(message, str) else raw_json(message) or "",
        tuple(translated.get(word, word) for word in words),
    )


def _first_choice(data: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    choices = data.get("choices") if isinstance(data, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        # Some gateways answer 200 with an error inside.
        reason = "error_in_success" if isinstance(data, dict) and "error" in data else "no_choices"
        raise MalformedCompletionError("the answer holds no choice", reason=reason)
    if isinstance(choice.get("error"), dict):
        raise MalformedCompletionError("the answer broke off", reason="error_in_success")
    return choice, message


def _text_of(message: Mapping[str, Any]) -> str:
    """The visible text; a refusal's own words where there is no other."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [
            part.get("text") or part.get("refusal") for part in content if isinstance(part, dict)
        ]
        content = "".join(part for part in parts if isinstance(part, str))
    content = content or message.get("refusal")
    return content if isinstance(content, str) else ""


def _finish_reason(
    choice: Mapping[str, Any], message: Mapping[str, Any]
) -> tuple[FinishReason, str | None]:
    """Why it stopped, and a flag that keeps a word we do not know."""
    said = choice.get("finish_reason")
    reason = _FINISH_REASONS.get(said) if isinstance(said, str) else None
    if message.get("refusal") and reason is not FinishReason.CONTENT_FILTER:
        return FinishReason.REFUSAL, None
    if reason is None:
        return FinishReason.UNKNOWN, unknown_finish(said)
    return reason, None


def _reasoning(message: Mapping[str, Any]) -> str | None:
    """Thoughts, as DeepSeek and vLLM (`reasoning_content`) or OpenRouter (`reasoning`) show them.

    MiniMax lists them under `reasoning_details`, Mistral in parts of the content.
    """
    for field in ("reasoning_content", "reasoning"):
        value = message.get(field)
        if isinstance(value, str) and value:
            return value
    thoughts: list[str] = []
    for field in ("reasoning_details", "content"):
        parts = message.get(field)
        for part in parts if isinstance(parts, list) else ():
            thoughts += _thoughts_of(part, field)
    return "".join(thoughts) or None


def _thoughts_of(part: Any, field: str) -> list[str]:
    if not isinstance(part, dict):
        return []
    held = part.get("thinking") if field == "content" else [part]
    texts = (
        [one.get("text") for one in held if isinstance(one, dict)] if isinstance(held, list) else []
    )
    return [text for text in texts if isinstance(text, str)]


def _tool_calls(message: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return None
    return [sanitise_json(call) for call in calls if isinstance(call, dict)] or None


def _usage(told: Any, call: CallInput, said: str) -> Usage:
    """The usage as told, or as estimated where what is told cannot be.

    Cached and written tokens are inside the prompt's, reasoning inside the completion's
    (`openai.types.completion_usage`), but for xAI's and Perplexity's (`_outside`).
    """
    usage = told if isinstance(told, dict) else {}
    inputs, outputs = count_of(usage.get("prompt_tokens")), count_of(usage.get("completion_tokens"))
    # A prompt has tokens, and so has a text; nothing was said in none.
    is_estimated = not inputs or outputs is None or (outputs == 0 and said != "")
    input_tokens = inputs or estimate_input_tokens(call.messages, call.params)
    output_tokens = outputs or estimate_tokens(said)
    reasoning = detail_of(usage, "completion_tokens_details", "reasoning_tokens")
    if not is_estimated:
        extra_input, extra_output = _outside(usage, input_tokens + output_tokens, reasoning)
        input_tokens, output_tokens = input_tokens + extra_input, output_tokens + extra_output
        reasoning = max(reasoning, extra_output)
    return bounded_usage(
        input_tokens=input_tokens,
        cached=_cached(usage),
        written=detail_of(usage, "prompt_tokens_details", "cache_write_tokens"),
        output_tokens=output_tokens,
        reasoning=reasoning,
        estimated=is_estimated,
    )


def _outside(usage: Mapping[str, Any], counted: int, reasoning: int) -> tuple[int, int]:
    """Input and output tokens that are billed, and in neither total.

    xAI counts reasoning beside the completion, which its own total shows. Perplexity counts it
    at the top level, and the pages it read as citation tokens, at the price of input.
    """
    if reasoning and count_of(usage.get("total_tokens")) == counted + reasoning:
        return 0, reasoning
    return count_of(usage.get("citation_tokens")) or 0, count_of(usage.get("reasoning_tokens")) or 0


def _cached(usage: Mapping[str, Any]) -> int:
    """Tokens read from a cache; DeepSeek's and Moonshot's older answers say so at the top level."""
    return (
        detail_of(usage, "prompt_tokens_details", "cached_tokens")
        or count_of(usage.get("prompt_cache_hit_tokens"))
        or count_of(usage.get("cached_tokens"))
        or 0
    )
