"""The log of deliveries: who was told what, when, and what they answered."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.errors import NotFoundError
from app.models import Delivery, Event

_TOLD = select(Delivery, Event.type, Event.batch_id).join(
    Event, col(Event.id) == col(Delivery.event_id)
)


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries; None leaves it open."""

    endpoint_id: str | None = None
    batch_id: str | None = None
    event_type: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery, and what it is about."""

    delivery: Delivery
    event_type: str
    batch_id: str | None


def deliveries_of(
    session: Session,
    account_id: str,
    wanted: DeliveryFilter,
    *,
    after: str | None = None,
    limit: int = 50,
) -> list[Told]:
    """An account's deliveries, latest first, before the delivery `after`."""
    query = _TOLD.where(Delivery.account_id == account_id)
    for column, value in (
        (Delivery.endpoint_id, wanted.endpoint_id),
        (Event.batch_id, wanted.batch_id),
        (Event.type, wanted.event_type),
        (Delivery.state, wanted.state),
    ):
        if value is not None:
            query = query.where(col(column) == value)
    if after is not None:
        query = query.where(col(Delivery.id) < after)
    query = query.order_by(sa.desc(col(Delivery.id))).limit(limit)
    return [Told(*row) for row in session.exec(query)]


def delivery_of(session: Session, account_id: str, delivery_id: str) -> Told:
    """One delivery.

    Raises:
        NotFoundError: the account has no such delivery.
    """
    query = _TOLD.where(Delivery.id == delivery_id, Delivery.account_id == account_id)
    row = session.exec(query).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no delivery {delivery_id[:64]!r}")
    return Told(*row)
