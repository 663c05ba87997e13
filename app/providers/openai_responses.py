"""OpenAI's Responses, for the models and the calls that Chat Completions refuses.

Facts are from openai-python's own types (3.54.0, `openai.types.responses`).
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from app.domain.completion import Completion, FinishReason, Usage
from app.domain.errors import MalformedCompletionError, ProviderError
from app.domain.prompt import ChosenTool, Message, Params, TextPart, Tool, ToolChoice
from app.domain.wire import Request, Response
from app.providers.base import CallInput, CredentialLike
from app.providers.draft import Draft, shown
from app.providers.failures import ErrorWords, completion_by, failure_of
from app.providers.openai_answer import error_words
from app.providers.openai_models import RESPONSES
from app.providers.reading import (
    bounded_usage,
    count_of,
    decode_json,
    detail_of,
    estimate_input_tokens,
    estimate_tokens,
    tool_call,
    unknown_finish,
)
from app.providers.taken import check_images, check_params
from app.providers.writing import check_extra, json_request, key_header, merged, url_of

_OURS_IN_EXTRA = frozenset(
    {
        *("background", "input", "instructions", "max_output_tokens", "max_tokens", "messages"),
        *("model", "reasoning_effort", "response_format", "store", "stream", "temperature"),
        *("tool_choice", "tools", "top_p", "max_completion_tokens", "n"),
    }
)
_INCOMPLETE = {
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
#: The statuses that errors of a finished response stand for (`ResponseError.code`).
_STATUSES = {
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "vector_store_timeout": 504,
}
_WITHHELD = frozenset({"bio_policy", "misalignment_policy_violation"})


class Responses:
    """An adapter for OpenAI's Responses."""

    def __init__(self, name: str, base_url: str) -> None:
        self.name = name
        self._base_url = base_url

    def check(self, params: Params, model: str) -> None:
        """Refuse what the vendor does not take, as `Adapter.check` says."""
        check_extra(self.name, params, _OURS_IN_EXTRA)
        check_extra(self.name, params, frozenset({"effort"}), within="reasoning")
        check_extra(self.name, params, frozenset({"format"}), within="text")
        check_params(self.name, RESPONSES.of(model), params, model)

    def check_prompt(self, messages: Sequence[Message], model: str) -> None:
        """Refuse images that the vendor does not take, as `Adapter.check_prompt` says."""
        check_images(self.name, RESPONSES.of(model), messages, model)

    def build(self, call: CallInput, credential: CredentialLike) -> Request:
        """A request, as `Adapter.build` says."""
        url = url_of(self.name, credential, self._base_url, "/responses")
        auth = key_header(self.name, credential, "authorization", "Bearer ")
        return json_request(self.name, url, _body(call), call, auth)

    def probe(self, credential: CredentialLike) -> Request:
        """A request that tells a good key from a bad one, as `Adapter.probe` says."""
        url = url_of(self.name, credential, self._base_url, "/models")
        return Request("GET", url, key_header(self.name, credential, "authorization", "Bearer "))

    def failure(self, response: Response, credential: CredentialLike) -> ProviderError:
        """The error that a response stands for, as `Adapter.failure` says."""
        return failure_of(response, error_words(response.body), credential)

    def read(self, response: Response, call: CallInput, credential: CredentialLike) -> Completion:
        """The completion, as `Adapter.read` says."""
        if not 200 <= response.status_code < 300:  # noqa: PLR2004 - the class of successes
            raise self.failure(response, credential)
        return completion_by(partial(_read, credential), _usage, response, call)


def _body(call: CallInput) -> dict[str, Any]:
    params = RESPONSES.of(call.model).fitted(call.params)
    extra = params.extra or {}
    body: dict[str, Any] = {
        **extra,
        "model": call.model,
        "input": [item for message in call.messages for item in _items(message)],
        # Stored for 30 days otherwise, unlike a chat completion.
        "store": False,
    }
    for name in ("temperature", "top_p"):
        if (value := getattr(params, name)) is not None:
            body[name] = value
    if (tokens_max := call.output_tokens_max) is not None:
        body["max_output_tokens"] = tokens_max
    if params.reasoning_effort is not None:
        body["reasoning"] = merged(extra, "reasoning", effort=params.reasoning_effort)
    if params.response_format is not None:
        body["text"] = merged(extra, "text", format=_format(params.response_format))
    if params.tools:
        body["tools"] = [_tool(tool) for tool in params.tools]
    if params.tool_choice is not None:
        body["tool_choice"] = _choice(params.tool_choice)
    return body


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """A turn as what it is here: a message, and an item for every call and answer of a tool."""
    if message.role == "tool":
        output = message.text
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": output}
        return
    if message.content or not message.tool_calls:
        yield _item(message)
    for call in message.tool_calls or ():
        named = {"name": call.function.name, "arguments": call.function.arguments}
        yield {"type": "function_call", "call_id": call.id, **named}


def _item(message: Message) -> dict[str, Any]:
    content = message.content
    if isinstance(content, str) or message.role != "user":
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = []
    for part in content:
        if isinstance(part, TextPart):
            parts.append({"type": "input_text", "text": part.text})
        else:
            image = part.image_url
            parts.append(
                {"type": "input_image", "image_url": image.url, "detail": image.detail or "auto"}
            )
    return {"role": "user", "content": parts}


def _format(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The same as in chat, with the schema's fields one level up."""
    described = asked.get("json_schema")
    inner = described if isinstance(described, dict) else {}
    return {"type": asked.get("type"), **inner}


def _tool(tool: Tool) -> dict[str, Any]:
    function = tool.function
    made: dict[str, Any] = {
        "type": "function",
        "name": function.name,
        "parameters": function.parameters,
        # Here it is the default, in chat it is not.
        "strict": function.strict or False,
    }
    if function.description is not None:
        made["description"] = function.description
    return made


def _choice(choice: ToolChoice) -> str | dict[str, Any]:
    if isinstance(choice, ChosenTool):
        return {"type": "function", "name": choice.function.name}
    return choice


def _read(credential: CredentialLike, response: Response, call: CallInput) -> Completion:
    data, is_mended = decode_json(response.body)
    if not isinstance(data, dict) or not isinstance(data.get("output"), list):
        reason = "error_in_success" if isinstance(data, dict) and data.get("error") else "no_output"
        raise MalformedCompletionError("the answer holds no output", reason=reason)
    if isinstance(error := data.get("error"), dict):
        raise failure_of(*_failed(response, error), credential)
    said = _Said(data["output"])
    told = data.get("usage")
    finish_reason, flags = _finish(data, said)
    return Draft(
        text=said.text or said.refusal,
        finish_reason=finish_reason,
        usage=_usage(told, call, shown(said.text + said.refusal, said.reasoning, said.tool_calls)),
        usage_told=told,
        model=data.get("model"),
        answer_id=data.get("id"),
        reasoning=said.reasoning,
        tool_calls=said.tool_calls,
        flags=flags,
        is_mended=is_mended,
    ).completion(response)


def _failed(response: Response, error: Mapping[str, Any]) -> tuple[Response, ErrorWords]:
    code, message = str(error.get("code")), error.get("message")
    word = "content_filter" if code in _WITHHELD else code
    status = _STATUSES.get(code, 400)
    said = ErrorWords(message if isinstance(message, str) else "", (word,))
    return Response(status, response.headers, b""), said


class _Said:
    """What the items of an output say, put together."""

    def __init__(self, output: Sequence[Any]) -> None:
        self.text = self.refusal = ""
        self.reasoning: str | None = None
        self.tool_calls: list[dict[str, Any]] = []
        for item in output:
            if isinstance(item, dict):
                self._add(item)

    def _add(self, item: Mapping[str, Any]) -> None:
        match item.get("type"):
            case "message":
                self.text += _joined(item.get("content"), "text")
                self.refusal += _joined(item.get("content"), "refusal")
            case "reasoning":
                thoughts = _joined(item.get("content"), "text") or _joined(
                    item.get("summary"), "text"
                )
                self.reasoning = (self.reasoning or "") + thoughts or None
            case "function_call":
                call_id, arguments = item.get("call_id"), item.get("arguments")
                self.tool_calls.append(tool_call(call_id, item.get("name"), arguments))
            case _:
                pass  # what a tool of the vendor's own did; none was asked for


def _joined(parts: Any, field: str) -> str:
    if not isinstance(parts, list):
        return ""
    texts = [part.get(field) for part in parts if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _finish(data: Mapping[str, Any], said: _Said) -> tuple[FinishReason, tuple[str, ...]]:
    status, details = data.get("status"), data.get("incomplete_details")
    if status == "completed":
        if said.refusal:
            return FinishReason.REFUSAL, ()
        return (FinishReason.TOOL_CALLS if said.tool_calls else FinishReason.STOP), ()
    why = details.get("reason") if isinstance(details, dict) else status
    reason = _INCOMPLETE.get(why) if isinstance(why, str) else None
    if reason is None:
        return FinishReason.UNKNOWN, (unknown_finish(why),)
    return reason, ()


def _usage(told: Any, call: CallInput, said: str) -> Usage:
    """Cached and written tokens are inside the input's, reasoning inside the output's."""
    usage = told if isinstance(told, dict) else {}
    inputs, outputs = count_of(usage.get("input_tokens")), count_of(usage.get("output_tokens"))
    input_tokens = inputs or estimate_input_tokens(call.messages, call.params)
    output_tokens = outputs or estimate_tokens(said)
    return bounded_usage(
        input_tokens=input_tokens,
        cached=detail_of(usage, "input_tokens_details", "cached_tokens"),
        written=detail_of(usage, "input_tokens_details", "cache_write_tokens"),
        output_tokens=output_tokens,
        reasoning=detail_of(usage, "output_tokens_details", "reasoning_tokens"),
        estimated=not inputs or outputs is None or (outputs == 0 and said != ""),
    )
