"""Anthropic's Messages: what each model takes, and what its errors and endings mean."""

import json
from typing import Any, get_args

import pytest
from anthropic.types import Message as TheirMessage
from anthropic.types import StopReason
from pydantic import TypeAdapter

from app.domain.completion import Completion, FinishReason
from app.domain.errors import (
    InvalidRequestError,
)
from app.domain.prompt import (
    ChosenTool,
    Function,
    FunctionRef,
    ImagePart,
    ImageUrl,
    Message,
    Params,
    Tool,
)
from app.domain.wire import Response
from app.providers.anthropic import AnthropicMessages
from app.providers.base import CallInput, Credential

ADAPTER = AnthropicMessages("anthropic")
CREDENTIAL = Credential("anthropic")
TOOLS = [Tool(Function("f"))]
NAMED = ChosenTool(FunctionRef("f"))
OBJECT = {"type": "object", "additionalProperties": False}


def asks(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def sent(model: str, messages: list[Message] | None = None, **params: Any) -> Any:
    given = messages or [Message("user", "x")]
    call = CallInput("call_1", model, given, Params(**params))
    return json.loads(ADAPTER.build(call, CREDENTIAL).body)


def read(body: Any, status: int = 200, **headers: str) -> Completion:
    call = CallInput("call_1", "claude-x", [Message("user", "x")], Params())
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ADAPTER.read(Response(status, named, json.dumps(body).encode()), call, CREDENTIAL)


@pytest.mark.parametrize(
    ("model", "params", "field"),
    [
        ("claude-opus-5", Params(seed=1), "seed"),
        ("claude-opus-5", Params(temperature=0.5), "temperature"),
        ("claude-opus-4-7", Params(top_p=0.5), "top_p"),
        ("claude-fable-5-1", Params(temperature=1.0), "temperature"),
        ("claude-haiku-4-5", Params(temperature=1.5), "temperature"),
        ("claude-haiku-4-5", Params(temperature=0.5, top_p=0.5), "top_p"),
        ("claude-haiku-4-5", Params(reasoning_effort="low"), "reasoning_effort"),
        ("claude-opus-4-5", Params(reasoning_effort="max"), "reasoning_effort"),
        ("claude-opus-4-6", Params(reasoning_effort="xhigh"), "reasoning_effort"),
        ("claude-opus-4-6", Params(reasoning_effort="low", temperature=0.5), "temperature"),
        ("claude-opus-5", Params(reasoning_effort="minimal"), "reasoning_effort"),
        ("claude-opus-5-5", Params(reasoning_effort="none"), "reasoning_effort"),
        ("claude-opus-5-5", Params(tools=TOOLS, tool_choice="required"), "tool_choice"),
        ("claude-sonnet-5-5", Params(tools=TOOLS, tool_choice=NAMED), "tool_choice"),
        ("claude-opus-5", Params(response_format={"type": "json_object"}), "response_format.type"),
        ("claude-3-haiku", Params(response_format=asks(OBJECT)), "response_format.type"),
        ("claude-haiku-4-5", Params(stop=["END", "\n"]), "stop[1]"),
        ("claude-haiku-4-5", Params(extra={"system": "x"}), "extra.system"),
        (
            "claude-haiku-4-5",
            Params(extra={"output_config": {"effort": "low"}}),
            "extra.output_config.effort",
        ),
    ],
)
def test_what_a_model_does_not_take_is_refused_by_its_name(
    model: str, params: Params, field: str
) -> None:
    with pytest.raises(InvalidRequestError, match="anthropic") as caught:
        ADAPTER.check(params, model)
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("claude-haiku-4-5", Params(temperature=0.0, stop=["END"])),
        ("claude-opus-5", Params(reasoning_effort="none", response_format=asks(OBJECT))),
        ("claude-opus-5", Params(tools=TOOLS, tool_choice="required", extra={"top_k": 5})),
        ("claude-fable-5", Params(tools=TOOLS, tool_choice=NAMED, reasoning_effort="max")),
        ("claude-of-next-year", Params(temperature=0.5, reasoning_effort="high")),
    ],
)
def test_what_it_takes_passes(model: str, params: Params) -> None:
    ADAPTER.check(params, model)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({**OBJECT, "properties": {"n": {"type": "integer", "minimum": 1}}}, "minimum"),
        ({**OBJECT, "$defs": {"a": {"type": "array", "maxItems": 3}}}, "maxItems"),
        ({"anyOf": [{"type": "string", "maxLength": 3}]}, "maxLength"),
        ({"type": "object"}, "additionalProperties: false"),
        ({**OBJECT, "properties": {"o": {"type": "object"}}}, "additionalProperties: false"),
    ],
)
def test_a_schema_it_would_not_enforce_is_refused(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ADAPTER.check(Params(response_format=asks(schema)), "claude-opus-5")
    assert why in caught.value.message
    assert caught.value.param == "response_format.json_schema.schema"


def test_the_names_and_values_of_a_schema_are_no_keywords() -> None:
    schema = {
        **OBJECT,
        "properties": {"minimum": {"type": "string", "enum": ["maximum", {"minLength": 1}]}},
    }
    ADAPTER.check(Params(response_format=asks(schema)), "claude-opus-5")


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "config"),
    [
        ("claude-opus-4-5", "low", None, {"effort": "low"}),
        ("claude-opus-4-6", "low", {"type": "adaptive"}, {"effort": "low"}),
        ("claude-opus-4-6", "none", None, None),
        ("claude-opus-4-8", "xhigh", {"type": "adaptive"}, {"effort": "xhigh"}),
        ("claude-opus-5", "max", None, {"effort": "max"}),
        ("claude-opus-5", "none", {"type": "disabled"}, None),
        ("claude-sonnet-5-5", "none", {"type": "between_tools"}, None),
    ],
)
def test_an_effort_is_asked_for_in_each_models_way(
    model: str, effort: str, thinking: Any, config: Any
) -> None:
    body = sent(model, reasoning_effort=effort)
    assert (body.get("thinking"), body.get("output_config")) == (thinking, config)


def test_extra_may_say_how_to_think_and_add_to_the_configuration() -> None:
    extra = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"a": 1}}
    body = sent("claude-opus-4-6", reasoning_effort="low", extra=extra)
    assert body["thinking"] == extra["thinking"]
    assert body["output_config"] == {"a": 1, "effort": "low"}


def test_a_bound_is_always_sent() -> None:
    call = CallInput("call_1", "claude-x", [Message("user", "x")], Params(max_tokens=9), 5)
    assert json.loads(ADAPTER.build(call, CREDENTIAL).body)["max_tokens"] == 5
    assert sent("claude-x", max_tokens=9)["max_tokens"] == 9
    assert sent("claude-x")["max_tokens"] == 4096


def test_system_messages_are_no_turns() -> None:
    system = [Message("system", text) for text in ("A", "", "B")]
    body = sent("claude-x", [*system, Message("user", "x")])
    assert body["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    assert body["messages"] == [{"role": "user", "content": "x"}]
    assert "system" not in sent("claude-x", [Message("system", ""), Message("user", "x")])


def test_an_image_at_a_url_is_left_to_anthropic_to_fetch() -> None:
    image = ImagePart(ImageUrl("https://example.com/a.png"))
    [turn] = sent("claude-x", [Message("user", [image])])["messages"]
    source = {"type": "url", "url": "https://example.com/a.png"}
    assert turn["content"] == [{"type": "image", "source": source}]


def said(**fields: Any) -> dict[str, Any]:
    body = {
        "id": "msg_1",
        "content": [{"type": "text", "text": "x"}],
        "model": "claude-x",
        "role": "assistant",
        "type": "message",
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
        **fields,
    }
    TypeAdapter(TheirMessage).validate_python(body)
    return body


def test_p12_every_reason_that_their_client_knows_is_told_apart() -> None:
    told = {word: read(said(stop_reason=word)) for word in get_args(StopReason)}
    assert {word: (one.finish_reason, one.flags) for word, one in told.items()} == {
        "end_turn": (FinishReason.STOP, ()),
        "stop_sequence": (FinishReason.STOP, ()),
        "max_tokens": (FinishReason.LENGTH, ()),
        "model_context_window_exceeded": (FinishReason.LENGTH, ("context_exceeded",)),
        "tool_use": (FinishReason.TOOL_CALLS, ()),
        "refusal": (FinishReason.REFUSAL, ()),
        "pause_turn": (FinishReason.UNKNOWN, ("finish_reason:pause_turn",)),
    }


@pytest.mark.parametrize("word", [None, "next_year", 7])
def test_p11_a_reason_nobody_knows_is_kept(word: object) -> None:
    body = {**said(), "stop_reason": word}
    ours = read(body)
    assert ours.finish_reason is FinishReason.UNKNOWN
    assert ours.flags == (f"finish_reason:{'missing' if word is None else word}",)


def test_p12_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "It could do harm."}
    ours = read(said(content=[], stop_reason="refusal", stop_details=details))
    assert (ours.text, ours.flags) == ("It could do harm.", ("refusal:cyber",))
    kept = read(said(stop_reason="refusal", stop_details=details))
    assert kept.text == "x"


def test_thoughts_that_are_withheld_and_blocks_of_tools_are_not_text() -> None:
    blocks = [
        {"type": "redacted_thinking", "data": "x"},
        {"type": "thinking", "thinking": "", "signature": "x"},
        {"type": "text", "text": "a", "citations": None},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "text", "text": "b"},
    ]
    ours = read(said(content=blocks))
    assert (ours.text, ours.reasoning, ours.tool_calls) == ("ab", None, None)
