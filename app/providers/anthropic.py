"""Anthropic's Messages.

Facts are from anthropic-python's own types (2.12.0, `anthropic.types`) and the API reference
(platform.claude.com/docs/en/api/messages).
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from app.domain.completion import Completion
from app.domain.errors import InvalidRequestError, ProviderError
from app.domain.prompt import (
    ChosenTool,
    ImagePart,
    Message,
    Params,
    TextPart,
    Tool,
    ToolChoice,
    is_plain,
)
from app.domain.wire import Request, Response
from app.providers.anthropic_answer import completion_of, error_words
from app.providers.anthropic_models import MODELS, thinking_for
from app.providers.base import CallInput, CredentialLike
from app.providers.failures import failure_of
from app.providers.taken import check_images, check_params, image_data
from app.providers.writing import check_extra, json_request, key_header, merged, schema_in, url_of

BASE_URL = "https://api.anthropic.com/v1"
#: What anthropic-python 2.12.0 sends.
VERSION = "2026-10-21"
#: A bound must be sent with every request; this one where nobody set any.
MAX_TOKENS_DEFAULT = 4096

_OURS_IN_EXTRA = frozenset(
    {
        *("max_completion_tokens", "max_tokens", "messages", "model", "n", "reasoning_effort"),
        *("response_format", "seed", "stop", "stop_sequences", "stream", "system"),
        *("temperature", "tool_choice", "tools", "top_p", "mcp_servers"),
    }
)
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
#: What its structured output refuses, or leaves unenforced, in a schema
#: (…/build-with-claude/structured-outputs, JSON Schema limitations).
_NOT_IN_SCHEMA = frozenset(
    {
        *("exclusiveMaximum", "exclusiveMinimum", "maxItems", "maxLength", "maximum"),
        *("minLength", "minimum", "multipleOf", "uniqueItems"),
    }
)


class AnthropicMessages:
    """An adapter for Anthropic's Messages.

    Args:
        name: the provider.
        base_url: where to, if the account says nothing else.
        version: the version of the API that is asked for.
        max_tokens_default: the bound that is sent where there is none.
    """

    def __init__(
        self,
        name: str,
        base_url: str = BASE_URL,
        *,
        version: str = VERSION,
        max_tokens_default: int = MAX_TOKENS_DEFAULT,
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._version = version
        self._max_tokens_default = max_tokens_default

    def check(self, params: Params, model: str) -> None:
        """Refuse what the vendor does not take, as `Adapter.check` says."""
        check_extra(self.name, params, _OURS_IN_EXTRA)
        check_extra(self.name, params, frozenset({"effort", "format"}), within="output_config")
        check_params(self.name, MODELS.of(model), params, model)
        for number, sequence in enumerate(params.stop or ()):
            if not sequence.strip():
                raise InvalidRequestError(
                    f"{self.name} takes no sequence of nothing but white space",
                    param=f"stop[{number}]",
                )
        schema = schema_in(params.response_format)
        if schema is not None and (why := _unfit(schema)):
            raise InvalidRequestError(
                f"{self.name} {why}", param="response_format.json_schema.schema"
            )

    def check_prompt(self, messages: Sequence[Message], model: str) -> None:
        """Refuse images that the vendor does not take, as `Adapter.check_prompt` says."""
        for number, message in enumerate(messages):
            if message.role == "system" and _has_image(message):
                raise InvalidRequestError(
                    f"{self.name} takes no images in a system message",
                    param=f"messages[{number}].content",
                )
        check_images(self.name, MODELS.of(model), messages, model)

    def build(self, call: CallInput, credential: CredentialLike) -> Request:
        """A request, as `Adapter.build` says."""
        url = url_of(self.name, credential, self._base_url, "/messages")
        return json_request(self.name, url, self._body(call), call, self._headers(credential))

    def probe(self, credential: CredentialLike) -> Request:
        """A request that tells a good key from a bad one, as `Adapter.probe` says."""
        url = url_of(self.name, credential, self._base_url, "/models?limit=1")
        return Request("GET", url, self._headers(credential))

    def failure(self, response: Response, credential: CredentialLike) -> ProviderError:
        """The error that a response stands for, as `Adapter.failure` says."""
        return failure_of(response, error_words(response.body), credential)

    def read(self, response: Response, call: CallInput, credential: CredentialLike) -> Completion:
        """The completion, as `Adapter.read` says."""
        if not 200 <= response.status_code < 300:  # noqa: PLR2004 - the class of successes
            raise self.failure(response, credential)
        return completion_of(response, call)

    def _headers(self, credential: CredentialLike) -> dict[str, str]:
        auth = key_header(self.name, credential, "x-api-key")
        return {"anthropic-version": self._version, **auth}

    def _body(self, call: CallInput) -> dict[str, Any]:
        params = MODELS.of(call.model).fitted(call.params)
        body: dict[str, Any] = {
            **(params.extra or {}),
            "model": call.model,
            "max_tokens": call.output_tokens_max or self._max_tokens_default,
            "messages": _turns(call.messages),
        }
        if system := [one.text for one in call.messages if one.role == "system" and one.text]:
            blocks = [{"type": "text", "text": text} for text in system]
            body["system"] = system[0] if len(system) == 1 else blocks
        sampling = {
            "temperature": params.temperature,
            "top_p": params.top_p,
            "stop_sequences": params.stop,
        }
        body.update({name: value for name, value in sampling.items() if value is not None})
        if params.tools:
            body["tools"] = [_tool(tool) for tool in params.tools]
        if params.tool_choice is not None:
            body["tool_choice"] = _choice(params.tool_choice)
        _add_output_config(body, params, call.model)
        return body


def _add_output_config(body: dict[str, Any], params: Params, model: str) -> None:
    """Effort and format, and the thinking that the effort is for; what `extra` says of it stays."""
    ours: dict[str, Any] = {}
    if (effort := params.reasoning_effort) is not None:
        if effort != "none":
            ours["effort"] = effort
        if (thinking := thinking_for(effort, model)) is not None:
            body.setdefault("thinking", thinking)
    if (schema := schema_in(params.response_format)) is not None:
        ours["format"] = {"type": "json_schema", "schema": schema}
    if ours:
        body["output_config"] = merged(body, "output_config", **ours)


def _has_image(message: Message) -> bool:
    content = message.content
    return not isinstance(content, str) and any(isinstance(part, ImagePart) for part in content)


def _turns(messages: Sequence[Message]) -> list[Any]:
    """The conversation; what tools answered is all in the one turn of the user that follows."""
    turns: list[Any] = []
    results: list[dict[str, Any]] = []
    for message in messages:
        if message.role != "tool":
            results = []
            if message.role != "system":
                turns.append(_turn(message))
            continue
        if not results:
            turns.append({"role": "user", "content": results})
        content = message.content
        answer = content if isinstance(content, str) else [_block(part) for part in content]
        results.append(
            {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": answer}
        )
    return turns


def _turn(message: Message) -> Message | dict[str, Any]:
    if is_plain(message):
        return message
    content = message.content
    parts = content if not isinstance(content, str) else [TextPart(content)] if content else []
    blocks: list[Any] = [_block(part) for part in parts]
    for call in message.tool_calls or ():
        arguments = msgspec.json.decode(call.function.arguments)
        blocks.append(
            {"type": "tool_use", "id": call.id, "name": call.function.name, "input": arguments}
        )
    return {"role": message.role, "content": blocks}


def _block(part: TextPart | ImagePart) -> TextPart | dict[str, Any]:
    if isinstance(part, TextPart):
        return part
    source: dict[str, str] = {"type": "url", "url": part.image_url.url}
    if (data := image_data(part.image_url.url)) is not None:
        source = {"type": "base64", "media_type": data[0], "data": data[1]}
    return {"type": "image", "source": source}


def _tool(tool: Tool) -> dict[str, Any]:
    function = tool.function
    made: dict[str, Any] = {
        "name": function.name,
        "input_schema": function.parameters or {"type": "object", "properties": {}},
    }
    if function.description is not None:
        made["description"] = function.description
    if function.strict is not None:
        made["strict"] = function.strict
    return made


def _choice(choice: ToolChoice) -> dict[str, str]:
    if isinstance(choice, ChosenTool):
        return {"type": "tool", "name": choice.function.name}
    return {"type": _CHOICES[choice]}


def _unfit(schema: Any) -> str | None:
    """Why a schema is not taken; None if nothing is known against it."""
    if isinstance(schema, list):
        return next((why for one in schema if (why := _unfit(one))), None)
    if not isinstance(schema, dict):
        return None
    if found := sorted(_NOT_IN_SCHEMA & schema.keys()):
        return f"takes no {found[0]} in a schema"
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        return "takes an object in a schema only with additionalProperties: false"
    return next((why for name, one in schema.items() if (why := _unfit_in(name, one))), None)


def _unfit_in(name: str, value: Any) -> str | None:
    """The same for a part of a schema; the names in `properties` are no keywords."""
    if name in {"const", "default", "enum", "examples"}:
        return None
    if name in {"$defs", "definitions", "properties"} and isinstance(value, dict):
        value = list(value.values())
    return _unfit(value)
