"""The history of a run: what the provider and the receiver saw, against what the store says."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlmodel import Session, col, func, select

from app.billing.pricing import price_of
from app.db import Store
from app.domain.completion import Usage
from app.models import (
    Attempt,
    Batch,
    Call,
    Delivery,
    Event,
    Job,
    Lane,
    LedgerEntry,
    StoredCompletion,
    StoredText,
    UsageRow,
)
from app.pipeline.laws import check_laws
from tests.chaos.load import Load
from tests.chaos.provider import Answer, ChaosProvider, ChaosReceiver

RECOVERY_MAX_S = 60.0
#: The bounds of trying again, as they are set by default.
ATTEMPTS_MAX, RESENDS_MAX, CRASHES_MAX = 5, 5, 3


@dataclass
class Loss:
    """A worker that was killed or stopped: its ids in the store, and when."""

    worker_ids: Sequence[str]
    at: float
    how: str = ""


@dataclass
class Losses:
    """All of them, from when until when a process was stopped, and when everything was killed."""

    losses: Sequence[Loss]
    stops: Sequence[tuple[float, float]] = ()
    outages: Sequence[float] = ()

    def stopped_s(self, since: float, until: float) -> float:
        """For how much of a time somebody was stopped."""
        covered, at = 0.0, since
        for start, end in sorted(self.stops):
            covered += max(0.0, min(end, until) - max(start, at))
            at = max(at, min(end, until))
        return covered


@dataclass
class Verdict:
    """What came of a run; everything that must be nothing is."""

    calls: int = 0
    lost: int = 0
    results_twice: int = 0
    charged_twice: int = 0
    charged_for_nothing: int = 0
    unrecorded_requests: int = 0
    untold_events: int = 0
    broken_laws: int = 0
    internal_errors: int = 0
    failed_calls: int = 0
    unknown_attempts: int = 0
    possible_duplicate_spend_nanos: int = 0
    possible_duplicate_bound_nanos: int = 0
    duplicate_spend_nanos: int = 0
    slowest_recovery_s: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing that was promised is broken."""
        zero = (
            self.lost, self.results_twice, self.charged_twice, self.charged_for_nothing,
            self.unrecorded_requests, self.untold_events, self.broken_laws, self.internal_errors,
        )  # fmt: skip
        return (
            not any(zero)
            and not self.problems
            and self.duplicate_spend_nanos <= self.possible_duplicate_spend_nanos
            and self.possible_duplicate_spend_nanos <= self.possible_duplicate_bound_nanos
            and self.slowest_recovery_s <= RECOVERY_MAX_S
        )


def judge(
    store: Store,
    load: Load,
    parts: tuple[ChaosProvider, ChaosReceiver],
    losses: Losses,
) -> Verdict:
    """Look at all of it, after everything has come to rest."""
    provider, receiver = parts
    verdict = Verdict(internal_errors=load.statuses[500], problems=list(load.problems))
    with store.read() as session:
        broken = check_laws(session, store)
        verdict.broken_laws = len(broken)
        verdict.problems += [str(one) for one in broken[:5]]
        _check_results(session, load, verdict)
        _check_calls(session, verdict)
        _check_money(session, provider, verdict)
        _check_requests(session, provider, verdict)
        _check_events(session, receiver, verdict)
        verdict.slowest_recovery_s = round(_slowest_recovery_s(session, store, losses), 1)
    return verdict


def _check_results(session: Session, load: Load, verdict: Verdict) -> None:
    """Every job that was accepted is there once, and closed."""
    closed = dict(
        session.exec(
            select(Job.batch_id, func.count())
            .where(col(Job.closed_at).is_not(None))
            .group_by(col(Job.batch_id))
        ).all()
    )
    known = dict(session.exec(select(Batch.id, Batch.closed_at)).all())
    for batch_id, jobs in load.accepted.items():
        missing = jobs - closed.get(batch_id, 0)
        if missing or known.get(batch_id) is None:
            verdict.problems.append(f"{batch_id}: {missing} jobs are lost, or it is not closed")
        verdict.lost += abs(missing)
    if set(known) != set(load.accepted):
        verdict.problems.append(
            f"there are {len(known)} batches, {len(load.accepted)} were accepted"
        )
    # An answer that was paid for and has no text is as good as lost.
    verdict.lost += session.exec(
        select(func.count())
        .select_from(StoredCompletion)
        .outerjoin(
            StoredText,
            (col(StoredText.owner_id) == StoredCompletion.call_id)
            & (col(StoredText.kind) == "answer"),
        )
        .where(col(StoredText.owner_id).is_(None))
    ).one()


def _check_calls(session: Session, verdict: Verdict) -> None:
    verdict.calls = session.exec(select(func.count()).select_from(Call)).one()
    succeeded = session.exec(
        select(Attempt.call_id).where(Attempt.state == "succeeded").group_by(col(Attempt.call_id))
        .having(func.count() > 1)
    ).all()  # fmt: skip
    verdict.results_twice += len(succeeded)
    failed = session.exec(
        select(Call, Batch.at_most_once)
        .join(Batch, col(Batch.id) == Call.batch_id)
        .where(Call.state == "failed")
    ).all()
    verdict.failed_calls = len(failed)
    verdict.problems += [
        f"{call.id} failed before its bounds: {call.reason}"
        for call, at_most_once in failed
        if not (call.fail_fast or at_most_once or _is_used_up(call))
    ]
    verdict.unknown_attempts = session.exec(
        select(func.count()).select_from(Attempt).where(Attempt.state == "unknown")
    ).one()


def _is_used_up(call: Call) -> bool:
    """Whether it was tried as often as it may be."""
    return (
        call.attempts >= ATTEMPTS_MAX
        or call.unknowns > RESENDS_MAX
        or call.crash_count >= CRASHES_MAX
    )


def _check_money(session: Session, provider: ChaosProvider, verdict: Verdict) -> None:
    """Nothing is charged twice, or for nothing; and what may have been bought twice is known."""
    captured = session.exec(
        select(LedgerEntry.call_id).where(LedgerEntry.kind == "capture")
        .group_by(col(LedgerEntry.call_id)).having(func.count() > 1)
    ).all()  # fmt: skip
    verdict.charged_twice = len(captured)
    usage = session.exec(
        select(func.count(), func.coalesce(func.sum(UsageRow.cost_nanos), 0)).where(
            UsageRow.billed == "credits"
        )
    ).one()
    sold = [answer for answer in provider.history.answers if answer.lane == "credits"]
    verdict.charged_for_nothing = max(0, usage[0] - len(sold))
    verdict.duplicate_spend_nanos = sum(map(_cost_nanos, sold)) - int(usage[1])
    counted = select(
        func.coalesce(func.sum(Batch.possible_duplicate_nanos), 0),
    )
    verdict.possible_duplicate_spend_nanos = int(session.exec(counted).one())
    worst = select(func.coalesce(func.sum(Attempt.worst_nanos), 0)).where(
        Attempt.state == "unknown"
    )
    verdict.possible_duplicate_bound_nanos = int(session.exec(worst).one())


def _cost_nanos(answer: Answer) -> int:
    price = price_of("openai", answer.model)
    if price is None:
        raise LookupError(f"{answer.model} has no price here")
    return price.cost_nanos(
        Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens)
    )


def _check_requests(session: Session, provider: ChaosProvider, verdict: Verdict) -> None:
    """Nothing was sent of which no attempt was written before, nor answered by nobody."""
    for name, lane in (("credits", "openai"), ("own", "custom:own")):
        states = Counter(
            session.exec(
                select(Attempt.state)
                .join(Call, col(Call.id) == Attempt.call_id)
                .join(Lane, col(Lane.id) == Call.lane_id)
                .where(Lane.provider == lane, Attempt.state != "cancelled")
            ).all()
        )
        came = provider.history.requests(name)
        answered = sum(1 for answer in provider.history.answers if answer.lane == name)
        verdict.unrecorded_requests += max(0, came - states.total())
        if states["succeeded"] > answered:
            verdict.problems.append(f"{name}: {states['succeeded']} results of {answered} answers")


def _check_events(session: Session, receiver: ChaosReceiver, verdict: Verdict) -> None:
    """Every event reached the receiver, and no batch has two of one kind that says it is over."""
    events = session.exec(select(Event.id, Event.batch_id, Event.type)).all()
    verdict.untold_events = sum(1 for id_, _, _ in events if not receiver.taken[id_])
    ends = Counter(batch_id for _, batch_id, type_ in events if type_.startswith("batch."))
    verdict.results_twice += sum(count - 1 for count in ends.values())
    open_ = session.exec(
        select(Delivery.id, Delivery.state).where(Delivery.state != "delivered")
    ).all()
    verdict.problems += [f"{id_} is {state}" for id_, state in open_[:5]]


def _slowest_recovery_s(session: Session, store: Store, losses: Losses) -> float:
    """The longest that anything a lost worker held took to be given back.

    Who is stopped in the middle of a transaction on SQLite keeps the only write lock there is, and
    no other process can do anything about it: there, the time of a stop does not count. While
    everything is killed again and again nobody is there to give back: the last time counts.
    """
    slowest = 0.0
    for loss in losses.losses:
        at = datetime.fromtimestamp(loss.at, UTC)
        last = session.exec(
            select(func.max(Attempt.finished_at)).where(
                col(Attempt.worker_id).in_(loss.worker_ids),
                col(Attempt.started_at) <= at,
                col(Attempt.finished_at) > at,
            )
        ).one()
        if last is not None:
            aware = last if last.tzinfo else last.replace(tzinfo=UTC)
            until = aware.timestamp()
            since = max(loss.at, *(one for one in losses.outages if one < until), 0.0)
            took_s = until - since
            if store.is_sqlite:
                took_s -= losses.stopped_s(since, until)
            if took_s > RECOVERY_MAX_S / 2:
                sys.stderr.write(f"{loss.how} took {took_s:.1f} s to recover from\n")
            slowest = max(slowest, took_s)
    return slowest
