"""Accounts: made with a data key and a webhook secret that the vault has already sealed."""

from dataclasses import dataclass

from sqlmodel import Session, col, select

from app.accounts.audit import OPERATOR, Action, record_action
from app.db import Store, Tx
from app.domain.errors import NotFoundError
from app.models import Account


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """What the vault made for an account: it names the account, so the id comes first."""

    account_id: str
    data_key_wrapped: str
    data_key_kid: str
    webhook_secret_sealed: str


def create_account(tx: Tx, keys: AccountKeys, name: str, *, actor: str = OPERATOR) -> Account:
    """Make an account, with no credits."""
    account = Account(
        id=keys.account_id,
        name=name,
        created_at=Store.now(tx),
        data_key_wrapped=keys.data_key_wrapped,
        data_key_kid=keys.data_key_kid,
        webhook_secret_sealed=keys.webhook_secret_sealed,
    )
    tx.add(account)
    record_action(
        tx, Action.ACCOUNT_CREATED, actor=actor, account_id=account.id, subject=account.id
    )
    return account


def get_account(session: Session, account_id: str) -> Account:
    """The account.

    Raises:
        NotFoundError: there is none.
    """
    account = session.get(Account, account_id)
    if account is None or account.deleted_at is not None:
        raise NotFoundError(f"there is no account {account_id!r}")
    return account


def first_account_id(session: Session) -> str | None:
    """The oldest account's id: on one machine, the local account's."""
    left = select(Account.id).where(col(Account.deleted_at).is_(None))
    return session.exec(left.order_by(col(Account.id)).limit(1)).first()


def list_accounts(session: Session) -> list[Account]:
    """Every account, oldest first."""
    left = select(Account).where(col(Account.deleted_at).is_(None))
    return list(session.exec(left.order_by(col(Account.id))))


def set_disabled(tx: Tx, account_id: str, *, disabled: bool) -> None:
    """Shut an account out, or let it in again; its API keys are refused from the commit on.

    Batches that it submitted go on. Again does nothing.

    Raises:
        NotFoundError: there is no such account.
    """
    account = get_account(tx, account_id)
    if (account.disabled_at is not None) == disabled:
        return
    account.disabled_at = Store.now(tx) if disabled else None
    tx.add(account)
    action = Action.ACCOUNT_DISABLED if disabled else Action.ACCOUNT_ENABLED
    record_action(tx, action, actor=OPERATOR, account_id=account_id, subject=account_id)
