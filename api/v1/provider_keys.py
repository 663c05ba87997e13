"""Provider keys, bring your own: set, listed, deleted, tried out; never shown again."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response

from api.answers import answer, answers
from api.body import SMALL_BYTES_MAX, Body, body_of, decode
from api.deps import Admin, WithSenders, WithServices
from api.views import KeyList, KeyView
from app.pipeline.keys import KeyCheck, check_key, delete_key, list_keys, set_key
from app.vault.lanes import LaneLimits
from app.vault.provider_keys import KeySetting, clean_key

router = APIRouter(prefix="/v1/settings/keys", tags=["settings"])


class KeyLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests and tokens per minute, and calls at a time."""

    rpm: int | None = None
    tpm: int | None = None
    in_flight: int | None = None


class KeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a provider's setting: what is left out is unset."""

    api_key: str | None = None
    base_url: str | None = None
    limits: KeyLimits | None = None


@router.get("", **answers(KeyList))
def provider_keys(principal: Admin, services: WithServices) -> Response:
    """Every provider's setting, with the last characters of its key."""
    found = list_keys(services, principal.account_id)
    return answer(KeyList([KeyView.of(view) for view in found]))


@router.put("/{provider}", **answers(KeyView, body="KeyBody"))
def put_provider_key(
    principal: Admin,
    services: WithServices,
    provider: str,
    body: Annotated[Body, Depends(body_of(SMALL_BYTES_MAX))],
) -> Response:
    """Set a provider's key, where its server is, and how fast it may be asked."""
    given = decode(body.data, KeyBody)
    limits = given.limits or KeyLimits()
    setting = KeySetting(
        provider,
        None if given.api_key is None else clean_key(given.api_key),
        given.base_url,
        LaneLimits(limits.rpm, limits.tpm, limits.in_flight),
    )
    view = set_key(services, principal.account_id, setting, actor=principal.api_key_id)
    return answer(KeyView.of(view))


@router.delete("/{provider}", **answers(None, 204))
def delete_provider_key(principal: Admin, services: WithServices, provider: str) -> Response:
    """Delete a provider's key: nothing is sent with it any more."""
    delete_key(services, principal.account_id, provider, actor=principal.api_key_id)
    return Response(status_code=204)


@router.post("/{provider}/check", **answers(KeyCheck))
async def check_provider_key(
    principal: Admin, services: WithServices, senders: WithSenders, provider: str
) -> Response:
    """Ask the provider whether it accepts the key; nothing is bought."""
    return answer(await check_key(services, senders, principal.account_id, provider))
