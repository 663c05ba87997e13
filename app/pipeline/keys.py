"""Provider keys: set, listed, deleted and tried out."""

import asyncio
from dataclasses import dataclass

from sqlmodel import Session, col, select

from app.accounts.accounts import get_account
from app.accounts.audit import SYSTEM, Action, record_action
from app.db import Commit
from app.domain.errors import (
    AddressRefusedError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    ProviderKeyRefusedError,
    SealError,
)
from app.domain.states import LaneState
from app.domain.wire import Response
from app.models import Lane
from app.net import check_url, parse_trusted
from app.pipeline.services import Services
from app.providers import registry
from app.providers.senders import SenderSet
from app.queue import Step, send_after_commit
from app.vault.provider_keys import (
    Credential,
    KeySetting,
    ProviderKeyView,
    delete_provider_key,
    list_provider_keys,
    open_credential,
    set_provider_key,
)

CHECK_TIMEOUT_S = 15.0
_NO_LIST = frozenset({404, 405, 501})
_LANE = "(SELECT id FROM lane WHERE account_id = :account AND provider = :provider)"
#: What waits because of the key that the lane had waits no more. Calls first, by the lock order.
_END_WAITS = (
    f"""
    UPDATE call SET due_at = {{now}}, wait_reason = NULL
    WHERE lane_id = {_LANE} AND state = 'queued' AND due_at > {{now}}
      AND wait_reason IN ('rate_limited', 'lane_parked')
    """,  # noqa: S608 - our own words
    f"UPDATE backlog SET due_at = {{now}}, wait_reason = NULL WHERE lane_id = {_LANE}",  # noqa: S608
)


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """Whether a key lets us in, and in words why, or why not."""

    ok: bool
    detail: str


def set_key(
    services: Services, account_id: str, setting: KeySetting, *, actor: str = SYSTEM
) -> ProviderKeyView:
    """Set all of a provider's setting; calls that wait for its lane go on.

    `actor` is the id of the API key that asked for it, for the audit log.

    Raises:
        InvalidRequestError: the provider is not known, or the setting is wrong.
    """
    if not registry.is_known(setting.provider):
        raise InvalidRequestError(
            f"provider: {setting.provider[:80]!r} is not known; known are "
            f"{', '.join(registry.known_providers())} and custom:<name>",
            param="provider",
        )
    if setting.base_url:
        _check_base_url(setting.base_url.strip(), services)
    with services.store.transaction(Commit.PROVIDER_KEY) as tx:
        account = get_account(tx, account_id)
        for statement in _END_WAITS:
            where = {"account": account_id, "provider": setting.provider}
            tx.run(services.store.sql(statement), where)
        lane = set_provider_key(tx, services.vault, account, setting)
        record_action(
            tx,
            Action.PROVIDER_KEY_SET,
            actor=actor,
            account_id=account_id,
            subject=setting.provider,
            has_key=setting.secret is not None,
        )
        send_after_commit(tx, services.queue, Step.DISPATCH, lane.provider, lane.id)
        return _of_provider(list_provider_keys(tx, account_id), setting.provider)


def _check_base_url(base_url: str, services: Services) -> None:
    try:
        check_url(base_url, services.settings.trusted_hosts)
    except AddressRefusedError as error:
        raise InvalidRequestError(f"base_url: {error.message}", param="base_url") from None
    if "?" in base_url or "#" in base_url:
        raise InvalidRequestError(
            "base_url: paths are put behind it, so it has no ? and no #", param="base_url"
        )


def list_keys(services: Services, account_id: str) -> list[ProviderKeyView]:
    """The account's settings, by provider's name."""
    with services.store.read() as session:
        return list_provider_keys(session, account_id)


def delete_key(services: Services, account_id: str, provider: str, *, actor: str = SYSTEM) -> None:
    """Delete the account's key: no call is made with it after this, and those that wait fail.

    Raises:
        NotFoundError: there is none.
    """
    with services.store.transaction(Commit.PROVIDER_KEY_DELETED) as tx:
        delete_provider_key(tx, account_id, provider)
        record_action(
            tx,
            Action.PROVIDER_KEY_DELETED,
            actor=actor,
            account_id=account_id,
            subject=provider,
        )
        send_after_commit(tx, services.queue, Step.RECONCILE)


async def check_key(
    services: Services, senders: SenderSet, account_id: str, provider: str
) -> KeyCheck:
    """Try the account's key with a request that buys nothing. Nothing is changed by it.

    Raises:
        NotFoundError: there is none.
    """
    if provider == registry.SIMULATED:
        return KeyCheck(ok=True, detail="simulated needs no key")
    try:
        credential = await asyncio.to_thread(_credential, services, account_id, provider)
        request = registry.adapter_for(provider).probe(credential)
        trusted = parse_trusted(services.settings.trusted_hosts)
        kind = registry.sender_kind(provider, credential.base_url, trusted)
        response = await senders.of(kind).send(request, CHECK_TIMEOUT_S)
    except (ProviderError, AddressRefusedError, SealError) as error:
        return KeyCheck(ok=False, detail=error.message)
    return _meaning(credential, response)


def _meaning(credential: Credential, response: Response) -> KeyCheck:
    """What an answer says about the key. Its body is not quoted: some repeat the key."""
    provider, status = credential.provider, response.status_code
    if 200 <= status < 300:  # noqa: PLR2004 - the class of successes
        with_key = "accepts the key" if credential.secret else "answers, and asks for no key"
        return KeyCheck(ok=True, detail=f"{provider} {with_key}")
    error = registry.adapter_for(provider).failure(response, credential)
    if isinstance(error, ProviderKeyRefusedError):
        return KeyCheck(ok=False, detail=f"{provider} refuses the key (status {status})")
    if status in _NO_LIST and registry.is_custom(provider):
        detail = f"{provider} answers, but lists no models to try the key on (status {status})"
        return KeyCheck(ok=True, detail=detail)
    return KeyCheck(ok=False, detail=f"{provider} answered with status {status}")


def _credential(services: Services, account_id: str, provider: str) -> Credential:
    with services.store.read() as session:
        lane_id = _own_lane(session, account_id, provider)
        return open_credential(session, services.vault, services.settings, lane_id)


def _own_lane(session: Session, account_id: str, provider: str) -> str:
    lane_id = session.exec(
        select(Lane.id).where(
            Lane.account_id == account_id,
            Lane.provider == provider,
            col(Lane.state) != LaneState.CLOSED.value,
        )
    ).one_or_none()
    if lane_id is None:
        raise NotFoundError(f"there is no key for {provider[:80]!r}")
    return lane_id


def _of_provider(views: list[ProviderKeyView], provider: str) -> ProviderKeyView:
    return next(view for view in views if view.provider == provider)
