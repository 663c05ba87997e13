"""The outbox: events and their deliveries, written in the transaction of what they tell."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from app.db import Store, Tx, insert_once
from app.domain.ids import Prefix, new_id, new_ids
from app.models import Delivery, Event
from app.webhooks.events import (
    BATCH_COLUMNS,
    ON_REQUEST,
    EventType,
    NewEvent,
    batch_state,
    body_of,
)

#: Of batches that somebody waits for at the other end of a request, an account is not told.
_SUBSCRIBED = """
SELECT id FROM endpoint
WHERE account_id = :account AND batch_id IS NULL AND event_types LIKE :type
  AND disabled_at IS NULL AND deleted_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM batch WHERE batch.id = :batch AND interactive)
UNION ALL
SELECT id FROM endpoint
WHERE batch_id = :batch AND account_id = :account AND event_types LIKE :type
  AND disabled_at IS NULL AND deleted_at IS NULL
"""
_NEXT_SEQ = f"""
UPDATE batch SET event_seq = event_seq + :n WHERE id = :batch RETURNING {", ".join(BATCH_COLUMNS)}
"""  # noqa: S608 - our own names
_CUSTOM_IDS = "SELECT job.id, job.custom_id FROM {rows(id text)} {join} job ON job.id = d.id"
_EVENT_COLUMNS = ("id", "event_key", "account_id", "batch_id", "type", "body", "created_at")
_DELIVERY_COLUMNS = (
    "id", "event_id", "endpoint_id", "account_id", "replay", "state", "due_at", "attempts",
    "epoch", "answers", "created_at",
)  # fmt: skip


def record_event(
    tx: Tx, store: Store, account_id: str, batch_id: str | None, event: NewEvent
) -> list[str]:
    """Write the event and its deliveries, due now; answers the deliveries.

    An event that is already there is not written again, and nobody is told twice. One that is
    told on request only is not written where nobody asked.
    """
    told = subscribers(tx, store, account_id, batch_id, event.type)
    if not told and event.type in ON_REQUEST:
        return []
    now, event_id = store.now(tx), new_id(Prefix.EVENT)
    data = dict(event.data)
    if event.shows_batch and batch_id is not None:
        data |= batch_state(_next_seq(tx, store, batch_id))
    row = Event(
        id=event_id,
        event_key=event.key,
        account_id=account_id,
        batch_id=batch_id,
        type=event.type.value,
        body=body_of(event_id, event.type, event.happened_at, data),
        created_at=now,
    )
    if not insert_once(tx, row):
        return []
    return add_deliveries(tx, store, account_id, [(event_id, one, 0) for one in told], now)


def record_closed_jobs(
    tx: Tx, store: Store, account_id: str, batch_id: str, closed: Mapping[str, str]
) -> list[str]:
    """Tell who asked for it of jobs that have just closed, by id and state; all in one insert."""
    kind = EventType.JOB_COMPLETED
    told = subscribers(tx, store, account_id, batch_id, kind)
    if not told or not closed:
        return []
    rows = msgspec.json.encode([{"id": id_} for id_ in sorted(closed)]).decode()
    jobs = tx.fast(store.sql(_CUSTOM_IDS), {"rows": rows})
    now, ids = store.now(tx), new_ids(Prefix.EVENT, len(jobs))
    seq = _next_seq(tx, store, batch_id, len(jobs))[0] - len(jobs)
    events = []
    for n, (event_id, (job_id, custom_id)) in enumerate(zip(ids, jobs, strict=True), start=1):
        about = {"id": job_id, "batch_id": batch_id, "custom_id": custom_id}
        data = about | {"state": closed[job_id], "seq": seq + n}
        body = body_of(event_id, kind, now, data)
        key = f"{kind}:{job_id}"
        events.append((event_id, key, account_id, batch_id, kind.value, body, now))
    store.insert_rows(tx, Event, _EVENT_COLUMNS, events)
    pairs = [(event_id, one, 0) for event_id in ids for one in told]
    return add_deliveries(tx, store, account_id, pairs, now)


def add_deliveries(
    tx: Tx,
    store: Store,
    account_id: str,
    pairs: Sequence[tuple[str, str, int]],
    now: datetime,
) -> list[str]:
    """Have endpoints told events, due now: each an event, an endpoint, and which replay it is."""
    ids = new_ids(Prefix.DELIVERY, len(pairs))
    rows = [
        (id_, *pair[:2], account_id, pair[2], "queued", now, 0, 0, "[]", now)
        for id_, pair in zip(ids, pairs, strict=True)
    ]
    if rows:
        store.insert_rows(tx, Delivery, _DELIVERY_COLUMNS, rows)
    return ids


def subscribers(
    tx: Tx, store: Store, account_id: str, batch_id: str | None, kind: EventType
) -> list[str]:
    """The endpoints that are told such an event, if it happens now."""
    values = {"account": account_id, "batch": batch_id or "", "type": f'%"{kind.value}"%'}
    return sorted(row[0] for row in tx.run(store.sql(_SUBSCRIBED), values))


def _next_seq(tx: Tx, store: Store, batch_id: str, n: int = 1) -> tuple[Any, ...]:
    return tuple(tx.run(store.sql(_NEXT_SEQ), {"batch": batch_id, "n": n}).one())
