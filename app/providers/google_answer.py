"""Reading an answer of Google's generateContent, or an error of its kind."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from app.domain.clock import utc_now
from app.domain.completion import Completion, FinishReason, Usage
from app.domain.errors import MalformedCompletionError
from app.domain.wire import Response
from app.providers.base import RETRY_AFTER_MAX_S, CallInput
from app.providers.draft import Draft, shown
from app.providers.failures import DAILY_QUOTA, NO_QUOTA, ErrorWords, completion_by
from app.providers.reading import (
    bounded_usage,
    count_of,
    decode_json,
    estimate_input_tokens,
    estimate_tokens,
    name_of,
    tool_call,
    unknown_finish,
)

WORD_CHARS_MAX = 40
#: Daily quotas come back at midnight in Los Angeles: at 7 or 8 in UTC. The later one is never
#: too early (ai.google.dev/gemini-api/docs/rate-limits).
DAY_BEGINS_UTC_HOUR = 8
#: `google.genai.types.FinishReason`; those that are not here are faults of the model's, and kept
#: as a flag.
_FINISH_REASONS = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "CONTINUATION": FinishReason.LENGTH,
    **dict.fromkeys(
        (
            *("BLOCKLIST", "ESCALATION", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
            *("IMAGE_SAFETY", "LANGUAGE", "MODEL_ARMOR", "PROHIBITED_CONTENT"),
            *("PUP_LIMITED_DISABLED", "RECITATION", "SAFETY", "SPII"),
        ),
        FinishReason.CONTENT_FILTER,
    ),
}
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")


def completion_of(response: Response, call: CallInput) -> Completion:
    """The completion in a successful response.

    Raises:
        MalformedCompletionError: there is none in it.
    """
    return completion_by(_read, _usage, response, call)


def error_words(body: bytes) -> ErrorWords:
    """What an error body says: reasons, the kind of quota, the status, and how long to wait.

    In the shape of google.rpc.Status, with ErrorInfo, QuotaFailure and RetryInfo in its details.
    """
    try:
        data, _ = decode_json(body)
    except MalformedCompletionError:
        return ErrorWords()
    if isinstance(data, list) and data:
        data = data[0]  # as some of its front ends answer
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict):
        return ErrorWords(error if isinstance(error, str) else "")
    message, status, listed = error.get("message"), error.get("status"), error.get("details")
    details = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    words = [*_reasons(details), *_quota(details)]
    if isinstance(status, str):
        words.append(status)
    wait_s = _next_day_s() if DAILY_QUOTA in words else _delay_s(details)
    return ErrorWords(message if isinstance(message, str) else "", tuple(words), wait_s)


def _reasons(details: Iterable[Mapping[str, Any]]) -> list[str]:
    return [reason for one in details if isinstance(reason := one.get("reason"), str)]


def _quota(details: Iterable[Mapping[str, Any]]) -> list[str]:
    """Whether the quota is one that there is none of, or one for a day; a minute's is no word."""
    violations = [
        violation
        for one in details
        if isinstance(listed := one.get("violations"), list)
        for violation in listed
        if isinstance(violation, dict)
    ]
    if any(str(one.get("quotaValue")) == "0" for one in violations):
        return [NO_QUOTA]
    return [DAILY_QUOTA] if any("PerDay" in str(one.get("quotaId")) for one in violations) else []


def _delay_s(details: Iterable[Mapping[str, Any]]) -> float | None:
    delays = [_SECONDS.fullmatch(str(one.get("retryDelay"))) for one in details]
    waits = [min(float(found[1]), RETRY_AFTER_MAX_S) for found in delays if found]
    return max(waits, default=None)


def _next_day_s() -> float:
    now = utc_now()
    begins = now.replace(hour=DAY_BEGINS_UTC_HOUR, minute=0, second=0, microsecond=0)
    if begins <= now:
        begins += timedelta(days=1)
    return (begins - now).total_seconds()


def _read(response: Response, call: CallInput) -> Completion:
    data, is_mended = decode_json(response.body)
    candidate, blocked = _candidate(data)
    text, reasoning, tool_calls = _said(candidate)
    finish_reason, flags = _finish(candidate, tool_calls)
    if blocked is not None:
        finish_reason, flags = FinishReason.CONTENT_FILTER, (f"blocked:{blocked}",)
    told = data.get("usageMetadata")
    return Draft(
        text=text,
        finish_reason=finish_reason,
        usage=_usage(told, call, shown(text, reasoning, tool_calls)),
        usage_told=told,
        model=data.get("modelVersion"),
        answer_id=data.get("responseId"),
        reasoning=reasoning,
        tool_calls=tool_calls,
        flags=flags,
        is_mended=is_mended,
    ).completion(response)


def _candidate(data: Any) -> tuple[dict[str, Any], str | None]:
    """The first candidate; where the prompt was blocked there is none, but the reason for it."""
    told = data if isinstance(data, dict) else {}
    candidates, feedback = told.get("candidates"), told.get("promptFeedback")
    if isinstance(candidates, list) and candidates and isinstance(candidates[0], dict):
        return candidates[0], None
    blocked = feedback.get("blockReason") if isinstance(feedback, dict) else None
    if blocked is None:
        reason = "error_in_success" if "error" in told else "no_candidates"
        raise MalformedCompletionError("the answer holds no candidate", reason=reason)
    return {}, name_of(blocked, WORD_CHARS_MAX) or "unknown"


def _said(candidate: Mapping[str, Any]) -> tuple[str, str | None, list[dict[str, Any]]]:
    """Text, thoughts and calls of functions."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    text, thoughts, tool_calls = "", "", list[dict[str, Any]]()
    for part in parts if isinstance(parts, list) else ():
        match part:
            case {"functionCall": {"name": name, **call}}:
                call_id = call.get("id") or f"call_{len(tool_calls) + 1}"
                tool_calls.append(tool_call(call_id, name, call.get("args") or {}))
            case {"thought": True, "text": str(thought)}:
                thoughts += thought
            case {"text": str(said)}:
                text += said
            case _:
                pass  # what was not asked for: code, files
    return text, thoughts or None, tool_calls


def _finish(
    candidate: Mapping[str, Any], tool_calls: list[dict[str, Any]]
) -> tuple[FinishReason, tuple[str, ...]]:
    said = candidate.get("finishReason")
    reason = _FINISH_REASONS.get(said) if isinstance(said, str) else None
    if reason is None:
        return FinishReason.UNKNOWN, (unknown_finish(said),)
    if reason is FinishReason.STOP and tool_calls:
        return FinishReason.TOOL_CALLS, ()
    flags = (f"blocked:{said}",) if reason is FinishReason.CONTENT_FILTER else ()
    return reason, flags


def _usage(told: Any, call: CallInput, said: str) -> Usage:
    """The usage as told: thoughts are beside the candidates', cached tokens inside the prompt's.

    What tools gave back as input is beside the prompt's (`GenerateContentResponseUsageMetadata`).
    """
    usage = told if isinstance(told, dict) else {}
    prompt = count_of(usage.get("promptTokenCount"))
    spoken = count_of(usage.get("candidatesTokenCount"))
    thoughts = count_of(usage.get("thoughtsTokenCount")) or 0
    given_back = count_of(usage.get("toolUsePromptTokenCount")) or 0
    inputs = None if prompt is None else prompt + given_back
    # Of an answer that was cut off while it thought, nothing was spoken, and that is not told.
    outputs = (spoken or 0) + thoughts
    return bounded_usage(
        input_tokens=inputs or estimate_input_tokens(call.messages, call.params),
        cached=count_of(usage.get("cachedContentTokenCount")) or 0,
        written=0,
        output_tokens=outputs or estimate_tokens(said),
        reasoning=thoughts,
        estimated=not inputs or (not outputs and said != ""),
    )
