"""What makes two calls the same question, and what does not."""

import msgspec
import pytest

from app.domain.prompt import Message, Params
from app.pipeline.reuse import Asked, keys_of
from app.vault.texts import PLAIN

ASKED = Asked("openai", None, "gpt-5.2", Params(temperature=0.5), [Message("user", "Why?")])


def key_of(**changes: object) -> str:
    return keys_of([msgspec.structs.replace(ASKED, **changes)], PLAIN)[0]


def test_the_same_question_has_the_same_key_every_time() -> None:
    # A key of an earlier version that is no longer found is an answer that is paid for twice.
    assert key_of() == "2d29a7729d02671953ffc2dc64d764f8c0a8b0a55b7277dc89ecee5770811566"
    assert key_of(params=Params(temperature=0.5, seed=None)) == key_of()


@pytest.mark.parametrize(
    "changes",
    [
        {"provider": "custom:openai"},
        {"base_url": "http://127.0.0.1:1/v1"},
        {"model": "gpt-5"},
        {"messages": [Message("user", "Why? ")]},
        {"messages": [Message("system", "Why?")]},
        {"messages": [Message("user", "Why?"), Message("user", "")]},
        {"params": Params(temperature=0.5, max_tokens=10)},
        {"params": Params(temperature=0.25)},
        {"params": Params(temperature=0.5, extra={"a": 1})},
        {"params": Params(temperature=0.5, response_format={"type": "json_object"})},
    ],
)
def test_whatever_is_sent_is_in_the_key(changes: dict[str, object]) -> None:
    assert key_of(**changes) != key_of()


def test_a_schema_in_another_order_is_another_question() -> None:
    one, other = {"a": {}, "b": {}}, {"b": {}, "a": {}}
    assert key_of(params=Params(response_format=one)) != key_of(
        params=Params(response_format=other)
    )


def test_what_is_asked_twice_in_a_round_has_a_key_for_each_time() -> None:
    other = msgspec.structs.replace(ASKED, model="gpt-5")
    first, between, second = keys_of([ASKED, other, ASKED], PLAIN)
    assert len({first, between, second}) == 3
    assert keys_of([ASKED, ASKED, other], PLAIN) == [first, second, between]
