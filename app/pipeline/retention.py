"""retention: text goes when its time is over. Run by the scheduler, which destroys the day keys.

A batch's text is gone with the one transaction that says so, which also destroys its key if it
has one of its own; what it leaves behind is deleted afterwards.
"""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
import structlog
from sqlmodel import Session, col, select

from app.accounts.audit import SYSTEM, Action, record_action
from app.db import Commit, Store, Tx
from app.domain.errors import ConflictError, InvalidRequestError
from app.domain.states import BATCH_CLOSED, GoneReason, Seal
from app.models import Account, Batch, InputFile, Purge, TextKey
from app.pipeline.control import own_batch
from app.pipeline.erase import erase_texts
from app.pipeline.services import Services
from app.pipeline.stored_files import drop_files
from app.vault.text_keys import destroy_old_days, has_old_keys, rewrap_old_keys
from app.vault.texts import require_texts

log = structlog.get_logger(__name__)

#: How long results of a batch that retains nothing can be fetched after it closed, and how long
#: a file that does may wait for its batch.
UNFETCHED_KEPT = timedelta(hours=24)
_AT_ONCE = 100
#: For so long after a purge, the write-ahead log is emptied again and again.
_CHECKPOINTS = timedelta(minutes=10)


def acknowledge(services: Services, account_id: str, batch_id: str, *, actor: str) -> None:
    """The client has the results of a batch that retains nothing: destroy its key.

    Raises:
        NotFoundError: the account has no such batch.
        GoneError: its text was destroyed before.
        InvalidRequestError: it is kept.
        ConflictError: it is not closed.
    """
    with services.store.transaction(Commit.ACKNOWLEDGE) as tx:
        batch = own_batch(tx, account_id, batch_id)
        require_texts(batch)
        if batch.seal != Seal.BATCH:
            raise InvalidRequestError("the results of this batch are kept; there is nothing to do")
        if batch.state not in BATCH_CLOSED:
            raise ConflictError(f"the batch is {batch.state}; acknowledge its results once closed")
        _destroy(tx, [batch], GoneReason.ACKNOWLEDGED, actor)


def enforce_retention(services: Services) -> int:
    """Destroy and delete what has had its time; answers how many batches' texts went."""
    gone = _destroy_unfetched(services) + _destroy_overdue(services)
    _forget_files(services)
    erased = _erase_gone(services)
    if gone or erased or _purged_lately(services):
        services.store.checkpoint()
    turn_keyring(services)
    return gone


def _purged_lately(services: Services) -> bool:
    """Whether the write-ahead log may still hold what was purged: a reader may have been at it."""
    with services.store.read() as session:
        since = services.store.now(session) - _CHECKPOINTS
        done = select(Purge.id).where(col(Purge.finished_at) > since).limit(1)
        return session.exec(done).first() is not None


def _destroy_unfetched(services: Services) -> int:
    with services.store.read() as session:
        before = services.store.now(session) - UNFETCHED_KEPT
        batches = session.exec(
            select(Batch.id)
            .join(TextKey, col(TextKey.batch_id) == Batch.id)
            .where(col(Batch.closed_at) < before, col(Batch.gone_at).is_(None))
            .limit(_AT_ONCE)
        ).all()
    return _destroy_all(services, batches, GoneReason.RETENTION_NONE)


def _destroy_overdue(services: Services) -> int:
    batches: list[str] = []
    with services.store.read() as session:
        now = services.store.now(session)
        for account in _with_days(session):
            batches += session.exec(
                select(Batch.id)
                .where(Batch.account_id == account.id, col(Batch.closed_at).is_not(None))
                .where(col(Batch.gone_at).is_(None), col(Batch.closed_at) < now - _days_of(account))
                .limit(_AT_ONCE)
            ).all()
    return _destroy_all(services, batches, GoneReason.RETENTION_DAYS)


def _destroy_all(services: Services, batch_ids: Sequence[str], reason: GoneReason) -> int:
    if not batch_ids:
        return 0
    with services.store.transaction(Commit.RETENTION) as tx:
        batches = tx.exec(
            select(Batch)
            .where(col(Batch.id).in_(batch_ids), col(Batch.gone_at).is_(None))
            .order_by(col(Batch.id))
            .with_for_update(key_share=True)
        ).all()
        _destroy(tx, batches, reason, SYSTEM)
    return len(batches)


def _with_days(session: Session) -> Sequence[Account]:
    return session.exec(select(Account).where(col(Account.retention_days).is_not(None))).all()


def _days_of(account: Account) -> timedelta:
    return timedelta(days=account.retention_days or 0)


def _destroy(tx: Tx, batches: Sequence[Batch], reason: GoneReason, actor: str) -> None:
    now = Store.now(tx)
    for batch in batches:
        batch.gone_reason, batch.gone_at = reason.value, now
        tx.run(sa.delete(TextKey).where(col(TextKey.batch_id) == batch.id))
        record_action(
            tx,
            Action.RESULTS_DESTROYED,
            actor=actor,
            account_id=batch.account_id,
            subject=batch.id,
            reason=reason.value,
        )


def _erase_gone(services: Services) -> int:
    """Delete the rows of what is gone; a batch whose last calls are not back yet comes later."""
    with services.store.read() as session:
        batches = session.exec(
            select(Batch.id)
            .where(col(Batch.gone_at).is_not(None), col(Batch.erased_at).is_(None))
            .order_by(col(Batch.id))
            .limit(_AT_ONCE)
        ).all()
    for batch_id in batches:
        counts = erase_texts(services, batch_id)
        log.info("texts_erased", batch=batch_id, **counts)
    return len(batches)


def _forget_files(services: Services) -> None:
    """Delete files past their account's days, and those that retain nothing and wait in vain."""
    with services.store.read() as session:
        now = services.store.now(session)
        unclaimed = session.exec(
            select(InputFile)
            .join(TextKey, col(TextKey.file_id) == InputFile.id)
            .where(
                col(TextKey.batch_id).is_(None), col(InputFile.created_at) < now - UNFETCHED_KEPT
            )
            .limit(_AT_ONCE)
        ).all()
        overdue = [
            file
            for account in _with_days(session)
            for file in session.exec(
                select(InputFile)
                .where(InputFile.account_id == account.id)
                .where(col(InputFile.created_at) < now - _days_of(account))
                .limit(_AT_ONCE)
            )
        ]
    drop_files(services, [file.id for file in (*unclaimed, *overdue)])


def turn_keyring(services: Services) -> None:
    """Wrap what lives longer than its day by today's key, and destroy the keys of days before."""
    if not services.vault.has_keyring:
        return
    with services.store.read() as session:
        is_due = has_old_keys(session)
    while is_due:
        with services.store.transaction(Commit.REWRAP) as tx:
            is_due = rewrap_old_keys(tx, services.vault) > 0
    with services.store.read() as session:
        days = destroy_old_days(session, services.vault.keyring)
    if days:
        log.info("day_keys_destroyed", days=[day.isoformat() for day in days])
