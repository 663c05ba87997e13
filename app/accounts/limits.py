"""What an account may do and have at a time: its own limits, or what the settings say."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.accounts.accounts import get_account
from app.accounts.audit import OPERATOR, Action, record_action
from app.db import Store, Tx
from app.domain.errors import QuotaError
from app.models import Batch, InputFile

_LOCK = "SELECT id FROM account WHERE id = :account {lock}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an account.

    Of an account's own, None leaves it to the settings, and 0 lifts it; of those in force,
    None is no limit.
    """

    requests_per_minute: int | None = None
    queued_jobs_max: int | None = None
    storage_bytes_max: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What an account has just now: jobs that are not closed, and bytes of files."""

    queued_jobs: int
    storage_bytes: int


def in_force(own: int | None, default: int | None) -> int | None:
    """A limit as it holds: an account's own before the default, and None for none."""
    return default if own is None else own or None


def limits_of(session: Session, account_id: str, defaults: Limits) -> Limits:
    """The limits in force.

    Raises:
        NotFoundError: there is no such account.
    """
    own = get_account(session, account_id)
    return Limits(
        in_force(own.requests_per_minute, defaults.requests_per_minute),
        in_force(own.queued_jobs_max, defaults.queued_jobs_max),
        in_force(own.storage_bytes_max, defaults.storage_bytes_max),
    )


def set_limits(tx: Tx, account_id: str, own: Limits) -> None:
    """Set an account's own limits, all of them.

    Raises:
        NotFoundError: there is no such account.
        ValueError: one is negative.
    """
    values = {
        "requests_per_minute": own.requests_per_minute,
        "queued_jobs_max": own.queued_jobs_max,
        "storage_bytes_max": own.storage_bytes_max,
    }
    if any(value is not None and value < 0 for value in values.values()):
        raise ValueError("a limit is never negative")
    account = get_account(tx, account_id)
    for name, value in values.items():
        setattr(account, name, value)
    tx.add(account)
    record_action(
        tx,
        Action.LIMITS_SET,
        actor=OPERATOR,
        account_id=account_id,
        subject=account_id,
        **values,
    )


def held_by(session: Session, account_id: str) -> Held:
    """What the account has just now."""
    closed = (
        col(Batch.jobs_succeeded)
        + col(Batch.jobs_failed)
        + col(Batch.jobs_cancelled)
        + col(Batch.jobs_expired)
    )
    jobs = session.exec(
        select(sa.func.sum(col(Batch.jobs_total) - closed)).where(
            Batch.account_id == account_id, col(Batch.closed_at).is_(None)
        )
    ).one()
    size = session.exec(
        select(sa.func.sum(InputFile.bytes)).where(InputFile.account_id == account_id)
    ).one()
    return Held(int(jobs or 0), int(size or 0))


def check_quotas(tx: Tx, store: Store, account_id: str, defaults: Limits) -> None:
    """Refuse what this transaction has added, if the account now has more than it may.

    Where there is a quota it locks the account, by the lock order last, so that of two at once
    the second one counts what the first has added.

    Raises:
        QuotaError: it has; the transaction must not be committed.
    """
    limits = limits_of(tx, account_id, defaults)
    jobs_max, bytes_max = limits.queued_jobs_max, limits.storage_bytes_max
    if jobs_max is None and bytes_max is None:
        return
    tx.run(store.sql(_LOCK), {"account": account_id})
    held = held_by(tx, account_id)
    if jobs_max is not None and held.queued_jobs > jobs_max:
        raise QuotaError(
            f"with these the account would have {held.queued_jobs:,} jobs that are not closed, "
            f"and it may have {jobs_max:,}; wait until some are done, or cancel a batch"
        )
    if bytes_max is not None and held.storage_bytes > bytes_max:
        raise QuotaError(
            f"with this the account would have {held.storage_bytes:,} bytes of files, and it may "
            f"have {bytes_max:,}; delete some"
        )
