"""What OpenAI takes, and what its imitators' answers are worth."""

import json
from typing import Any

import pytest

from app.domain.completion import Completion
from app.domain.errors import ProviderRefusedError
from app.domain.prompt import Message, Params
from app.domain.wire import Response
from app.providers import vendors
from app.providers.base import CallInput, Credential
from app.providers.openai import ChatCompletions
from app.providers.reading import estimate_input_tokens, estimate_tokens

OPENAI = ChatCompletions("openai", "https://api.openai.com/v1", vendors.OPENAI)
CUSTOM = ChatCompletions("custom:local")
MESSAGES = [Message("user", "What is 1+1?")]
CALL = CallInput("call_1", "m", MESSAGES, Params())
CREDENTIAL = Credential("custom:local", "http://127.0.0.1:8080/v1")
TEXT = "It is two."
INPUT_ESTIMATE = estimate_input_tokens(MESSAGES)
OUTPUT_ESTIMATE = estimate_tokens(TEXT)


def read(message: dict[str, Any], usage: object = None, **fields: Any) -> Completion:
    choice = {"message": message, "finish_reason": "stop"}
    body = {"choices": [choice], "usage": usage, **fields}
    return CUSTOM.read(Response(200, {}, json.dumps(body).encode()), CALL, CREDENTIAL)


def test_without_a_base_url_there_is_nowhere_to_send() -> None:
    with pytest.raises(ProviderRefusedError) as caught:
        CUSTOM.build(CALL, Credential("custom:local"))
    assert caught.value.reason == "no_base_url"


def test_a_vendors_own_base_url_is_used_unless_another_is_set() -> None:
    assert OPENAI.build(CALL, Credential("openai")).url.startswith("https://api.openai.com/v1/")
    proxied = Credential("openai", "https://proxy.example.com/openai")
    assert OPENAI.build(CALL, proxied).url == "https://proxy.example.com/openai/chat/completions"


@pytest.mark.parametrize(
    ("adapter", "name"), [(OPENAI, "max_completion_tokens"), (CUSTOM, "max_tokens")]
)
def test_the_bound_on_tokens_goes_by_the_name_the_server_knows(
    adapter: ChatCompletions, name: str
) -> None:
    call = CallInput("call_1", "m", MESSAGES, Params(max_tokens=9), max_tokens=5)
    body = json.loads(adapter.build(call, CREDENTIAL).body)
    assert {key: body[key] for key in body if "tokens" in key} == {name: 5}


@pytest.mark.parametrize(
    "usage",
    [
        *(None, {}, [], "many", 7, {"total_tokens": 12}),
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": -5, "completion_tokens": -1},
        {"prompt_tokens": "12", "completion_tokens": "3"},
        {"prompt_tokens": 10**18, "completion_tokens": 10**18},
        {"prompt_tokens": 10**40, "completion_tokens": 10**40},
        {"prompt_tokens": True, "completion_tokens": True},
        {"prompt_tokens": 12.0, "completion_tokens": float("nan")},
        {"prompt_tokens": None, "completion_tokens": None, "prompt_tokens_details": "none"},
    ],
    ids=str,
)
def test_p14_usage_that_cannot_be_is_estimated_and_flagged(usage: object) -> None:
    completion = read({"content": TEXT}, usage)
    assert completion.usage.estimated
    assert completion.flags[-1] == "usage_estimated"
    assert completion.usage.input_tokens == INPUT_ESTIMATE
    assert completion.usage.output_tokens == OUTPUT_ESTIMATE


def test_p14_the_half_that_can_be_is_kept() -> None:
    usage = read({"content": TEXT}, {"prompt_tokens": 12, "completion_tokens": -1}).usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (12, OUTPUT_ESTIMATE, True)


def test_p14_no_tokens_for_no_text_is_believed() -> None:
    usage = read({"content": ""}, {"prompt_tokens": 12, "completion_tokens": 0}).usage
    assert (usage.output_tokens, usage.estimated) == (0, False)


@pytest.mark.parametrize("cached", [-1, "5", 10**18, True, None, 13])
def test_p14_a_part_is_never_more_than_its_whole(cached: object) -> None:
    details = {"cached_tokens": cached, "cache_write_tokens": cached}
    told = {
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": cached},
    }
    usage = read({"content": TEXT}, told).usage
    assert 0 <= usage.cache_read_tokens + usage.cache_write_tokens <= 12
    assert 0 <= usage.reasoning_tokens <= 5


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a\0b", "a\ufffdb"),
        ("a\ud800", "a\ufffd"),
        ("\ud83d", "\ufffd"),
    ],
)
def test_p13_an_answer_no_store_takes_is_mended_and_flagged(content: str, text: str) -> None:
    completion = read({"content": content}, {"prompt_tokens": 1, "completion_tokens": 1})
    assert (completion.text, completion.flags) == (text, ("sanitised",))


def test_p13_so_is_an_answer_that_is_not_even_utf8() -> None:
    body = b'{"choices": [{"message": {"content": "caf\xe9"}, "finish_reason": "stop"}]}'
    completion = CUSTOM.read(Response(200, {}, body), CALL, CREDENTIAL)
    assert completion.text == "caf\ufffd"
    assert "sanitised" in completion.flags


def test_p13_a_text_of_ten_megabytes_is_kept() -> None:
    assert len(read({"content": "x" * 10_000_000}).text) == 10_000_000


def test_p13_everything_that_is_stored_can_be_encoded() -> None:
    bad = "\ud800\0"
    completion = read(
        {
            "content": bad,
            "reasoning_content": bad,
            "tool_calls": [{"id": bad, "function": {"arguments": bad}}, "no call"],
        },
        {"prompt_tokens": bad},
        model=bad,
        id=bad,
    )
    stored = json.dumps(
        [
            *(completion.text, completion.reasoning, completion.tool_calls, completion.usage_raw),
            *(completion.model_returned, completion.request_id, completion.flags),
        ],
        ensure_ascii=False,
    )
    stored.encode()
    assert "\0" not in stored


def test_p15_the_model_that_answered_is_recorded_as_it_names_itself() -> None:
    assert read({"content": TEXT}, model="m-2026-01").model_returned == "m-2026-01"
    assert read({"content": TEXT}, model=7).model_returned is None


def test_parts_of_a_text_are_joined() -> None:
    parts = [
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "two."},
        "x",
        {"type": "y"},
    ]
    assert read({"content": parts}).text == "It is two."


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_thoughts_are_kept_beside_the_text_and_count_as_output(field: str) -> None:
    completion = read({"content": TEXT, field: "One and one..."})
    assert (completion.text, completion.reasoning) == (TEXT, "One and one...")
    assert completion.usage.output_tokens > OUTPUT_ESTIMATE


def test_without_a_request_id_the_answers_own_is_kept() -> None:
    assert read({"content": TEXT}, id="chatcmpl-1").request_id == "chatcmpl-1"
