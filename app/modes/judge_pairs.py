"""Comparing pairs: what a judge answered of two, and what both orders come to together."""

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Any

import msgspec

from app.domain.verdict import CanaryResult, Comparison, JudgeScore, Preference
from app.modes.judge_plan import CANARY, CHECKS, Pair
from app.modes.judge_prompt import SCORE_MAX, TIE
from app.modes.judge_verdict import (
    NOT_JSON,
    SEVERAL,
    TOO_LONG,
    TWICE,
    VERDICT_CHARS_MAX,
    ReadVerdict,
    Unreadable,
    objects_in,
    words_of,
)

NOT_A_CHOICE = 'it holds no object with `winner`, which is one of the two ids or "tie".'


class ReadPreference(msgspec.Struct, frozen=True):
    """What a judge said of two answers; `winner` is a label, None for a tie."""

    winner: str | None
    reasoning: str


class Compared(msgspec.Struct, frozen=True):
    """Every pair with an outcome, how many have none, and who fell for a canary."""

    pairs: list[Comparison]
    missing: int
    canaries: list[CanaryResult]


#: What was read, by the judge's label and the two as they were shown.
Readings = Mapping[tuple[str, tuple[str, ...]], ReadPreference]


def read_preference(text: str, contestants: Mapping[str, str]) -> ReadPreference | Unreadable:
    """Read which of two a judge prefers; `contestants` has the label behind each id."""
    if len(text) > VERDICT_CHARS_MAX:
        return Unreadable(TOO_LONG)
    found = list(objects_in(text))
    if not found:
        return Unreadable(NOT_JSON)
    choices = [value for value in found if value is not None and _is_choice(value, contestants)]
    if len(choices) > 1:
        return Unreadable(SEVERAL)
    if not choices:
        return Unreadable(TWICE if None in found else NOT_A_CHOICE)
    winner = contestants.get(choices[0]["winner"])
    return ReadPreference(winner, words_of(choices[0].get("reasoning"), contestants))


def _is_choice(value: Mapping[str, Any], contestants: Mapping[str, str]) -> bool:
    winner = value.get("winner")
    return isinstance(winner, str) and (winner == TIE or winner in contestants)


def compare(asked: Sequence[tuple[str, Pair]], readings: Readings) -> Compared:
    """What both orders of each judge's pairs come to: a pair of which one is missing is missing.

    `asked` has every question's judge and the two in the order in which they were shown.
    """
    pairs, canaries, missing = [], [], 0
    for judge, (one, other) in asked:
        if one > other:
            continue  # the other order's turn
        said = [
            (first, readings.get((judge, (first, second))))
            for first, second in ((one, other), (other, one))
        ]
        verdicts = [
            Preference(first, reading.winner, reading.reasoning)
            for first, reading in said
            if reading is not None
        ]
        if len(verdicts) < len(said):
            missing += CANARY not in (one, other)
        elif CANARY in (one, other):
            canaries.append(CanaryResult(judge, any(said.winner == CANARY for said in verdicts)))
        else:
            agreed = verdicts[0].winner == verdicts[1].winner
            winner = verdicts[0].winner if agreed else None
            pairs.append(Comparison(judge, one, other, winner, verdicts))
    return Compared(pairs, missing, canaries)


def told_apart(pairs: Sequence[Pair], shares: Mapping[str, float]) -> list[Comparison]:
    """The pairs that checks tell apart: who passed more of them wins."""
    return [
        Comparison(CHECKS, one, other, one if shares[one] > shares[other] else other)
        for one, other in pairs
        if shares[one] != shares[other]
    ]


def scored(
    pairs: Sequence[Comparison], decided: Sequence[Comparison], ties: Sequence[Pair] = ()
) -> dict[str, ReadVerdict]:
    """Each judge's scores: 10 times the share that a contestant got of its pairs.

    What the checks decided counts with every judge, and stands alone where nobody was asked;
    `ties` are pairs that nobody knows better of.
    """
    judges = dict.fromkeys(pair.judge for pair in pairs) or dict.fromkeys(
        [CHECKS] if decided else []
    )
    found = {}
    for judge in judges:
        own = [pair for pair in [*pairs, *decided] if pair.judge in (judge, CHECKS)]
        own += [Comparison(judge, *pair, None) for pair in ties]
        labels = dict.fromkeys(label for pair in own for label in (pair.first, pair.second))
        found[judge] = ReadVerdict(
            tuple(JudgeScore(judge, label, _score(label, own)) for label in labels), ""
        )
    return found


def _score(label: str, pairs: Sequence[Comparison]) -> float:
    shares = [
        0.5 if pair.winner is None else float(pair.winner == label)
        for pair in pairs
        if label in (pair.first, pair.second)
    ]
    return round(SCORE_MAX * fsum(shares) / len(shares), 4)
