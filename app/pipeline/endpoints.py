"""Endpoints: where a batch is announced, and where all that happens to an account is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from sqlmodel import Session, col, select

from app.accounts.accounts import get_account
from app.accounts.audit import Action, record_action
from app.db import Commit, Store, Tx
from app.domain.errors import (
    AddressRefusedError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
)
from app.domain.ids import Prefix, new_id
from app.domain.secret import Secret
from app.domain.spec import WebhookBody
from app.models import Account, Endpoint
from app.net import check_url
from app.pipeline.attempt import secrets_of
from app.pipeline.own_address import is_own
from app.pipeline.services import Services
from app.settings import Settings
from app.vault.master import Vault
from app.vault.webhook_secrets import seal_webhook_secret
from app.webhooks.events import EventType, check_types
from app.webhooks.signing import PREFIX, check_secret, new_secret

ENDPOINTS_MAX = 50
NAME_CHARS_MAX = 200
#: How long the secret before a rotation signs as well.
OVERLAP = timedelta(hours=24)
BY_CLIENT = "by_client"
_HINT_CHARS = 4


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose endpoints they are, and which API key asks."""

    account_id: str
    actor: str


@dataclass(frozen=True, slots=True)
class EndpointSetting:
    """What a client sets of an endpoint; None leaves it as it is, or at its default."""

    url: str | None = None
    name: str | None = None
    event_types: Sequence[str] | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Keyed:
    """An endpoint with its new secret, which is shown this once."""

    endpoint: Endpoint
    secret: Secret = field(repr=False)


def check_webhook(webhook: WebhookBody, settings: Settings) -> None:
    """Refuse what could never be delivered, before anything is stored.

    Raises:
        InvalidRequestError: the URL may not be reached, the secret is none, or an event type.
    """
    check_endpoint_url(webhook.url, settings, param="webhook.url")
    check_types(webhook.event_types, param="webhook.event_types")
    if webhook.secret is not None:
        check_secret(webhook.secret)


def check_endpoint_url(url: str, settings: Settings, *, param: str = "url") -> None:
    """Refuse a URL that webhooks may not be sent to.

    Raises:
        InvalidRequestError: the guard does not allow it, or it is this API's own.
    """
    try:
        check_url(url, settings.trusted_hosts)
    except AddressRefusedError as error:
        raise InvalidRequestError(f"{param}: {error.message}", param=param) from None
    if is_own(settings, url):
        raise InvalidRequestError(f"{param}: this is the API's own address", param=param)


def add_batch_endpoint(
    tx: Tx, vault: Vault, account: Account, batch_id: str, webhook: WebhookBody, now: datetime
) -> None:
    """Have a batch announced at its own URL, signed with its own secret if it has one."""
    endpoint = Endpoint(
        id=new_id(Prefix.ENDPOINT),
        account_id=account.id,
        batch_id=batch_id,
        url=webhook.url,
        event_types="",
        created_at=now,
        updated_at=now,
    )
    _subscribe(endpoint, check_types(webhook.event_types, param="webhook.event_types"))
    if webhook.secret is not None:
        _give_secret(vault, account, endpoint, check_secret(webhook.secret))
    tx.add(endpoint)
    tx.flush()


def create_endpoint(
    services: Services, owner: Owner, setting: EndpointSetting, secret: str | None = None
) -> Keyed:
    """An endpoint of the account, told of all its batches from now on.

    Raises:
        InvalidRequestError: the URL may not be reached, or something else of it is wrong.
        ConflictError: the account has as many as there may be.
    """
    check_endpoint_url(setting.url or "", services.settings)
    kinds = check_types(setting.event_types, param="event_types")
    given = new_secret() if secret is None else check_secret(secret, param="secret")
    store = services.store
    with store.transaction(Commit.ENDPOINT) as tx:
        account = _with_room(tx, owner.account_id)
        now = store.now(tx)
        endpoint = Endpoint(
            id=new_id(Prefix.ENDPOINT),
            account_id=account.id,
            name=_checked_name(setting.name or ""),
            url=setting.url or "",
            event_types="",
            created_at=now,
            updated_at=now,
        )
        _enable(endpoint, setting.enabled, now)
        _subscribe(endpoint, kinds)
        _give_secret(services.vault, account, endpoint, given)
        tx.add(endpoint)
        _note(tx, owner, Action.WEBHOOK_CREATED, endpoint)
    return Keyed(endpoint, given)


def update_endpoint(
    services: Services, owner: Owner, endpoint_id: str, setting: EndpointSetting
) -> Endpoint:
    """Change what is given of an endpoint. Enabled again, it starts with a clean slate.

    Raises:
        NotFoundError: the account has no such endpoint.
        InvalidRequestError: the URL may not be reached, or something else of it is wrong.
    """
    if setting.url is not None:
        check_endpoint_url(setting.url, services.settings)
    with services.store.transaction(Commit.ENDPOINT_CHANGED) as tx:
        endpoint = own_endpoint(tx, owner.account_id, endpoint_id)
        before = endpoint.model_dump()
        now = services.store.now(tx)
        if setting.name is not None:
            endpoint.name = _checked_name(setting.name)
        if setting.url is not None and setting.url != endpoint.url:
            endpoint.url = setting.url
            endpoint.failing_since, endpoint.failures = None, 0
        if setting.event_types is not None:
            _subscribe(endpoint, check_types(setting.event_types, param="event_types"))
        _enable(endpoint, setting.enabled, now)
        if endpoint.model_dump() != before:
            endpoint.updated_at = now
            _note(tx, owner, Action.WEBHOOK_CHANGED, endpoint)
    return endpoint


def _enable(endpoint: Endpoint, enabled: bool | None, now: datetime) -> None:  # noqa: FBT001 - as it was set
    if enabled is True and endpoint.disabled_at is not None:
        endpoint.disabled_at, endpoint.disabled_reason = None, None
        endpoint.failing_since, endpoint.failures = None, 0
    if enabled is False and endpoint.disabled_at is None:
        endpoint.disabled_at, endpoint.disabled_reason = now, BY_CLIENT


def rotate_secret(services: Services, owner: Owner, endpoint_id: str, *, keep_old: bool) -> Keyed:
    """Give an endpoint a new secret; the one before it signs as well for a day, if it is kept.

    There are never more than two: the one before that signs no more.

    Raises:
        NotFoundError: the account has no such endpoint.
        SealError: the secret that it has does not open.
    """
    secret = new_secret()
    with services.store.transaction(Commit.SECRET_ROTATED) as tx:
        endpoint = own_endpoint(tx, owner.account_id, endpoint_id)
        account, now = get_account(tx, owner.account_id), services.store.now(tx)
        old = secrets_of(services.vault, account, endpoint, now)[0]
        _give_secret(services.vault, account, endpoint, old)
        sealed = endpoint.secret_sealed
        endpoint.old_secret_sealed = sealed if keep_old else None
        endpoint.old_secret_until = now + OVERLAP if keep_old else None
        _give_secret(services.vault, account, endpoint, secret)
        endpoint.updated_at = now
        _note(tx, owner, Action.WEBHOOK_SECRET_ROTATED, endpoint)
    return Keyed(endpoint, secret)


def delete_endpoint(services: Services, owner: Owner, endpoint_id: str) -> None:
    """Tell an endpoint nothing more, and forget its URL and its secrets.

    Raises:
        NotFoundError: the account has no such endpoint.
    """
    with services.store.transaction(Commit.ENDPOINT_DELETED) as tx:
        endpoint = own_endpoint(tx, owner.account_id, endpoint_id)
        endpoint.deleted_at = services.store.now(tx)
        endpoint.url, endpoint.name, endpoint.wants_jobs = "", "", False
        endpoint.secret_sealed = endpoint.secret_hint = endpoint.old_secret_sealed = None
        _note(tx, owner, Action.WEBHOOK_DELETED, endpoint)


def own_endpoint(session: Session, account_id: str, endpoint_id: str) -> Endpoint:
    """The account's endpoint; locked, in a transaction.

    Raises:
        NotFoundError: there is none of that id, or it is another account's.
    """
    mine = (
        select(Endpoint)
        .where(Endpoint.id == endpoint_id, Endpoint.account_id == account_id)
        .where(col(Endpoint.deleted_at).is_(None))
    )
    if isinstance(session, Tx):
        mine = mine.with_for_update(key_share=True)
    endpoint = session.exec(mine).one_or_none()
    if endpoint is None:
        raise NotFoundError(f"there is no webhook endpoint {endpoint_id[:64]!r}")
    return endpoint


def own_endpoints(session: Session, account_id: str) -> Sequence[Endpoint]:
    """The account's endpoints but for those of a batch, the oldest first."""
    return session.exec(
        select(Endpoint)
        .where(Endpoint.account_id == account_id, col(Endpoint.batch_id).is_(None))
        .where(col(Endpoint.deleted_at).is_(None))
        .order_by(col(Endpoint.id))
    ).all()


def open_secrets(
    store: Store, vault: Vault, account_id: str, endpoint_id: str
) -> tuple[Endpoint, list[Secret]]:
    """The account's endpoint, and what signs for it now.

    Raises:
        NotFoundError: the account has no such endpoint.
        SealError: a secret does not open.
    """
    with store.read() as session:
        endpoint = own_endpoint(session, account_id, endpoint_id)
        account = get_account(session, account_id)
        return endpoint, secrets_of(vault, account, endpoint, store.now(session))


def _with_room(tx: Tx, account_id: str) -> Account:
    """The account, locked, if it may have another endpoint."""
    account = tx.exec(
        select(Account).where(Account.id == account_id).with_for_update(key_share=True)
    ).one()
    if len(own_endpoints(tx, account_id)) >= ENDPOINTS_MAX:
        raise ConflictError(f"there are {ENDPOINTS_MAX} endpoints already; delete one first")
    return account


def _note(tx: Tx, owner: Owner, action: Action, endpoint: Endpoint) -> None:
    record_action(tx, action, actor=owner.actor, account_id=owner.account_id, subject=endpoint.id)


def _checked_name(name: str) -> str:
    if len(name) > NAME_CHARS_MAX or "\x00" in name:
        raise InvalidRequestError(f"name: has at most {NAME_CHARS_MAX} characters", param="name")
    return name


def _subscribe(endpoint: Endpoint, kinds: Sequence[EventType]) -> None:
    endpoint.event_types = msgspec.json.encode([kind.value for kind in kinds]).decode()
    endpoint.wants_jobs = EventType.JOB_COMPLETED in kinds


def _give_secret(vault: Vault, account: Account, endpoint: Endpoint, secret: Secret) -> None:
    data_key = vault.data_key(account.id, account.data_key_wrapped, account.data_key_kid)
    endpoint.secret_sealed = seal_webhook_secret(data_key, endpoint.id, secret)
    endpoint.secret_hint = f"{PREFIX}…{secret.reveal()[-_HINT_CHARS:]}"
