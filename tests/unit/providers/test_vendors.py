"""Vendors that speak Chat Completions with an accent of their own."""

import json
from typing import Any

import pytest

from app.domain.completion import Completion
from app.domain.errors import (
    InvalidRequestError,
    MalformedCompletionError,
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.prompt import Function, Message, Params, Tool
from app.domain.wire import Response
from app.providers import registry
from app.providers.base import CallInput, Credential

TOOLS = [Tool(Function("f"))]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


def call(model: str = "m", **params: Any) -> CallInput:
    return CallInput("call_1", model, [Message("user", "x")], Params(**params))


def sent(provider: str, model: str = "m", **params: Any) -> Any:
    request = registry.adapter_for(provider).build(call(model, **params), Credential(provider))
    return json.loads(request.body)


def read(provider: str, body: Any, status: int = 200) -> Completion:
    response = Response(status, {}, json.dumps(body).encode())
    return registry.adapter_for(provider).read(response, call(), Credential(provider))


def failure(provider: str, body: Any, status: int = 200) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        read(provider, body, status)
    return caught.value


def answer(message: dict[str, Any], usage: Any = None) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}


@pytest.mark.parametrize(
    ("provider", "model", "params", "field"),
    [
        ("xai", "grok-4.5", Params(stop=["a"]), "stop"),
        ("xai", "grok-4.6", Params(reasoning_effort="none"), "reasoning_effort"),
        ("deepseek", "deepseek-chat", Params(seed=1), "seed"),
        ("deepseek", "deepseek-v4-pro", Params(response_format=SCHEMA), "response_format.type"),
        ("deepseek", "deepseek-v4-flash", Params(temperature=0.5), "temperature"),
        ("deepseek", "deepseek-reasoner", Params(top_p=0.5), "top_p"),
        ("mistral", "mistral-large-2512", Params(temperature=1.6), "temperature"),
        ("groq", "openai/gpt-oss-20b", Params(reasoning_effort="none"), "reasoning_effort"),
        ("groq", "llama-3.3-70b-versatile", Params(reasoning_effort="low"), "reasoning_effort"),
        ("cerebras", "gpt-oss-120b", Params(reasoning_effort="max"), "reasoning_effort"),
        ("fireworks", "accounts/fireworks/models/glm-5p3", Params(stop=["a"] * 5), "stop"),
        ("moonshot", "kimi-k2.5", Params(temperature=0.5), "temperature"),
        ("moonshot", "moonshot-v1-8k", Params(temperature=1.5), "temperature"),
        ("moonshot", "kimi-k3", Params(tools=TOOLS, tool_choice="required"), "tool_choice"),
        ("zai", "glm-4.7", Params(stop=["a", "b"]), "stop"),
        ("zai", "glm-4.7", Params(response_format=SCHEMA), "response_format.type"),
        ("zai", "glm-5.3", Params(reasoning_effort="none"), "reasoning_effort"),
        ("minimax", "MiniMax-M2.7", Params(temperature=1.1), "temperature"),
        ("perplexity", "sonar-pro", Params(tools=TOOLS), "tools"),
        ("perplexity", "sonar", Params(stop=["a"]), "stop"),
        ("perplexity", "sonar", Params(reasoning_effort="low"), "reasoning_effort"),
        ("cohere", "command-a-03-2025", Params(temperature=1.2), "temperature"),
        ("qwen", "qwen3-max", Params(tools=TOOLS, tool_choice="required"), "tool_choice"),
    ],
)
def test_what_a_vendor_does_not_take_is_refused_by_its_name(
    provider: str, model: str, params: Params, field: str
) -> None:
    with pytest.raises(InvalidRequestError, match=provider) as caught:
        registry.adapter_for(provider).check(params, model)
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("provider", "model", "params"),
    [
        ("xai", "grok-4.3", Params(reasoning_effort="none", seed=1)),
        ("deepseek", "deepseek-v4-pro", Params(temperature=0.5, reasoning_effort="none")),
        ("mistral", "mistral-large-2512", Params(seed=1, response_format=SCHEMA)),
        ("groq", "qwen/qwen3-32b", Params(reasoning_effort="none")),
        ("zai", "glm-5.3", Params(response_format=SCHEMA, reasoning_effort="max")),
        ("perplexity", "sonar-reasoning-pro", Params(reasoning_effort="low")),
        ("cohere", "command-a-reasoning-08-2025", Params(reasoning_effort="high")),
        ("openrouter", "z-ai/glm-5.3", Params(temperature=2.0, seed=1, reasoning_effort="max")),
        ("nvidia", "meta/llama-3.3-70b-instruct", Params(temperature=0.5, seed=1, stop=["a"])),
        ("together", "openai/gpt-oss-20b", Params(reasoning_effort="low", tools=TOOLS)),
        ("arcee", "trinity-large-thinking", Params(temperature=0.5, seed=1)),
    ],
)
def test_what_it_takes_passes(provider: str, model: str, params: Params) -> None:
    registry.adapter_for(provider).check(params, model)


@pytest.mark.parametrize(
    ("provider", "effort", "fields"),
    [
        ("xai", "low", {"reasoning_effort": "low"}),
        ("deepseek", "none", {"thinking": {"type": "disabled"}}),
        ("deepseek", "max", {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ("moonshot", "none", {"thinking": {"type": "disabled"}}),
        ("moonshot", "low", {"reasoning_effort": "low"}),
        ("zai", "none", {"thinking": {"type": "disabled"}}),
        ("qwen", "none", {"enable_thinking": False}),
        ("qwen", "low", {"reasoning_effort": "low"}),
        ("openrouter", "none", {"reasoning": {"effort": "none"}}),
    ],
)
def test_an_effort_is_asked_for_in_each_vendors_way(
    provider: str, effort: str, fields: dict[str, Any]
) -> None:
    body = sent(provider, reasoning_effort=effort)
    assert {name: body[name] for name in body.keys() - {"model", "messages"}} == fields


def test_minimax_is_told_to_keep_its_thoughts_out_of_the_text_unless_one_says_otherwise() -> None:
    assert sent("minimax")["reasoning_split"] is True
    assert sent("minimax", extra={"reasoning_split": False})["reasoning_split"] is False


def test_a_key_is_tried_where_the_vendor_asks_for_one() -> None:
    probes = {
        name: registry.adapter_for(name).probe(Credential(name)).url
        for name in ("openrouter", "cohere", "perplexity", "groq")
    }
    assert probes == {
        "openrouter": "https://openrouter.ai/api/v1/key",
        "cohere": "https://api.cohere.com/v1/models?page_size=1",
        "perplexity": "https://api.perplexity.ai/async/chat/completions",
        "groq": "https://api.groq.com/openai/v1/models",
    }
    own = registry.adapter_for("cohere").probe(Credential("cohere", "https://proxy.example.com/v1"))
    assert own.url == "https://proxy.example.com/v1/models"


def test_thoughts_are_found_where_mistral_and_minimax_put_them() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    mistral = read("mistral", answer({"content": [thinking, {"type": "text", "text": "Two."}]}))
    assert (mistral.text, mistral.reasoning) == ("Two.", "Hm.")
    minimax = read("minimax", answer({"content": "Two.", "reasoning_details": [{"text": "Hm."}]}))
    assert (minimax.text, minimax.reasoning) == ("Two.", "Hm.")


def test_xais_reasoning_is_beside_its_completion_and_billed_as_output() -> None:
    usage = {
        "prompt_tokens": 37,
        "completion_tokens": 530,
        "total_tokens": 800,
        "completion_tokens_details": {"reasoning_tokens": 233},
    }
    ours = read("xai", answer({"content": "Two."}, usage)).usage
    assert (ours.output_tokens, ours.reasoning_tokens) == (763, 233)
    inside = {**usage, "total_tokens": 567}
    assert read("xai", answer({"content": "Two."}, inside)).usage.output_tokens == 530


def test_perplexitys_reasoning_is_output_and_the_pages_it_read_are_input() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "citation_tokens": 300,
        "reasoning_tokens": 40,
    }
    ours = read("perplexity", answer({"content": "Two."}, usage)).usage
    assert (ours.input_tokens, ours.output_tokens, ours.reasoning_tokens) == (310, 60, 40)


@pytest.mark.parametrize("field", ["prompt_cache_hit_tokens", "cached_tokens"])
def test_a_cache_is_found_at_the_top_of_the_usage(field: str) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 20, field: 6}
    assert read("deepseek", answer({"content": "Two."}, usage)).usage.cache_read_tokens == 6


@pytest.mark.parametrize(
    ("provider", "body", "kind", "reason"),
    [
        ("openrouter", {"error": {"code": 429, "message": "x"}}, ProviderRateLimitedError, "rate_limited"),
        ("openrouter", {"error": {"code": 402, "message": "x"}}, ProviderKeyRefusedError, "billing"),
        ("openrouter", {"error": {"code": 502, "message": "x"}}, ProviderUnavailableError, "bad_gateway"),
        ("openrouter", {"error": {"code": "?", "message": "x"}}, MalformedCompletionError, "error_in_success"),
        (
            "openrouter",
            {"choices": [{"error": {"code": 502, "message": "x"}, "message": {"content": "Tw"}}]},
            ProviderUnavailableError,
            "bad_gateway",
        ),
        (
            "openrouter",
            {"choices": [{"error": {"message": "x"}, "message": {"content": "Tw"}}]},
            MalformedCompletionError,
            "error_in_success",
        ),
        ("minimax", {"base_resp": {"status_code": 1002}}, ProviderRateLimitedError, "rate_limited"),
        ("minimax", {"base_resp": {"status_code": 1008}}, ProviderKeyRefusedError, "billing"),
        ("minimax", {"base_resp": {"status_code": 1027}}, ProviderRefusedError, "content_filter"),
        ("minimax", {"base_resp": {"status_code": 2049}}, ProviderKeyRefusedError, "unauthorized"),
        ("minimax", {"base_resp": {"status_code": 9999}}, MalformedCompletionError, "no_choices"),
        ("minimax", {"base_resp": {"status_code": []}}, MalformedCompletionError, "no_choices"),
    ],
)  # fmt: skip
def test_p7_an_error_that_comes_as_a_success_is_told_by_the_status_inside(
    provider: str, body: Any, kind: type[ProviderError], reason: str
) -> None:
    error = failure(provider, body)
    assert (type(error), error.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("provider", "status", "body", "kind", "reason"),
    [
        ("moonshot", 429, {"error": {"type": "exceeded_current_quota_error"}}, ProviderKeyRefusedError, "quota_exhausted"),
        ("qwen", 429, {"error": {"code": "insufficient_quota"}}, ProviderRateLimitedError, "rate_limited"),
        ("qwen", 400, {"error": {"code": "Arrearage"}}, ProviderKeyRefusedError, "billing"),
        ("qwen", 400, {"error": {"code": "data_inspection_failed"}}, ProviderRefusedError, "content_filter"),
        ("zai", 429, {"error": {"code": "1113", "message": "x"}}, ProviderKeyRefusedError, "billing"),
        ("zai", 429, {"error": {"code": "1302", "message": "x"}}, ProviderRateLimitedError, "rate_limited"),
        ("zai", 400, {"error": {"code": "1301", "message": "x"}}, ProviderRefusedError, "content_filter"),
        ("zai", 400, {"error": {"code": 1261, "message": "x"}}, ProviderRefusedError, "context_exceeded"),
        ("xai", 400, {"code": "x", "error": "Incorrect API key provided: x"}, ProviderKeyRefusedError, "unauthorized"),
        ("xai", 403, {"code": "x", "error": "Your team has used all credits or reached its monthly spending limit."}, ProviderKeyRefusedError, "spend_limit"),
        ("deepseek", 402, {"error": {"message": "Insufficient Balance"}}, ProviderKeyRefusedError, "billing"),
        ("openrouter", 403, {"error": {"code": 403, "metadata": {"flagged_input": "x"}}}, ProviderRefusedError, "content_filter"),
        ("fireworks", 412, {"error": {"message": "Account is suspended"}}, ProviderKeyRefusedError, "billing"),
        ("groq", 413, {"error": {"code": "request_too_large"}}, ProviderRefusedError, "too_large"),
        ("mistral", 422, {"detail": [{"msg": "x"}]}, ProviderRefusedError, "bad_request"),
    ],
)  # fmt: skip
def test_p3_each_vendors_words_for_errors_are_understood(
    provider: str, status: int, body: Any, kind: type[ProviderError], reason: str
) -> None:
    error = failure(provider, body, status)
    assert (type(error), error.reason) == (kind, reason)
