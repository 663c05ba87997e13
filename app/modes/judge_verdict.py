"""Reading what a judge answered. What cannot be read is never guessed at.

An answer may wrap its verdict in prose or a code fence, but exactly one JSON object in it
must be a whole verdict: on every contestant, on nobody else, with scores from 0 to 10.
The problems named here go back to the judge and into our records, so they quote nothing
of the answer.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from app.domain.verdict import JudgeScore
from app.modes.judge_prompt import SCORE_MAX, criterion_ids

#: A verdict is short; what is longer is not read, and no more openings than this are tried.
VERDICT_CHARS_MAX = 100_000
OBJECTS_MAX = 100
TEXT_CHARS_MAX = 4_000

NOT_JSON = "it holds no complete JSON object."
NOT_A_VERDICT = "it holds no object with `scores`, keyed by the contestants' ids."
SEVERAL = "it holds several verdicts; exactly one is wanted."
TWICE = "an object in it has the same key twice."
TOO_LONG = "it is far too long for a verdict."

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class ReadVerdict(msgspec.Struct, frozen=True):
    """One judge's whole verdict, with the contestants' labels in place of the ids."""

    scores: tuple[JudgeScore, ...]
    overall: str


class Unreadable(msgspec.Struct, frozen=True):
    """Why an answer is no verdict."""

    problem: str


class _TwiceError(ValueError):
    """An object has the same key twice."""


def read_verdict(
    text: str, *, judge: str, contestants: Mapping[str, str], criteria: Sequence[str]
) -> ReadVerdict | Unreadable:
    """Read a judge's answer; `contestants` has the label behind each id of its question."""
    if len(text) > VERDICT_CHARS_MAX:
        return Unreadable(TOO_LONG)
    found = [
        _Reader(judge, contestants, criteria).read(candidate) if candidate else Unreadable(TWICE)
        for candidate in objects_in(text)
    ]
    verdicts = [verdict for verdict in found if isinstance(verdict, ReadVerdict)]
    if len(verdicts) == 1:
        return verdicts[0]
    if verdicts:
        return Unreadable(SEVERAL)
    problems = [verdict for verdict in found if isinstance(verdict, Unreadable)]
    telling = [verdict for verdict in problems if verdict.problem != NOT_A_VERDICT]
    return next(iter(telling or problems), Unreadable(NOT_JSON))


def objects_in(text: str) -> Iterator[dict[str, Any] | None]:
    """The outermost JSON objects in a text; None for one that has a key twice."""
    # Not strict: a raw line break in a string is no reason to buy a verdict twice.
    decoder = json.JSONDecoder(object_pairs_hook=_once, strict=False)
    start = text.find("{")
    for _ in range(OBJECTS_MAX):
        if start < 0:
            return
        end = start + 1
        try:
            value, end = decoder.raw_decode(text, start)
            yield value
        except _TwiceError:
            yield None
        except (ValueError, RecursionError):
            pass
        start = text.find("{", end)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _TwiceError
    return value


class _Reader:
    """Checks one object against a question, and collects everything that is wrong with it."""

    def __init__(self, judge: str, contestants: Mapping[str, str], criteria: Sequence[str]) -> None:
        self._judge = judge
        # A store may have changed their order; what is said of them must not depend on it.
        self._contestants = dict(sorted(contestants.items()))
        self._criteria = dict(zip(criterion_ids(criteria), criteria, strict=True))
        self._problems: list[str] = []

    def read(self, value: Mapping[str, Any]) -> ReadVerdict | Unreadable:
        """The verdict, or everything that keeps it from being one."""
        given = value.get("scores")
        if not isinstance(given, dict) or not self._contestants:
            return Unreadable(NOT_A_VERDICT)
        self._check_ids("scores", given, self._contestants)
        # No winner is asked for, but one who is named must exist.
        if value.get("winner") not in (None, *self._contestants):
            self._problems.append("its winner is no contestant")
        scores = [self._assessment(key, given[key]) for key in self._contestants if key in given]
        if self._problems:
            return Unreadable("; ".join(self._problems) + ".")
        return ReadVerdict(tuple(scores), words_of(value.get("overall"), self._contestants))

    def _assessment(self, key: str, value: Any) -> JudgeScore:
        if not isinstance(value, dict):
            self._problems.append(f"the entry of {key} is not an object")
            value = {}
        return JudgeScore(
            judge=self._judge,
            label=self._contestants[key],
            score=self._score(f"the score of {key}", value.get("score")),
            reasoning=words_of(value.get("reasoning"), self._contestants),
            criteria=self._criterion_scores(key, value.get("criteria")),
        )

    def _criterion_scores(self, key: str, value: Any) -> dict[str, float] | None:
        if not self._criteria:
            return None
        if not isinstance(value, dict):
            value = {}
        self._check_ids(f"the criteria of {key}", value, self._criteria)
        return {
            criterion: self._score(f"{key}'s score for {name}", value[name])
            for name, criterion in self._criteria.items()
            if name in value
        }

    def _check_ids(self, where: str, given: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
        if missing := [key for key in wanted if key not in given]:
            self._problems.append(f"{where} lacks {', '.join(missing)}")
        if given.keys() - wanted.keys():
            self._problems.append(f"{where} has ids that were not given")

    def _score(self, what: str, value: Any) -> float:
        # A bool is an int to Python; NaN and infinity fail the comparison.
        if not isinstance(value, int | float) or isinstance(value, bool):
            self._problems.append(f"{what} is not a number")
        elif not 0 <= value <= SCORE_MAX:
            self._problems.append(f"{what} is not from 0 to {SCORE_MAX}")
        else:
            return float(value)
        return 0.0


def words_of(value: Any, contestants: Mapping[str, str]) -> str:
    """A judge's words for people: bounded, and with labels where it wrote ids."""
    if not isinstance(value, str):
        return ""
    # An answer is sanitised before it is stored, but JSON can escape what was looked for.
    words = _UNSTORABLE.sub("\ufffd", value[:TEXT_CHARS_MAX])
    for key, label in contestants.items():
        words = words.replace(key, label)
    return words[:TEXT_CHARS_MAX]
