"""The audit log: who did what that matters for security, on which id, and when.

Written in the transaction of the action itself, so that neither is there without the other.
Entries are never changed or deleted; they hold ids, never names and never secrets.
"""

from enum import StrEnum

import msgspec
import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.db import Store, Tx
from app.domain.ids import Prefix, new_id
from app.domain.redact import redact
from app.models import AuditEntry

#: Who acted, where it was no API key: a person at the machine itself, or a process of ours.
OPERATOR = "operator"
SYSTEM = "system"
_SUBJECT_CHARS_MAX = 100  # as much as the column holds

Detail = str | int | bool | list[str] | None


class Action(StrEnum):
    """What was done; the noun first, so that a prefix finds all that was done to such things."""

    ACCOUNT_CREATED = "account.created"
    ACCOUNT_DISABLED = "account.disabled"
    ACCOUNT_ENABLED = "account.enabled"
    ACCOUNT_PURGED = "account.purged"
    ACCOUNT_DELETED = "account.deleted"
    LIMITS_SET = "account.limits_set"
    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"
    PROVIDER_KEY_SET = "provider_key.set"
    PROVIDER_KEY_DELETED = "provider_key.deleted"
    MASTER_KEY_ROTATED = "master_key.rotated"
    PRIVACY_SET = "privacy.set"
    RESULTS_DESTROYED = "results.destroyed"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_SECRET_SHOWN = "webhook.secret_shown"  # noqa: S105 - an action
    WEBHOOK_SECRET_ROTATED = "webhook.secret_rotated"  # noqa: S105 - an action
    CREDITS_GRANTED = "credits.granted"
    CREDITS_ADJUSTED = "credits.adjusted"
    CREDITS_REFUNDED = "credits.refunded"
    PRICES_SET = "prices.set"


def record_action(
    tx: Tx,
    action: Action,
    *,
    actor: str,
    account_id: str | None,
    subject: str | None = None,
    **detail: Detail,
) -> None:
    """Write down an action, in the transaction that does it.

    Args:
        tx: the action's own transaction.
        action: what was done.
        actor: the id of the API key that asked for it, `OPERATOR` or `SYSTEM`.
        account_id: whose log it is in; None if it concerns the whole installation.
        subject: the id of what it was done to, or the provider's name.
        detail: what else to know. Never a secret, nor anything that names a person.
    """
    written = redact(msgspec.json.encode(detail).decode()) if detail else None
    tx.add(
        AuditEntry(
            id=new_id(Prefix.AUDIT_ENTRY),
            account_id=account_id,
            actor=actor,
            action=action.value,
            subject=subject and subject[:_SUBJECT_CHARS_MAX],
            detail=written,
            created_at=Store.now(tx),
        )
    )
    tx.flush()


def actions_of(
    session: Session, account_id: str | None, *, after: str | None = None, limit: int = 50
) -> list[AuditEntry]:
    """An account's entries, latest first; of every account and the installation if None.

    `after` is the id of the last one seen.
    """
    query = select(AuditEntry).order_by(sa.desc(col(AuditEntry.id))).limit(limit)
    if account_id is not None:
        query = query.where(AuditEntry.account_id == account_id)
    if after is not None:
        query = query.where(col(AuditEntry.id) < after)
    return list(session.exec(query))
