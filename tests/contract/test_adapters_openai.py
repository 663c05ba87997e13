"""What adapters send is what OpenAI's own client sends: it is the referee.

Each test asks the client for the same thing in its own words, and compares what both put on the
wire.
"""

from typing import Any

import pytest
from openai import OpenAI
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

from app.domain.prompt import ChosenTool
from app.providers.vendors import VENDORS
from tests.contract.asking import CASES, CHAT, FUNCTION, PARAMS, sent_to, taken_of
from tests.contract.languages import Chat, Said
from tests.contract.speakers import PNG, SPEAKERS
from tests.contract.typed import unfit
from tests.fakes.provider import FakeProvider, respond

FORCED = {"type": "function", "function": {"name": "weather"}}
#: Where a vendor differs from OpenAI: what is asked in OpenAI's words, and in its own.
EFFORTS: dict[str, dict[str, Any]] = {
    "deepseek": {"thinking": {"type": "enabled"}, "reasoning_effort": "low"},
    "openrouter": {"reasoning": {"effort": "low"}},
}
NOT_OPENAIS = ("reasoning", "random_seed", "thinking")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "name", [name for name, one in SPEAKERS.items() if type(one.language) is Chat]
)
def test_a_chat_completion_is_asked_for_as_openais_own_client_asks(
    provider: FakeProvider, name: str, case: str
) -> None:
    speaker = SPEAKERS[name]
    params = taken_of(speaker, CASES[case], "test-model")
    wanted = {field: value for field in PARAMS if (value := getattr(params, field)) is not None}
    if params.tools:
        wanted["tools"] = [{"type": "function", "function": FUNCTION}]
    if params.tool_choice is not None:
        is_named = isinstance(params.tool_choice, ChosenTool)
        wanted["tool_choice"] = FORCED if is_named else params.tool_choice
    _in_the_vendors_words(name, wanted)
    with OpenAI(base_url=provider.url, api_key="k") as client:
        extra = {key: wanted.pop(key) for key in NOT_OPENAIS if key in wanted}
        client.chat.completions.create(
            model="test-model", messages=CHAT, extra_body=extra or None, **wanted
        )
    theirs = provider.journal[0].json
    always = VENDORS[name].dialect.always if name in VENDORS else {}
    sent = speaker.sent(params)
    assert sent == {**theirs, **always}
    known = {name: sent[name] for name in sent.keys() - extra.keys() - always.keys()}
    assert unfit(known, CompletionCreateParamsNonStreaming) is None


def _in_the_vendors_words(name: str, wanted: dict[str, Any]) -> None:
    if name in {"openai", "groq", "cerebras"} and "max_tokens" in wanted:
        wanted["max_completion_tokens"] = wanted.pop("max_tokens")
    if name == "mistral" and "seed" in wanted:
        wanted["random_seed"] = wanted.pop("seed")
    if name in EFFORTS and "reasoning_effort" in wanted:
        del wanted["reasoning_effort"]
        wanted.update(EFFORTS[name])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", ["gpt-5-pro", "gpt-5.3-codex", "gpt-daybreak"])
def test_a_response_is_asked_for_as_openais_own_client_asks(
    provider: FakeProvider, model: str, case: str
) -> None:
    speaker = SPEAKERS["openai responses"]
    params = taken_of(speaker, CASES[case], model)
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": PNG, "detail": "auto"},
    ]
    items: list[Any] = [CHAT[0], {"role": "user", "content": parts}, *CHAT[2:]]
    wanted: dict[str, Any] = {
        "temperature": params.temperature,
        "top_p": params.top_p,
        "max_output_tokens": params.max_tokens,
        "reasoning": params.reasoning_effort and {"effort": params.reasoning_effort},
        "text": params.response_format and {"format": _flat(params.response_format)},
        "tools": params.tools and [{"type": "function", **FUNCTION}],
        "tool_choice": {"type": "function", "name": "weather"}
        if isinstance(params.tool_choice, ChosenTool)
        else params.tool_choice,
    }
    provider.reply_with(respond(200, speaker.language.answer(Said())))
    with OpenAI(base_url=provider.url, api_key="k") as client:
        given = {name: value for name, value in wanted.items() if value is not None}
        client.responses.create(model=model, input=items, store=False, **given)
    sent = sent_to(speaker, params, model)
    assert sent == provider.journal[0].json
    assert unfit(sent, ResponseCreateParamsNonStreaming) is None


def _flat(asked: dict[str, Any]) -> dict[str, Any]:
    return {"type": asked["type"], **asked.get("json_schema", {})}
