"""What a report adds up: counts, tokens, money and times by label, summed by the store."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.ids import job_range
from app.domain.states import Billed, CallState, Role
from app.models import Call, UsageRow
from app.modes.blend_plan import WITHOUT

_PERCENTILES = (50, 95)


class Used(NamedTuple):
    """What a label's completions in a role used; `cost_nanos` is of those with a known price.

    Of `estimated` ones the provider told no usage that could be believed.
    """

    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0
    unpriced: int = 0
    estimated: int = 0


def calls_of(batch_id: str) -> sa.ColumnElement[bool]:
    """That a call is of a batch, by its job's id.

    Not by joining with the jobs: for a batch that a store has no statistics of yet, PostgreSQL
    expects one job, and then reads all of them again for every call.
    """
    return col(Call.job_id).between(*job_range(batch_id))


def calls_by_state(session: Session, batch_id: str) -> dict[str, Counter[str]]:
    """How many calls of each label are in each state, but for those of judges."""
    rows = _run(session, calls_by_state_statement(batch_id))
    counts: dict[str, Counter[str]] = {}
    for label, state, count in rows:
        counts.setdefault(label, Counter())[CallState(state)] = count
    return counts


def calls_by_state_statement(batch_id: str) -> sa.Executable:
    """Candidates' and synthesizers' calls by label and state."""
    label, state = col(Call.label), col(Call.state)
    return (
        sa.select(label, state, sa.func.count())
        .where(calls_of(batch_id), col(Call.role) != Role.JUDGE)
        .group_by(label, state)
    )


def used_by(session: Session, batch_id: str) -> dict[tuple[str, str], Used]:
    """What was used by role and label."""
    return {
        (role, label): Used(*(int(number) for number in numbers))
        for role, label, *numbers in _run(session, used_statement(batch_id))
    }


def used_statement(batch_id: str) -> sa.Executable:
    """Usage by role and label."""
    role, label, cost = col(UsageRow.role), col(UsageRow.label), col(UsageRow.cost_nanos)
    return (
        sa.select(
            role,
            label,
            sa.func.count(),
            sa.func.sum(col(UsageRow.input_tokens)),
            sa.func.sum(col(UsageRow.output_tokens)),
            sa.func.coalesce(sa.func.sum(cost), 0),
            sa.func.count() - sa.func.count(cost),
            sa.func.sum(sa.case((col(UsageRow.estimated), 1), else_=0)),
        )
        .where(col(UsageRow.batch_id) == batch_id)
        .group_by(role, label)
    )


def latencies_by_label(
    session: Session, batch_id: str, percents: Sequence[int] = _PERCENTILES
) -> dict[str, tuple[int, ...]]:
    """The percentiles of each contestant's latency, in milliseconds: the nearest that occurred."""
    found: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for label, latency_ms, place, count in _run(session, latencies_statement(batch_id, percents)):
        for percent in percents:
            if place == _place(percent, count):
                found[label][percent] = latency_ms
    return {label: tuple(ms[percent] for percent in percents) for label, ms in found.items()}


def latencies_statement(batch_id: str, percents: Sequence[int] = _PERCENTILES) -> sa.Executable:
    """Of each contestant's latencies in rising order, those that are its percentiles.

    An earlier answer took no time, which says nothing about its model.
    """
    label, latency = col(UsageRow.label), col(UsageRow.latency_ms)
    ordered = (
        sa.select(
            label.label("label"),
            latency.label("latency_ms"),
            sa.func.row_number().over(partition_by=label, order_by=latency).label("place"),
            sa.func.count().over(partition_by=label).label("total"),
        )
        .where(col(UsageRow.batch_id) == batch_id, col(UsageRow.role) == Role.CANDIDATE)
        .where(col(UsageRow.billed) != Billed.CACHED)
        .subquery()
    )
    wanted = [ordered.c.place == _place(percent, ordered.c.total) for percent in percents]
    return sa.select(ordered).where(sa.or_(*wanted))


def _place(percent: int, count: Any) -> Any:
    """The nearest rank, from 1, rounded up; of a number or of a column."""
    return (count * percent + 99) // 100


def blend_latency_p50(session: Session, batch_id: str) -> int | None:
    """The median of how long the rounds of a blend took, from its first answer to its synthesis."""
    found = sorted(int(took) for (took,) in _run(session, blend_latencies_statement(batch_id)))
    return found[_place(50, len(found)) - 1] if found else None


def blend_latencies_statement(batch_id: str) -> sa.Executable:
    """For each job, the slowest call of each round that made its blend, added up.

    Earlier answers took no time, and syntheses without one of the answers are none of it.
    """
    rounds = (
        sa.select(
            col(Call.job_id).label("job_id"),
            sa.func.max(col(UsageRow.latency_ms)).label("latency_ms"),
        )
        .select_from(UsageRow)
        .join(Call, col(Call.id) == UsageRow.call_id)
        .where(col(UsageRow.batch_id) == batch_id, col(UsageRow.role) != Role.JUDGE)
        .where(col(UsageRow.billed) != Billed.CACHED)
        .where(col(UsageRow.label).not_like(f"{WITHOUT}%"))
        .group_by(col(Call.job_id), col(Call.round))
        .subquery()
    )
    return sa.select(sa.func.sum(rounds.c.latency_ms)).group_by(rounds.c.job_id)


def repairs_by_judge(session: Session, batch_id: str) -> dict[str, int]:
    """On how many jobs each judge was asked more than once."""
    return dict(_run(session, repairs_statement(batch_id)))


def repairs_statement(batch_id: str) -> sa.Executable:
    """Judges by the number of jobs on which they were asked again."""
    label = col(Call.label)
    again = (
        sa.select(label.label("label"))
        .where(calls_of(batch_id), col(Call.role) == Role.JUDGE)
        .group_by(col(Call.job_id), label)
        .having(sa.func.count() > 1)
        .subquery()
    )
    return sa.select(again.c.label, sa.func.count()).group_by(again.c.label)


def _run(session: Session, statement: sa.Executable) -> Iterator[Any]:
    return iter(session.connection().execute(statement))
