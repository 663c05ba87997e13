"""Files that were stored: found, read, deleted, and swept once they have expired."""

from collections.abc import Iterator, Sequence
from itertools import chain

from sqlmodel import Session, col, delete, select

from app.accounts.accounts import get_account
from app.db import Commit
from app.domain.errors import InvalidRequestError, NotFoundError
from app.domain.states import Seal
from app.files import Files
from app.models import Batch, InputFile, TextKey
from app.pipeline.lines import RawLine, jsonl_lines
from app.pipeline.services import Services
from app.pipeline.tables import csv_lines, parquet_lines
from app.vault.cipher import Cipher
from app.vault.master import Vault
from app.vault.sealed_files import open_file
from app.vault.text_keys import cipher_of_file
from app.vault.texts import account_cipher, cipher_of_outputs

#: How many files are deleted in one go.
_SWEPT = 100

Chunks = Iterator[bytes]


def own_file(services: Services, account_id: str, file_id: str) -> InputFile:
    """The account's file.

    Raises:
        NotFoundError: there is none of that id, or it is another account's.
    """
    with services.store.read() as session:
        row = session.get(InputFile, file_id)
        is_there = row is not None and (
            row.expires_at is None or row.expires_at > services.store.now(session)
        )
    if row is None or row.account_id != account_id or not is_there:
        raise NotFoundError(f"there is no file {file_id[:64]!r}")
    return row


def content_of(services: Services, account_id: str, file_id: str) -> tuple[InputFile, Chunks]:
    """The account's file with its bytes, a chunk at a time.

    Raises:
        NotFoundError: there is none of that id, or its bytes are gone; raised at once.
        GoneError: it is an output of a batch whose text was destroyed.
    """
    row = own_file(services, account_id, file_id)
    chunks = _content(services, row)
    first = next(chunks, b"")
    return row, chain([first], chunks)


def delete_file(services: Services, account_id: str, file_id: str) -> None:
    """Delete the account's file. Batches that were made of it go on.

    It expires at once, so that whatever fails after that, `sweep_files` finishes.

    Raises:
        NotFoundError: there is none of that id.
    """
    own_file(services, account_id, file_id)
    with services.store.transaction(Commit.FILE_EXPIRE) as tx:
        row = tx.get(InputFile, file_id)
        if row is not None:
            row.expires_at = services.store.now(tx)
    drop_files(services, [file_id])


def sweep_files(services: Services) -> int:
    """Delete files that have expired, some of them if there are many; answers how many."""
    with services.store.read() as session:
        now = services.store.now(session)
        gone = session.exec(
            select(InputFile.id).where(col(InputFile.expires_at) <= now).limit(_SWEPT)
        ).all()
    drop_files(services, gone)
    return len(gone)


def drop_files(services: Services, file_ids: Sequence[str]) -> None:
    """Delete files, and the keys of those that retain nothing and are no batch's.

    The bytes first: a row is what they are found again by.
    """
    if not file_ids:
        return
    files = Files(services.settings.files_base_url)
    for file_id in file_ids:
        files.delete(file_id)
    with services.store.transaction(Commit.FILE_DROP) as tx:
        tx.exec(
            delete(TextKey).where(
                col(TextKey.file_id).in_(file_ids), col(TextKey.batch_id).is_(None)
            )
        )
        tx.exec(delete(InputFile).where(col(InputFile.id).in_(file_ids)))


def stored_lines(
    services: Services, account_id: str, file_id: str, *, templated: bool
) -> Iterator[RawLine]:
    """The lines of the account's file, for submit; a table's as the batch's template needs them.

    Raises:
        InvalidRequestError: the account has no such file.
    """
    try:
        row = own_file(services, account_id, file_id)
    except NotFoundError as error:
        param = "input_file_id"
        raise InvalidRequestError(f"{param}: {error.message}", param=param) from None
    chunks = _content(services, row)
    match row.format:
        case "csv":
            return csv_lines(chunks, templated=templated)
        case "parquet":
            return parquet_lines(chunks, templated=templated)
        case _:
            return jsonl_lines(chunks)


def _content(services: Services, row: InputFile) -> Iterator[bytes]:
    """The file's bytes as they were uploaded, or written for a batch whose texts there are."""
    stored = Files(services.settings.files_base_url).open(row.id)
    with services.store.read() as session:
        cipher = _cipher_of(session, services.vault, row)
    return stored if cipher is None else open_file(cipher, row.id, stored)


def _cipher_of(session: Session, vault: Vault, row: InputFile) -> Cipher | None:
    if row.batch_id is not None:
        return cipher_of_outputs(session, vault, session.get_one(Batch, row.batch_id))
    if row.seal == Seal.BATCH:
        return cipher_of_file(session, vault, row.id)
    if row.seal == Seal.ACCOUNT:
        return account_cipher(vault, get_account(session, row.account_id))
    return None
