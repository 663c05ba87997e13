"""dispatch: claiming what is due. The pump in `workers` turns; this is its turn.

A claim is one transaction: calls are taken and their attempts written, and last, by the lock
order, their worst case is reserved on the batch's budget. If that does not fit, nothing was
claimed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from sqlmodel import select

from app.billing.budget import reserve
from app.billing.pricing import price_of
from app.db import Commit, Store, Tx
from app.domain.plan import Plan
from app.domain.prompt import Messages, Params, Prompt
from app.domain.states import EndReason, Role
from app.models import Batch, BatchSpec
from app.pipeline.backlog import Entry
from app.pipeline.calls import CallRequest
from app.pipeline.lanes import params_for, params_of
from app.pipeline.outcomes import ClaimedCall
from app.pipeline.record import end_early
from app.pipeline.services import Services

_CLAIM = """
WITH c AS MATERIALIZED (
  SELECT id FROM call
  WHERE lane_id = :lane AND model = :model AND batch_id = :batch AND state = 'queued'
    AND due_at <= {now}
    AND EXISTS (SELECT 1 FROM lane WHERE lane.id = :lane AND lane.state = 'open')
    AND EXISTS (SELECT 1 FROM worker WHERE worker.id = :worker AND worker.lease_until > {now})
  ORDER BY rank, id LIMIT :n {skip_locked}
)
UPDATE call SET state = 'sending', epoch = epoch + 1, worker_id = :worker
FROM c WHERE call.id = c.id
RETURNING call.id, call.epoch, call.job_id, call.account_id, call.label, call.role,
  call.attempts, call.unknowns, call.crash_count, {age_s(call.waiting_since)}, call.max_tokens,
  call.tokens_bound, call.worst_nanos, call.rank, call.fail_fast,
  (SELECT lane.base_url FROM lane WHERE lane.id = :lane),
  (SELECT provider_key.id FROM provider_key WHERE provider_key.lane_id = :lane)
"""
_WRITE_ATTEMPTS = """
INSERT INTO attempt (call_id, epoch, worker_id, state, started_at, worst_nanos)
SELECT d.id, d.epoch, :worker, 'sending', {now}, d.worst
FROM {rows(id text, epoch int, worst bigint)}
"""
_TEXTS = """
SELECT t.owner_id, t.body FROM {rows(id text, kind text)}
{join} stored_text t ON t.owner_id = d.id AND t.kind = d.kind
"""
#: Why a claim found nothing: because there is nothing, or because this may not send.
_GUARD = """
SELECT EXISTS (SELECT 1 FROM lane WHERE lane.id = :lane AND lane.state = 'open')
  AND EXISTS (SELECT 1 FROM worker WHERE worker.id = :worker AND worker.lease_until > {now})
"""


#: Where `rank` stands in a claimed row.
_RANK = 13
#: Modes whose calls all ask their job's prompt with their variant's parameters.
_PLAIN_MODES = frozenset({"chat", "compare"})


class Prepared(msgspec.Struct):
    """A claimed call with what it asks and what it may be sent with."""

    call: ClaimedCall
    messages: Messages
    params: Params
    base_url: str | None
    provider_key_id: str | None


class Room(StrEnum):
    """Why a claim got fewer than it asked for."""

    EXHAUSTED = "exhausted"  # nothing more is due just now
    BUDGET = "budget"  # the budget has no room until calls in flight come back
    STOPPED = "stopped"  # the batch, the lane or this worker may not send


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim got; `short` says why it got fewer than were asked for."""

    calls: Sequence[Prepared]
    short: Room | None = None


def claim(services: Services, worker_id: str, entry: Entry, wanted: int) -> Claim:
    """Claim up to `wanted` due calls of one entry, and reserve what they may cost."""
    store = services.store
    # The first look-up of a vendor's price takes a while, which here stops no loop.
    price_of(entry.provider, entry.model)
    while True:
        try:
            with store.transaction(Commit.CLAIM) as tx:
                calls = _claim_in(tx, store, worker_id, entry, wanted)
        except _NoRoomError as refusal:
            if refusal.fits == 0:
                return _refused(services, entry)
            wanted = refusal.fits
            continue
        except _StoppedError:
            return Claim((), Room.STOPPED)
        return Claim(calls, Room.EXHAUSTED if len(calls) < wanted else None)


class _StoppedError(Exception):
    """The lane is not open, or this worker's lease has passed."""


class _NoRoomError(Exception):
    """The budget has room for the first `fits` of the calls."""

    def __init__(self, fits: int) -> None:
        super().__init__(fits)
        self.fits = fits


def _claim_in(tx: Tx, store: Store, worker_id: str, entry: Entry, wanted: int) -> list[Prepared]:
    who = {"lane": entry.lane_id, "worker": worker_id}
    names = {**who, "model": entry.model, "batch": entry.batch_id, "n": wanted}
    rows = tx.fast(store.sql(_CLAIM), names)
    if not rows:
        if not tx.fast(store.sql(_GUARD), who)[0][0]:
            raise _StoppedError
        return []
    rows.sort(key=lambda row: (row[_RANK], row[0]))
    calls = [_claimed(entry, worker_id, row) for row in rows]
    written = [{"id": one.id, "epoch": one.epoch, "worst": one.worst_nanos} for one in calls]
    tx.fast(store.sql(_WRITE_ATTEMPTS), {"worker": worker_id, "rows": _json(written)})
    base_url, key_id = rows[0][-2:]
    prepared = _prepare(tx, store, entry, calls, base_url=base_url, key_id=key_id)
    worst = sum(one.worst_nanos or 0 for one in calls)
    if not reserve(tx, store, entry.batch_id, worst):
        raise _NoRoomError(_fitting(tx, entry.batch_id, calls))
    return prepared


def _claimed(entry: Entry, worker_id: str, row: Sequence[Any]) -> ClaimedCall:
    (id_, epoch, job, account, label, role, attempts, unknowns, crashes, waited_s, max_tokens,
     tokens, worst, _, fail_fast, _, _) = row  # fmt: skip
    return ClaimedCall(
        id_, epoch, job, entry.batch_id, account, entry.lane_id, entry.provider, entry.model,
        label, Role(role), entry.billed, attempts, unknowns, crashes, float(waited_s or 0),
        max_tokens, tokens, worst, worker_id, fail_fast=bool(fail_fast), interactive=entry.interactive,
    )  # fmt: skip


def _fitting(tx: Tx, batch_id: str, calls: Sequence[ClaimedCall]) -> int:
    """How many of the calls, in their order, the budget has room for.

    Raises:
        _StoppedError: it was not the budget that refused.
    """
    batch = tx.get(Batch, batch_id, populate_existing=True)
    if batch is None or batch.cap_nanos is None or batch.ending or batch.paused:
        raise _StoppedError
    room = batch.cap_nanos - batch.reserved_nanos - batch.spent_nanos
    fits = 0
    for call in calls[:-1]:  # not all of them did
        room -= call.worst_nanos or 0
        if room < 0:
            break
        fits += 1
    return fits


def _refused(services: Services, entry: Entry) -> Claim:
    """The budget has no room for a single call: wait for those in flight, or end the batch."""
    store = services.store
    with store.transaction(Commit.BUDGET) as tx:
        batch = tx.exec(
            select(Batch).where(Batch.id == entry.batch_id).with_for_update(key_share=True)
        ).one()
        if batch.reserved_nanos == 0 and batch.ending is None:
            end_early(tx, services, [batch.id], EndReason.BUDGET_EXHAUSTED)
            return Claim((), Room.STOPPED)
    return Claim((), Room.BUDGET)


def _prepare(
    tx: Tx,
    store: Store,
    entry: Entry,
    calls: Sequence[ClaimedCall],
    *,
    base_url: str | None,
    key_id: str | None,
) -> list[Prepared]:
    """Read what the calls ask: each its own request, or its job's prompt as its variant does."""
    facts = _facts_of(tx, entry.batch_id)
    plain = entry.mode in _PLAIN_MODES and not facts.is_mixed
    requests = {} if plain else _texts(tx, store, [one.id for one in calls], "request")
    prompts = _texts(tx, store, sorted({one.job_id for one in calls}), "prompt")
    prepared = []
    for one in calls:
        one.at_most_once = facts.at_most_once
        body = requests.get(one.id)
        request = msgspec.json.decode(body, type=CallRequest) if body else None
        if request is None or request.messages is None:
            prompt = msgspec.json.decode(prompts[one.job_id], type=Prompt)
            request = _request_of(facts, one, prompt, request)
        prepared.append(Prepared(one, request.messages or [], request.params, base_url, key_id))
    return prepared


def _request_of(
    facts: "_Facts", call: ClaimedCall, prompt: Prompt, request: CallRequest | None
) -> CallRequest:
    """What a call asks that asks its job's prompt."""
    params = params_for(facts.params, call.role, call.label, prompt)
    if request is not None:
        params = request.params
    assert params is not None  # noqa: S101 - what a plan does not name is stored with its call
    return CallRequest(prompt.messages, params)


def _texts(tx: Tx, store: Store, owners: Sequence[str], kind: str) -> dict[str, str]:
    wanted = _json([{"id": owner, "kind": kind} for owner in owners])
    return {row[0]: row[1] for row in tx.fast(store.sql(_TEXTS), {"rows": wanted})}


@dataclass(frozen=True, slots=True)
class _Facts:
    """What of a batch never changes, and every claim of it needs."""

    at_most_once: bool
    is_mixed: bool  # its jobs follow several plans
    params: Mapping[tuple[Role, str], Params]


_facts: dict[str, _Facts] = {}
_FACTS_KEPT = 256


def _facts_of(tx: Tx, batch_id: str) -> _Facts:
    known = _facts.get(batch_id)
    if known is None:
        plan = msgspec.json.decode(tx.get_one(BatchSpec, batch_id).plan, type=Plan)
        once = tx.get_one(Batch, batch_id).at_most_once
        known = _Facts(once, bool(plan.others), params_of(plan))
        if len(_facts) >= _FACTS_KEPT:
            _facts.clear()
        _facts[batch_id] = known
    return known


def _json(rows: object) -> str:
    return msgspec.json.encode(rows).decode()
