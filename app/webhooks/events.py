"""Events: what a client may be told, each written once, with a delivery for each endpoint."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec
from sqlmodel import col, select

from app.db import Store, Tx, insert_once
from app.domain.ids import Prefix, new_id
from app.models import Delivery, Endpoint, Event


class EventType(StrEnum):
    """Names on the wire: OpenAI's where it has one, ours with our own prefix."""

    BATCH_STARTED = "overnight.batch.started"
    BATCH_BUDGET_REACHED = "overnight.batch.budget_reached"
    BATCH_SAMPLE_DONE = "overnight.batch.sample_done"
    BATCH_COMPLETED = "batch.completed"
    BATCH_FAILED = "batch.failed"
    BATCH_EXPIRED = "batch.expired"
    BATCH_CANCELLED = "batch.cancelled"
    LANE_PARKED = "overnight.lane.parked"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened, before it is written.

    Attributes:
        key: the same for the same happening, however often it is recorded.
        data: ids and machine words only: the client fetches the rest.
    """

    type: EventType
    key: str
    data: dict[str, str]
    happened_at: datetime


def batch_event(kind: str, batch_id: str, happened_at: datetime) -> NewEvent:
    """An event that happens to a batch at most once."""
    return NewEvent(EventType(kind), f"{kind}:{batch_id}", {"id": batch_id}, happened_at)


def lane_parked(batch_id: str, lane_id: str, provider: str, parked_at: datetime) -> NewEvent:
    """A lane that a batch waits for was parked; once for each time and batch."""
    key = f"{EventType.LANE_PARKED}:{batch_id}:{lane_id}:{int(parked_at.timestamp())}"
    data = {"id": lane_id, "provider": provider, "batch_id": batch_id}
    return NewEvent(EventType.LANE_PARKED, key, data, parked_at)


def record_event(
    tx: Tx, store: Store, account_id: str, batch_id: str, event: NewEvent
) -> list[str]:
    """Write the event and its deliveries, due now; answers the deliveries to hint.

    An event that is already there is not written again, and nobody is told twice.
    """
    now = store.now(tx)
    row = Event(
        id=new_id(Prefix.EVENT),
        event_key=event.key,
        account_id=account_id,
        batch_id=batch_id,
        type=event.type.value,
        body="",
        created_at=now,
    )
    row.body = _body_of(row.id, event)
    if not insert_once(tx, row):
        return []
    endpoints = tx.exec(
        select(Endpoint.id)
        .where(Endpoint.batch_id == batch_id, Endpoint.account_id == account_id)
        .where(col(Endpoint.disabled_at).is_(None))
    ).all()
    deliveries = [
        Delivery(
            id=new_id(Prefix.DELIVERY),
            event_id=row.id,
            endpoint_id=endpoint_id,
            account_id=account_id,
            due_at=now,
            created_at=now,
        )
        for endpoint_id in endpoints
    ]
    tx.add_all(deliveries)
    tx.flush()
    return [delivery.id for delivery in deliveries]


def _body_of(event_id: str, event: NewEvent) -> str:
    """The exact text that is signed and sent."""
    body = {
        "id": event_id,
        "object": "event",
        "created_at": int(event.happened_at.timestamp()),
        "type": event.type.value,
        "data": event.data,
    }
    return msgspec.json.encode(body).decode()
