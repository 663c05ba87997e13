"""Queries of lists. A parameter that no route has is refused, never ignored."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.deps import id_pattern
from app.domain.ids import Prefix
from app.domain.states import DeliveryState
from app.webhooks.events import EventType

PAGE_MAX = 200


class Query(BaseModel):
    """A query."""

    model_config = ConfigDict(extra="forbid")


class BatchesQuery(Query):
    """A page of batches: those submitted before the batch `after`."""

    limit: int = Field(default=20, ge=1, le=PAGE_MAX)
    after: Annotated[str, StringConstraints(pattern=id_pattern(Prefix.BATCH))] | None = None


class TransactionsQuery(Query):
    """A page of movements: those before the entry `after`."""

    limit: int = Field(default=50, ge=1, le=PAGE_MAX)
    after: Annotated[str, StringConstraints(pattern=id_pattern(Prefix.LEDGER_ENTRY))] | None = None


class AuditQuery(Query):
    """A page of the audit log: what was done before the entry `after`."""

    limit: int = Field(default=50, ge=1, le=PAGE_MAX)
    after: Annotated[str, StringConstraints(pattern=id_pattern(Prefix.AUDIT_ENTRY))] | None = None


class ApiKeysQuery(Query):
    """A page of API keys: those made before the key `after`."""

    limit: int = Field(default=50, ge=1, le=PAGE_MAX)
    after: Annotated[str, StringConstraints(pattern=id_pattern(Prefix.API_KEY))] | None = None


class DeliveriesQuery(Query):
    """A page of the log of deliveries: those before the delivery `after`, and all that is named."""

    limit: int = Field(default=50, ge=1, le=PAGE_MAX)
    after: Annotated[str, StringConstraints(pattern=id_pattern(Prefix.DELIVERY))] | None = None
    endpoint_id: Annotated[str, StringConstraints(pattern=id_pattern(Prefix.ENDPOINT))] | None = (
        None
    )
    batch_id: Annotated[str, StringConstraints(pattern=id_pattern(Prefix.BATCH))] | None = None
    event_type: EventType | None = None
    state: DeliveryState | None = None
