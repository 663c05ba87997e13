"""Bodies of OpenAI's requests, read into our own words: messages and parameters.

Facts are from openai-python's own types (3.54.0, `openai.types.chat` and `.responses`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from app.domain.errors import InvalidRequestError
from app.domain.prompt import Message, Messages, Params, check_turns

CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
INPUTS_MAX = 2048
#: Parameters that have our own name for the same. Any other is the vendor's, and goes into `extra`.
_OURS = frozenset(Params.__struct_fields__) - {"extra"} | {"max_completion_tokens"}
_ROLES = {"developer": "system"}
_PART_TYPES = {"input_text": "text", "output_text": "text"}
_MESSAGES = msgspec.json.Decoder(Messages)
_TEXT = msgspec.json.Decoder(str)

Fields = dict[str, Any]
Raws = dict[str, msgspec.Raw]


_Given = msgspec.Raw | msgspec.UnsetType


class PlainBody(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A body of Chat Completions as most are, which is read at once: fields as they came, if at all."""

    messages: Messages
    model: _Given = msgspec.UNSET
    max_tokens: _Given = msgspec.UNSET
    max_completion_tokens: _Given = msgspec.UNSET
    temperature: _Given = msgspec.UNSET
    top_p: _Given = msgspec.UNSET
    seed: _Given = msgspec.UNSET
    stop: _Given = msgspec.UNSET
    response_format: _Given = msgspec.UNSET
    reasoning_effort: _Given = msgspec.UNSET
    tools: _Given = msgspec.UNSET
    tool_choice: _Given = msgspec.UNSET
    overnight: _Given = msgspec.UNSET

    def take_messages(self) -> Messages:
        """The messages, which are not in it any more: what is left, most lines have in common."""
        messages, self.messages = self.messages, []
        return messages

    def rest(self) -> Raws:
        """The other fields."""
        given = {name: getattr(self, name) for name in self.__struct_fields__[1:]}
        return {name: raw for name, raw in given.items() if raw is not msgspec.UNSET}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How the bodies of one endpoint are read.

    Attributes:
        texts: the fields that hold what is asked, each line's own.
        messages: what is asked, from those fields.
        params: the other fields, in our own words.
    """

    texts: tuple[str, ...]
    messages: Callable[[Raws], Messages]
    params: Callable[[Fields], Fields]


def params_of(endpoint: Endpoint, given: Mapping[str, Any]) -> Fields:
    """The parameters of a body, as ours: what has no name of ours under `extra`.

    Raises:
        InvalidRequestError: one cannot be honoured; `param` is relative to the body.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    if fields.pop("stream", False) is not False or "stream_options" in fields:
        raise _refused("stream", "a batch's answers are not streamed")
    if fields.pop("n", 1) != 1:
        raise _refused("n", "only 1 is taken; use overnight.repeats to ask several times")
    if "embed" in fields:
        raise _refused("embed", "is no parameter of this endpoint")
    fields = endpoint.params(fields)
    ours = {name: value for name, value in fields.items() if name in _OURS}
    extra = {name: value for name, value in fields.items() if name not in _OURS}
    return {**ours, "extra": extra} if extra else ours


def _chat_messages(body: Raws) -> Messages:
    raw = _required(body, "messages")
    try:
        return with_user(_MESSAGES.decode(raw), "messages")
    except msgspec.ValidationError:
        given = msgspec.json.decode(raw)
    if not isinstance(given, list):
        raise _refused("messages", "should be an array")
    where = "messages"
    return with_user([_message(one, f"{where}[{n}]") for n, one in enumerate(given)], where)


def _message(given: Any, where: str) -> Message:
    if not isinstance(given, dict):
        raise _refused(where, "should be an object")
    fields = {name: value for name, value in given.items() if value is not None}
    fields.pop("type", None)
    if "tool_calls" in fields:
        fields.setdefault("content", "")
    role = fields.get("role")
    fields["role"] = _ROLES.get(role, role) if isinstance(role, str) else role
    if isinstance(fields.get("content"), list):
        fields["content"] = [_part(one) for one in fields["content"]]
    try:
        return msgspec.convert(fields, Message)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        raise _refused(where + path.rstrip("`"), _lower(reason)) from None


def _part(given: Any) -> Any:
    """A part of a message; those of Responses in the shape of Chat Completions."""
    if not isinstance(given, dict):
        return given
    kind = given.get("type")
    if kind == "input_image":
        image = {"url": given.get("image_url"), "detail": given.get("detail")}
        image = {name: value for name, value in image.items() if value is not None}
        return {"type": "image_url", "image_url": image}
    if kind not in _PART_TYPES:
        return given
    return {"type": _PART_TYPES[kind], "text": given.get("text")}


def with_user(messages: Messages, where: str) -> Messages:
    """The messages, if they are a conversation.

    Raises:
        InvalidRequestError: they are none.
    """
    are_plain_turns(messages, where)
    return messages


def are_plain_turns(messages: Messages, where: str) -> bool:
    """Whether they are plain.

    Raises:
        InvalidRequestError: they are no conversation.
    """
    try:
        return check_turns(messages)
    except InvalidRequestError as error:
        raise _refused(f"{where}{error.param}", error.message) from None


def _chat_params(fields: Fields) -> Fields:
    if isinstance(fields.get("stop"), str):
        fields["stop"] = [fields["stop"]]
    return fields


def _response_messages(body: Raws) -> Messages:
    given = msgspec.json.decode(_required(body, "input"))
    messages = [Message("user", given)] if isinstance(given, str) else []
    if isinstance(given, list):
        messages = _items(given)
    elif not messages:
        raise _refused("input", "should be a text or an array of messages")
    instructions = body.get("instructions")
    if instructions is not None and bytes(instructions) != b"null":
        try:
            messages.insert(0, Message("system", _TEXT.decode(instructions)))
        except msgspec.ValidationError:
            raise _refused("instructions", "should be a text") from None
    return with_user(messages, "input")


def _items(given: list[Any]) -> Messages:
    """The items of Responses as turns: calls that follow each other are of one."""
    messages: Messages = []
    for number, item in enumerate(given):
        kind = item.get("type") if isinstance(item, dict) else None
        turn = _message(_ITEMS[kind](item) if kind in _ITEMS else item, f"input[{number}]")
        last = messages[-1] if messages else None
        if kind == "function_call" and last is not None and last.role == "assistant":
            calls = [*(last.tool_calls or []), *(turn.tool_calls or [])]
            messages[-1] = msgspec.structs.replace(last, tool_calls=calls)
        else:
            messages.append(turn)
    return messages


def _called(item: Fields) -> Fields:
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    call = {"type": "function", "id": item.get("call_id"), "function": function}
    return {"role": "assistant", "tool_calls": [call]}


def _answered(item: Fields) -> Fields:
    return {"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")}


_ITEMS = {"function_call": _called, "function_call_output": _answered}


def _response_params(fields: Fields) -> Fields:
    for name in ("store", "background"):
        if fields.pop(name, False) is not False:
            raise _refused(name, "only false is taken: nothing is kept to be asked for again")
    renamed = dict(fields)
    if "max_output_tokens" in renamed:
        renamed["max_tokens"] = renamed.pop("max_output_tokens")
    _lift(renamed, "reasoning", "effort", "reasoning_effort")
    _lift(renamed, "text", "format", "response_format")
    if isinstance(form := renamed.get("response_format"), dict):
        renamed["response_format"] = _chat_format(form)
    if isinstance(tools := renamed.get("tools"), list):
        renamed["tools"] = [_chat_tool(one, f"tools[{n}]") for n, one in enumerate(tools)]
    if isinstance(choice := renamed.get("tool_choice"), dict):
        renamed["tool_choice"] = _chat_tool(choice, "tool_choice")
    return renamed


def _lift(fields: Fields, group: str, name: str, ours: str) -> None:
    """Move one field of a group to a name of ours; what is left of the group is the vendor's."""
    held = fields.get(group)
    if isinstance(held, dict) and name in held:
        left = {key: value for key, value in held.items() if key != name}
        fields[ours] = held[name]
        del fields[group]
        if left:
            fields[group] = left


def _chat_format(form: Fields) -> Fields:
    """`text.format` as a `response_format`: its schema one level deeper."""
    if form.get("type") != "json_schema":
        return form
    schema = {name: value for name, value in form.items() if name != "type"}
    return {"type": "json_schema", "json_schema": schema}


def _chat_tool(tool: Any, where: str) -> Fields:
    """A function of Responses as one of Chat Completions: one level deeper."""
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise _refused(where, "only functions are taken")
    described = {name: value for name, value in tool.items() if name != "type"}
    return {"type": "function", "function": described}


def _embedding_messages(body: Raws) -> Messages:
    given = msgspec.json.decode(_required(body, "input"))
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not 1 <= len(texts) <= INPUTS_MAX:
        raise _refused("input", f"should be a text, or an array of 1 to {INPUTS_MAX:,} texts")
    for place, text in enumerate(texts):
        if not isinstance(text, str) or not text:
            raise _refused(f"input[{place}]", "should be a text; tokens are not taken")
    return [Message("user", text) for text in texts]


def _embedding_params(fields: Fields) -> Fields:
    return {"embed": fields}


def _required(body: Raws, name: str) -> msgspec.Raw:
    if name not in body:
        raise _refused(name, "is required")
    return body[name]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _refused(param: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"{param}: {why}", param=param)


ENDPOINTS = {
    CHAT: Endpoint(("messages",), _chat_messages, _chat_params),
    EMBEDDINGS: Endpoint(("input",), _embedding_messages, _embedding_params),
    RESPONSES: Endpoint(("input", "instructions"), _response_messages, _response_params),
}
