"""replay: an endpoint is told again what it was told, or should have been."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlmodel import select

from app.db import Commit, Tx
from app.domain.errors import ConflictError, InvalidRequestError, NotFoundError
from app.domain.states import DeliveryState
from app.models import Delivery, Endpoint
from app.models.base import UTCDateTime
from app.pipeline.endpoints import own_endpoint
from app.pipeline.services import Services
from app.queue import Step, send_after_commit
from app.webhooks.outbox import add_deliveries

REPLAYED_MAX = 5000
_OPEN = {DeliveryState.QUEUED, DeliveryState.SENDING}
#: With what came of telling each before. An endpoint that was disabled then is told now.
_EVENTS = """
SELECT event.id, event.type, MAX(delivery.replay),
  MAX(CASE WHEN delivery.state IN ('queued', 'sending') THEN 1 ELSE 0 END),
  MAX(CASE WHEN delivery.state = 'delivered' THEN 1 ELSE 0 END)
FROM event
LEFT JOIN delivery ON delivery.event_id = event.id AND delivery.endpoint_id = :endpoint
LEFT JOIN batch ON batch.id = event.batch_id
WHERE event.account_id = :account AND event.created_at >= :start AND event.created_at < :end
  AND (event.batch_id = :batch OR (:batch = '' AND COALESCE(batch.interactive, false) = false))
  AND event.id > :after
GROUP BY event.id, event.type ORDER BY event.id LIMIT :n
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Which events are told again.

    Attributes:
        start: those from then on.
        end: and before that; now, if it is None.
        only: `missed` leaves out what the endpoint has taken.
        after: the event to go on after.
    """

    start: datetime
    end: datetime | None = None
    only: Literal["missed", "all"] = "missed"
    after: str = ""


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many events are told again; `after` is where to go on, None if that was all."""

    events: int
    after: str | None


def replay_delivery(services: Services, account_id: str, delivery_id: str) -> str:
    """Tell an endpoint again what a closed delivery told it; answers the new delivery.

    The event's id is the same, so that a receiver which has taken it knows it again.

    Raises:
        NotFoundError: the account has no such delivery.
        ConflictError: it is under way, or its endpoint is disabled.
    """
    with services.store.transaction(Commit.REPLAY) as tx:
        delivery = tx.exec(
            select(Delivery).where(Delivery.id == delivery_id, Delivery.account_id == account_id)
        ).one_or_none()
        if delivery is None:
            raise NotFoundError(f"there is no delivery {delivery_id[:64]!r}")
        endpoint = _enabled(own_endpoint(tx, account_id, delivery.endpoint_id))
        states: dict[int, str] = dict(
            tx.exec(
                select(Delivery.replay, Delivery.state)
                .where(Delivery.event_id == delivery.event_id, Delivery.endpoint_id == endpoint.id)
            ).all()
        )  # fmt: skip
        if _OPEN & {DeliveryState(state) for state in states.values()}:
            raise ConflictError("this event is being delivered to this endpoint already")
        pair = (delivery.event_id, endpoint.id, max(states) + 1)
        [made] = _tell_again(tx, services, account_id, [pair])
    return made


def replay_range(services: Services, account_id: str, endpoint_id: str, span: Span) -> Replayed:
    """Tell an endpoint again of all that happened in a span of time and that it subscribes to.

    Raises:
        NotFoundError: the account has no such endpoint.
        ConflictError: it is disabled.
        InvalidRequestError: the span is none.
    """
    store = services.store
    with store.transaction(Commit.REPLAY) as tx:
        endpoint = _enabled(own_endpoint(tx, account_id, endpoint_id))
        until = span.end or store.now(tx)
        if until <= span.start:
            raise InvalidRequestError("to: is not after from", param="to")
        kinds = set(msgspec.json.decode(endpoint.event_types, type=list[str]))
        rows = _events(tx, services, endpoint, (span.start, until, span.after))
        wanted = [
            (row[0], endpoint.id, 0 if row[2] is None else row[2] + 1)
            for row in rows
            if row[1] in kinds and not row[3] and (span.only == "all" or not row[4])
        ]
        _tell_again(tx, services, account_id, wanted)
    return Replayed(len(wanted), rows[-1][0] if len(rows) == REPLAYED_MAX else None)


def _events(
    tx: Tx, services: Services, endpoint: Endpoint, span: tuple[datetime, datetime, str]
) -> Sequence[Any]:
    start, end, after = span
    moments = [sa.bindparam(name, type_=UTCDateTime()) for name in ("start", "end")]
    statement = services.store.sql(_EVENTS).bindparams(*moments)
    return tx.run(
        statement,
        {
            "account": endpoint.account_id,
            "endpoint": endpoint.id,
            "batch": endpoint.batch_id or "",
            "start": start,
            "end": end,
            "after": after,
            "n": REPLAYED_MAX,
        },
    ).all()


def _enabled(endpoint: Endpoint) -> Endpoint:
    if endpoint.disabled_at is not None:
        raise ConflictError("the endpoint is disabled; enable it first")
    return endpoint


def _tell_again(
    tx: Tx, services: Services, account_id: str, pairs: Sequence[tuple[str, str, int]]
) -> list[str]:
    made = add_deliveries(tx, services.store, account_id, pairs, services.store.now(tx))
    if made:
        send_after_commit(tx, services.queue, Step.DELIVER)
    return made
