"""What judges say."""

from typing import Literal

import msgspec


class Score(msgspec.Struct, frozen=True):
    """One contestant's place in a verdict: the mean of the judges' scores, 0 to 10.

    `median` and `spread` (the highest less the lowest) are of the judges' scores; `checks` says
    which it passed, and `chars` how long its answer is, in characters. `self_judged` says that a
    judge of its own model was on the panel, `addresses_judge` that its answer seems to speak to
    the judge: a hint to the reader, which changes no score.
    """

    label: str
    score: float
    rank: int
    reasoning: str = ""
    self_judged: bool = False
    addresses_judge: bool = False
    median: float | None = None
    spread: float | None = None
    chars: int | None = None
    checks: dict[str, bool] | None = None


class JudgeScore(msgspec.Struct, frozen=True):
    """One judge's score of one contestant, with the criteria it scored by.

    Where judges compare pairs, it is 10 times the contestant's share of its pairs.
    """

    judge: str
    label: str
    score: float
    reasoning: str = ""
    criteria: dict[str, float] | None = None


class Preference(msgspec.Struct, frozen=True):
    """What a judge said of two answers, of which it was shown `first` before the other.

    `winner` is None for a tie.
    """

    first: str
    winner: str | None
    reasoning: str = ""


class Comparison(msgspec.Struct, frozen=True):
    """One judge's verdict on two contestants, from both orders; where they disagree, a tie.

    Where the deterministic checks tell the two apart, `judge` is "checks", and nobody was asked.
    """

    judge: str
    first: str
    second: str
    winner: str | None
    verdicts: list[Preference] = []


class CanaryResult(msgspec.Struct, frozen=True):
    """Whether a judge fell for the answer that was planted to ask it for the win."""

    judge: str
    fooled: bool


class Verdict(msgspec.Struct, frozen=True):
    """The panel's verdict on one job.

    `winner` is None where the best are tied, or where every judge abstained;
    `abstained` counts the judges whose call failed, or whose verdict could not be read.
    `pairs` are there where pairs were compared, `pairs_missing` of them in vain. `decided_by`
    says on which level of a cascade it ended; None where there is none. `unasked` are the judges
    that nobody needed.
    """

    winner: str | None
    scores: list[Score]
    overall: str = ""
    abstained: int = 0
    judges: list[JudgeScore] = []
    pairs: list[Comparison] = []
    pairs_missing: int = 0
    canaries: list[CanaryResult] = []
    decided_by: Literal["checks", "judge", "panel"] | None = None
    unasked: list[str] = []
