"""The grouped writer's one transaction: everything that follows from a group of attempts.

The fence comes first: only calls this worker still holds, at the epoch it claimed, are
written at all. Then in lock order calls, jobs, batches, accounts, each by id.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from app.billing.budget import Settlement, settle_many
from app.billing.captures import Capture, capture_many
from app.db import Commit, Store, Tx, in_ms
from app.domain.states import Billed, EndReason
from app.models import StoredCompletion, StoredText, UsageRow
from app.pipeline.calls import TEXT_COLUMNS, announce
from app.pipeline.outcomes import Finished
from app.pipeline.services import Services
from app.pipeline.stop import count_first, ends_of
from app.pipeline.tell import tell
from app.queue import Step, send_after_commit
from app.webhooks.events import EventType, batch_event

#: A message that advances jobs names so many at most.
_HINTED = 200
#: An opaque CASE: with fresh statistics the planner believes that no row is 'sending', and
#: would begin with them.
_FENCE = """
WITH c AS MATERIALIZED (
  SELECT call.id AS call_id, d.* FROM
    {rows(id text, epoch int, worker_id text, state text, closes int, delay_ms bigint, failed int, unknown int,
          crashed int, wait_reason text, waiting int, reason text, message text)}
  {join} call ON call.id = d.id
  WHERE call.epoch = d.epoch AND call.worker_id = d.worker_id
    AND CASE WHEN call.state = 'sending' THEN 1 ELSE 0 END = 1
  ORDER BY call.id {lock}
)
UPDATE call SET state = c.state, worker_id = NULL,
  attempts = attempts + c.failed, unknowns = unknowns + c.unknown,
  crash_count = crash_count + c.crashed, wait_reason = c.wait_reason,
  waiting_since = CASE WHEN c.waiting = 1 THEN COALESCE(waiting_since, {now})
                       WHEN c.closes = 1 THEN NULL ELSE waiting_since END,
  due_at = CASE WHEN c.closes = 1 THEN due_at ELSE {after_ms(c.delay_ms)} END,
  reason = c.reason, message = c.message,
  closed_at = CASE WHEN c.closes = 1 THEN {now} END
FROM c WHERE call.id = c.call_id
RETURNING call.id, {now}
"""
_CLOSE_ATTEMPTS = """
UPDATE attempt SET state = d.state, finished_at = {now}, status_code = d.status_code,
  reason = d.reason, message = d.message, request_id = d.request_id, latency_ms = d.latency_ms
FROM {rows(id text, epoch int, state text, status_code int, reason text, message text,
           request_id text, latency_ms int)}
WHERE attempt.call_id = d.id AND attempt.epoch = d.epoch
"""
COUNT_DOWN = """
WITH j AS MATERIALIZED (
  SELECT job.id AS job_id, d.n FROM {rows(id text, n int)} {join} job ON job.id = d.id
  ORDER BY job.id {lock}
)
UPDATE job SET outstanding = outstanding - j.n FROM j WHERE job.id = j.job_id
RETURNING job.id, job.batch_id, job.outstanding
"""
_END_EARLY = """
UPDATE batch SET ending = :why WHERE id = :id AND closed_at IS NULL AND ending IS NULL
RETURNING account_id
"""
_COMPLETION_COLUMNS = (
    "call_id", "epoch", "finish_reason", "model_returned", "latency_ms", "flags", "created_at",
)  # fmt: skip
_USAGE_COLUMNS = (
    "call_id", "account_id", "batch_id", "lane_id", "provider", "model", "label", "role", "billed",
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "estimated", "cost_nanos", "price_version", "latency_ms", "raw", "created_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the writer tells the pump: which calls passed the fence, and batches over budget."""

    written: frozenset[str]
    overrun: tuple[str, ...] = ()


def record(services: Services, group: Sequence[Finished]) -> Recorded:
    """Write a group of finished attempts in one transaction.

    Calls that their worker no longer holds are left alone: somebody else has them, or closed
    them.
    """
    with services.store.transaction(Commit.RECORD) as tx:
        return _record(tx, services, group)


def _record(tx: Tx, services: Services, group: Sequence[Finished]) -> Recorded:
    store = services.store
    rows = tx.fast(store.sql(_FENCE), {"rows": _json(map(_fence_row, group))})
    if not rows:
        return Recorded(frozenset())
    written = frozenset(row[0] for row in rows)
    kept = sorted((one for one in group if one.call.id in written), key=lambda one: one.call.id)
    _insert_answers(tx, store, kept, rows[0][1])
    tx.fast(store.sql(_CLOSE_ATTEMPTS), {"rows": _json(map(_attempt_row, kept))})
    closed = Counter(one.call.job_id for one in kept if one.closes)
    ready = count_down(tx, store, closed)
    settled = settle_many(tx, store, [_settlement(one) for one in kept])
    overrun = {*settled.overrun, *_capture(tx, store, kept)}
    came = [one for one in group if one.call.id in written]
    stopped = count_first(tx, store, settled.first_left, ends_of(came))
    announce(tx, store, _waiting_rows(kept))
    hint_ready(tx, services, ready)
    if overrun:
        end_early(tx, services, sorted(overrun), EndReason.BUDGET_EXHAUSTED)
    if stopped:
        end_early(tx, services, stopped, EndReason.TOO_MANY_FAILED)
    return Recorded(written, tuple(sorted(overrun)))


def count_down(tx: Tx, store: Store, closed: Counter[str]) -> list[tuple[str, str]]:
    """Take closed calls off their jobs' countdowns; answers (batch, job) of those at zero."""
    if not closed:
        return []
    counts = [{"id": job_id, "n": n} for job_id, n in sorted(closed.items())]
    rows = tx.fast(store.sql(COUNT_DOWN), {"rows": _json(counts)})
    return [(row[1], row[0]) for row in rows if row[2] == 0]


def hint_ready(tx: Tx, services: Services, ready: Sequence[tuple[str, str]]) -> None:
    """Send jobs whose round is done on to their mode's step, in a group per batch."""
    by_batch: dict[str, list[str]] = {}
    for batch_id, job_id in ready:
        by_batch.setdefault(batch_id, []).append(job_id)
    for batch_id, mode in _modes_of(tx, services.store, list(by_batch)):
        hint_jobs(tx, services, batch_id, mode, by_batch[batch_id])


def hint_jobs(tx: Tx, services: Services, batch_id: str, mode: str, job_ids: Sequence[str]) -> None:
    """Send jobs of one batch whose round is done on to their mode's step."""
    for start in range(0, len(job_ids), _HINTED):
        group = job_ids[start : start + _HINTED]
        send_after_commit(tx, services.queue, step_of(mode), batch_id, *group)


def step_of(mode: str) -> Step:
    """The step that advances jobs of a mode: its own, or the one of all that have none."""
    return {"judge": Step.JUDGE, "blend": Step.BLEND}.get(mode, Step.ADVANCE)


def _modes_of(tx: Tx, store: Store, batch_ids: Sequence[str]) -> list[tuple[str, str]]:
    if not batch_ids:
        return []
    statement = "SELECT batch.id, batch.mode FROM {rows(id text)} {join} batch ON batch.id = d.id"
    rows = tx.fast(store.sql(statement), {"rows": _json({"id": id_} for id_ in batch_ids)})
    return [(row[0], row[1]) for row in rows]


def end_early(tx: Tx, services: Services, batch_ids: Sequence[str], why: EndReason) -> None:
    """Nothing of these batches is claimed any more; `reconcile` closes what is open."""
    for batch_id in sorted(batch_ids):
        ended = tx.run(
            services.store.sql(_END_EARLY), {"id": batch_id, "why": why.value}
        ).one_or_none()
        if ended is not None and why is EndReason.BUDGET_EXHAUSTED:
            event = batch_event(EventType.BATCH_BUDGET_REACHED, batch_id, services.store.now(tx))
            tell(tx, services, ended[0], batch_id, event)
    send_after_commit(tx, services.queue, Step.RECONCILE)


def _json(rows: Any) -> str:
    return msgspec.json.encode(list(rows)).decode()


def _fence_row(one: Finished) -> dict[str, Any]:
    return {
        "id": one.call.id,
        "epoch": one.call.epoch,
        "worker_id": one.call.worker_id,
        "state": one.state.value,
        "closes": int(one.closes),
        "delay_ms": in_ms(one.delay_s),
        "failed": one.failed,
        "unknown": one.unknown,
        "crashed": one.crashed,
        "wait_reason": None if one.closes else one.wait_reason,
        "waiting": int(one.waiting and not one.closes),
        "reason": one.reason,
        "message": one.message,
    }


def _attempt_row(one: Finished) -> dict[str, Any]:
    return {
        "id": one.call.id,
        "epoch": one.call.epoch,
        "state": one.attempt_state.value,
        "status_code": one.status_code,
        "reason": one.reason,
        "message": one.message,
        "request_id": one.request_id,
        "latency_ms": one.latency_ms,
    }


def _insert_answers(tx: Tx, store: Store, kept: Sequence[Finished], now: Any) -> None:
    answered = [one for one in kept if one.completion is not None]
    if not answered:
        return
    store.insert_rows(
        tx, StoredCompletion, _COMPLETION_COLUMNS, [_completion_row(one, now) for one in answered]
    )
    store.insert_rows(tx, UsageRow, _USAGE_COLUMNS, [_usage_row(one, now) for one in answered])
    store.insert_rows(
        tx, StoredText, TEXT_COLUMNS, [row for one in answered for row in _text_rows(one)]
    )


def _completion_row(one: Finished, now: Any) -> tuple[Any, ...]:
    completion = one.completion
    assert completion is not None  # noqa: S101 - the caller has filtered
    flags = ",".join(completion.flags) or None
    # fmt: off
    return (
        one.call.id, one.call.epoch, completion.finish_reason.value, completion.model_returned,
        one.latency_ms, flags, now,
    )
    # fmt: on


def _usage_row(one: Finished, now: Any) -> tuple[Any, ...]:
    call, completion = one.call, one.completion
    assert completion is not None  # noqa: S101 - the caller has filtered
    usage = completion.usage
    # fmt: off
    return (
        call.id, call.account_id, call.batch_id, call.lane_id, call.provider, call.model,
        call.label, call.role.value, call.billed.value,
        usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens,
        usage.output_tokens, usage.reasoning_tokens, usage.estimated,
        one.cost_nanos, one.price_version, one.latency_ms, completion.usage_raw, now,
    )
    # fmt: on


def _text_rows(one: Finished) -> list[tuple[str, str, str, str]]:
    call, completion = one.call, one.completion
    assert completion is not None  # noqa: S101 - the caller has filtered
    rows = [(call.id, "answer", call.batch_id, completion.text)]
    extra = {"reasoning": completion.reasoning, "tool_calls": completion.tool_calls}
    if any(extra.values()):
        rows.append((call.id, "extra", call.batch_id, msgspec.json.encode(extra).decode()))
    return rows


def _settlement(one: Finished) -> Settlement:
    """What the batch's budget learns: the reservation ends, and money may have been spent."""
    worst = one.call.worst_nanos or 0
    return Settlement(
        batch_id=one.call.batch_id,
        reserved_nanos=worst,
        spent_nanos=one.cost_nanos or 0,
        unpriced_calls=int(one.completion is not None and one.cost_nanos is None),
        unknown_attempts=one.unknown,
        possible_duplicate_nanos=worst if one.unknown else 0,
        calls_closed=int(one.closes),
    )


def _capture(tx: Tx, store: Store, kept: Sequence[Finished]) -> list[str]:
    captures = [
        Capture(
            account_id=one.call.account_id,
            batch_id=one.call.batch_id,
            call_id=one.call.id,
            amount_nanos=one.cost_nanos,
            price_version=one.price_version,
            note=one.completion.usage_raw if one.completion else None,
        )
        for one in kept
        if one.call.billed is Billed.CREDITS and one.cost_nanos
    ]
    return capture_many(tx, store, captures) if captures else []


def _waiting_rows(kept: Sequence[Finished]) -> list[tuple[str, str, str, str, int]]:
    """The soonest that each lane, model and batch has something due again."""
    soonest: dict[tuple[str, str, str, str], int] = {}
    for one in kept:
        if not one.closes:
            call = one.call
            key = (call.lane_id, call.model, call.batch_id, call.account_id)
            soonest[key] = min(soonest.get(key, 2**62), in_ms(one.delay_s))
    return [(*key, delay_ms) for key, delay_ms in sorted(soonest.items())]
