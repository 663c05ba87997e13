"""Showing one model what others wrote: within bounds, and as data that cannot pose as anything else.

Texts are shown in a document of one line of JSON between two fences with a token that nobody
who wrote a text could know:

    <<data 5kq3vj2mzx7c6d4a>>
    {"…":"…"}
    <<end 5kq3vj2mzx7c6d4a>>

All answers together have a budget of characters. Within it every answer may be as long as the
same cap, the largest that fits, and a longer one loses its middle; so none is cut for being
listed last, and a model's context is not overrun by one endless answer.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

ANSWERS_CHARS_MAX = 64_000
#: How few characters of a text a token takes in, and what share is shown at the least.
CHARS_PER_TOKEN_MIN = 1.5
SHARE_MIN = 0.02
#: How long an answer's id is: too long to guess, short enough to be copied without a slip.
ID_CHARS = 6
#: Line breaks to Unicode, though not to JSON: escaped, so that the document stays one line.
_LINE_BREAKS = ("\x85", "\u2028", "\u2029")


class Excerpt(msgspec.Struct, frozen=True):
    """A text as it is shown, and how many characters it had if it was cut."""

    text: str
    shortened_from: int | None = None

    def under(self, name: str) -> dict[str, Any]:
        """The fields of a document that show it; its length before only where it was cut."""
        if self.shortened_from is None:
            return {name: self.text}
        return {name: self.text, "shortened_from": self.shortened_from}


class Shown(msgspec.Struct, frozen=True):
    """Answers as they are shown, by label; `chars_max` is the cap, None where none was cut."""

    excerpts: Mapping[str, Excerpt]
    chars_max: int | None = None


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


def cut_all(texts: Sequence[str], total_max: int) -> list[Excerpt]:
    """Texts within `total_max` characters together, each cut to the same cap."""
    cap = fair_cap([len(text) for text in texts], total_max)
    return [cut(text, cap) for text in texts]


def cut_answers(answers: Mapping[str, str], share: float = 1.0) -> Shown:
    """Answers, by label, within their share of the budget they have together."""
    total_max = int(ANSWERS_CHARS_MAX * share)
    cap = fair_cap([len(text) for text in answers.values()], total_max)
    excerpts = {label: cut(text, cap) for label, text in answers.items()}
    was_cut = any(excerpt.shortened_from is not None for excerpt in excerpts.values())
    return Shown(excerpts, cap if was_cut else None)


def cuts(excerpts: Mapping[str, Excerpt], chars_max: int | None) -> dict[str, Any]:
    """What is recorded with a call of how its answers were cut; nothing where none was."""
    if chars_max is None:
        return {}
    return {
        "answer_chars_max": chars_max,
        "shortened_from": {
            label: excerpt.shortened_from
            for label, excerpt in excerpts.items()
            if excerpt.shortened_from is not None
        },
    }


def fair_cap(lengths: Sequence[int], total_max: int) -> int:
    """The largest cap under which texts of these lengths fit in `total_max` together."""
    left = total_max
    for place, length in enumerate(sorted(lengths)):
        share = left // (len(lengths) - place)
        if length > share:
            return share
        left -= length
    return total_max


def one_line(document: Mapping[str, Any]) -> str:
    """A document as JSON, on one line whatever its reader takes for a line break."""
    line = json.dumps(document, ensure_ascii=False)
    for char in _LINE_BREAKS:
        line = line.replace(char, f"\\u{ord(char):04x}")
    return line
