"""backup: everything of one moment into one file, while the system runs."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
import structlog
from sqlmodel import col, select

from app.db import Store, db_now
from app.domain.errors import NotFoundError, SetupError
from app.files import Files
from app.migrations import check_schema, head
from app.models import Account, InputFile, Table
from app.pipeline.archive import SQLITE_FILE, Manifest, Writer, writing

log = structlog.get_logger(__name__)


def backup(store: Store, files: Files, path: Path) -> Manifest:
    """Write a backup; it is there whole, or not at all. Nobody has to stop for it.

    The master key and the keys of days are not in it: without them no provider key, no signing
    secret and no sealed text of it opens. Text that is stored plain is in it as it is.

    Raises:
        SetupError: the store's schema is not this version's, or the file cannot be written.
        UnavailableError: the store or the file storage is away.
    """
    check_schema(store.engine)
    with _whole_file(path) as file:
        manifest = (_of_sqlite if store.is_sqlite else _of_postgresql)(store, files, file)
    log.info("backup_made", path=str(path), files=len(manifest.files))
    return manifest


@contextmanager
def _whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its place once it is written and durable, and is only the owner's."""
    part = path.with_name(path.name + ".part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}") from error


def _of_sqlite(store: Store, files: Files, file: IO[bytes]) -> Manifest:
    """Its own online copy: one step, which no writer waits for."""
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / SQLITE_FILE
        with store.engine.connect() as connection, _closed(sqlite3.connect(copied)) as target:
            source: Any = connection.connection.driver_connection
            source.backup(target)
        copy = Store(f"sqlite:///{copied}")
        try:
            with copy.engine.connect() as connection:
                manifest = _manifest(connection, "sqlite", ())
        finally:
            copy.close()
        with writing(file) as archive, copied.open("rb") as content:
            archive.add_manifest(manifest)
            archive.add_file(SQLITE_FILE, content)
            _add_files(archive, files, manifest.files)
    return manifest


@contextmanager
def _closed(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    finally:
        connection.close()


def _of_postgresql(store: Store, files: Files, file: IO[bytes]) -> Manifest:
    """A COPY of every table, all of one snapshot."""
    tables = tuple(str(table.name) for table in Table.metadata.sorted_tables)
    with (
        store.engine.connect().execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        ) as connection,
        writing(file) as archive,
    ):
        manifest = _manifest(connection, "postgresql", tables)
        archive.add_manifest(manifest)
        for table in tables:
            archive.add(f"tables/{table}", _copied(connection, table))
        _add_files(archive, files, manifest.files)
    return manifest


def _copied(connection: sa.Connection, table: str) -> Iterator[bytes]:
    names = ", ".join(f'"{column.name}"' for column in Table.metadata.tables[table].columns)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table}" ({names}) TO STDOUT') as copy:
        yield from map(bytes, copy)


def _manifest(connection: sa.Connection, kind: str, tables: tuple[str, ...]) -> Manifest:
    kids = connection.execute(select(Account.data_key_kid).distinct()).scalars().all()
    files = connection.execute(select(InputFile.id).order_by(col(InputFile.id))).scalars().all()
    made_at = connection.execute(sa.select(db_now())).scalar_one()
    return Manifest(
        kind,
        head(),
        version("overnight"),
        made_at,
        tuple(sorted(filter(None, kids))),
        tables,
        tuple(files),
    )


def _add_files(archive: Writer, files: Files, ids: tuple[str, ...]) -> None:
    """The files that the rows of that moment name; one that was purged since is left out."""
    for file_id in ids:
        with suppress(NotFoundError):
            archive.add(f"files/{file_id}", files.open(file_id))
