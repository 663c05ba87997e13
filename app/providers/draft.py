"""From what a vendor's answer held to a completion that can be stored, the same for every vendor."""

from typing import Any

import msgspec

from app.domain.completion import Completion, FinishReason, Usage
from app.domain.wire import Response
from app.providers.failures import REQUEST_ID_CHARS_MAX, request_id_of
from app.providers.reading import NAME_CHARS_MAX, name_of, raw_json, sanitise


class Draft(msgspec.Struct):
    """What an answer held.

    Attributes:
        text: what was said, or why it was declined.
        finish_reason: why it ended.
        usage: its tokens, or an estimate of them.
        usage_told: the vendor's own usage, verbatim.
        model: the model's name, as it names itself.
        answer_id: the answer's own id, for where the headers have none of the request's.
        reasoning: thoughts, where they are shown.
        tool_calls: calls of tools, in OpenAI's shape.
        flags: what was unusual.
        is_mended: whether the answer had to be mended to be read.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    usage_told: Any = None
    model: Any = None
    answer_id: Any = None
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    flags: tuple[str, ...] = ()
    is_mended: bool = False

    def completion(self, response: Response) -> Completion:
        """The same, made fit to be stored, and flagged where that changed it."""
        text, is_changed = sanitise(self.text)
        flags = (
            *(("sanitised",) if self.is_mended or is_changed else ()),
            *self.flags,
            *(("empty",) if not text and not self.tool_calls else ()),
            *(("usage_estimated",) if self.usage.estimated else ()),
        )
        return Completion(
            text=text,
            finish_reason=self.finish_reason,
            usage=self.usage,
            model_returned=name_of(self.model, NAME_CHARS_MAX),
            reasoning=sanitise(self.reasoning)[0] if self.reasoning else None,
            tool_calls=self.tool_calls or None,
            usage_raw=raw_json(self.usage_told),
            request_id=request_id_of(response) or name_of(self.answer_id, REQUEST_ID_CHARS_MAX),
            flags=flags,
        )


def shown(
    text: str, reasoning: str | None = None, tool_calls: list[dict[str, Any]] | None = None
) -> str:
    """Everything that was said, to estimate its tokens by."""
    return text + (reasoning or "") + (str(tool_calls) if tool_calls else "")
