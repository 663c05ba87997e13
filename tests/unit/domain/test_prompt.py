"""Parameters as clients write them, and as they are kept."""

from typing import Any

import msgspec
import pytest

from app.domain.errors import InvalidRequestError
from app.domain.prompt import Params, one_word_for_tokens

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    "given",
    [
        {"tools": [TOOL], "tool_choice": "auto"},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"reasoning_effort": "max", "max_tokens": 5},
        {"tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
    ],
)
def test_they_are_kept_as_they_were_written(given: dict[str, Any]) -> None:
    params = msgspec.convert(given, Params)
    assert msgspec.json.decode(msgspec.json.encode(params)) == given
    assert msgspec.json.decode(msgspec.json.encode(params), type=Params) == params


@pytest.mark.parametrize(
    "given",
    [
        {"tools": []},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        {"tools": [{"type": "function", "function": {"name": "f", "more": 1}}]},
        {"tools": [TOOL] * 129},
        {"tool_choice": "any"},
        {"tool_choice": {"type": "function"}},
        {"reasoning_effort": "lots"},
        {"max_completion_tokens": 5},
    ],
    ids=str,
)
def test_what_no_vendor_knows_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, Params)


def test_a_variants_own_tools_come_before_the_batchs() -> None:
    mine, other = (
        msgspec.convert({"tools": [{"type": "function", "function": {"name": name}}]}, Params)
        for name in ("mine", "other")
    )
    assert mine.over(other) == mine
    assert Params().over(other) == other


def test_the_newer_word_for_the_bound_is_the_older_one() -> None:
    assert one_word_for_tokens({"max_completion_tokens": 5, "seed": 1}) == {
        "max_tokens": 5,
        "seed": 1,
    }
    assert one_word_for_tokens({"max_tokens": 5}) == {"max_tokens": 5}
    assert one_word_for_tokens({"max_completion_tokens": None}) == {}
    with pytest.raises(InvalidRequestError) as caught:
        one_word_for_tokens({"max_completion_tokens": 5, "max_tokens": 5})
    assert caught.value.param == "max_completion_tokens"
