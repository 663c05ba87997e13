"""Queries of lists. A parameter that no route has is refused, never ignored."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.deps import id_pattern
from app.domain.ids import Prefix
from app.domain.spec import MetadataKey, MetadataValue
from app.domain.states import BatchState, DeliveryState
from app.webhooks.events import EventType

PAGE_MAX = 200
_PAIRS_MAX = 4
_PAIR = re.compile(r"metadata\[(.+)\]", re.DOTALL)
_NO_NUL = r"^[^\x00]*$"


class Query(BaseModel):
    """A query."""

    model_config = ConfigDict(extra="forbid")


class BatchesQuery(Query):
    """A page of batches: those submitted before the batch `after`, and all that is named.

    Several states are any of them; several pairs of metadata, `metadata[team]=search`, all of them.
    """

    limit: int = Field(default=20, ge=1, le=PAGE_MAX)
    after: Annotated[str, StringConstraints(pattern=id_pattern(Prefix.BATCH))] | None = None
    name: Annotated[str, StringConstraints(max_length=200, pattern=_NO_NUL)] | None = None
    state: list[BatchState] = Field(default=[], max_length=len(BatchState))
    metadata: dict[
        Annotated[MetadataKey, StringConstraints(pattern=_NO_NUL)],
        Annotated[MetadataValue, StringConstraints(pattern=_NO_NUL)],
    ] = Field(default={}, max_length=_PAIRS_MAX)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        """`metadata[team]=search` as the pair it is (OpenAPI's `deepObject`)."""
        if not isinstance(given, dict):
            return given
        pairs = {name: _PAIR.fullmatch(name) for name in given}
        rest = {name: value for name, value in given.items() if pairs[name] is None}
        if "metadata" in rest and not isinstance(rest["metadata"], dict):
            raise ValueError("metadata: name a pair, metadata[team]=search")
        found = {match[1]: given[name] for name, match in pairs.items() if match is not None}
        return {**rest, "metadata": found} if found else rest


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
