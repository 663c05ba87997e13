"""Views of webhooks: endpoints, tests, and the log of deliveries."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from app.models import Endpoint
from app.pipeline.endpoints import Keyed
from app.pipeline.try_endpoint import Tried
from app.reports.deliveries import Told


class NewEndpointBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new endpoint. Without event types, all that are not told on request only."""

    url: str
    name: str = ""
    event_types: list[str] | None = None
    secret: str | None = None
    enabled: bool = True


class EndpointBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of an endpoint; what is left out stays."""

    url: str | None = None
    name: str | None = None
    event_types: list[str] | None = None
    enabled: bool | None = None


class RotateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the secret before it signs as well for 24 hours."""

    keep_old: bool = True


class TestBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which event a test sends a sample of."""

    event_type: str = "batch.completed"


class ReplayBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events are told again: what happened from then on, and before `to` if it is given.

    `missed` leaves out what the endpoint has taken.
    """

    start: Annotated[datetime, msgspec.Meta(tz=True)] = msgspec.field(name="from")
    to: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    only: Literal["missed", "all"] = "missed"
    after: str | None = None


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. `failing_since` is the first failure after its last success."""

    id: str
    name: str
    url: str
    batch_id: str | None
    event_types: list[str]
    secret_hint: str | None
    old_secret_until: datetime | None
    created_at: datetime
    updated_at: datetime | None
    enabled: bool
    disabled_at: datetime | None
    disabled_reason: str | None
    failing_since: datetime | None
    failures: int
    object: Literal["webhook"] = "webhook"

    @classmethod
    def of(cls, row: Endpoint) -> "EndpointView":
        """The view of an endpoint."""
        return cls(**_shown(row))


class EndpointSecretView(EndpointView, frozen=True, kw_only=True):
    """An endpoint with its secret, which is shown this once."""

    secret: str

    @classmethod
    def with_secret(cls, keyed: Keyed) -> "EndpointSecretView":
        """The view of an endpoint whose secret is new."""
        return cls(**_shown(keyed.endpoint), secret=keyed.secret.reveal())


def _shown(row: Endpoint) -> dict[str, Any]:
    same = (
        "id", "name", "url", "batch_id", "secret_hint", "created_at", "updated_at",
        "disabled_at", "disabled_reason", "failing_since", "failures",
    )  # fmt: skip
    return {
        **{name: getattr(row, name) for name in same},
        "event_types": msgspec.json.decode(row.event_types),
        "old_secret_until": row.old_secret_until if row.old_secret_sealed else None,
        "enabled": row.disabled_at is None,
    }


class EndpointList(msgspec.Struct, frozen=True):
    """The account's endpoints, the oldest first."""

    data: list[EndpointView]
    object: Literal["list"] = "list"


class EventTypeList(msgspec.Struct, frozen=True):
    """Every event type, and those that an endpoint is told which names none."""

    data: list[str]
    default: list[str]
    object: Literal["list"] = "list"


class TestView(msgspec.Struct, frozen=True):
    """What an endpoint answered to a test; no status where it did not answer."""

    endpoint_id: str
    event_id: str
    event_type: str
    delivered: bool
    status_code: int | None
    error: str | None
    response_head: str | None
    latency_ms: int
    object: Literal["webhook.test"] = "webhook.test"

    @classmethod
    def of(cls, tried: Tried) -> "TestView":
        """The view of a test."""
        answer = tried.answer
        return cls(
            tried.endpoint_id,
            tried.event_id,
            tried.event_type.value,
            answer.is_taken,
            answer.status_code,
            answer.error,
            answer.head,
            tried.latency_ms,
        )


class AnswerView(msgspec.Struct, frozen=True):
    """What one attempt came to, with the first characters of the answer."""

    attempt: int
    at: datetime
    status_code: int | None
    error: str | None
    response_head: str | None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint being told one event. `due_at` is the next attempt, while there is one."""

    id: str
    endpoint_id: str
    event_id: str
    event_type: str
    batch_id: str | None
    replay: int
    state: str
    attempts: int
    due_at: datetime | None
    created_at: datetime
    closed_at: datetime | None
    status_code: int | None
    error: str | None
    answers: list[AnswerView]
    object: Literal["webhook.delivery"] = "webhook.delivery"

    @classmethod
    def of(cls, told: Told) -> "DeliveryView":
        """The view of a delivery."""
        row = told.delivery
        return cls(
            id=row.id,
            endpoint_id=row.endpoint_id,
            event_id=row.event_id,
            event_type=told.event_type,
            batch_id=told.batch_id,
            replay=row.replay,
            state=row.state,
            attempts=row.attempts,
            due_at=row.due_at if row.state == "queued" else None,
            created_at=row.created_at,
            closed_at=row.closed_at,
            status_code=row.status_code,
            error=row.error,
            answers=msgspec.json.decode(row.answers, type=list[AnswerView]),
        )


class DeliveryPage(msgspec.Struct, frozen=True):
    """Deliveries, latest first. `next` is the `after` of the next page; null at the end."""

    data: list[DeliveryView]
    next: str | None
    object: Literal["list"] = "list"


class ReplayView(msgspec.Struct, frozen=True):
    """How many events are told again; if `next` is not null, go on with it as `after`."""

    replayed: int
    next: str | None
    object: Literal["webhook.replay"] = "webhook.replay"


SHAPES: tuple[type, ...] = (
    DeliveryPage,
    DeliveryView,
    EndpointBody,
    EndpointList,
    EndpointSecretView,
    EndpointView,
    EventTypeList,
    NewEndpointBody,
    ReplayBody,
    ReplayView,
    RotateBody,
    TestBody,
    TestView,
)
