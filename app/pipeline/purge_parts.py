"""What a purge deletes, part by part; each answers how many it deleted, None once nothing is left."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlmodel import col, select

from app.db import Store, Tx, db_now
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
    OwnPriceRow,
    ProviderKey,
    Purge,
    TextKey,
)
from app.pipeline.erase import delete_jobs
from app.vault.lanes import SIMULATED

_CHUNK = 500
#: Some of it, in one transaction.
Part = Callable[[Tx, Purge], Counter[str] | None]
_Which = Callable[[type[Any], Purge], sa.ColumnElement[bool]]


def parts_of(files: Files) -> tuple[Part, ...]:
    """Every part, in its order."""
    return (
        # Nothing more is told or sent.
        _silence,
        _deleting("provider_keys", ProviderKey),
        _close_lanes,
        cancel_batches,
        partial(_delete_batches, files),
        partial(_delete_file, files),
        _deleting("idempotency_keys", IdempotencyKey, _from_before, key="key"),
        # A batch's own goes with the batch, which needs it to its end.
        _deleting("text_keys", TextKey, _of_files),
        # What is said of a batch stays as long as the batch does.
        _deleting("deliveries", Delivery, _of_done_events),
        _deleting("events", Event, _of_done_batches),
        _deleting("endpoints", Endpoint, _from_before),
    )


def is_due(purge: Purge, created_at: Any) -> sa.ColumnElement[bool]:
    """Whether something is deleted: with the account everything, else what was there before."""
    return sa.true() if purge.deletes_account else created_at <= purge.created_at


def _all(_table: type[Any], _purge: Purge) -> sa.ColumnElement[bool]:
    return sa.true()


def _from_before(table: type[Any], purge: Purge) -> sa.ColumnElement[bool]:
    return is_due(purge, col(table.created_at))


def _of_files(table: type[Any], purge: Purge) -> sa.ColumnElement[bool]:
    return _from_before(table, purge) & col(table.batch_id).is_(None)


def _of_done_batches(table: type[Any], purge: Purge) -> sa.ColumnElement[bool]:
    """From before, or said since then of a batch that this purge has deleted."""
    is_there = sa.exists().where(col(Batch.id) == table.batch_id)
    return _from_before(table, purge) | (col(table.batch_id).is_not(None) & ~is_there)


def _of_done_events(table: type[Any], purge: Purge) -> sa.ColumnElement[bool]:
    done = select(Event.id).where(
        Event.account_id == purge.account_id, _of_done_batches(Event, purge)
    )
    return _from_before(table, purge) | col(table.event_id).in_(done)


def _deleting(kind: str, table: type[Any], which: _Which = _all, *, key: str = "id") -> Part:
    """A part that deletes those of an account's rows of a table that are due."""
    name = getattr(table, key)

    def part(tx: Tx, purge: Purge) -> Counter[str] | None:
        due = select(name).where(table.account_id == purge.account_id, which(table, purge))
        deleted = tx.run(
            sa.delete(table)
            .where(table.account_id == purge.account_id, name.in_(due.limit(_CHUNK)))
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


def cancel_batches(tx: Tx, purge: Purge) -> Counter[str] | None:
    """Cancel what is open. Those in flight come back, and close their batch."""
    batches = tx.exec(
        select(Batch)
        .where(Batch.account_id == purge.account_id, col(Batch.ending).is_(None))
        .where(col(Batch.state).in_([BatchState.QUEUED, BatchState.RUNNING]))
        .where(is_due(purge, col(Batch.created_at)))
        .order_by(col(Batch.id))
        .limit(_CHUNK)
        .with_for_update(key_share=True)
    ).all()
    for batch in batches:
        batch.state, batch.ending = BatchState.CANCELLING, EndReason.CANCELLED
    return Counter(batches_cancelled=len(batches)) if batches else None


def _delete_batches(files: Files, tx: Tx, purge: Purge) -> Counter[str] | None:
    """Delete a closed batch's row, or some of the jobs of the one whose row is gone."""
    if purge.batch_id is not None:
        counts = delete_jobs(tx, purge.batch_id)
        if counts is None:
            purge.batch_id = None
        return counts or Counter()
    batch = tx.exec(
        select(Batch)
        .where(Batch.account_id == purge.account_id, col(Batch.closed_at).is_not(None))
        .where(is_due(purge, col(Batch.created_at)))
        .order_by(col(Batch.id))
        .limit(1)
        .with_for_update()
    ).first()
    if batch is None:
        return None
    purge.batch_id = batch.id
    written = _delete_outputs(files, tx, batch.id)
    for table in (TextKey, BatchSpec, BatchMetadata, OpenAIBatch):
        tx.run(sa.delete(table).where(col(table.batch_id) == batch.id))
    tx.delete(batch)
    return Counter(batches=1, files=written)


def _delete_outputs(files: Files, tx: Tx, batch_id: str) -> int:
    """Delete the files that were written as the batch closed; how many."""
    row = tx.get(OpenAIBatch, batch_id)
    if row is None:
        return 0
    names = [row.output_file_id, row.error_file_id]
    for name in names:
        files.delete(name)
    return tx.run(sa.delete(InputFile).where(col(InputFile.id).in_(names))).rowcount


def _delete_file(files: Files, tx: Tx, purge: Purge) -> Counter[str] | None:
    file = tx.exec(
        select(InputFile)
        .where(InputFile.account_id == purge.account_id)
        .where(is_due(purge, col(InputFile.created_at)))
        .limit(1)
    ).first()
    if file is None:
        return None
    files.delete(file.id)
    tx.delete(file)
    return Counter(files=1)


def forget_account(tx: Tx, account_id: str) -> None:
    """Leave of an account its id and its balance; its key, and all that names it, are no more."""
    for table in (ApiKey, Lane, OwnPriceRow):
        tx.run(sa.delete(table).where(col(table.account_id) == account_id))
    account = tx.exec(
        select(Account).where(Account.id == account_id).with_for_update(key_share=True)
    ).one()
    account.name = account.data_key_wrapped = account.data_key_kid = ""
    account.webhook_secret_sealed = ""
    account.deleted_at = Store.now(tx)
