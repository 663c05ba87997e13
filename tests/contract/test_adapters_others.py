"""What adapters send is what Anthropic's and Google's own clients send: they are the referees.

Each test asks a client for the same thing in its own words, and compares what both put on the
wire.
"""

from typing import Any

import anthropic
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from google import genai
from google.genai import types as gemini

from app.domain.prompt import ChosenTool, Params
from tests.contract.asking import CASES, CHAT, FUNCTION, SCHEMA, WEATHER, sent_to, taken_of
from tests.contract.languages import Gemini, Messages, Said
from tests.contract.speakers import PNG, SPEAKERS
from tests.contract.typed import unfit
from tests.fakes.provider import FakeProvider, respond

CLAUDES = [
    "claude-haiku-4-5",
    "claude-opus-4-6",
    "claude-opus-5",
    "claude-fable-5-1",
    "claude-3-haiku",
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", CLAUDES)
def test_a_message_is_asked_for_as_anthropics_own_client_asks(
    provider: FakeProvider, model: str, case: str
) -> None:
    speaker = SPEAKERS["anthropic"]
    params = taken_of(speaker, CASES[case], model)
    source = {"type": "base64", "media_type": "image/png", "data": PNG.partition(",")[2]}
    blocks = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
    config: dict[str, Any] = {}
    if params.reasoning_effort:
        config["effort"] = params.reasoning_effort
    if params.response_format:
        config["format"] = {"type": "json_schema", "schema": SCHEMA}
    tool = {**FUNCTION, "input_schema": FUNCTION["parameters"]}
    del tool["parameters"]
    # The client's types no longer have them; older models still take them.
    sampling = {"temperature": params.temperature, "top_p": params.top_p}
    wanted: dict[str, Any] = {
        "stop_sequences": params.stop,
        "tools": params.tools and [tool],
        "tool_choice": _anthropic_choice(params),
        "output_config": config or None,
        "thinking": {"type": "adaptive"}
        if params.reasoning_effort and model == "claude-opus-4-6"
        else None,
    }
    provider.reply_with(respond(200, Messages().answer(Said())))
    with anthropic.Anthropic(base_url=provider.origin, api_key="k") as client:
        client.messages.create(
            model=model,
            max_tokens=params.max_tokens or 4096,
            system="You are terse.",
            messages=[{"role": "user", "content": blocks}, *CHAT[2:]],
            extra_body={name: value for name, value in sampling.items() if value is not None},
            **{name: value for name, value in wanted.items() if value is not None},
        )
    sent = sent_to(speaker, params, model)
    assert sent == provider.journal[0].json
    known = {name: sent[name] for name in sent.keys() - sampling.keys()}
    assert unfit(known, MessageCreateParamsNonStreaming) is None
    theirs = provider.journal[0]
    ours = speaker.adapter.build(speaker.call(), speaker.credential())
    assert theirs.path == "/v1/messages"
    assert ours.headers["anthropic-version"] == theirs.headers["anthropic-version"]


def _anthropic_choice(params: Params) -> dict[str, str] | None:
    if isinstance(params.tool_choice, ChosenTool):
        return {"type": "tool", "name": "weather"}
    return (
        {"type": {"required": "any"}.get(params.tool_choice, params.tool_choice)}
        if params.tool_choice
        else None
    )


GEMINIS = ["gemini-2.5-flash", "gemini-3.1-pro-preview", "gemini-3.8-flash", "gemini-2.0-flash"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", GEMINIS)
def test_content_is_asked_for_as_googles_own_client_asks(
    provider: FakeProvider, model: str, case: str
) -> None:
    speaker = SPEAKERS["google"]
    params = taken_of(speaker, CASES[case], model)
    blob = gemini.Blob(mime_type="image/png", data=b"\x89PNG\r\n\x1a\n")
    contents = [
        gemini.Content(
            role="user",
            parts=[gemini.Part(text="What is this?"), gemini.Part(inline_data=blob)],
        ),
        gemini.Content(role="model", parts=[gemini.Part(text="A cat.")]),
        gemini.Content(role="user", parts=[gemini.Part(text="And what is 1+1? 😀")]),
    ]
    kind = (params.response_format or {}).get("type")
    config = gemini.GenerateContentConfig(
        system_instruction=gemini.Content(parts=[gemini.Part(text="You are terse.")]),
        temperature=params.temperature,
        top_p=params.top_p,
        max_output_tokens=params.max_tokens,
        stop_sequences=params.stop,
        seed=params.seed,
        response_mime_type="application/json" if kind else None,
        response_json_schema=SCHEMA if kind == "json_schema" else None,
        thinking_config=_thinking(params, model),
        tools=_gemini_tools() if params.tools else None,
        tool_config=_tool_config(params),
    )
    provider.reply_with(respond(200, Gemini().answer(Said())))
    options = gemini.HttpOptions(base_url=provider.origin)
    client = genai.Client(api_key="k", vertexai=False, http_options=options)
    client.models.generate_content(model=model, contents=contents, config=config)
    seen = provider.journal[0]
    theirs = _in_camels(seen.json)
    if not theirs["generationConfig"]:
        del theirs["generationConfig"]
    assert sent_to(speaker, params, model) == theirs
    assert seen.path == f"/v1/models/{model}:generateContent"
    assert seen.headers["x-goog-api-key"] == "k"


def _thinking(params: Params, model: str) -> Any:
    if params.reasoning_effort is None:
        return None
    if model.startswith("gemini-2.5"):
        return gemini.ThinkingConfig(thinking_budget=1024, include_thoughts=True)
    return gemini.ThinkingConfig(thinking_level="LOW", include_thoughts=True)


def _gemini_tools() -> list[Any]:
    declared = gemini.FunctionDeclaration(
        name="weather",
        description="The weather.",
        parameters_json_schema=WEATHER.parameters,
    )
    return [gemini.Tool(function_declarations=[declared])]


def _tool_config(params: Params) -> Any:
    choice = params.tool_choice
    if choice is None:
        return None
    is_named = isinstance(choice, ChosenTool)
    mode = "ANY" if is_named or choice == "required" else "NONE"
    calling = gemini.FunctionCallingConfig(
        mode=mode, allowed_function_names=["weather"] if is_named else None
    )
    return gemini.ToolConfig(function_calling_config=calling)


def _in_camels(value: Any) -> Any:
    """The client mixes both spellings, and Google reads both: protobuf's JSON."""
    if isinstance(value, list):
        return [_in_camels(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {_camel(name): _in_camels(one) for name, one in value.items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
