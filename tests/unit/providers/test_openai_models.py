"""What OpenAI's models take, and through which of its doors a call goes."""

from typing import Any

import pytest

from app.domain.errors import InvalidRequestError
from app.domain.prompt import ChosenTool, Function, FunctionRef, Message, Params, Tool
from app.providers import registry
from app.providers.base import CallInput, Credential

OPENAI = registry.adapter_for("openai")
TOOLS = [Tool(Function("f"))]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("model", "params", "field"),
    [
        ("gpt-4o", Params(stop=["a"] * 5), "stop"),
        ("gpt-4o", Params(reasoning_effort="low"), "reasoning_effort"),
        ("o3", Params(stop=["a"]), "stop"),
        ("o4-mini-2025-04-16", Params(stop=["a"]), "stop"),
        ("o1", Params(temperature=0.5), "temperature"),
        ("o3-mini", Params(top_p=0.5), "top_p"),
        ("o3", Params(reasoning_effort="minimal"), "reasoning_effort"),
        ("gpt-5", Params(temperature=0.0), "temperature"),
        ("gpt-5-mini", Params(reasoning_effort="none"), "reasoning_effort"),
        ("gpt-5", Params(stop=["a"]), "stop"),
        ("gpt-5.1", Params(reasoning_effort="xhigh"), "reasoning_effort"),
        ("gpt-5.2", Params(temperature=0.5, reasoning_effort="low"), "temperature"),
        ("gpt-5.2-chat-latest", Params(reasoning_effort="low"), "reasoning_effort"),
        ("gpt-5.5", Params(temperature=0.5), "temperature"),
        ("gpt-6-sol", Params(top_p=0.5), "top_p"),
        ("gpt-6-astra", Params(reasoning_effort="none"), "reasoning_effort"),
        ("gpt-4o-search-preview", Params(tools=TOOLS), "tools"),
        ("gpt-5-pro", Params(seed=1), "seed"),
        ("gpt-5-pro", Params(reasoning_effort="low"), "reasoning_effort"),
        ("o3-pro", Params(temperature=0.5), "temperature"),
        ("gpt-5.3-codex", Params(stop=["a"]), "stop"),
    ],
)
def test_what_a_model_does_not_take_is_refused_by_its_name(
    model: str, params: Params, field: str
) -> None:
    with pytest.raises(InvalidRequestError, match=f"openai's {model}") as caught:
        OPENAI.check(params, model)
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("gpt-4o", Params(temperature=0.5, top_p=0.5, stop=["a"], seed=1)),
        ("gpt-4.1-mini", Params(response_format=SCHEMA, tools=TOOLS, tool_choice="required")),
        ("o1", Params(stop=["a"], reasoning_effort="high")),
        ("gpt-5", Params(reasoning_effort="minimal", max_tokens=5, seed=1)),
        ("gpt-5-chat-latest", Params(temperature=0.5)),
        ("gpt-5.1", Params(temperature=0.5)),
        ("gpt-5.2", Params(temperature=0.5, reasoning_effort="none")),
        ("gpt-5.5", Params(temperature=0.5, reasoning_effort="none")),
        ("gpt-5.6-sol", Params(reasoning_effort="max")),
        ("gpt-6-astra", Params(reasoning_effort="max")),
        ("omni", Params(temperature=2.0)),
        ("gpt-oss-120b", Params(temperature=0.5)),
        ("a-model-of-next-year", Params(temperature=0.5, seed=1, stop=["a"])),
    ],
)
def test_what_it_takes_passes(model: str, params: Params) -> None:
    OPENAI.check(params, model)


def test_while_it_thinks_a_refusal_says_how_to_stop_it() -> None:
    with pytest.raises(InvalidRequestError, match='set reasoning_effort "none"'):
        OPENAI.check(Params(temperature=0.5), "gpt-5.5")


@pytest.mark.parametrize(
    ("model", "params", "door"),
    [
        ("gpt-4o", {}, "chat/completions"),
        ("gpt-5.2", {"tools": TOOLS, "reasoning_effort": "low"}, "chat/completions"),
        ("gpt-5.4", {"tools": TOOLS}, "chat/completions"),
        ("gpt-5.4", {"tools": TOOLS, "reasoning_effort": "low"}, "responses"),
        ("gpt-5.5", {"tools": TOOLS}, "responses"),
        ("gpt-5.5", {"tools": TOOLS, "reasoning_effort": "none"}, "chat/completions"),
        ("gpt-5.5", {}, "chat/completions"),
        ("gpt-6-sol", {"reasoning_effort": "max"}, "responses"),
        ("gpt-5-pro", {}, "responses"),
        ("gpt-5.5-pro-2026-04-23", {}, "responses"),
        ("o1-pro", {}, "responses"),
        ("gpt-5.1-codex-max", {}, "responses"),
        ("codex-mini-latest", {}, "responses"),
        ("o4-mini-deep-research", {}, "responses"),
        ("ft:gpt-4o-mini:acme:my-pro-codex:id", {}, "chat/completions"),
    ],
)
def test_a_call_goes_through_the_door_it_needs(
    model: str, params: dict[str, Any], door: str
) -> None:
    call = CallInput("call_1", model, [Message("user", "x")], Params(**params))
    url = OPENAI.build(call, Credential("openai")).url
    assert url == f"https://api.openai.com/v1/{door}"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        (Params(tool_choice="auto"), "tool_choice"),
        (Params(tools=TOOLS, tool_choice=ChosenTool(FunctionRef("g"))), "tool_choice"),
        (Params(response_format={"type": "xml"}), "response_format.type"),
        (Params(response_format={}), "response_format.type"),
        (Params(response_format={"type": "json_schema"}), "response_format.json_schema"),
        (
            Params(response_format={"type": "json_schema", "json_schema": {"name": "x"}}),
            "response_format.json_schema",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_for_every_vendor(params: Params, field: str) -> None:
    for name in ("openai", "groq", "together"):
        with pytest.raises(InvalidRequestError) as caught:
            registry.adapter_for(name).check(params, "some-model")
        assert caught.value.param == field
