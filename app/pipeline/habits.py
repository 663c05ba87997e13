"""How long answers usually are: from the account's own last batches, else from a guess."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, quantiles

import msgspec
from sqlmodel import Session, col, select

from app.domain.money import ceil_div
from app.domain.prompt import ModelRef
from app.domain.states import Billed, Role
from app.models import Batch, UsageRow

_BATCHES = 20
_ROWS_PER_BATCH = 500
#: Fewer answers than these say nothing.
_ANSWERS_MIN = 5
#: A token takes about this long, and a request that much more.
_S_PER_TOKEN, _S_PER_REQUEST = 0.02, 0.5
_MS_PER_S = 1000


class Range(msgspec.Struct, frozen=True):
    """A number that is not known yet: at least, about, and at most."""

    low: int
    expected: int
    high: int

    def capped(self, most: int | None) -> "Range":
        """The same, with nothing over a bound."""
        if most is None:
            return self
        return Range(min(self.low, most), min(self.expected, most), min(self.high, most))

    def times(self, count: int) -> "Range":
        """As often as that."""
        return Range(self.low * count, self.expected * count, self.high * count)

    def share(self, part: int, whole: int) -> "Range":
        """So much of it, rounded up."""
        return Range(*(ceil_div(one * part, whole) for one in (self.low, self.expected, self.high)))


def added(ranges: Iterable[Range]) -> Range:
    """The sum: lows with lows, highs with highs."""
    rows = list(ranges)
    return Range(
        sum(one.low for one in rows),
        sum(one.expected for one in rows),
        sum(one.high for one in rows),
    )


#: Output tokens of an answer by a model that this account has not asked yet.
GUESSES = {
    Role.CANDIDATE: Range(10, 300, 1200),
    Role.JUDGE: Range(20, 250, 1000),
    Role.SYNTHESIZER: Range(10, 500, 2000),
}


@dataclass(frozen=True, slots=True)
class Habit:
    """How a model answers in one role: output tokens, and seconds. `seen` answers say so."""

    output_tokens: Range
    latency_s: float
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Habits:
    """The habits of every model this account has asked lately."""

    known: dict[tuple[str, str, str], Habit]

    def of(self, ref: ModelRef, role: Role) -> Habit:
        """The habit of a model in a role, or a guess."""
        found = self.known.get((ref.provider, ref.model, role.value))
        if found is not None:
            return found
        guess = GUESSES[role]
        return Habit(guess, _S_PER_REQUEST + guess.expected * _S_PER_TOKEN)


def habits_of(session: Session, account_id: str) -> Habits:
    """What the account's last batches tell, some rows of each."""
    batches = session.exec(
        select(Batch.id)
        .where(Batch.account_id == account_id)
        .order_by(col(Batch.id).desc())
        .limit(_BATCHES)
    ).all()
    seen: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for batch_id in batches:
        rows = session.exec(
            select(UsageRow)
            .where(UsageRow.batch_id == batch_id, UsageRow.billed != Billed.CACHED)
            .limit(_ROWS_PER_BATCH)
        )
        for row in rows:
            key = (row.provider, row.model, row.role)
            seen.setdefault(key, []).append((row.output_tokens, row.latency_ms))
    return Habits({key: _habit(rows) for key, rows in seen.items() if len(rows) >= _ANSWERS_MIN})


def _habit(rows: list[tuple[int, int]]) -> Habit:
    tokens = [row[0] for row in rows]
    low, *_, high = quantiles(tokens, n=4, method="inclusive")
    mean = fmean(tokens)
    spread = Range(int(min(low, mean)), round(mean), -int(-max(high, mean) // 1))
    return Habit(spread, fmean(row[1] for row in rows) / _MS_PER_S, len(rows))
