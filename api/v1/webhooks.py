"""Webhooks: endpoints, their secrets, and the log of what they were told."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from api.answers import answer, answers
from api.body import SMALL_BYTES_MAX, Body, body_of, decode
from api.deps import Admin, DeliveryId, EndpointId, WithServices
from api.v1.queries import DeliveriesQuery
from api.views import WebhookSecretView
from api.webhook_views import (
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
from app.accounts.api_keys import Principal
from app.pipeline.accounts import webhook_secret_of
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
from app.pipeline.replay import Span, replay_delivery, replay_range
from app.pipeline.services import Services
from app.pipeline.try_endpoint import try_endpoint
from app.reports.deliveries import DeliveryFilter, deliveries_of, delivery_of
from app.webhooks.events import DEFAULT_TYPES, EventType

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])
SmallBody = Annotated[Body, Depends(body_of(SMALL_BYTES_MAX))]


@router.get("/secret", **answers(WebhookSecretView))
def secret(principal: Admin, services: WithServices) -> Response:
    """The secret that signs what has no secret of its own."""
    with services.store.read() as session:
        found = webhook_secret_of(session, services.vault, principal.account_id)
    return answer(WebhookSecretView(found.reveal()))


@router.get("/event-types", **answers(EventTypeList))
def event_types(principal: Admin) -> Response:  # noqa: ARG001 - it is for the account's alone
    """Every event that an endpoint can be told."""
    kinds = [kind.value for kind in EventType]
    return answer(EventTypeList(kinds, [kind.value for kind in DEFAULT_TYPES]))


@router.get("/deliveries", **answers(DeliveryPage))
def deliveries(
    principal: Admin, services: WithServices, query: Annotated[DeliveriesQuery, Query()]
) -> Response:
    """The log of deliveries, latest first, with what each attempt was answered."""
    wanted = DeliveryFilter(query.endpoint_id, query.batch_id, query.event_type, query.state)
    with services.store.read() as session:
        found = deliveries_of(
            session, principal.account_id, wanted, after=query.after, limit=query.limit + 1
        )
    shown = [DeliveryView.of(told) for told in found[: query.limit]]
    return answer(DeliveryPage(shown, shown[-1].id if len(found) > query.limit else None))


@router.get("/deliveries/{delivery_id}", **answers(DeliveryView))
def delivery(principal: Admin, services: WithServices, delivery_id: DeliveryId) -> Response:
    """One delivery."""
    return _delivery(services, principal, delivery_id)


@router.post("/deliveries/{delivery_id}/replay", **answers(DeliveryView, 201))
def replay_one(principal: Admin, services: WithServices, delivery_id: DeliveryId) -> Response:
    """Tell its endpoint the same event again; its id is the same."""
    made = replay_delivery(services, principal.account_id, delivery_id)
    return _delivery(services, principal, made, 201)


@router.get("", **answers(EndpointList))
def endpoints(principal: Admin, services: WithServices) -> Response:
    """The account's endpoints, but for those of one batch."""
    with services.store.read() as session:
        found = own_endpoints(session, principal.account_id)
    return answer(EndpointList([EndpointView.of(row) for row in found]))


@router.post("", **answers(EndpointSecretView, 201, body="NewEndpointBody"))
def new_endpoint(principal: Admin, services: WithServices, body: SmallBody) -> Response:
    """Be told of everything from now on; the secret is shown this once."""
    given = decode(body.data, NewEndpointBody)
    setting = EndpointSetting(given.url, given.name, given.event_types, given.enabled)
    made = create_endpoint(services, _owner(principal), setting, given.secret)
    return answer(EndpointSecretView.with_secret(made), 201)


@router.get("/{endpoint_id}", **answers(EndpointView))
def endpoint(principal: Admin, services: WithServices, endpoint_id: EndpointId) -> Response:
    """One endpoint."""
    with services.store.read() as session:
        return answer(EndpointView.of(own_endpoint(session, principal.account_id, endpoint_id)))


@router.patch("/{endpoint_id}", **answers(EndpointView, body="EndpointBody"))
def change_endpoint(
    principal: Admin, services: WithServices, endpoint_id: EndpointId, body: SmallBody
) -> Response:
    """Change its URL, name or event types, or disable or enable it."""
    setting = EndpointSetting(**msgspec.structs.asdict(decode(body.data, EndpointBody)))
    changed = update_endpoint(services, _owner(principal), endpoint_id, setting)
    return answer(EndpointView.of(changed))


@router.delete("/{endpoint_id}", **answers(None, 204))
def remove_endpoint(principal: Admin, services: WithServices, endpoint_id: EndpointId) -> Response:
    """Tell it nothing more, and forget its URL and secrets."""
    delete_endpoint(services, _owner(principal), endpoint_id)
    return Response(status_code=204)


@router.post("/{endpoint_id}/rotate", **answers(EndpointSecretView, body="RotateBody"))
def rotate_endpoint_secret(
    principal: Admin, services: WithServices, endpoint_id: EndpointId, body: SmallBody
) -> Response:
    """A new secret, shown this once; the one before it signs as well for 24 hours."""
    given = decode(body.data or b"{}", RotateBody)
    made = rotate_secret(services, _owner(principal), endpoint_id, keep_old=given.keep_old)
    return answer(EndpointSecretView.with_secret(made))


@router.post("/{endpoint_id}/test", **answers(TestView, body="TestBody"))
async def test_endpoint(
    principal: Admin, services: WithServices, endpoint_id: EndpointId, body: SmallBody
) -> Response:
    """Send it a signed sample now, and show what it answers."""
    given = decode(body.data or b"{}", TestBody)
    tried = await try_endpoint(services, principal.account_id, endpoint_id, given.event_type)
    return answer(TestView.of(tried))


@router.post("/{endpoint_id}/replay", **answers(ReplayView, body="ReplayBody"))
def replay_many(
    principal: Admin, services: WithServices, endpoint_id: EndpointId, body: SmallBody
) -> Response:
    """Tell it again of what happened in a span of time, also while it was disabled."""
    given = decode(body.data, ReplayBody)
    span = Span(given.start, given.to, given.only, given.after or "")
    done = replay_range(services, principal.account_id, endpoint_id, span)
    return answer(ReplayView(done.events, done.after))


def _owner(principal: Principal) -> Owner:
    return Owner(principal.account_id, principal.api_key_id)


def _delivery(
    services: Services, principal: Principal, delivery_id: str, status: int = 200
) -> Response:
    with services.store.read() as session:
        told = delivery_of(session, principal.account_id, delivery_id)
    return answer(DeliveryView.of(told), status)
