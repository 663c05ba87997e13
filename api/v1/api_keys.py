"""API keys of ours: made and shown once, listed, revoked; and the account they belong to."""

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from api.account_views import AccountView, ApiKeyPage, ApiKeyView, NewApiKeyView
from api.answers import answer, answers
from api.body import SMALL_BYTES_MAX, Body, body_of, decode
from api.deps import Admin, ApiKeyId, Reader, WithServices
from api.v1.queries import ApiKeysQuery
from app.accounts.accounts import get_account
from app.accounts.api_keys import api_keys_of
from app.accounts.limits import held_by, limits_of
from app.pipeline.accounts import default_limits
from app.pipeline.api_keys import make_key, revoke_key

router = APIRouter(prefix="/v1", tags=["account"])


class ApiKeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be made: a name to know it by, some of submit, read and admin, and its end."""

    name: str
    scopes: list[str]
    expires_at: datetime | None = None


@router.get("/account", **answers(AccountView))
def account(principal: Reader, services: WithServices) -> Response:
    """The account, its limits, and what it has of what is limited."""
    with services.store.read() as session:
        view = AccountView.of(
            get_account(session, principal.account_id),
            limits_of(session, principal.account_id, default_limits(services.settings)),
            held_by(session, principal.account_id),
        )
    return answer(view)


@router.post("/api-keys", **answers(NewApiKeyView, 201, body="ApiKeyBody"))
def create_key(
    principal: Admin,
    services: WithServices,
    body: Annotated[Body, Depends(body_of(SMALL_BYTES_MAX))],
) -> Response:
    """Make an API key. Its secret is in this answer, and nowhere ever after."""
    given = decode(body.data, ApiKeyBody)
    made, row = make_key(services, principal, given.name, given.scopes, given.expires_at)
    view = NewApiKeyView(made.value.reveal(), ApiKeyView.of(row, row.created_at))
    return answer(view, 201)


@router.get("/api-keys", **answers(ApiKeyPage))
def api_keys(
    principal: Admin, services: WithServices, query: Annotated[ApiKeysQuery, Query()]
) -> Response:
    """List API keys, newest first, those that are no longer valid among them."""
    with services.store.read() as session:
        found = api_keys_of(session, principal.account_id, after=query.after, limit=query.limit + 1)
        now = services.store.now(session)
    shown = [ApiKeyView.of(key, now) for key in found[: query.limit]]
    return answer(ApiKeyPage(shown, shown[-1].id if len(found) > query.limit else None))


@router.delete("/api-keys/{api_key_id}", **answers(None, 204))
def delete_key(principal: Admin, services: WithServices, api_key_id: ApiKeyId) -> Response:
    """Revoke an API key: every process refuses it from the next request on."""
    revoke_key(services, principal, api_key_id)
    return Response(status_code=204)
