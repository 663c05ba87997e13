"""Webhook endpoints as OpenAI's clients manage them: `openai.resources.webhooks`, 3.54.0."""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Response
from fastapi import Query as QueryParameters
from pydantic import Field

from api.answers import answer
from api.body import SMALL_BYTES_MAX, Body, body_of, decode
from api.deps import Admin, EndpointId, WithServices
from api.openai.shapes import seconds, told
from api.v1.queries import Query
from app.accounts.api_keys import Principal
from app.domain.errors import InvalidRequestError
from app.models import Endpoint
from app.pipeline.endpoints import (
    EndpointSetting,
    Owner,
    create_endpoint,
    delete_endpoint,
    own_endpoint,
    own_endpoints,
    rotate_secret,
    update_endpoint,
)
from app.pipeline.try_endpoint import try_endpoint
from app.webhooks.events import EventType

router = APIRouter(prefix="/openai/v1", tags=["openai"])
SmallBody = Annotated[Body, Depends(body_of(SMALL_BYTES_MAX))]

PAGE_MAX = 100
_TAKES = {"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}}


class CreateEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`openai.types.webhooks.WebhookCreateParams`."""

    event_types: list[str]
    name: str
    url: str


class UpdateEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`openai.types.webhooks.WebhookUpdateParams`."""

    event_types: list[str] | None = None
    name: str | None = None
    url: str | None = None


class RotateSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`openai.types.webhooks.WebhookRotateSecretParams`; by default nothing is kept."""

    keep_old_secret_active_for_24_hours: bool = False


class TestEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`openai.types.webhooks.WebhookTestParams`."""

    event_type: str


class EndpointsQuery(Query):
    """A page of endpoints: those after the endpoint `after`."""

    after: str | None = None
    limit: int = Field(default=20, ge=1, le=PAGE_MAX)


class WebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`openai.types.webhooks.WebhookEndpoint`; its secret only where that is new."""

    id: str
    name: str
    url: str
    event_types: list[str]
    created_at: int
    updated_at: int | None
    signing_secret_hint: str | None
    object: str
    signing_secret: str | None = None

    @classmethod
    def of(cls, row: Endpoint, secret: str | None = None) -> "WebhookEndpoint":
        """The view of an endpoint."""
        return cls(
            id=row.id,
            name=row.name,
            url=row.url,
            event_types=msgspec.json.decode(row.event_types),
            created_at=int(row.created_at.timestamp()),
            updated_at=seconds(row.updated_at),
            signing_secret_hint=row.secret_hint,
            object="webhook_endpoint",
            signing_secret=secret,
        )


class WebhookEndpointList(msgspec.Struct, frozen=True):
    """`openai.types.webhooks.WebhookEndpointList`, the oldest first."""

    data: list[WebhookEndpoint]
    has_more: bool
    first_id: str | None
    last_id: str | None
    object: Literal["list"] = "list"


class DeletedWebhookEndpoint(msgspec.Struct, frozen=True):
    """`openai.types.webhooks.DeletedWebhookEndpoint`."""

    id: str
    deleted: bool = True
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"


class WebhookEndpointTestResult(msgspec.Struct, frozen=True):
    """`openai.types.webhooks.WebhookEndpointTestResult`."""

    webhook_endpoint_id: str
    event_type: str
    status_code: int
    success: Literal[True] = True
    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"


class WebhookEventTypeList(msgspec.Struct, frozen=True):
    """`openai.types.webhooks.WebhookEventTypeList`."""

    data: list[str]
    object: Literal["list"] = "list"


@router.get("/webhook_event_types", **told(WebhookEventTypeList))
def openai_webhook_event_types(principal: Admin) -> Response:  # noqa: ARG001 - for accounts alone
    """Every event that an endpoint can be told: OpenAI's, and ours."""
    return answer(WebhookEventTypeList([kind.value for kind in EventType]))


@router.post("/webhook_endpoints", **told(WebhookEndpoint), openapi_extra=_TAKES)
def openai_create_webhook_endpoint(
    principal: Admin, services: WithServices, body: SmallBody
) -> Response:
    """Make an endpoint; its secret is shown this once."""
    asked = decode(body.data, CreateEndpoint)
    setting = EndpointSetting(asked.url, asked.name, asked.event_types)
    made = create_endpoint(services, _owner(principal), setting)
    return answer(WebhookEndpoint.of(made.endpoint, made.secret.reveal()))


@router.get("/webhook_endpoints", **told(WebhookEndpointList))
def openai_webhook_endpoints(
    principal: Admin, services: WithServices, query: Annotated[EndpointsQuery, QueryParameters()]
) -> Response:
    """The account's endpoints, but for those of one batch."""
    with services.store.read() as session:
        rows = own_endpoints(session, principal.account_id)
    left = [row for row in rows if row.id > (query.after or "")]
    shown = [WebhookEndpoint.of(row) for row in left[: query.limit]]
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    return answer(WebhookEndpointList(shown, len(left) > len(shown), first, last))


@router.get("/webhook_endpoints/{endpoint_id}", **told(WebhookEndpoint))
def openai_webhook_endpoint(
    principal: Admin, services: WithServices, endpoint_id: EndpointId
) -> Response:
    """One endpoint."""
    with services.store.read() as session:
        row = own_endpoint(session, principal.account_id, endpoint_id)
    return answer(WebhookEndpoint.of(row))


@router.post("/webhook_endpoints/{endpoint_id}", **told(WebhookEndpoint), openapi_extra=_TAKES)
def openai_update_webhook_endpoint(
    principal: Admin, services: WithServices, endpoint_id: EndpointId, body: SmallBody
) -> Response:
    """Change its URL, its name, or what it is told."""
    asked = decode(body.data, UpdateEndpoint)
    setting = EndpointSetting(asked.url, asked.name, asked.event_types)
    changed = update_endpoint(services, _owner(principal), endpoint_id, setting)
    return answer(WebhookEndpoint.of(changed))


@router.delete("/webhook_endpoints/{endpoint_id}", **told(DeletedWebhookEndpoint))
def openai_delete_webhook_endpoint(
    principal: Admin, services: WithServices, endpoint_id: EndpointId
) -> Response:
    """Tell it nothing more."""
    delete_endpoint(services, _owner(principal), endpoint_id)
    return answer(DeletedWebhookEndpoint(endpoint_id))


@router.post(
    "/webhook_endpoints/{endpoint_id}/rotate_secret", **told(WebhookEndpoint), openapi_extra=_TAKES
)
def openai_rotate_webhook_secret(
    principal: Admin, services: WithServices, endpoint_id: EndpointId, body: SmallBody
) -> Response:
    """A new secret, shown this once."""
    asked = decode(body.data or b"{}", RotateSecret)
    keep_old = asked.keep_old_secret_active_for_24_hours
    made = rotate_secret(services, _owner(principal), endpoint_id, keep_old=keep_old)
    return answer(WebhookEndpoint.of(made.endpoint, made.secret.reveal()))


@router.post(
    "/webhook_endpoints/{endpoint_id}/test", **told(WebhookEndpointTestResult), openapi_extra=_TAKES
)
async def openai_test_webhook_endpoint(
    principal: Admin, services: WithServices, endpoint_id: EndpointId, body: SmallBody
) -> Response:
    """Send it a signed sample now; the result says with what status it answered."""
    asked = decode(body.data, TestEndpoint)
    tried = await try_endpoint(services, principal.account_id, endpoint_id, asked.event_type)
    if tried.answer.status_code is None:
        raise InvalidRequestError(f"the endpoint did not answer: {tried.answer.error}")
    return answer(
        WebhookEndpointTestResult(
            tried.endpoint_id, tried.event_type.value, tried.answer.status_code
        )
    )


def _owner(principal: Principal) -> Owner:
    return Owner(principal.account_id, principal.api_key_id)
