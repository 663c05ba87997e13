"""The verdicts of a batch, read in a stream into columns of numbers; their words are skipped.

A number takes eight bytes, so that the verdicts of a large batch fit into little memory.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import nan

import msgspec
import sqlalchemy as sa
from sqlmodel import Session, col

from app.models import Job, StoredVerdict
from app.vault.texts import Texts

_STREAMED = 500
#: How often a bootstrap draws the prompts again, and from which seed.
RESAMPLES, SEED = 200, 0


def _column() -> "array[float]":
    return array("d")


@dataclass(slots=True)
class Marks:
    """How the judges found one contestant: a score for each job on which it was judged."""

    scores: "array[float]" = field(default_factory=_column)
    wins: float = 0.0  # a job that several win is shared between them
    self_judged: bool = False
    addresses_judge: int = 0


@dataclass(slots=True)
class Flips:
    """How often one judge compared a pair in both orders, and changed its mind between them."""

    pairs: int = 0
    flipped: int = 0
    first_won: int = 0  # of those, both times for whom it was shown first


@dataclass(slots=True)
class Meetings:
    """The pairs that were compared, as columns: the verdict's number, both labels, the share."""

    verdicts: "array[int]" = field(default_factory=lambda: array("q"))
    firsts: list[str] = field(default_factory=list)
    seconds: list[str] = field(default_factory=list)
    shares: "array[float]" = field(default_factory=_column)


class Rows:
    """Columns by key, as long as each other: what a verdict says nothing of is NaN."""

    def __init__(self) -> None:
        self._columns: dict[object, array[float]] = {}

    def put(self, key: object, row: int, value: float) -> None:
        """Set the cell of a row that is not before the last one."""
        column = self._columns.get(key)
        if column is None:
            column = self._columns[key] = _column()
        if len(column) > row:
            column[row] = value
            return
        column.extend([nan] * (row - len(column)))
        column.append(value)

    def column(self, key: object, rows: int) -> "array[float]":
        """The column of a key, which may have been set nowhere."""
        column = self._columns.get(key) or _column()
        column.extend([nan] * (rows - len(column)))
        return column


@dataclass(slots=True)
class Judgements:
    """All verdicts of a batch: `judged` jobs have a score, `verdicts` were given or abstained.

    `asked` counts on how many verdicts' panel a judge is. `scores` and `chars` are by label, `by_judge` by (judge, label).
    """

    verdicts: int = 0
    judged: int = 0
    marks: defaultdict[str, Marks] = field(default_factory=lambda: defaultdict(Marks))
    asked: Counter[str] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)
    unasked: Counter[str] = field(default_factory=Counter)
    decided_by: Counter[str] = field(default_factory=Counter)
    canaries: Counter[str] = field(default_factory=Counter)
    fooled: Counter[str] = field(default_factory=Counter)
    flips: defaultdict[str, Flips] = field(default_factory=lambda: defaultdict(Flips))
    scores: Rows = field(default_factory=Rows)
    chars: Rows = field(default_factory=Rows)
    by_judge: Rows = field(default_factory=Rows)
    meetings: Meetings = field(default_factory=Meetings)
    pairs_missing: int = 0

    def add(self, verdict: "_Verdict", panel: Sequence[str]) -> None:
        """Count one verdict of a panel of judges."""
        row = self.verdicts
        self.verdicts += 1
        self.judged += bool(verdict.scores)
        self.pairs_missing += verdict.pairs_missing
        if verdict.decided_by is not None:
            self.decided_by[verdict.decided_by] += 1
        self.asked.update(panel)
        self.unasked.update(verdict.unasked)
        self.given.update({given.judge for given in verdict.judges})
        for given in verdict.judges:
            self.by_judge.put((given.judge, given.label), row, given.score)
        for canary in verdict.canaries:
            self.canaries[canary.judge] += 1
            self.fooled[canary.judge] += canary.fooled
        self._add_scores(verdict.scores, row)
        self._add_pairs(verdict.pairs, row)

    def _add_scores(self, scores: list["_Score"], row: int) -> None:
        winners = sum(score.rank == 1 for score in scores)
        for score in scores:
            marks = self.marks[score.label]
            marks.scores.append(score.score)
            marks.self_judged |= score.self_judged
            marks.addresses_judge += score.addresses_judge
            if score.rank == 1:
                marks.wins += 1 / winners
            self.scores.put(score.label, row, score.score)
            if score.chars is not None:
                self.chars.put(score.label, row, score.chars)

    def _add_pairs(self, pairs: list["_Pair"], row: int) -> None:
        """A pair that several judges compared is one meeting, with the mean of their shares."""
        shares: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for pair in pairs:
            share = 0.5 if pair.winner is None else float(pair.winner == pair.first)
            shares[pair.first, pair.second].append(share)
            if pair.verdicts:
                self._add_flip(pair)
        for (first, second), found in shares.items():
            self.meetings.verdicts.append(row)
            self.meetings.firsts.append(first)
            self.meetings.seconds.append(second)
            self.meetings.shares.append(sum(found) / len(found))

    def _add_flip(self, pair: "_Pair") -> None:
        flips = self.flips[pair.judge]
        flips.pairs += 1
        if len({one.winner for one in pair.verdicts}) > 1:
            flips.flipped += 1
            flips.first_won += all(one.winner == one.first for one in pair.verdicts)


class _Score(msgspec.Struct, frozen=True):
    label: str
    score: float
    rank: int
    self_judged: bool = False
    addresses_judge: bool = False
    chars: int | None = None


class _Given(msgspec.Struct, frozen=True):
    judge: str
    label: str
    score: float


class _Said(msgspec.Struct, frozen=True):
    first: str
    winner: str | None


class _Pair(msgspec.Struct, frozen=True):
    judge: str
    first: str
    second: str
    winner: str | None
    verdicts: list[_Said] = []


class _Canary(msgspec.Struct, frozen=True):
    judge: str
    fooled: bool


class _Verdict(msgspec.Struct, frozen=True):
    """What of a verdict is counted."""

    scores: list[_Score]
    judges: list[_Given] = []
    pairs: list[_Pair] = []
    pairs_missing: int = 0
    canaries: list[_Canary] = []
    decided_by: str | None = None
    unasked: list[str] = []


_VERDICTS = msgspec.json.Decoder(_Verdict)


def judgements(
    session: Session, batch_id: str, texts: Texts, panels: Sequence[Sequence[str]]
) -> Judgements:
    """Every verdict of a batch, in columns; `panels` are the judges of each of its plans."""
    sums = Judgements()
    statement = verdicts_statement(batch_id, by_plan=len(panels) > 1)
    for job_id, body, number in session.connection().execute(statement):
        sums.add(_VERDICTS.decode(texts.open("verdict", job_id, body)), panels[number])
    return sums


def verdicts_statement(batch_id: str, *, by_plan: bool = False) -> sa.Executable:
    """The verdicts of a batch with the plan of each, a few in memory at a time.

    Unless it is looked up, every job follows plan 0.
    """
    number = col(Job.plan) if by_plan else sa.literal(0)
    statement = sa.select(col(StoredVerdict.job_id), col(StoredVerdict.body), number)
    if by_plan:
        statement = statement.join(Job, col(Job.id) == col(StoredVerdict.job_id))
    return statement.where(col(StoredVerdict.batch_id) == batch_id).execution_options(
        yield_per=_STREAMED
    )
