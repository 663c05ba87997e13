"""An account's privacy: whether its text is kept, sealed, and for how long."""

from dataclasses import dataclass

from sqlmodel import Session

from app.accounts.accounts import get_account
from app.db import Tx
from app.domain.errors import InvalidRequestError
from app.domain.states import Retention

RETENTION_DAYS_MAX = 3650


@dataclass(frozen=True, slots=True)
class Privacy:
    """How the text of batches to come is kept.

    `retention` none: until its results were acknowledged, or 24 hours after the close. `seal`:
    under the account's key. `retention_days`: so many days after the close, of batches before too.
    """

    retention: Retention = Retention.KEEP
    seal: bool = False
    retention_days: int | None = None


def privacy_of(session: Session, account_id: str) -> Privacy:
    """An account's setting.

    Raises:
        NotFoundError: there is no such account.
    """
    account = get_account(session, account_id)
    return Privacy(Retention(account.retention), account.seal, account.retention_days)


def set_privacy(tx: Tx, account_id: str, privacy: Privacy) -> None:
    """Set all of it.

    Raises:
        NotFoundError: there is no such account.
        InvalidRequestError: the days are out of their limits.
    """
    days = privacy.retention_days
    if days is not None and not 1 <= days <= RETENTION_DAYS_MAX:
        raise InvalidRequestError(
            f"retention_days: must be from 1 to {RETENTION_DAYS_MAX}, or null for ever",
            param="retention_days",
        )
    account = get_account(tx, account_id)
    account.retention = privacy.retention.value
    account.seal, account.retention_days = privacy.seal, days
    tx.flush()
