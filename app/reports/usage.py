"""Usage: what an account's calls came to, by day, provider, model, mode, role and who paid.

Closed batches are read from what was added up when they closed; of open ones the calls that
are closed are added up now. So every call is in it exactly once, at any time.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.billing.tally import SUMS, Key, Tally, tallies_of, tally_batch
from app.models import Batch, UsageRollup
from app.providers.registry import SIMULATED

Dimension = Literal["day", "provider", "model", "mode", "role", "billed"]


class UsageView(msgspec.Struct, frozen=True):
    """What a group of calls came to; a dimension that it is not grouped by is null.

    `cost_nanos` is of completions with a known price, `unpriced` counts the others. `errors`
    are failed calls by reason. Latencies are of completions, to within 5 %. What the
    `simulated_calls` came to is made up, and moved no credits.
    """

    day: str | None
    provider: str | None
    model: str | None
    mode: str | None
    role: str | None
    billed: str | None
    calls: int
    succeeded: int
    refused: int
    failed: int
    cancelled: int
    expired: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nanos: int
    unpriced: int
    errors: dict[str, int]
    latency_p50_ms: int | None
    latency_p95_ms: int | None
    simulated_calls: int


class UsageReport(msgspec.Struct, frozen=True):
    """Usage from one day to another, both in it, in UTC; BYOK and credits apart in `totals`."""

    start: str
    end: str
    group_by: list[str]
    data: list[UsageView]
    totals: list[UsageView]
    object: Literal["usage"] = "usage"


class UsageFilter(msgspec.Struct, frozen=True):
    """Which calls are wanted."""

    provider: str | None = None
    model: str | None = None
    mode: str | None = None
    billed: str | None = None

    def takes(self, key: Key) -> bool:
        """Whether calls of this key are."""
        wanted = zip(
            (self.provider, self.model, self.mode, self.billed),
            (key.provider, key.model, key.mode, key.billed),
            strict=True,
        )
        return all(want is None or want == has for want, has in wanted)


def usage_report(
    session: Session,
    account_id: str,
    start: date,
    end: date,
    group_by: Sequence[Dimension],
    wanted: UsageFilter,
) -> UsageReport:
    """The account's usage of these days."""
    first, last = start.isoformat(), end.isoformat()
    groups: dict[tuple[str | None, ...], _Group] = {}
    totals: dict[tuple[str | None, ...], _Group] = {}
    for key, tally in _tallies(session, account_id, first, last):
        if first <= key.day <= last and wanted.takes(key):
            groups.setdefault(_part(key, group_by), _Group()).add(key, tally)
            totals.setdefault(_part(key, ("billed",)), _Group()).add(key, tally)
    return UsageReport(
        first,
        last,
        list(group_by),
        [_view(part, group) for part, group in sorted(groups.items(), key=_order)],
        [_view(part, group) for part, group in sorted(totals.items(), key=_order)],
    )


class _Group:
    """The tally of a group, and how much of it is simulated."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.simulated = 0

    def add(self, key: Key, tally: Tally) -> None:
        self.tally.add(tally)
        if key.provider == SIMULATED:
            self.simulated += tally.sums["calls"]


def _tallies(
    session: Session, account_id: str, first: str, last: str
) -> Iterator[tuple[Key, Tally]]:
    # Open batches first: one that closes meanwhile is found twice, and taken as it was kept.
    open_batches = session.exec(
        select(Batch).where(Batch.account_id == account_id, col(Batch.closed_at).is_(None))
    ).all()
    live = [(batch.id, tally_batch(session, batch)) for batch in open_batches]
    rows = session.execute(rollups_statement(account_id, first, last)).all()
    kept = {row.batch_id for row in rows}
    yield from tallies_of(rows)
    for batch_id, tallies in live:
        if batch_id not in kept:
            yield from tallies.items()


def rollups_statement(account_id: str, first: str, last: str) -> sa.Select[Any]:
    """What was added up of an account's calls of these days; by columns, for there are many."""
    columns = UsageRollup.model_fields
    return (
        sa.select(*(getattr(UsageRollup, name) for name in columns))
        .where(col(UsageRollup.account_id) == account_id)
        .where(col(UsageRollup.day).between(first, last))
    )


def _part(key: Key, group_by: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(
        value if name in group_by else None for name, value in zip(key._fields, key, strict=True)
    )


def _order(item: tuple[tuple[str | None, ...], _Group]) -> tuple[str, ...]:
    return tuple(value or "" for value in item[0])


def _view(part: tuple[str | None, ...], group: _Group) -> UsageView:
    tally = group.tally
    values: dict[str, Any] = dict(zip(Key._fields, part, strict=True))
    values |= {name: tally.sums[name] for name in SUMS}
    return UsageView(
        **values,
        errors=dict(tally.errors.most_common()),
        latency_p50_ms=tally.latency_ms(50),
        latency_p95_ms=tally.latency_ms(95),
        simulated_calls=group.simulated,
    )
