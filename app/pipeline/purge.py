"""purge: all that an account brought and was answered is deleted, with a receipt of how much.

A chunk per transaction, counted in it; cut short, it goes on where it was. First what would tell
or use anything more: webhooks and provider keys. Then open batches are cancelled, and what closed
is deleted. Usage and the ledger stay: they hold amounts, and name nobody.
"""

from collections import Counter

import msgspec
import sqlalchemy as sa
import structlog
from sqlmodel import Session, col, select

from app.accounts.audit import Action, record_action
from app.db import Commit, Store, Tx
from app.domain.errors import NotFoundError
from app.domain.ids import Prefix, new_id
from app.files import Files
from app.models import Account, ApiKey, Batch, Purge
from app.pipeline.purge_parts import Part, cancel_batches, forget_account, is_due, parts_of
from app.pipeline.services import Services
from app.queue import Step, send_after_commit

log = structlog.get_logger(__name__)


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
    for part in parts_of(Files(services.settings.files_base_url)):
        while _chunk(services, purge_id, part):
            pass
    return _finish(services, purge_id)


def _chunk(services: Services, purge_id: str, part: Part) -> bool:
    """Do some of a part in one transaction; whether there may be more."""
    with services.store.transaction(Commit.PURGE) as tx:
        purge = _locked(tx, purge_id)
        counts = None if purge is None else part(tx, purge)
        if purge is not None and counts:
            total = Counter(msgspec.json.decode(purge.counts)) + counts
            purge.counts = msgspec.json.encode(dict(sorted(total.items()))).decode()
        if part is cancel_batches and counts:
            send_after_commit(tx, services.queue, Step.RECONCILE)
    return counts is not None


def _locked(tx: Tx, purge_id: str) -> Purge | None:
    """The purge, if it is not finished, for this transaction alone."""
    return tx.exec(
        select(Purge)
        .where(Purge.id == purge_id, col(Purge.finished_at).is_(None))
        .with_for_update()
    ).one_or_none()


def _finish(services: Services, purge_id: str) -> bool:
    """Close the receipt once no batch from before is left."""
    with services.store.transaction(Commit.PURGE_FINISHED) as tx:
        purge = _locked(tx, purge_id)
        if purge is None:
            return False
        left = tx.exec(
            select(Batch.id)
            .where(Batch.account_id == purge.account_id)
            .where(is_due(purge, col(Batch.created_at)))
            .limit(1)
        ).first()
        if left is not None:
            return False
        if purge.deletes_account:
            forget_account(tx, purge.account_id)
        purge.finished_at = Store.now(tx)
        counts = purge.counts
    services.store.checkpoint()
    log.info("purge_finished", purge=purge_id, counts=counts)
    return True
