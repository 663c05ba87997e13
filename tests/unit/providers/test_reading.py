"""What a provider sent is read without being believed."""

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import MalformedCompletionError
from app.domain.prompt import ImagePart, ImageUrl, Message, TextPart
from app.providers.reading import (
    count_of,
    decode_json,
    estimate_input_tokens,
    estimate_tokens,
    raw_json,
    sanitise,
    sanitise_json,
)

ANY_TEXT = st.text(st.characters(codec=None, categories=None))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\0b", "a\ufffdb"),
        ("a\ud800b\udfff", "a\ufffdb\ufffd"),
        ("\ud83d\ude00", "\ufffd\ufffd"),
        ("\0", "\ufffd"),
    ],
)
def test_p13_what_no_store_takes_is_replaced_and_told(text: str, clean: str) -> None:
    assert sanitise(text) == (clean, True)


@pytest.mark.parametrize(
    "text", ["", "plain", "héllo", "😀", "\u202eright to left", "a\u200bb", "\x01\x7f"]
)
def test_p13_other_text_stays_as_it_is(text: str) -> None:
    assert sanitise(text) == (text, False)


@given(ANY_TEXT)
def test_p13_whatever_the_text_the_stores_take_it(text: str) -> None:
    clean, is_changed = sanitise(text)
    assert "\0" not in clean
    assert clean.encode().decode() == clean
    assert is_changed == (clean != text)


def test_p13_texts_inside_of_values_are_cleaned_too() -> None:
    value = {"a\0": ["\ud800", {"b": "fine"}], "n": 1.5, "t": True, "x": None}
    assert sanitise_json(value) == {
        "a\ufffd": ["\ufffd", {"b": "fine"}], "n": 1.5, "t": True, "x": None,
    }  # fmt: skip


def test_a_value_nested_without_end_is_cut() -> None:
    value: list[object] = []
    for _ in range(500):
        value = [value]
    assert len(json.dumps(sanitise_json(value))) < 100


def test_a_good_body_is_decoded() -> None:
    assert decode_json(b'{"a": [1, 2.5, "x"]}') == ({"a": [1, 2.5, "x"]}, False)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": Infinity}', {"a": float("inf")}),
    ],
)
def test_p13_a_body_that_is_nearly_json_is_read_and_told(body: bytes, value: object) -> None:
    assert decode_json(body) == (value, True)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty_body"),
        (b" \r\n", "empty_body"),
        (b"<html>Bad gateway</html>", "not_json"),
        (b'{"a": 1', "not_json"),
        (b"data: {}\n\n", "not_json"),
        (b"[" * 200_000, "not_json"),
        (b"9" * 5000, "not_json"),
    ],
    ids=["empty", "blank", "html", "cut", "stream", "deep", "long_number"],
)
def test_p7_a_body_that_is_no_json_is_malformed(body: bytes, reason: str) -> None:
    with pytest.raises(MalformedCompletionError) as caught:
        decode_json(body)
    assert caught.value.reason == reason


@given(st.binary(max_size=200))
def test_p7_no_body_is_any_other_error(body: bytes) -> None:
    with contextlib.suppress(MalformedCompletionError):
        decode_json(body)


@pytest.mark.parametrize("value", [0, 1, 10**9])
def test_a_count_is_a_count(value: int) -> None:
    assert count_of(value) == value


@pytest.mark.parametrize(
    "value", [None, -1, "7", 7.0, True, False, 10**9 + 1, 10**18, [], {}, float("nan")]
)
def test_p14_what_is_no_believable_count_is_none(value: object) -> None:
    assert count_of(value) is None


@pytest.mark.parametrize(
    "value", [{"a": 10**30}, {"a": float("inf")}, {"a": "\ud800\0"}, {"a": -0.0}, [], 0]
)
def test_p14_strange_values_can_be_kept_as_text(value: object) -> None:
    text = raw_json(value)
    assert text is not None
    text.encode()
    assert "\0" not in text


def test_a_value_that_is_unreasonably_long_is_not_kept() -> None:
    assert raw_json({"a": "x" * 10_000}) is None
    assert raw_json(None) is None


def test_tokens_are_estimated_by_bytes_and_rounded_up() -> None:
    assert [estimate_tokens(text) for text in ("", "a", "abcd", "abcde", "日本", "\ud800")] == [
        0,
        1,
        1,
        2,
        2,
        1,
    ]


def test_every_message_and_image_of_a_prompt_counts() -> None:
    image = ImagePart(ImageUrl("https://example.com/a.png"))
    short = [Message("user", "hi")]
    long = [Message("system", "hi"), Message("user", [TextPart("hi"), image])]
    assert 0 < estimate_input_tokens(short) < estimate_input_tokens(long)
    assert estimate_input_tokens(long) > 1000


def test_an_image_without_detail_is_encoded_without_one() -> None:
    assert msgspec.json.encode(ImageUrl("u")) == b'{"url":"u"}'
