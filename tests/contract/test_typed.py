"""The check by a client's types finds what the types forbid."""

from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

from tests.contract.typed import unfit

TEXT = {"type": "text", "text": "x"}
GOOD: dict[str, Any] = {
    "model": "m",
    "max_tokens": 3,
    "messages": [{"role": "user", "content": [TEXT]}],
}


def test_what_fits_is_no_fault() -> None:
    assert unfit(GOOD, MessageCreateParamsNonStreaming) is None


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": "3"},
        {"temperature": 1},
        {"messages": "x"},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{**TEXT, "more": 1}]}]},
        {"output_config": {"effort": "minimal"}},
        {"stop_sequences": "END"},
    ],
    ids=str,
)
def test_what_does_not_is_named(change: dict[str, Any]) -> None:
    found = unfit({**GOOD, **change}, MessageCreateParamsNonStreaming)
    assert found is not None
    assert next(iter(change)) in found
