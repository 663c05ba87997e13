"""Accounts as a whole: made with their keys, let in, and the local one of a single machine."""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlmodel import Session

from app.accounts.accounts import AccountKeys, create_account, first_account_id, get_account
from app.accounts.api_keys import (
    Principal,
    Scope,
    authenticate,
    create_api_key,
    note_api_key_used,
)
from app.accounts.audit import OPERATOR, SYSTEM
from app.accounts.limits import Limits
from app.db import Commit, Store, Tx
from app.domain.errors import UnavailableError
from app.domain.ids import Prefix, new_id
from app.domain.secret import Secret
from app.models import Account
from app.settings import Settings
from app.vault.lanes import ensure_simulated_lane
from app.vault.master import Vault
from app.vault.private import keep_private
from app.vault.webhook_secrets import open_webhook_secret, seal_webhook_secret
from app.webhooks.signing import new_secret

log = structlog.get_logger(__name__)

API_KEY_FILE = "api-key"


@dataclass(frozen=True, slots=True)
class LocalAccount:
    """The account of one machine. Its API key is None where its file is not there."""

    account_id: str
    api_key: Secret | None
    was_made: bool


def make_account(tx: Tx, vault: Vault, name: str, *, actor: str = OPERATOR) -> Account:
    """An account with its data key, its webhook secret and its lane to the simulator."""
    account_id = new_id(Prefix.ACCOUNT)
    wrapped, kid = vault.new_data_key(account_id)
    data_key = vault.data_key(account_id, wrapped, kid)
    sealed = seal_webhook_secret(data_key, account_id, new_secret())
    account = create_account(tx, AccountKeys(account_id, wrapped, kid, sealed), name, actor=actor)
    ensure_simulated_lane(tx, account_id)
    return account


def ensure_local_account(store: Store, vault: Vault, data_dir: Path) -> LocalAccount:
    """The local account, made with an API key in the data directory if the store has none.

    The file is written before the commit: a crash between them leaves a key that opens
    nothing and is replaced, never an account whose key nobody has.
    """
    file = data_dir / API_KEY_FILE
    with store.transaction(Commit.ACCOUNT) as tx:
        if not store.is_sqlite:
            tx.run(sa.text("LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE"))
        account_id = first_account_id(tx)
        if account_id is not None:
            return LocalAccount(account_id, _read_key(file), was_made=False)
        account = make_account(tx, vault, "local", actor=SYSTEM)
        made = create_api_key(tx, account.id, "local", Scope, actor=SYSTEM)
        keep_private(file, made.value.reveal() + "\n", replace=True)
    return LocalAccount(account.id, made.value, was_made=True)


def _read_key(file: Path) -> Secret | None:
    try:
        return Secret(file.read_text(encoding="utf-8").strip())
    except OSError:
        return None


def admit(store: Store, authorization: str | None) -> Principal:
    """Who sent a request with this Authorization header.

    Raises:
        UnauthorizedError: there is no valid API key in it.
    """
    with store.read() as session:
        return authenticate(session, authorization)


def note_use(store: Store, api_key_id: str) -> None:
    """Keep when an API key was last used; if the store is busy, the next request will."""
    try:
        with store.transaction(Commit.KEY_USED) as tx:
            note_api_key_used(tx, api_key_id)
    except UnavailableError:
        log.warning("api_key_use_not_noted", api_key_id=api_key_id)


def webhook_secret_of(session: Session, vault: Vault, account_id: str) -> Secret:
    """The account's own signing secret, with which clients check what we send.

    Raises:
        NotFoundError: there is no such account.
        SealError: the secret does not open.
    """
    account = get_account(session, account_id)
    return open_webhook_secret(vault, account, account.id, account.webhook_secret_sealed)


def default_limits(settings: Settings) -> Limits:
    """The limits of accounts that have none of their own."""
    return Limits(
        settings.requests_per_minute, settings.queued_jobs_max, settings.storage_bytes_max
    )
