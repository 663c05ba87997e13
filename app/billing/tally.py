"""Adding up what a batch's closed calls used, by day, model and role.

Latencies are counted in buckets whose bounds grow by a tenth, so that sums over any rows keep
their percentiles, to within five percent.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import exp, log, log1p
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.ids import job_range
from app.domain.states import CALL_CLOSED, Billed, CallState
from app.models import Batch, Call, Lane, UsageRollup, UsageRow

_GROWTH = log(1.1)
_TOKENS = (
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens",
)  # fmt: skip
_STATES = ("succeeded", "refused", "failed", "cancelled", "expired")
#: What calls that are alike are counted by; what differs most comes last.
_ALIKE: tuple[Any, ...] = (
    sa.func.date(sa.func.coalesce(Call.closed_at, Batch.created_at)).label("day"), Lane.provider,
    Call.model, Call.role, sa.func.coalesce(UsageRow.billed, Lane.billed).label("billed"),
    Call.state, Call.reason, UsageRow.latency_ms,
)  # fmt: skip
#: What is summed over rows as it is.
SUMS = ("calls", *_STATES, *_TOKENS, "cost_nanos", "unpriced")


class Key(NamedTuple):
    """What calls are added up by."""

    day: str
    provider: str
    model: str
    mode: str
    role: str
    billed: str


@dataclass(slots=True)
class Tally:
    """What calls came to: `sums` by name, failures by reason, completions by latency bucket."""

    sums: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latencies: Counter[int] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Take another's in."""
        self.sums.update(other.sums)
        self.errors.update(other.errors)
        self.latencies.update(other.latencies)

    def latency_ms(self, percent: int) -> int | None:
        """A percentile of the latencies, in milliseconds, to within 5 %; None without any."""
        left = self.latencies.total() * percent / 100
        for bucket in sorted(self.latencies):
            left -= self.latencies[bucket]
            if left <= 0:
                return round(exp((bucket + 0.5) * _GROWTH) - 1)
        return None


def bucket_of(latency_ms: int) -> int:
    """The bucket of a latency: 0 holds 0 ms, and each is a tenth wider than the one before."""
    return int(log1p(max(0, latency_ms)) / _GROWTH)


def tally_batch(session: Session, batch: Batch) -> dict[Key, Tally]:
    """What a batch's closed calls came to so far, added up by the store."""
    counted: list[Any] = [sa.func.count(), sa.func.count(col(UsageRow.cost_nanos))]
    counted += [sa.func.sum(getattr(UsageRow, name)) for name in (*_TOKENS, "cost_nanos")]
    rows = session.execute(
        sa.select(*_ALIKE, *counted)
        .select_from(Call)
        .join(Batch, col(Batch.id) == Call.batch_id)
        .join(Lane, col(Lane.id) == Call.lane_id)
        .outerjoin(UsageRow, col(UsageRow.call_id) == Call.id)
        .where(col(Call.job_id).between(*job_range(batch.id)))
        .where(col(Call.state).in_(sorted(CALL_CLOSED)))
        .group_by(*_ALIKE)
    )
    tallies: dict[Key, Tally] = {}
    for day, provider, model, role, billed, *rest in rows:
        key = Key(str(day), provider, model, batch.mode, role, billed)
        _count(tallies.setdefault(key, Tally()), *rest)
    for key, tally in tallies.items():
        # An earlier answer that was taken again took no time.
        if key.billed == Billed.CACHED:
            tally.latencies.clear()
    return tallies


def _count(
    tally: Tally,
    state: str,
    reason: str | None,
    latency_ms: int | None,
    calls: int,
    priced: int,
    *summed: int | None,
) -> None:
    """Add calls that are alike."""
    sums = tally.sums
    sums["calls"] += calls
    sums[state] += calls
    if latency_ms is None:  # they have no completion
        if state == CallState.FAILED:
            tally.errors[reason or "unknown"] += calls
        return
    for name, total in zip((*_TOKENS, "cost_nanos"), summed, strict=True):
        sums[name] += int(total or 0)
    sums["unpriced"] += calls - priced
    tally.latencies[bucket_of(latency_ms)] += calls


def rollups_of(batch: Batch, tallies: dict[Key, Tally]) -> Iterator[UsageRollup]:
    """The rows that keep a batch's tallies."""
    for key, tally in sorted(tallies.items()):
        values: dict[str, Any] = key._asdict() | {name: tally.sums[name] for name in SUMS}
        yield UsageRollup(
            batch_id=batch.id,
            account_id=batch.account_id,
            **values,
            errors=msgspec.json.encode(tally.errors).decode(),
            latencies=msgspec.json.encode(tally.latencies).decode(),
        )


def tallies_of(rows: Iterable[Any]) -> Iterator[tuple[Key, Tally]]:
    """The tallies that rows of `usage_rollup` keep."""
    for row in rows:
        key = Key(row.day, row.provider, row.model, row.mode, row.role, row.billed)
        yield (
            key,
            Tally(
                Counter({name: getattr(row, name) for name in SUMS}),
                Counter(msgspec.json.decode(row.errors, type=dict[str, int])),
                Counter(msgspec.json.decode(row.latencies, type=dict[int, int])),
            ),
        )
