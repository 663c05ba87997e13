"""How far batches are: counters that the engine keeps, and few lookups beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from app.db import Store
from app.domain.money import nanos_to_dollars
from app.domain.plan import Plan
from app.domain.prompt import Variant
from app.domain.states import Seal
from app.models import Batch, BatchMetadata, BatchSpec
from app.reports.contestants import judges_of, once, panels_of
from app.reports.owned import own_batch
from app.reports.views import (
    BatchView,
    CallCounts,
    CostView,
    Counts,
    JobCounts,
    ModelView,
    TextGone,
    WaitingOn,
)
from app.reports.waiting import waiting_on


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Which batches are listed: those that are all of this.

    Attributes:
        name: what they are called, exactly.
        states: in which of these states they are; none of them: in any.
        metadata: pairs that each of them has.
    """

    name: str | None = None
    states: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


ALL = Narrowed()


class _Body(msgspec.Struct, frozen=True):
    """What is shown of the client's own words."""

    metadata: dict[str, str] = {}


def batch_view(session: Session, account_id: str, batch_id: str) -> BatchView:
    """One batch as it is now.

    Raises:
        NotFoundError: the account has no such batch.
    """
    batch = own_batch(session, account_id, batch_id)
    return _views(session, [batch])[0]


def list_batches(
    session: Session,
    account_id: str,
    after: str | None = None,
    limit: int = 20,
    narrowed: Narrowed = ALL,
) -> tuple[list[BatchView], str | None]:
    """A page of the account's batches, newest first, and the cursor of the next one if any.

    `after` is the id of the last batch that was seen; ids are sorted by time.
    """
    statement = select(Batch).where(Batch.account_id == account_id, sa.not_(col(Batch.interactive)))
    if narrowed.name is not None:
        statement = statement.where(Batch.name == narrowed.name)
    if narrowed.states:
        statement = statement.where(col(Batch.state).in_(narrowed.states))
    place = col(Batch.id)
    for name, value in narrowed.metadata.items():
        pair = aliased(BatchMetadata)
        statement = statement.join(pair, col(pair.batch_id) == place).where(
            pair.account_id == account_id, pair.name == name, pair.value == value
        )
        # In the order of the pairs: they are what is read.
        place = col(pair.batch_id)
    if after is not None:
        statement = statement.where(place < after)
    rows = session.exec(
        statement.order_by(place.desc()).limit(limit + 1).execution_options(populate_existing=True)
    ).all()
    page = rows[:limit]
    return _views(session, page), page[-1].id if len(rows) > limit else None


def _views(session: Session, batches: Sequence[Batch]) -> list[BatchView]:
    ids = [batch.id for batch in batches]
    specs = {
        spec.batch_id: spec
        for spec in session.exec(select(BatchSpec).where(col(BatchSpec.batch_id).in_(ids)))
    }
    now = Store.now(session)
    return [_view(session, batch, specs[batch.id], now) for batch in batches]


def _view(session: Session, batch: Batch, spec: BatchSpec, now: datetime) -> BatchView:
    plan = msgspec.json.decode(spec.plan, type=Plan)
    waits = waiting_on(session, batch, now)
    return BatchView(
        id=batch.id,
        name=batch.name,
        mode=batch.mode,
        state=batch.state,
        paused=batch.paused,
        waiting_on=waits,
        ending=batch.ending,
        counts=Counts(
            jobs=job_counts(batch),
            calls=CallCounts(
                total=batch.calls_total, closed=batch.calls_closed, cached=batch.calls_cached
            ),
        ),
        cost=cost_view(batch),
        eta_s=_eta_s(batch, len(plan.variants) + len(panels_of(plan)[0]), now, waits),
        models=model_views(once(variant for one in plan.all for variant in one.variants)),
        judges=model_views(judges_of(plan)),
        metadata=msgspec.json.decode(spec.body, type=_Body).metadata,
        **_as_stored(batch),
    )


def _as_stored(batch: Batch) -> Mapping[str, Any]:
    return {
        "created_at": batch.created_at,
        "not_before": batch.not_before,
        "deadline": batch.deadline,
        "started_at": batch.started_at,
        "closed_at": batch.closed_at,
        "retry_of": batch.retry_of,
        "priority": batch.priority,
        "sample": batch.sample,
        "stop_if_failed_percent": batch.stop_if_failed_percent,
        "cache": batch.cache,
        "retention": "none" if batch.seal == Seal.BATCH else "keep",
        "sealed": batch.seal is not None,
        "text_gone": _text_gone(batch),
    }


def _text_gone(batch: Batch) -> TextGone | None:
    if batch.gone_reason is None or batch.gone_at is None:
        return None
    return TextGone(batch.gone_reason, batch.gone_at)


def model_views(variants: Sequence[Variant]) -> list[ModelView]:
    """The labels of a plan, each with its model."""
    return [ModelView(label=variant.label, model=str(variant.ref)) for variant in variants]


def job_counts(batch: Batch) -> JobCounts:
    """A batch's jobs by state, from its counters."""
    return JobCounts(
        total=batch.jobs_total,
        queued=batch.jobs_queued,
        running=open_jobs(batch) - batch.jobs_queued,
        succeeded=batch.jobs_succeeded,
        failed=batch.jobs_failed,
        cancelled=batch.jobs_cancelled,
        expired=batch.jobs_expired,
    )


def open_jobs(batch: Batch) -> int:
    """How many of a batch's jobs are not closed."""
    return batch.jobs_total - batch.jobs_closed


def cost_view(batch: Batch) -> CostView:
    """A batch's money."""
    return CostView(
        spent_nanos=batch.spent_nanos,
        spent_usd=nanos_to_dollars(batch.spent_nanos),
        reserved_nanos=batch.reserved_nanos,
        cap_nanos=batch.cap_nanos,
        overrun_nanos=batch.overrun_nanos,
        unpriced_calls=batch.unpriced_calls,
        unknown_attempts=batch.unknown_attempts,
        possible_duplicate_nanos=batch.possible_duplicate_nanos,
        wasted_nanos=batch.wasted_nanos,
    )


#: Waiting for these ends when somebody or something else decides, so no pace says when.
_NO_PACE = frozenset(
    {"paused", "sample", "not_before", "lane_parked", "quota_exhausted", "spend_limit"}
)


def _eta_s(batch: Batch, calls_per_job: int, now: datetime, waits: WaitingOn | None) -> int | None:
    """Seconds until the last call is closed, at the pace since the start; None if unknown.

    While a sample runs, it is its last call: what comes after waits for somebody.
    """
    if batch.started_at is None or batch.closed_at is not None or batch.ending is not None:
        return None
    # Earlier answers came at once, and say nothing about the others.
    made = batch.calls_closed - batch.calls_cached
    if made == 0 or (waits is not None and waits.reason in _NO_PACE):
        return None
    unfinished = max(0, batch.plan_until - batch.jobs_closed)
    # Jobs that failed early made fewer calls; none of the others' are counted as theirs.
    of_finished = batch.jobs_closed * calls_per_job
    of_unfinished = max(0, batch.calls_closed - of_finished)
    left = max(batch.calls_total - batch.calls_closed, unfinished * calls_per_job - of_unfinished)
    elapsed_s = (now - batch.started_at).total_seconds() - batch.paused_s
    return ceil(left * max(0.0, elapsed_s) / made)
