"""Every adapter keeps the promises of `providers.base.Adapter`; OpenAI's own client is the referee."""

import json
from typing import Any

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion

from app.domain.completion import FinishReason
from app.domain.errors import (
    MalformedCompletionError,
    ProviderError,
    ProviderKeyRefusedError,
    ProviderRateLimitedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.prompt import ImagePart, ImageUrl, Message, Params, TextPart
from app.domain.secret import Secret
from app.domain.states import CallState
from app.domain.wire import Response
from app.providers import registry
from app.providers.base import Adapter, CallInput, Credential
from tests.fakes.provider import FakeProvider, answer_body

CANARY = "sk-canary-0123456789"
BASE_URL = "https://llm.example.com/v1"
PROVIDERS = [*registry.known_providers(), "custom:local"]
MESSAGES = [
    Message("system", "You are terse."),
    Message("user", [TextPart("What is this?"), ImagePart(ImageUrl("https://example.com/a.png"))]),
    Message("assistant", "A cat."),
    Message("user", "And what is 1+1? 😀"),
]


@pytest.fixture(params=PROVIDERS)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return registry.adapter_for(request.param)


def credential_for(adapter: Adapter, base_url: str = BASE_URL) -> Credential:
    return Credential(adapter.name, base_url, Secret(CANARY))


def call_of(**params: Any) -> CallInput:
    return CallInput("call_1", "test-model", MESSAGES, Params(**params), attempt=2)


def read(adapter: Adapter, body: object, status: int = 200, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return adapter.read(Response(status, named, data), call_of(), credential_for(adapter))


def failure(adapter: Adapter, body: object, status: int = 200, **headers: str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        read(adapter, body, status, **headers)
    assert CANARY not in repr(caught.value)
    return caught.value


def test_a_request_goes_to_the_base_url_whatever_its_last_character(adapter: Adapter) -> None:
    for base_url in (BASE_URL, f"{BASE_URL}/"):
        request = adapter.build(call_of(), credential_for(adapter, base_url))
        assert (request.method, request.url) == ("POST", f"{BASE_URL}/chat/completions")


def test_only_its_authorization_header_holds_the_key(adapter: Adapter) -> None:
    request = adapter.build(call_of(), credential_for(adapter))
    holders = [name for name, value in request.headers.items() if CANARY in value]
    assert holders == ["authorization"]
    assert CANARY not in repr(request) + request.url + request.body.decode()


def test_without_a_key_there_is_no_authorization_header(adapter: Adapter) -> None:
    request = adapter.build(call_of(), Credential(adapter.name, BASE_URL))
    assert "authorization" not in request.headers


def test_the_attempt_has_a_name(adapter: Adapter) -> None:
    request = adapter.build(call_of(), credential_for(adapter))
    assert request.headers["x-client-request-id"] == "call_1-2"


@pytest.mark.parametrize("key", ["k\n", "k\r\nx: 1", "“k”", "k\0", "clé"])
def test_k2_what_cannot_be_a_key_is_refused_without_being_shown(adapter: Adapter, key: str) -> None:
    with pytest.raises(ProviderKeyRefusedError) as caught:
        adapter.build(call_of(), Credential(adapter.name, BASE_URL, Secret(key)))
    assert key not in str(caught.value)


def test_what_cannot_be_written_is_refused_without_being_shown(adapter: Adapter) -> None:
    call = CallInput("call_1", "m", [Message("user", "canary \ud800")], Params())
    with pytest.raises(ProviderRefusedError) as caught:
        adapter.build(call, credential_for(adapter))
    assert "canary" not in repr(caught.value)
    assert caught.value.__suppress_context__


PARAMS: dict[str, Any] = {
    "temperature": 0.0,
    "top_p": 0.9,
    "max_tokens": 64,
    "stop": ["END", "\n\n"],
    "seed": 7,
    "response_format": {"type": "json_object"},
}


@pytest.mark.parametrize("names", [[], list(PARAMS), *([name] for name in PARAMS)])
def test_the_body_is_the_one_openais_own_client_sends(adapter: Adapter, names: list[str]) -> None:
    params = {name: PARAMS[name] for name in names}
    ours = json.loads(adapter.build(call_of(**params), credential_for(adapter)).body)
    if adapter.name == "openai" and "max_tokens" in params:
        params["max_completion_tokens"] = params.pop("max_tokens")
    with FakeProvider() as provider, OpenAI(base_url=provider.url, api_key="k") as client:
        client.chat.completions.create(model="test-model", messages=plain(), **params)
        assert ours == provider.journal[0].json


def plain() -> list[Any]:
    """The messages as somebody would write them for OpenAI's client."""
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    return [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "And what is 1+1? 😀"},
    ]


def test_extra_parameters_are_passed_on_but_never_replace_ours(adapter: Adapter) -> None:
    extra = {"reasoning_effort": "low", "model": "another", "messages": []}
    body = json.loads(adapter.build(call_of(extra=extra), credential_for(adapter)).body)
    assert body["reasoning_effort"] == "low"
    assert body["model"] == "test-model"
    assert len(body["messages"]) == 4


def test_a_probe_buys_nothing(adapter: Adapter) -> None:
    request = adapter.probe(credential_for(adapter))
    assert (request.method, request.url, request.body) == ("GET", f"{BASE_URL}/models", b"")


def test_an_answer_is_read_as_openais_own_client_reads_it(adapter: Adapter) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    body = answer_body("Two. 😀", usage=usage, model="test-model-2026-01")
    theirs = ChatCompletion.model_validate(body)
    ours = read(adapter, body, x_request_id="req_1")
    assert ours.text == theirs.choices[0].message.content
    assert ours.model_returned == theirs.model
    assert ours.finish_reason == theirs.choices[0].finish_reason
    assert ours.usage.input_tokens == theirs.usage.prompt_tokens
    assert ours.usage.output_tokens == theirs.usage.completion_tokens
    assert (ours.usage.cache_read_tokens, ours.usage.cache_write_tokens) == (40, 10)
    assert (ours.usage.reasoning_tokens, ours.usage.estimated) == (30, False)
    assert json.loads(ours.usage_raw) == usage
    assert (ours.request_id, ours.flags) == ("req_1", ())


@pytest.mark.parametrize(
    ("message", "finish_reason", "expected", "state", "flags"),
    [
        ({"content": "Two."}, "stop", FinishReason.STOP, CallState.SUCCEEDED, ()),
        ({"content": "Tw"}, "length", FinishReason.LENGTH, CallState.SUCCEEDED, ()),
        ({"content": ""}, "length", FinishReason.LENGTH, CallState.SUCCEEDED, ("empty",)),
        ({"content": None}, "stop", FinishReason.STOP, CallState.SUCCEEDED, ("empty",)),
        ({}, "content_filter", FinishReason.CONTENT_FILTER, CallState.REFUSED, ("empty",)),
        ({"content": "Tw"}, "content_filter", FinishReason.CONTENT_FILTER, CallState.REFUSED, ()),
        ({"refusal": "I won't."}, "stop", FinishReason.REFUSAL, CallState.REFUSED, ()),
        (
            {"tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f"}}]},
            "tool_calls",
            FinishReason.TOOL_CALLS,
            CallState.SUCCEEDED,
            (),
        ),
        (
            {"content": "Two."},
            None,
            FinishReason.UNKNOWN,
            CallState.SUCCEEDED,
            ("finish_reason:missing",),
        ),
        (
            {"content": "Two."},
            "eos",
            FinishReason.UNKNOWN,
            CallState.SUCCEEDED,
            ("finish_reason:eos",),
        ),
    ],
)
def test_p12_every_way_to_end_is_told_apart(
    adapter: Adapter,
    message: dict[str, Any],
    finish_reason: str | None,
    expected: FinishReason,
    state: CallState,
    flags: tuple[str, ...],
) -> None:
    fields = {"content": None, **message}
    body = answer_body(fields.pop("content"), finish_reason=finish_reason, **fields)
    completion = read(adapter, body)
    assert (completion.finish_reason, completion.state, completion.flags) == (
        expected,
        state,
        flags,
    )
    assert completion.text == (message.get("content") or message.get("refusal") or "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty_body"),
        (b"<html><body>502 Bad Gateway</body></html>", "not_json"),
        (b'{"choices": [', "not_json"),
        ([], "no_choices"),
        (None, "no_choices"),
        ({}, "no_choices"),
        ({"choices": []}, "no_choices"),
        ({"choices": ["x"]}, "no_choices"),
        ({"choices": [{}]}, "no_choices"),
        ({"choices": [{"message": "x"}]}, "no_choices"),
        ({"error": {"message": f"upstream failed with {CANARY}"}}, "error_in_success"),
    ],
)
def test_p7_a_success_without_an_answer_is_malformed(
    adapter: Adapter, body: object, reason: str
) -> None:
    error = failure(adapter, body, x_request_id="req_1")
    assert isinstance(error, MalformedCompletionError)
    assert (error.reason, error.status_code, error.request_id) == (reason, 200, "req_1")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ProviderRefusedError),
        (401, ProviderKeyRefusedError),
        (404, ProviderRefusedError),
        (429, ProviderRateLimitedError),
        (500, ProviderUnavailableError),
        (302, ProviderRefusedError),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>nginx</html>",
        b"\xff\xfe",
        {"error": {"message": f"No, {CANARY}.", "type": "t", "code": None}},
        {"error": f"No, {CANARY}."},
        {"error": {"message": {"nested": CANARY}, "code": 400}},
        {"object": "error", "message": f"No, {CANARY}.", "code": 40001},
        {"detail": [{"loc": ["body"], "msg": f"No, {CANARY}."}]},
        [f"No, {CANARY}."],
        {"error": [CANARY]},
    ],
    ids=str,
)
def test_p3_an_error_is_told_by_its_status_whatever_its_body(
    adapter: Adapter, status: int, kind: type[ProviderError], body: object
) -> None:
    error = failure(adapter, body, status)
    assert type(error) is kind
    assert error.status_code == status
