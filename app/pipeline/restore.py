"""restore: a backup into an empty store, in which then nothing is taken for still under way.

Workers of the backup's time are gone, and what they had sent is of unknown outcome. What was
still to be told then may have been told since: it is told again only if the operator says so.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, func, select

from app.db import Commit, Store, Tx
from app.domain.clock import utc_now
from app.domain.errors import SetupError
from app.domain.states import DeliveryState
from app.files import Files
from app.migrations import head, upgrade
from app.models import Batch, Delivery, Table, Worker
from app.pipeline.archive import SQLITE_FILE, Manifest, Reader, reading
from app.pipeline.reconcile import recover_worker
from app.pipeline.services import Services
from app.pipeline.upload import FILE_BYTES_MAX

#: A receiver that drops what it has seen remembers ids for about so long.
WATERMARK = timedelta(hours=24)
_OPEN = (DeliveryState.QUEUED, DeliveryState.SENDING)
_VOID_LEASES = "UPDATE worker SET lease_until = {after_ms(:gone_ms)}"
_GONE_MS = -24 * 3600 * 1000
_CANCEL_DELIVERIES = """
UPDATE delivery SET state = 'cancelled', closed_at = {now},
  error = 'it was under way when the backup was made, and not to be replayed'
WHERE state IN ('queued', 'sending')
"""


class ReplayUndecidedError(SetupError):
    """Deliveries of the backup are beyond the watermark: the operator has to say."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What is there now."""

    manifest: Manifest
    open_batches: int
    unknown_calls: int
    replayed_deliveries: int


def restore(
    services: Services, path: Path, *, replay: bool | None = None, now: datetime | None = None
) -> Restored:
    """Fill an empty store from a backup, all of it or nothing.

    Args:
        services: the empty store, the file storage's settings, and the vault with the keys.
        path: the backup.
        replay: whether deliveries that were under way are sent; None leaves it to the watermark.
        now: this moment, for tests.

    Raises:
        SetupError: the store is not empty or of another kind, the master key is another, or the
            backup is damaged or a newer version's.
        ReplayUndecidedError: the backup is older than the watermark, and `replay` is None.
    """
    with reading(path) as archive:
        manifest = archive.manifest
        _check(services, manifest)
        age = (now or utc_now()) - _aware(manifest.made_at)
        filling = _Filling(services, replay=replay, is_old=age > WATERMARK)
        if services.store.is_sqlite:
            filling.fill_sqlite(archive)
        else:
            filling.fill_postgresql(archive)
    unknown = 0
    with services.store.read() as session:
        workers = session.exec(select(Worker.id)).all()
    for worker_id in workers:
        unknown += recover_worker(services, worker_id, reason="restored", crashed=False)
    with services.store.read() as session:
        opened = select(func.count()).select_from(Batch).where(col(Batch.closed_at).is_(None))
        batches = session.exec(opened).one()
        deliveries = _open_deliveries(session)
    return Restored(manifest, batches, unknown, deliveries)


def _check(services: Services, manifest: Manifest) -> None:
    kind = "sqlite" if services.store.is_sqlite else "postgresql"
    if manifest.store != kind:
        raise SetupError(f"this is a backup of {manifest.store}, and DATABASE_URL names {kind}")
    if manifest.revision != head():
        raise SetupError(
            f"this backup's schema is {manifest.revision}, this version's is {head()}: restore it "
            f"with Overnight {manifest.version}, then upgrade"
        )
    missing = sorted(set(manifest.kids) - set(services.vault.kids))
    if missing:
        raise SetupError(
            f"the master key of this backup ({', '.join(missing)}) is not here: set "
            "BYOK_ENCRYPTION_KEY, or put its key file back into the data directory, first"
        )


class _Filling:
    """One restore under way."""

    def __init__(self, services: Services, *, replay: bool | None, is_old: bool) -> None:
        self._store = services.store
        self._files = Files(services.settings.files_base_url)
        self._replay = replay
        self._is_old = is_old

    def fill_postgresql(self, archive: Reader) -> None:
        """Every table in one transaction."""
        upgrade(self._store.engine)
        with self._store.transaction(Commit.RESTORE) as tx:
            _refuse_unless_empty(tx)
            for name, chunks in archive.members():
                folder, _, rest = name.partition("/")
                if folder == "tables" and rest in Table.metadata.tables:
                    _copy_in(tx, rest, chunks)
                elif folder == "files":
                    self._files.put(rest, chunks, bytes_max=FILE_BYTES_MAX * 2)
            self._settle(tx, self._store)

    def fill_sqlite(self, archive: Reader) -> None:
        """Beside the store's place, and then into it."""
        place = Path(self._store.url.database or "")
        if place.exists():
            with self._store.read() as session:
                _refuse_unless_empty(session)
        self._store.close()
        draft = place.with_name(place.name + ".restoring")
        _remove(draft)
        place.parent.mkdir(parents=True, exist_ok=True)
        for name, chunks in archive.members():
            folder, _, rest = name.partition("/")
            if name == SQLITE_FILE:
                with draft.open("wb") as file:
                    file.writelines(chunks)
            elif folder == "files":
                self._files.put(rest, chunks, bytes_max=FILE_BYTES_MAX * 2)
        self._settle_sqlite(draft)
        _remove(place)
        draft.replace(place)

    def _settle_sqlite(self, draft: Path) -> None:
        store = Store(f"sqlite:///{draft}", crash_at=self._store.crash_at)
        try:
            with store.transaction(Commit.RESTORE) as tx:
                _check_sound(tx)
                self._settle(tx, store)
        except BaseException:
            store.close()
            _remove(draft)
            raise
        store.close()

    def _settle(self, tx: Tx, store: Store) -> None:
        """Nobody holds anything any more, and nothing is told twice unasked."""
        if self._replay is None and self._is_old and (count := _open_deliveries(tx)):
            raise ReplayUndecidedError(
                f"{count} deliveries were under way when this backup was made, more than "
                f"{WATERMARK.total_seconds() / 3600:.0f} hours ago: their receivers may have had "
                "them since, and have forgotten their ids. Say --replay-deliveries to send them, "
                "or --no-replay-deliveries to leave them out"
            )
        tx.run(store.sql(_VOID_LEASES), {"gone_ms": _GONE_MS})
        if self._replay is False:
            tx.run(store.sql(_CANCEL_DELIVERIES))


def _check_sound(session: Session) -> None:
    found = session.connection().execute(sa.text("PRAGMA integrity_check")).scalars().all()
    if found != ["ok"]:
        raise SetupError(f"the backup's store is damaged: {str(found)[:200]}")


def _refuse_unless_empty(session: Session) -> None:
    connection = session.connection()
    known = set(sa.inspect(connection).get_table_names())
    full = [
        table.name
        for table in Table.metadata.sorted_tables
        if table.name in known
        and connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
    ]
    if full:
        raise SetupError(
            f"the store is not empty ({', '.join(full[:5])}): restore into a new database or "
            "data directory"
        )


def _copy_in(tx: Tx, table: str, chunks: Iterator[bytes]) -> None:
    names = ", ".join(f'"{column.name}"' for column in Table.metadata.tables[table].columns)
    driver: Any = tx.connection().connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
        for chunk in chunks:
            copy.write(chunk)


def _open_deliveries(session: Session) -> int:
    return session.exec(
        select(func.count()).select_from(Delivery).where(col(Delivery.state).in_(_OPEN))
    ).one()


def _remove(database: Path) -> None:
    """An SQLite file with what belongs to it."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            database.with_name(database.name + suffix).unlink()


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
