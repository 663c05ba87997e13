"""What one job gives its judges to read: the task, the answers, and how much of each is shown.

Lengths are bounded, so that a judge's context is not overrun by one endless answer: the
task, the reference and all answers together have a budget of characters each. Within a
budget every text may be as long as the same cap, the largest that fits, and a longer one
loses its middle. Answers are cut to one cap for all, so none is cut for being listed last.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from app.domain.plan import JobView
from app.domain.prompt import ImagePart, Message, TextPart

TASK_CHARS_MAX = 24_000
TASK_MESSAGES_MAX = 64
REFERENCE_CHARS_MAX = 12_000
ANSWERS_CHARS_MAX = 64_000

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


class Excerpt(msgspec.Struct, frozen=True):
    """A text as it is shown, and how many characters it had if it was cut."""

    text: str
    shortened_from: int | None = None


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
    prompt = job.prompt
    messages = _ends_of(prompt.messages)
    excerpts = _cut_all([_text_of(message) for message in messages], TASK_CHARS_MAX)
    shown = dict(zip(answers, _cut_all(list(answers.values()), ANSWERS_CHARS_MAX), strict=True))
    cap = _fair_cap([len(text) for text in answers.values()], ANSWERS_CHARS_MAX)
    was_cut = any(excerpt.shortened_from is not None for excerpt in shown.values())
    return Material(
        task=tuple(
            (message.role, excerpt) for message, excerpt in zip(messages, excerpts, strict=True)
        ),
        images=tuple(image for message in messages for image in _images_of(message)),
        answers=shown,
        reference=cut(prompt.reference, REFERENCE_CHARS_MAX) if prompt.reference else None,
        left_out=len(prompt.messages) - len(messages),
        answer_chars_max=cap if was_cut else None,
        addressing=tuple(name for name, excerpt in shown.items() if addresses_judge(excerpt.text)),
    )


def cut(text: str, chars_max: int) -> Excerpt:
    """A text's beginning and end within `chars_max` characters, saying what is missing between.

    Three quarters go to the beginning; the rest to the end, where answers put their result.
    """
    if len(text) <= chars_max:
        return Excerpt(text)
    tail = chars_max // 4
    head = chars_max - tail
    gap = f"\n[… {len(text) - chars_max} characters left out …]\n"
    return Excerpt(text[:head] + gap + text[len(text) - tail :], len(text))


def addresses_judge(text: str) -> bool:
    """Whether an answer seems to speak to its judge."""
    lowered = text.lower()
    return any(word in lowered for word in _TELLING) and bool(_ADDRESSES_JUDGE.search(lowered))


def _cut_all(texts: Sequence[str], total_max: int) -> list[Excerpt]:
    cap = _fair_cap([len(text) for text in texts], total_max)
    return [cut(text, cap) for text in texts]


def _fair_cap(lengths: Sequence[int], total_max: int) -> int:
    """The largest cap under which texts of these lengths fit in `total_max` together."""
    left = total_max
    for place, length in enumerate(sorted(lengths)):
        share = left // (len(lengths) - place)
        if length > share:
            return share
        left -= length
    return total_max


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
