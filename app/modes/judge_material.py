"""What one job gives its judges to read: the task, the answers, and how much of each is shown.

The task, the reference and all answers together have a budget of characters each, as
`excerpt` says.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from app.domain.plan import JobView
from app.domain.prompt import ImagePart, Message, TextPart
from app.modes.excerpt import Excerpt, cut, cut_all, cut_answers

TASK_CHARS_MAX = 24_000
TASK_MESSAGES_MAX = 64
REFERENCE_CHARS_MAX = 12_000

#: Phrases by which an answer speaks to its judge instead of to its reader. A hint that is
#: shown beside the score, not a defence: whoever wants to get past it will.
_ADDRESSES_JUDGE = re.compile(
    r"\b(?:ignore|disregard|forget|override)\s+(?:\w+\s+){0,3}(?:instruction|rule|rubric|criteria)"
    r"|\b(?:dear|hey|hello|attention|note\s+to(?:\s+the)?)[\s,:]+(?:judge|grader|evaluator)"
    r"|\byou\s+are\s+(?:now\s+)?(?:the|a|an)\s+(?:\w+\s+)?(?:judge|grader|evaluator)"
    r"|\b(?:give|award|assign|rate|score|grade|rank)\s+(?:me|us|this|my|it)\b"
    r".{0,60}?\b(?:scores?|marks?|points|ratings?|10)\b"
    r'|"scores?"\s*:\s*(?:\{|\[|9|10)'
    r"|<<\s*(?:data|end|previous)\b|</?\s*contestant"
)
#: No phrase is without one of these, and looking for them is many times faster.
_TELLING = (
    *("instruction", "rule", "rubric", "criteria", "judge", "grader", "evaluator"),
    *("score", "mark", "points", "rating", "10", "<<", "contestant"),
)


class Material(msgspec.Struct, frozen=True):
    """Everything a judge may read about one job, the same for all its judges.

    `answers` is keyed by the contestant's label; `answer_chars_max` is None where no answer
    was cut; `addressing` holds the labels whose answer seems to speak to the judge.
    """

    task: tuple[tuple[str, Excerpt], ...]
    images: tuple[ImagePart, ...]
    answers: Mapping[str, Excerpt]
    reference: Excerpt | None = None
    left_out: int = 0
    answer_chars_max: int | None = None
    addressing: tuple[str, ...] = ()


def gather(job: JobView, answers: Mapping[str, str]) -> Material:
    """Lay out a job and its answers, by label, for its judges."""
    prompt, share = job.prompt, job.plan.shown_share
    messages = _ends_of(prompt.messages)
    excerpts = cut_all([_text_of(message) for message in messages], int(TASK_CHARS_MAX * share))
    shown = cut_answers(answers, share)
    reference = prompt.reference
    return Material(
        task=tuple(
            (message.role, excerpt) for message, excerpt in zip(messages, excerpts, strict=True)
        ),
        images=tuple(image for message in messages for image in _images_of(message)),
        answers=shown.excerpts,
        reference=cut(reference, int(REFERENCE_CHARS_MAX * share)) if reference else None,
        left_out=len(prompt.messages) - len(messages),
        answer_chars_max=shown.chars_max,
        addressing=tuple(
            label for label, text in shown.excerpts.items() if addresses_judge(text.text)
        ),
    )


def addresses_judge(text: str) -> bool:
    """Whether an answer seems to speak to its judge."""
    lowered = text.lower()
    return any(word in lowered for word in _TELLING) and bool(_ADDRESSES_JUDGE.search(lowered))


def _ends_of(messages: Sequence[Message]) -> Sequence[Message]:
    """The first message, which often sets the task, and the last ones; all, if they are few."""
    if len(messages) <= TASK_MESSAGES_MAX:
        return messages
    return [messages[0], *messages[len(messages) - TASK_MESSAGES_MAX + 1 :]]


def _text_of(message: Message) -> str:
    """A message's text, with a word where it has an image."""
    if isinstance(message.content, str):
        return message.content
    return "\n".join(
        part.text if isinstance(part, TextPart) else "[image]" for part in message.content
    )


def _images_of(message: Message) -> list[ImagePart]:
    if isinstance(message.content, str):
        return []
    return [part for part in message.content if isinstance(part, ImagePart)]
