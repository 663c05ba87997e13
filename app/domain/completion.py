"""What is answered, and what it used."""

from enum import StrEnum
from typing import Any

import msgspec

from app.domain.states import CallState


class FinishReason(StrEnum):
    """Why a model stopped, in one vocabulary for every vendor."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"  # the provider withheld the answer
    REFUSAL = "refusal"  # the model declined
    UNKNOWN = "unknown"  # the provider said something else; the raw word is kept in the flags


class Usage(msgspec.Struct, frozen=True):
    """Tokens one completion used, as the provider bills them.

    `cache_read_tokens` and `cache_write_tokens` are inside `input_tokens`, and
    `reasoning_tokens` inside `output_tokens`, whatever the vendor's own habit is.
    `estimated` says that the provider told nothing usable, and we counted ourselves.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


class Completion(msgspec.Struct, frozen=True):
    """What a call answered, in Overnight's words.

    `flags` names what was unusual, e.g. `sanitised` or `usage_estimated`;
    `usage_raw` is the provider's usage object as JSON, verbatim.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    model_returned: str | None = None
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    usage_raw: str | None = None
    request_id: str | None = None
    flags: tuple[str, ...] = ()

    @property
    def state(self) -> CallState:
        """The state the call ends in: a withheld or declined answer is `refused`."""
        if self.finish_reason in (FinishReason.CONTENT_FILTER, FinishReason.REFUSAL):
            return CallState.REFUSED
        return CallState.SUCCEEDED
