"""What every factory shares, and the rows that stand on their own: accounts, lanes, texts."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.ids import Prefix, new_id
from app.domain.states import Billed, LaneState
from app.models import Account, Batch, Lane, StoredText, Table

#: A night in the past; what is made here happened then, unless told.
NIGHT = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)


def make_account(session: Session, **values: Any) -> Account:
    """An account. Its secrets are none; `app.pipeline.accounts` makes one that has them."""
    return add_row(
        session,
        Account,
        {
            "id": new_id(Prefix.ACCOUNT),
            "name": "acme",
            "created_at": NIGHT,
            "data_key_wrapped": "none",
            "data_key_kid": "none",
            "webhook_secret_sealed": "none",
        },
        values,
    )


def make_lane(
    session: Session, account: Account | str | None, provider: str = "simulated", **values: Any
) -> Lane:
    """The lane of a provider; the platform's, which costs credits, if there is no account."""
    account_id = account.id if isinstance(account, Account) else account
    billed = Billed.CREDITS if account_id is None else Billed.BYOK
    return add_row(
        session,
        Lane,
        {
            "id": new_id(Prefix.LANE),
            "account_id": account_id,
            "provider": provider,
            "billed": billed.value,
            "state": LaneState.OPEN.value,
            "created_at": NIGHT,
        },
        values,
    )


def lane_of(session: Session, account_id: str, provider: str) -> Lane:
    """The lane an account's calls to a provider take; made as its own if there is none."""
    own_first = sa.desc(col(Lane.account_id).is_not(None))
    lane = session.exec(
        select(Lane)
        .where(Lane.provider == provider)
        .where(sa.or_(col(Lane.account_id) == account_id, col(Lane.account_id).is_(None)))
        .order_by(own_first)
    ).first()
    return lane or make_lane(session, account_id, provider)


def make_text(session: Session, batch: Batch, owner_id: str, kind: str, body: str) -> StoredText:
    """A text of a job or a call."""
    row = {"owner_id": owner_id, "kind": kind, "batch_id": batch.id, "body": body}
    return add_row(session, StoredText, row, {})


def add_row(
    session: Session, table: type[Table], row: dict[str, Any], values: dict[str, Any]
) -> Any:
    """Insert a row, with these values over its own; it answers the row."""
    if unknown := values.keys() - table.model_fields.keys():
        raise TypeError(f"{table.__name__} has no {', '.join(sorted(unknown))}")
    made = table(**(row | values))
    session.add(made)
    session.flush()
    return made


def as_json(value: object) -> str:
    """A value as the store keeps it."""
    return msgspec.json.encode(value).decode()
