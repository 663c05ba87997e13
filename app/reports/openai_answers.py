"""What a job came to, in the bodies that OpenAI's endpoints answer with.

One answer is the body's own: the winner's, the synthesis, the first that succeeded. Everything
else is under `overnight`. Shapes are those of openai-python 3.54.0 (`openai.types`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from app.domain.completion import FinishReason
from app.domain.states import CallState, JobState, Role
from app.reports.views import CompletionView, ResultLine

Body = dict[str, Any]

#: Ends that OpenAI has another word for; what is not here is the same word.
_FINISHES = {
    FinishReason.REFUSAL.value: "stop",
    FinishReason.UNKNOWN.value: "stop",
}
_DECLINED = frozenset({FinishReason.REFUSAL.value})
_EXPIRED = "This request could not be executed before the completion window expired."
_CANCELLED = "This request was not executed, because its batch was cancelled."


class Failure(msgspec.Struct, frozen=True):
    """Why a job has no answer; `status_code` is the provider's, None where none was asked."""

    reason: str
    message: str
    status_code: int | None = None


def answer_in(line: ResultLine) -> CompletionView | None:
    """The completion that is a job's one answer; None where there is none.

    A model that declined has answered, too, if it was the only one asked.
    """
    asked = [one for one in line.completions if one.role != Role.JUDGE]
    wanted = _wanted(line)
    answered = [one for one in asked if one.state == CallState.SUCCEEDED]
    if line.state == JobState.SUCCEEDED:
        named = [one for one in answered if one.label == wanted]
        return next(iter([*reversed(named), *answered]), None)
    refused = [one for one in asked if one.state == CallState.REFUSED]
    return refused[0] if line.mode == "chat" and refused else None


def _wanted(line: ResultLine) -> str | None:
    """The label that a verdict or a synthesis names."""
    if line.mode == "blend" and line.synthesis is not None:
        label = msgspec.json.decode(line.synthesis).get("label")
    elif line.verdict is not None:
        label = msgspec.json.decode(line.verdict).get("winner")
    else:
        return None
    return label if isinstance(label, str) else None


def failure_in(line: ResultLine, status_code: int | None) -> Failure:
    """Why a job has no answer.

    Args:
        line: the job's.
        status_code: what the last provider that was asked answered with.
    """
    match line.state:
        case JobState.EXPIRED:
            return Failure("batch_expired", _EXPIRED)
        case JobState.CANCELLED:
            return Failure("batch_cancelled", _CANCELLED)
        case _:
            pass
    last = next((one.error for one in reversed(line.completions) if one.error is not None), None)
    told = line.error
    reason = told.reason if told is not None else "failed"
    message = last.message if last is not None and last.message else None
    said = message or (told.message if told is not None else None) or reason
    return Failure(reason, said, status_code)


def body_in(line: ResultLine, answer: CompletionView, endpoint: str, created: int) -> Body:
    """The body that an endpoint answers a job with.

    Args:
        line: the job's.
        answer: which of its completions it is.
        endpoint: whose shape it has.
        created: in Unix seconds.
    """
    return {**_BODIES[endpoint](line, answer, created), "overnight": _beyond(line, answer)}


def _chat(line: ResultLine, answer: CompletionView, created: int) -> Body:
    declined = answer.finish_reason in _DECLINED
    content = answer.text or (None if answer.tool_calls else "")
    message: Body = {
        "role": "assistant",
        "content": None if declined else content,
        "refusal": answer.text or "" if declined else None,
    }
    if answer.tool_calls:
        message["tool_calls"] = answer.tool_calls
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    finish = answer.finish_reason or "stop"
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _FINISHES.get(finish, finish),
    }
    used = tokens_in([line])
    return {
        "id": f"chatcmpl-{_tail(answer.call_id)}",
        "object": "chat.completion",
        "created": created,
        "model": answer.model_returned or answer.model,
        "choices": [choice],
        "usage": {
            "prompt_tokens": used["input_tokens"],
            "completion_tokens": used["output_tokens"],
            "total_tokens": used["total_tokens"],
            "prompt_tokens_details": used["input_tokens_details"],
            "completion_tokens_details": used["output_tokens_details"],
        },
    }


def _response(line: ResultLine, answer: CompletionView, created: int) -> Body:
    tail = _tail(answer.call_id)
    declined = answer.finish_reason in _DECLINED
    text = answer.text or ""
    part: Body = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    if declined:
        part = {"type": "refusal", "refusal": text}
    message = {
        "type": "message",
        "id": f"msg_{tail}",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    calls = [
        {
            "type": "function_call",
            "id": f"fc_{tail}_{number}",
            "call_id": call.get("id", f"call_{number}"),
            "name": call.get("function", {}).get("name", ""),
            "arguments": call.get("function", {}).get("arguments", ""),
            "status": "completed",
        }
        for number, call in enumerate(answer.tool_calls or ())
    ]
    broke_off = _BROKE_OFF.get(answer.finish_reason or "")
    return {
        "id": f"resp_{tail}",
        "object": "response",
        "created_at": created,
        "status": "incomplete" if broke_off else "completed",
        "error": None,
        "incomplete_details": {"reason": broke_off} if broke_off else None,
        "instructions": None,
        "metadata": {},
        "model": answer.model_returned or answer.model,
        "output": ([message] if text or not calls else []) + calls,
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": tokens_in([line]),
    }


_BROKE_OFF = {
    FinishReason.LENGTH.value: "max_output_tokens",
    FinishReason.CONTENT_FILTER.value: "content_filter",
}


def _embeddings(line: ResultLine, answer: CompletionView, _created: int) -> Body:
    used = tokens_in([line])
    return {
        "object": "list",
        "data": msgspec.Raw((answer.text or "[]").encode()),
        "model": answer.model_returned or answer.model,
        "usage": {"prompt_tokens": used["input_tokens"], "total_tokens": used["total_tokens"]},
    }


_BODIES: dict[str, Callable[[ResultLine, CompletionView, int], Body]] = {
    "/v1/chat/completions": _chat,
    "/v1/responses": _response,
    "/v1/embeddings": _embeddings,
}


def tokens_in(lines: Sequence[ResultLine]) -> Body:
    """The tokens of every call of some jobs, in the fields of `openai.types.BatchUsage`."""
    used = [one.usage for line in lines for one in line.completions if one.usage is not None]
    input_tokens = sum(one.input_tokens for one in used)
    output_tokens = sum(one.output_tokens for one in used)
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {
            "cached_tokens": sum(one.cache_read_tokens for one in used),
            "cache_write_tokens": sum(one.cache_write_tokens for one in used),
        },
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": sum(one.reasoning_tokens for one in used)},
        "total_tokens": input_tokens + output_tokens,
    }


def _beyond(line: ResultLine, answer: CompletionView) -> Mapping[str, Any]:
    """Everything that the body has no room for."""
    told: Body = {
        "job_id": line.job_id,
        "mode": line.mode,
        "label": answer.label,
        "provider": answer.provider,
        "cost_nanos": line.cost_nanos,
    }
    if line.mode == "chat":
        return told | {
            "billed": answer.billed,
            "latency_ms": answer.latency_ms,
            "attempts": answer.attempts,
            "cached": answer.cached,
        }
    parts = {"verdict": line.verdict, "synthesis": line.synthesis, "route": line.route}
    told |= {name: part for name, part in parts.items() if part is not None}
    if line.note is not None:
        told["note"] = line.note
    return told | {"completions": line.completions}


def _tail(id_: str) -> str:
    return id_.partition("_")[2]
