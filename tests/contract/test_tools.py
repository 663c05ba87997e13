"""A conversation in which tools were called, as each vendor's own client would send it."""

import json
from typing import Any

import msgspec
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

from app.domain.errors import InvalidRequestError
from app.domain.prompt import Messages, check_turns
from tests.contract.speakers import SPEAKERS, Speaker
from tests.contract.typed import unfit


def called(id_: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": "weather", "arguments": json.dumps(arguments)}
    return {"id": id_, "type": "function", "function": function}


ASKED: dict[str, Any] = {"role": "user", "content": "Where is it warmer?"}
CALLED = {
    "role": "assistant",
    "content": "Let me see.",
    "tool_calls": [called("c1", city="Oslo"), called("c2", city="Rome")],
}
ANSWERED = [
    {"role": "tool", "content": "3 °C", "tool_call_id": "c1"},
    {"role": "tool", "content": '{"celsius": 21}', "tool_call_id": "c2"},
]
TALK: list[Any] = [{"role": "system", "content": "Be brief."}, ASKED, CALLED, *ANSWERED]


def turns(talk: list[Any]) -> Messages:
    return msgspec.convert(talk, Messages)


def sent(speaker: Speaker, talk: list[Any]) -> Any:
    call = msgspec.structs.replace(speaker.call(), messages=turns(talk))
    return json.loads(speaker.adapter.build(call, speaker.credential()).body or b"")


@pytest.mark.parametrize("name", ["openai", "groq", "custom:local", "mistral"])
def test_who_speaks_openais_language_is_told_in_it(name: str) -> None:
    body = sent(SPEAKERS[name], TALK)
    assert body["messages"] == TALK
    known = {field: body[field] for field in ("model", "messages")}
    assert unfit(known, CompletionCreateParamsNonStreaming) is None


def test_responses_are_told_in_items() -> None:
    body = sent(SPEAKERS["openai responses"], TALK)
    arguments = [json.dumps({"city": city}) for city in ("Oslo", "Rome")]
    assert body["input"][2:] == [
        {"role": "assistant", "content": "Let me see."},
        *(
            {"type": "function_call", "call_id": id_, "name": "weather", "arguments": one}
            for id_, one in zip(("c1", "c2"), arguments, strict=True)
        ),
        {"type": "function_call_output", "call_id": "c1", "output": "3 °C"},
        {"type": "function_call_output", "call_id": "c2", "output": '{"celsius": 21}'},
    ]
    assert unfit({"input": body["input"]}, ResponseCreateParamsNonStreaming) is None


def test_anthropic_is_told_in_blocks_and_all_answers_in_one_turn() -> None:
    again = {"role": "assistant", "content": "", "tool_calls": [called("c3")]}
    last = {"role": "tool", "content": [{"type": "text", "text": "?"}], "tool_call_id": "c3"}
    body = sent(SPEAKERS["anthropic"], [*TALK, again, last])
    use = {"type": "tool_use", "name": "weather"}
    result = {"type": "tool_result"}
    assert body["messages"] == [
        ASKED,
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {**use, "id": "c1", "input": {"city": "Oslo"}},
                {**use, "id": "c2", "input": {"city": "Rome"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {**result, "tool_use_id": "c1", "content": "3 °C"},
                {**result, "tool_use_id": "c2", "content": '{"celsius": 21}'},
            ],
        },
        {"role": "assistant", "content": [{**use, "id": "c3", "input": {}}]},
        {
            "role": "user",
            "content": [
                {**result, "tool_use_id": "c3", "content": [{"type": "text", "text": "?"}]}
            ],
        },
    ]
    known = {field: body[field] for field in ("model", "messages", "max_tokens")}
    assert unfit(known, MessageCreateParamsNonStreaming) is None


def test_google_is_not_told_for_it_wants_signatures_that_nobody_has() -> None:
    with pytest.raises(InvalidRequestError, match="signatures") as caught:
        SPEAKERS["google"].adapter.check_prompt(turns(TALK), "gemini-3-pro")
    assert caught.value.param == "messages[2].tool_calls"


@pytest.mark.parametrize(
    ("talk", "why", "place"),
    [
        ([CALLED, *ANSWERED], "needs a message of role user", ""),
        ([ASKED, *ANSWERED], "answers no call", "[1]"),
        ([ASKED, CALLED, ANSWERED[0]], "call c2 is not answered", ""),
        ([ASKED, CALLED, ANSWERED[0], ASKED], "call c2 is not answered before", "[3]"),
        ([ASKED, CALLED, ANSWERED[0], ANSWERED[0]], "answers no call", "[3]"),
        ([{**ASKED, "tool_calls": [called("c1")]}], "only role assistant", "[0]"),
        ([ASKED, CALLED, *ANSWERED, {**ASKED, "tool_call_id": "c1"}], "only role tool", "[4]"),
        (
            [
                ASKED,
                {
                    **CALLED,
                    "tool_calls": [{**called("c1"), "function": {"name": "f", "arguments": "[]"}}],
                },
            ],
            "JSON object",
            "[1]",
        ),
    ],
)
def test_what_is_no_conversation_is_refused(talk: list[Any], why: str, place: str) -> None:
    with pytest.raises(InvalidRequestError, match=why) as caught:
        check_turns(turns(talk))
    assert caught.value.param == place
