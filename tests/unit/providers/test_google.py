"""Google's generateContent: what each model takes, and what its errors and endings mean."""

import json
from typing import Any

import pytest
from google.genai import types as gemini

from app.domain.completion import Completion, FinishReason
from app.domain.errors import (
    InvalidRequestError,
    ProviderRefusedError,
)
from app.domain.prompt import Function, ImagePart, ImageUrl, Message, Params, Tool
from app.domain.states import CallState
from app.domain.wire import Response
from app.providers.base import CallInput, Credential
from app.providers.google import GenerateContent

ADAPTER = GenerateContent("google")
CREDENTIAL = Credential("google")
TOOLS = [Tool(Function("f"))]
JSON = {"type": "json_object"}


def call(model: str = "gemini-3.5-flash", **params: Any) -> CallInput:
    return CallInput("call_1", model, [Message("user", "x")], Params(**params))


def config(model: str, **params: Any) -> Any:
    body = json.loads(ADAPTER.build(call(model, **params), CREDENTIAL).body)
    return body.get("generationConfig")


def read(body: Any, status: int = 200, **headers: str) -> Completion:
    data = json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ADAPTER.read(Response(status, named, data), call(), CREDENTIAL)


@pytest.mark.parametrize(
    ("model", "params", "field"),
    [
        ("gemini-3.8-flash", Params(temperature=0.5), "temperature"),
        ("gemini-3.6-flash", Params(top_p=0.5), "top_p"),
        ("gemini-2.5-pro", Params(reasoning_effort="none"), "reasoning_effort"),
        ("gemini-3.1-pro-preview", Params(reasoning_effort="minimal"), "reasoning_effort"),
        ("gemini-3.5-flash", Params(reasoning_effort="max"), "reasoning_effort"),
        ("gemini-2.0-flash", Params(reasoning_effort="low"), "reasoning_effort"),
        ("gemini-2.5-flash", Params(tools=TOOLS, response_format=JSON), "response_format"),
        ("gemma-3-27b-it", Params(response_format=JSON), "response_format.type"),
        ("gemini-3.5-flash", Params(stop=["a"] * 6), "stop"),
        ("gemini-3.5-flash", Params(seed=2**31), "seed"),
        ("gemini-3.5-flash", Params(extra={"contents": []}), "extra.contents"),
        (
            "gemini-3.5-flash",
            Params(extra={"generationConfig": {"candidateCount": 2}}),
            "extra.generationConfig.candidateCount",
        ),
    ],
)
def test_what_a_model_does_not_take_is_refused_by_its_name(
    model: str, params: Params, field: str
) -> None:
    with pytest.raises(InvalidRequestError, match="google") as caught:
        ADAPTER.check(params, model)
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("gemini-2.5-flash", Params(temperature=2.0, top_p=0.5, seed=-(2**31))),
        ("models/gemini-2.5-flash", Params(reasoning_effort="none")),
        ("gemini-3.5-flash", Params(tools=TOOLS, response_format=JSON)),
        ("gemini-of-next-year", Params(temperature=0.5, reasoning_effort="high")),
        ("gemini-3.5-flash", Params(extra={"generationConfig": {"topK": 5}, "safetySettings": []})),
    ],
)
def test_what_it_takes_passes(model: str, params: Params) -> None:
    ADAPTER.check(params, model)


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        ("gemini-3.5-flash", "minimal", {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
    ],
)
def test_an_effort_is_a_budget_for_older_models_and_a_level_for_newer_ones(
    model: str, effort: str, thinking: dict[str, Any]
) -> None:
    assert config(model, reasoning_effort=effort) == {"thinkingConfig": thinking}


def test_extra_may_add_to_the_configuration() -> None:
    extra = {"generationConfig": {"topK": 5}}
    assert config("gemini-3.5-flash", seed=1, extra=extra) == {"topK": 5, "seed": 1}
    assert config("gemini-3.5-flash", extra=extra) == {"topK": 5}
    assert config("gemini-3.5-flash", extra={"generationConfig": "x"}, seed=1) == {"seed": 1}


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("models/gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("tunedModels/mine-1", "tunedModels/mine-1"),
    ],
)
def test_the_model_is_a_part_of_the_url(model: str, path: str) -> None:
    url = ADAPTER.build(call(model), CREDENTIAL).url
    assert url == f"https://generativelanguage.googleapis.com/v1/{path}:generateContent"


@pytest.mark.parametrize(
    "model", ["../files", "a/../b", "a?key=b", "a#b", "models/", "a:b", "a%2fb", "a..b", "x/y", "é"]
)
def test_a_name_that_would_lead_elsewhere_is_no_model(model: str) -> None:
    with pytest.raises(InvalidRequestError):
        ADAPTER.check(Params(), model)
    with pytest.raises(ProviderRefusedError):
        ADAPTER.build(call(model), CREDENTIAL)


def test_an_image_at_a_url_that_slipped_through_is_not_sent() -> None:
    image = ImagePart(ImageUrl("https://example.com/a.png"))
    asked = CallInput("call_1", "gemini-3.5-flash", [Message("user", [image])], Params())
    with pytest.raises(ProviderRefusedError) as caught:
        ADAPTER.build(asked, CREDENTIAL)
    assert caught.value.reason == "bad_image"


def ended(reason: object) -> Completion:
    content = {"role": "model", "parts": [{"text": "x"}]}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1}
    candidate = {"content": content, "finishReason": reason}
    return read({"candidates": [candidate], "usageMetadata": usage})


def test_p12_every_reason_that_their_client_knows_is_told_apart() -> None:
    told = {one.value: ended(one.value) for one in gemini.FinishReason}
    withheld = {word for word, one in told.items() if one.state is CallState.REFUSED}
    assert withheld == {
        *("BLOCKLIST", "ESCALATION", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
        *("IMAGE_SAFETY", "LANGUAGE", "MODEL_ARMOR", "PROHIBITED_CONTENT", "PUP_LIMITED_DISABLED"),
        *("RECITATION", "SAFETY", "SPII"),
    }
    assert told["STOP"].finish_reason is FinishReason.STOP
    assert told["MAX_TOKENS"].finish_reason is FinishReason.LENGTH
    assert told["SAFETY"].flags == ("blocked:SAFETY",)
    assert told["MALFORMED_FUNCTION_CALL"].flags == ("finish_reason:MALFORMED_FUNCTION_CALL",)
    assert told["OTHER"].finish_reason is FinishReason.UNKNOWN


@pytest.mark.parametrize("reason", [None, "NEXT_YEAR", 7])
def test_p11_a_reason_nobody_knows_is_kept(reason: object) -> None:
    ours = ended(reason)
    assert ours.finish_reason is FinishReason.UNKNOWN
    assert ours.flags == (f"finish_reason:{'missing' if reason is None else reason}",)


@pytest.mark.parametrize("why", [one.value for one in gemini.BlockedReason])
def test_p12_a_prompt_that_was_blocked_is_a_withheld_answer(why: str) -> None:
    body = {"promptFeedback": {"blockReason": why}, "usageMetadata": {"promptTokenCount": 9}}
    gemini.GenerateContentResponse.model_validate(body)
    ours = read(body)
    assert (ours.finish_reason, ours.state) == (FinishReason.CONTENT_FILTER, CallState.REFUSED)
    assert ours.flags == (f"blocked:{why}", "empty")
    assert (ours.usage.input_tokens, ours.usage.output_tokens) == (9, 0)
    assert not ours.usage.estimated


def test_p12_an_answer_that_was_cut_off_while_it_thought_is_paid_for() -> None:
    body = {
        "candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}],
        "usageMetadata": {"promptTokenCount": 9, "thoughtsTokenCount": 64},
    }
    ours = read(body)
    assert (ours.finish_reason, ours.flags) == (FinishReason.LENGTH, ("empty",))
    assert (ours.usage.output_tokens, ours.usage.reasoning_tokens) == (64, 64)


def test_what_tools_gave_back_is_input() -> None:
    content = {"role": "model", "parts": [{"text": "x"}]}
    usage = {"promptTokenCount": 9, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 1}
    body = {
        "candidates": [{"content": content, "finishReason": "STOP"}],
        "usageMetadata": usage,
    }
    assert read(body).usage.input_tokens == 14


def test_a_call_without_an_id_gets_one() -> None:
    parts = [{"functionCall": {"name": "f"}}, {"functionCall": {"name": "g", "args": {"a": 1}}}]
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
    calls = read({"candidates": [candidate]}).tool_calls or []
    assert [one["id"] for one in calls] == ["call_1", "call_2"]
    assert [one["function"]["arguments"] for one in calls] == ["{}", '{"a": 1}']
