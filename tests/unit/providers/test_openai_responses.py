"""OpenAI's Responses: what is particular to them."""

import json
from typing import Any

import pytest

from app.domain.completion import Completion, FinishReason
from app.domain.errors import (
    InvalidRequestError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from app.domain.prompt import ImagePart, ImageUrl, Message, Params, TextPart
from app.domain.wire import Response
from app.providers.base import CallInput, Credential
from app.providers.openai_responses import Responses

ADAPTER = Responses("openai", "https://api.openai.com/v1")
MESSAGES = [
    Message("system", "Be brief."),
    Message("user", [ImagePart(ImageUrl("https://example.com/a.png", "low")), TextPart("What?")]),
    Message("assistant", [TextPart("A "), TextPart("cat.")]),
    Message("user", "Sure?"),
]
CREDENTIAL = Credential("openai")


def call(**params: Any) -> CallInput:
    return CallInput("call_1", "gpt-5-pro", MESSAGES, Params(**params))


def read(**body: Any) -> Completion:
    data = {"status": "completed", "output": [], **body}
    return ADAPTER.read(Response(200, {}, json.dumps(data).encode()), call(), CREDENTIAL)


def message(**content: str) -> dict[str, Any]:
    return {"type": "message", "content": [content]}


def test_nothing_is_stored_with_openai() -> None:
    assert json.loads(ADAPTER.build(call(), CREDENTIAL).body)["store"] is False
    with pytest.raises(InvalidRequestError) as caught:
        ADAPTER.check(Params(extra={"store": True}), "gpt-5-pro")
    assert caught.value.param == "extra.store"


def test_messages_are_items_of_the_input() -> None:
    system, user, assistant, last = json.loads(ADAPTER.build(call(), CREDENTIAL).body)["input"]
    assert system == {"role": "system", "content": "Be brief."}
    assert user["content"][0] == {
        "type": "input_image",
        "image_url": "https://example.com/a.png",
        "detail": "low",
    }
    assert assistant == {"role": "assistant", "content": "A \ncat."}
    assert last == {"role": "user", "content": "Sure?"}


def test_extra_may_say_more_of_reasoning_and_text_but_not_what_is_ours() -> None:
    extra = {"reasoning": {"summary": "auto"}, "text": {"verbosity": "low"}}
    asked = {"reasoning_effort": "high", "response_format": {"type": "json_object"}}
    body = json.loads(ADAPTER.build(call(extra=extra, **asked), CREDENTIAL).body)
    assert body["reasoning"] == {"summary": "auto", "effort": "high"}
    assert body["text"] == {"verbosity": "low", "format": {"type": "json_object"}}
    for within, field in (("reasoning", "effort"), ("text", "format")):
        with pytest.raises(InvalidRequestError) as caught:
            ADAPTER.check(Params(extra={within: {field: "x"}}), "gpt-5-pro")
        assert caught.value.param == f"extra.{within}.{field}"


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("server_error", ProviderUnavailableError, "server_error"),
        ("rate_limit_exceeded", ProviderRateLimitedError, "rate_limited"),
        ("vector_store_timeout", ProviderUnavailableError, "gateway_timeout"),
        ("invalid_prompt", ProviderRefusedError, "bad_request"),
        ("invalid_image", ProviderRefusedError, "bad_request"),
        ("bio_policy", ProviderRefusedError, "content_filter"),
        ("misalignment_policy_violation", ProviderRefusedError, "content_filter"),
        (None, ProviderRefusedError, "bad_request"),
    ],
)
def test_p4_an_error_inside_a_response_is_told_by_its_code(
    code: str | None, kind: type[ProviderError], reason: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        read(status="failed", error={"code": code, "message": "No."})
    assert (type(caught.value), caught.value.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("body", "finish_reason", "flags"),
    [
        ({"status": "queued"}, FinishReason.UNKNOWN, ("finish_reason:queued", "empty")),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "steered"}},
            FinishReason.UNKNOWN,
            ("finish_reason:steered", "empty"),
        ),
        ({"status": None}, FinishReason.UNKNOWN, ("finish_reason:missing", "empty")),
    ],
)
def test_p11_what_did_not_end_is_no_plain_success(
    body: dict[str, Any], finish_reason: FinishReason, flags: tuple[str, ...]
) -> None:
    ours = read(**body)
    assert ours.finish_reason is finish_reason
    assert ours.flags[:2] == flags


def test_several_messages_are_one_text_and_thoughts_may_come_whole_or_summed_up() -> None:
    thoughts = {"type": "reasoning", "summary": [{"text": "In short."}], "content": None}
    whole = {"type": "reasoning", "summary": [], "content": [{"text": "At length."}]}
    ours = read(output=[thoughts, message(text="One "), "junk", whole, message(text="two.")])
    assert (ours.text, ours.reasoning) == ("One two.", "In short.At length.")


def test_a_withheld_answer_is_told_from_one_that_is_too_long() -> None:
    said = [message(text="Tw")]
    long = read(
        status="incomplete", incomplete_details={"reason": "max_output_tokens"}, output=said
    )
    held = read(status="incomplete", incomplete_details={"reason": "content_filter"}, output=said)
    assert (long.finish_reason, held.finish_reason) == (
        FinishReason.LENGTH,
        FinishReason.CONTENT_FILTER,
    )
