"""The bound on a prompt's tokens is one: no byte-level vocabulary counts more."""

import json

from hypothesis import given
from hypothesis import strategies as st

from app.billing.bound import (
    IMAGE_TOKENS,
    LOW_DETAIL_IMAGE_TOKENS,
    MESSAGE_TOKENS,
    REQUEST_TOKENS,
    SCHEMA_TOKENS,
    input_tokens_max,
)
from app.domain.prompt import (
    Function,
    ImagePart,
    ImageUrl,
    Message,
    Params,
    TextPart,
    Tool,
)


def test_a_text_has_at_most_as_many_tokens_as_bytes() -> None:
    assert input_tokens_max([Message("user", "Grüße 🌙")]) == REQUEST_TOKENS + MESSAGE_TOKENS + 12


@given(st.lists(st.text(), max_size=5))
def test_every_message_counts_with_what_surrounds_it(texts: list[str]) -> None:
    messages = [Message("user", text) for text in texts]
    in_bytes = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    assert input_tokens_max(messages) == REQUEST_TOKENS + len(texts) * MESSAGE_TOKENS + in_bytes


def test_parts_count_as_much_as_their_text_at_least() -> None:
    parts = Message("user", [TextPart("one"), TextPart("two")])
    assert input_tokens_max([parts]) >= input_tokens_max([Message("user", "one\ntwo")])


def test_an_image_counts_flat_whatever_its_address_says() -> None:
    image = ImagePart(ImageUrl("data:image/png;base64," + "A" * 100_000))
    small = ImagePart(ImageUrl("https://example.org/a.png", detail="low"))
    around = REQUEST_TOKENS + MESSAGE_TOKENS
    assert input_tokens_max([Message("user", [image])]) == around + IMAGE_TOKENS
    assert input_tokens_max([Message("user", [small])]) == around + LOW_DETAIL_IMAGE_TOKENS


def test_a_lone_surrogate_is_counted_and_does_not_raise() -> None:
    assert input_tokens_max([Message("user", "\ud800")]) == REQUEST_TOKENS + MESSAGE_TOKENS + 3


def test_tools_are_read_by_the_model_too() -> None:
    messages = [Message("user", "Hi")]
    tool = Tool(Function("f", "What it does."))
    described = input_tokens_max(messages, Params(tools=[tool]))
    assert described - input_tokens_max(messages) > SCHEMA_TOKENS + len("f" + "What it does.")


def test_a_response_format_is_read_by_the_model_too() -> None:
    messages = [Message("user", "Hi")]
    plain = input_tokens_max(messages, Params(temperature=0.5))
    schema = {"type": "json_schema", "json_schema": {"name": "verdict"}}
    described = input_tokens_max(messages, Params(response_format=schema, extra={"tools": [1]}))
    assert plain == input_tokens_max(messages)
    assert described - plain == 2 * SCHEMA_TOKENS + len(
        json.dumps(schema, separators=(",", ":")) + '{"tools":[1]}'
    )
