"""Gates: a condition on a report, for a build that should fail where a model got worse.

`win_rate(a) > 0.5 and failed(a) <= 2`: comparisons of numbers and measures of a label, joined
by `and`, `or`, `not` and parentheses. A label with spaces or signs goes in quotes.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from api.cli.failure import ExitCode, Failure

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)(?![\w/])|(?P<sign>>=|<=|==|!=|>|<|\(|\))"
    r"|\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<word>[^\s()<>=!\"']+))"
)
_SIGNS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_NANOS = 1_000_000_000

Entry = Mapping[str, Any]


def _value(name: str) -> Callable[[Entry], float | None]:
    return lambda entry: None if entry[name] is None else entry[name]["value"]


def _dollars(name: str) -> Callable[[Entry], float | None]:
    return lambda entry: None if entry[name] is None else entry[name] / _NANOS


#: What may be asked of a label.
MEASURES: dict[str, Callable[[Entry], float | None]] = {
    "score": _value("score"),
    "win_rate": _value("win_share"),
    "rank": operator.itemgetter("rank"),
    "answered": operator.itemgetter("answered"),
    "refused": operator.itemgetter("refused"),
    "failed": operator.itemgetter("failed"),
    "missing": operator.itemgetter("missing"),
    "coverage": operator.itemgetter("coverage"),
    "p50_ms": operator.itemgetter("latency_p50_ms"),
    "p95_ms": operator.itemgetter("latency_p95_ms"),
    "cost_usd": _dollars("cost_nanos"),
    "cost_per_answer_usd": _dollars("cost_per_answer_nanos"),
}


def passes(gate: str, report: Mapping[str, Any]) -> bool:
    """Whether a report satisfies a gate.

    Raises:
        Failure: the gate cannot be read, names no label of the report, or asks for a number that
            is not known; what is not known never passes.
    """
    return _Reader(gate, report).whole()


class _Reader:
    """Reads a gate from left to right, and decides it on the way."""

    def __init__(self, gate: str, report: Mapping[str, Any]) -> None:
        self._tokens = _tokens_of(gate)
        self._entries = {entry["label"]: entry for entry in report["leaderboard"]}

    def whole(self) -> bool:
        decided = self._either()
        if self._tokens:
            raise _wrong(f"{self._tokens[0][1]!r} is more than can be read")
        return decided

    def _either(self) -> bool:
        decided = self._both()
        while self._next_is("or"):
            decided = self._both() or decided
        return decided

    def _both(self) -> bool:
        decided = self._one()
        while self._next_is("and"):
            decided = self._one() and decided
        return decided

    def _one(self) -> bool:
        if self._next_is("not"):
            return not self._one()
        if self._next_is("("):
            decided = self._either()
            self._expect(")")
            return decided
        left = self._number()
        kind, sign = self._take()
        if kind != "sign" or sign not in _SIGNS:
            raise _wrong(f"{sign!r} is no comparison; there are {' '.join(_SIGNS)}")
        return _SIGNS[sign](left, self._number())

    def _number(self) -> float:
        kind, text = self._take()
        if kind == "number":
            return float(text)
        if text not in MEASURES:
            raise _wrong(f"{text!r} is no measure; there are {', '.join(MEASURES)}")
        self._expect("(")
        _, label = self._take()
        self._expect(")")
        if label not in self._entries:
            raise _wrong(f"there is no label {label!r}; there are {', '.join(self._entries)}")
        value = MEASURES[text](self._entries[label])
        if value is None:
            raise Failure(f"gate: {text}({label}) is not known, so it does not pass")
        return float(value)

    def _take(self) -> tuple[str, str]:
        if not self._tokens:
            raise _wrong("it ends too early")
        return self._tokens.pop(0)

    def _next_is(self, text: str) -> bool:
        if self._tokens and self._tokens[0] in {("word", text), ("sign", text)}:
            self._tokens.pop(0)
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._next_is(text):
            found = self._tokens[0][1] if self._tokens else "the end"
            raise _wrong(f"{text!r} is missing before {found!r}")


def _tokens_of(gate: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    rest = gate.strip()
    while rest:
        found = _TOKEN.match(rest)
        if found is None:
            raise _wrong(f"{rest[:20]!r} cannot be read")
        kind = found.lastgroup or ""
        tokens.append((kind, found.group(kind)))
        rest = rest[found.end() :].lstrip()
    return tokens


def _wrong(why: str) -> Failure:
    return Failure(f"gate: {why}", ExitCode.USAGE)
