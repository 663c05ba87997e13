"""What a synthesizer, or a model of a later layer, is shown: the conversation, and the answers as data.

The conversation is put to it as it was put to the models that answered: whole, and with its own
system message, for the result is an answer to it. Our rules follow that system message, and
the answers follow the last user message, in a document as `excerpt` says:

    {"draft":{"text":"…"},"answers":[{"id":"x7f2qa","answer":"…"},…]}

`draft` is there in a chain alone. Who wrote an answer is not shown; ids, order and fence are
drawn for each call.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.domain.prompt import TEXT_CHARS_MAX, ImagePart, Message, Messages, TextPart
from app.modes import blend_wording as wording
from app.modes.draw import Draw
from app.modes.excerpt import (
    ANSWERS_CHARS_MAX,
    CHARS_PER_TOKEN_MIN,
    ID_CHARS,
    SHARE_MIN,
    Excerpt,
    cut_answers,
    cuts,
    one_line,
)

#: As it is estimated; what is far denser was refused at submit, for it is put to them whole.
_CONVERSATION_CHARS_PER_TOKEN = 3


class Rules(msgspec.Struct, frozen=True):
    """What is to be done with the answers, and how they came about."""

    task: str
    origin: str = wording.ORIGIN
    hand_in: str = wording.HAND_IN


class Asked(msgspec.Struct, frozen=True):
    """The messages of a call, and what is recorded of what they show."""

    messages: Messages
    meta: dict[str, Any]


def ask_with_answers(
    conversation: Messages,
    rules: Rules,
    answers: Mapping[str, str],
    seed: Sequence[str],
    *,
    draft: str | None = None,
    room_tokens: int | None = None,
) -> Asked:
    """Put a conversation to a model together with answers to it, by label.

    `draft` is the label of the one among them that is shown as the draft; `room_tokens` what
    the conversation and they have together, where their reader has a small context.
    """
    shown = cut_answers(answers, _share_of(room_tokens, conversation))
    draw = Draw(*seed, avoid=_all_text(conversation, shown.excerpts))
    others = draw.order(label for label in answers if label != draft)
    ids = {draw.unused("id", label, chars=ID_CHARS): label for label in others}
    document: dict[str, Any] = (
        {} if draft is None else {"draft": shown.excerpts[draft].under("text")}
    )
    document["answers"] = [
        {"id": key} | shown.excerpts[label].under("answer") for key, label in ids.items()
    ]
    material = wording.MATERIAL.format(fence=draw.unused("fence"), document=one_line(document))
    system = wording.RULES.format(
        origin=rules.origin,
        draft="" if draft is None else wording.DRAFT,
        task=rules.task,
        hand_in=rules.hand_in,
    )
    # A JSON object need not keep its order in a store.
    meta = {"answers": ids, "order": list(ids.values())}
    meta |= {} if draft is None else {"draft": draft}
    meta |= cuts(shown.excerpts, shown.chars_max)
    return Asked(_with_material(with_system(conversation, system), material), meta)


def _share_of(room_tokens: int | None, conversation: Messages) -> float:
    """The part of what is usual that is shown of answers: what the conversation leaves of the room."""
    if room_tokens is None:
        return 1.0
    taken = sum(len(message.text) for message in conversation) / _CONVERSATION_CHARS_PER_TOKEN
    chars = (room_tokens - taken) * CHARS_PER_TOKEN_MIN
    return min(1.0, max(SHARE_MIN, chars / ANSWERS_CHARS_MAX))


def with_system(conversation: Messages, text: str) -> Messages:
    """The conversation with a text at the end of its system message."""
    # In one message: there are chat templates that refuse a second system message.
    if conversation and conversation[0].role == "system":
        return [_and_then(conversation[0], text), *conversation[1:]]
    return [Message("system", text), *conversation]


def _with_material(conversation: Messages, text: str) -> Messages:
    # In one message: there are chat templates that refuse two user messages in a row.
    if conversation and conversation[-1].role == "user":
        return [*conversation[:-1], _and_then(conversation[-1], text)]
    return [*conversation, Message("user", text)]


def _and_then(message: Message, text: str) -> Message:
    if isinstance(message.content, list):
        return Message(message.role, [*message.content, TextPart(text)])
    whole = f"{message.content}\n\n{text}"
    if len(whole) <= TEXT_CHARS_MAX:
        return Message(message.role, whole)
    parts: list[TextPart | ImagePart] = [TextPart(message.content), TextPart(text)]
    return Message(message.role, parts)


def _all_text(conversation: Messages, excerpts: Mapping[str, Excerpt]) -> str:
    """Every text that a model or a client wrote: none may hold an id or a fence of ours."""
    texts = [message.text for message in conversation]
    return "\n".join([*texts, *(excerpt.text for excerpt in excerpts.values())])
