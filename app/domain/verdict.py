"""What judges say."""

import msgspec


class Score(msgspec.Struct, frozen=True):
    """One contestant's place in a verdict: the mean of the judges' scores, 0 to 10.

    `self_judged` says that a judge of its own model was on the panel, `addresses_judge` that
    its answer seems to speak to the judge: a hint to the reader, which changes no score.
    """

    label: str
    score: float
    rank: int
    reasoning: str = ""
    self_judged: bool = False
    addresses_judge: bool = False


class JudgeScore(msgspec.Struct, frozen=True):
    """One judge's score of one contestant, with the criteria it scored by."""

    judge: str
    label: str
    score: float
    reasoning: str = ""
    criteria: dict[str, float] | None = None


class Verdict(msgspec.Struct, frozen=True):
    """The panel's verdict on one job.

    `winner` is None where the best are tied, or where every judge abstained;
    `abstained` counts the judges whose call failed, or whose verdict could not be read.
    """

    winner: str | None
    scores: list[Score]
    overall: str = ""
    abstained: int = 0
    judges: list[JudgeScore] = []
