"""purge: all that an account brought and was answered is deleted, with a receipt of how much.

A chunk per transaction, counted in it; cut short, it goes on where it was. First what would tell
or use anything more: webhooks and provider keys. Then open batches are cancelled, and what closed
is deleted. Usage and the ledger stay: they hold amounts, and name nobody.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog
from sqlmodel import Session, col, select

from app.accounts.audit import Action, record_action
from app.db import Commit, Store, Tx, db_now
from app.domain.errors import NotFoundError
from app.domain.ids import Prefix, new_id
from app.domain.states import BatchState, DeliveryState, EndReason, LaneState
from app.files import Files
from app.models import (
    Account,
    ApiKey,
    Batch,
    BatchMetadata,
    BatchSpec,
    Delivery,
    Endpoint,
    Event,
    IdempotencyKey,
    InputFile,
    Lane,
    OpenAIBatch,
    ProviderKey,
    Purge,
    TextKey,
)
from app.pipeline.erase import delete_jobs
from app.pipeline.services import Services
from app.queue import Step, send_after_commit
from app.vault.lanes import SIMULATED

log = structlog.get_logger(__name__)

_CHUNK = 500
_Part = Callable[[Tx, Purge], Counter[str] | None]


def begin_purge(
    services: Services, account_id: str, *, actor: str, deletes_account: bool = False
) -> Purge:
    """Begin to delete an account's content, or the account; answers the receipt to be.

    One that is under way is answered instead of another. An account that is deleted lets nobody
    in from now on.
    """
    with services.store.transaction(Commit.PURGE_BEGUN) as tx:
        account = tx.exec(
            select(Account).where(Account.id == account_id).with_for_update(key_share=True)
        ).one()
        purge = _under_way(tx, account.id, deletes_account=deletes_account)
        if purge is None:
            purge = _new_purge(tx, account.id, deletes_account=deletes_account)
            action = Action.ACCOUNT_DELETED if deletes_account else Action.ACCOUNT_PURGED
            record_action(tx, action, actor=actor, account_id=account.id, subject=purge.id)
        if deletes_account:
            tx.run(
                sa.update(ApiKey)
                .where(col(ApiKey.account_id) == account.id, col(ApiKey.revoked_at).is_(None))
                .values(revoked_at=Store.now(tx))
            )
        send_after_commit(tx, services.queue, Step.PURGE, purge.id)
    return purge


def _under_way(session: Session, account_id: str, *, deletes_account: bool) -> Purge | None:
    return session.exec(
        select(Purge).where(
            Purge.account_id == account_id,
            Purge.deletes_account == deletes_account,
            col(Purge.finished_at).is_(None),
        )
    ).first()


def _new_purge(tx: Tx, account_id: str, *, deletes_account: bool) -> Purge:
    purge = Purge(
        id=new_id(Prefix.PURGE),
        account_id=account_id,
        deletes_account=deletes_account,
        counts="{}",
        created_at=Store.now(tx),
    )
    tx.add(purge)
    tx.flush()
    return purge


def own_purge(session: Session, account_id: str, purge_id: str) -> Purge:
    """The account's purge.

    Raises:
        NotFoundError: there is none of that id, or it is another account's.
    """
    purge = session.get(Purge, purge_id)
    if purge is None or purge.account_id != account_id:
        raise NotFoundError(f"there is no purge {purge_id[:64]!r}")
    return purge


def open_purges(session: Session) -> list[str]:
    """Purges that are under way."""
    return list(session.exec(select(Purge.id).where(col(Purge.finished_at).is_(None))).all())


def purge(services: Services, purge_id: str) -> bool:
    """Go on with a purge; answers whether it is finished. Calls in flight are waited for."""
    parts = (
        # Nothing more is told or sent.
        _silence,
        _deleting("provider_keys", ProviderKey),
        _close_lanes,
        _cancel_batches,
        _delete_batches,
        partial(_delete_file, Files(services.settings.files_base_url)),
        _deleting("idempotency_keys", IdempotencyKey, key="key", is_dated=True),
        _deleting("text_keys", TextKey, is_dated=True),
        # What is said of a batch stays as long as the batch does.
        _deleting("deliveries", Delivery, is_dated=True),
        _deleting("events", Event, is_dated=True),
        _deleting("endpoints", Endpoint, is_dated=True),
    )
    for part in parts:
        while _chunk(services, purge_id, part):
            pass
    return _finish(services, purge_id)


def _chunk(services: Services, purge_id: str, part: _Part) -> bool:
    """Do some of a part in one transaction; whether there may be more."""
    with services.store.transaction(Commit.PURGE) as tx:
        purge = _locked(tx, purge_id)
        counts = None if purge is None else part(tx, purge)
        if purge is not None and counts:
            total = Counter(msgspec.json.decode(purge.counts)) + counts
            purge.counts = msgspec.json.encode(dict(sorted(total.items()))).decode()
        if part is _cancel_batches and counts:
            send_after_commit(tx, services.queue, Step.RECONCILE)
    return counts is not None


def _locked(tx: Tx, purge_id: str) -> Purge | None:
    """The purge, if it is not finished, for this transaction alone."""
    return tx.exec(
        select(Purge)
        .where(Purge.id == purge_id, col(Purge.finished_at).is_(None))
        .with_for_update()
    ).one_or_none()


def _is_due(purge: Purge, created_at: Any) -> sa.ColumnElement[bool]:
    """Whether something is deleted: with the account everything, else what was there before."""
    return sa.true() if purge.deletes_account else created_at <= purge.created_at


def _deleting(kind: str, table: type[Any], *, key: str = "id", is_dated: bool = False) -> _Part:
    """A part that deletes an account's rows of a table, or those from before the purge."""
    name = getattr(table, key)

    def part(tx: Tx, purge: Purge) -> Counter[str] | None:
        which = select(name).where(table.account_id == purge.account_id)
        if is_dated:
            which = which.where(_is_due(purge, col(table.created_at)))
        deleted = tx.run(
            sa.delete(table)
            .where(table.account_id == purge.account_id, name.in_(which.limit(_CHUNK)))
            .execution_options(synchronize_session=False)
        ).rowcount
        return Counter({kind: deleted}) if deleted else None

    return part


def _silence(tx: Tx, purge: Purge) -> None:
    """Stop what would be delivered, and let nothing more be."""
    tx.run(
        sa.update(Delivery)
        .where(col(Delivery.account_id) == purge.account_id)
        .where(sa.text("state IN ('queued', 'sending')"))
        .values(state=DeliveryState.CANCELLED.value, closed_at=db_now(), error="purged")
    )
    tx.run(
        sa.update(Endpoint)
        .where(col(Endpoint.account_id) == purge.account_id, col(Endpoint.disabled_at).is_(None))
        .values(disabled_at=db_now(), disabled_reason="purged")
    )


def _close_lanes(tx: Tx, purge: Purge) -> None:
    """Lanes whose keys are gone: calls that wait for them end, and nothing tells where they led."""
    tx.run(
        sa.update(Lane)
        .where(col(Lane.account_id) == purge.account_id, col(Lane.provider) != SIMULATED)
        .values(state=LaneState.CLOSED.value, base_url=None, parked_reason=None, parked_at=None)
    )


def _cancel_batches(tx: Tx, purge: Purge) -> Counter[str] | None:
    """Cancel what is open. Those in flight come back, and close their batch."""
    batches = tx.exec(
        select(Batch)
        .where(Batch.account_id == purge.account_id, col(Batch.ending).is_(None))
        .where(col(Batch.state).in_([BatchState.QUEUED, BatchState.RUNNING]))
        .where(_is_due(purge, col(Batch.created_at)))
        .order_by(col(Batch.id))
        .limit(_CHUNK)
        .with_for_update(key_share=True)
    ).all()
    for batch in batches:
        batch.state, batch.ending = BatchState.CANCELLING, EndReason.CANCELLED
    return Counter(batches_cancelled=len(batches)) if batches else None


def _delete_batches(tx: Tx, purge: Purge) -> Counter[str] | None:
    """Delete a closed batch's row, or some of the jobs of the one whose row is gone."""
    if purge.batch_id is not None:
        counts = delete_jobs(tx, purge.batch_id)
        if counts is None:
            purge.batch_id = None
        return counts or Counter()
    batch = tx.exec(
        select(Batch)
        .where(Batch.account_id == purge.account_id, col(Batch.closed_at).is_not(None))
        .where(_is_due(purge, col(Batch.created_at)))
        .order_by(col(Batch.id))
        .limit(1)
        .with_for_update()
    ).first()
    if batch is None:
        return None
    purge.batch_id = batch.id
    tx.run(sa.delete(TextKey).where(col(TextKey.batch_id) == batch.id))
    for table in (BatchSpec, BatchMetadata, OpenAIBatch):
        tx.run(sa.delete(table).where(col(table.batch_id) == batch.id))
    tx.delete(batch)
    return Counter(batches=1)


def _delete_file(files: Files, tx: Tx, purge: Purge) -> Counter[str] | None:
    file = tx.exec(
        select(InputFile)
        .where(InputFile.account_id == purge.account_id)
        .where(_is_due(purge, col(InputFile.created_at)))
        .limit(1)
    ).first()
    if file is None:
        return None
    files.delete(file.id)
    tx.delete(file)
    return Counter(files=1)


def _finish(services: Services, purge_id: str) -> bool:
    """Close the receipt once no batch from before is left."""
    with services.store.transaction(Commit.PURGE_FINISHED) as tx:
        purge = _locked(tx, purge_id)
        if purge is None:
            return False
        left = tx.exec(
            select(Batch.id)
            .where(Batch.account_id == purge.account_id)
            .where(_is_due(purge, col(Batch.created_at)))
            .limit(1)
        ).first()
        if left is not None:
            return False
        if purge.deletes_account:
            _forget_account(tx, purge.account_id)
        purge.finished_at = Store.now(tx)
        counts = purge.counts
    services.store.checkpoint()
    log.info("purge_finished", purge=purge_id, counts=counts)
    return True


def _forget_account(tx: Tx, account_id: str) -> None:
    """Leave of an account its id and its balance; its key, and all that names it, are no more."""
    tx.run(sa.delete(ApiKey).where(col(ApiKey.account_id) == account_id))
    tx.run(sa.delete(Lane).where(col(Lane.account_id) == account_id))
    account = tx.exec(
        select(Account).where(Account.id == account_id).with_for_update(key_share=True)
    ).one()
    account.name = account.data_key_wrapped = account.data_key_kid = ""
    account.webhook_secret_sealed = ""
    account.deleted_at = Store.now(tx)
