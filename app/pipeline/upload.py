"""upload: an input file is stored whole, then known; submit reads its lines."""

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import chain

from sqlmodel import Session, col, delete, select

from app.accounts.accounts import get_account
from app.accounts.limits import check_quotas
from app.db import Commit
from app.domain.errors import InvalidRequestError, NotFoundError, UnavailableError
from app.domain.ids import Prefix, new_id
from app.domain.states import Seal
from app.files import Files
from app.models import Batch, InputFile, TextKey
from app.pipeline.accounts import default_limits
from app.pipeline.keeping import seal_for
from app.pipeline.lines import RawLine, jsonl_lines
from app.pipeline.services import Services
from app.pipeline.tables import csv_lines, parquet_lines
from app.vault.cipher import Cipher, new_key
from app.vault.master import Vault
from app.vault.sealed_files import open_file, seal_file
from app.vault.text_keys import cipher_of_file, make_text_key
from app.vault.texts import account_cipher, cipher_of_outputs

FILE_BYTES_MAX = 512 * 1024 * 1024
FILENAME_CHARS_MAX = 255
#: What seals add to a file is less than this part of it.
_SEALED_SHARE = 64
#: How a Parquet file begins.
_PARQUET = b"PAR1"
#: How many files are deleted in one go.
_SWEPT = 100
_UNSEEMLY = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

Chunks = Iterator[bytes]


def upload(
    services: Services,
    account_id: str,
    filename: str,
    chunks: Iterable[bytes],
    *,
    retention: str | None = None,
    kept_for: timedelta | None = None,
) -> InputFile:
    """Keep an input file. What its lines say is checked when a batch is submitted with it.

    With `retention` none, of its own or by the account's setting, it is sealed from its first
    byte with a key of its own, which the batch that is made of it takes over.

    Args:
        services: where to.
        account_id: whose it is.
        filename: what it is called, which is no more than a name.
        chunks: its bytes.
        retention: keep or none, where it is not the account's setting.
        kept_for: how long it is kept; None until it is deleted.

    Raises:
        InvalidRequestError: it is no JSONL or CSV in UTF-8, and no Parquet; or it is to be kept,
            and the account retains nothing.
        TooLargeError: it is over the limit.
        QuotaError: the account would keep more bytes than it may.
        UnavailableError: the storage or the store is full or away.
    """
    file_id, files = new_id(Prefix.FILE), Files(services.settings.files_base_url)
    looked, key = _Look(chunks, filename), new_key()
    with services.store.read() as session:
        account = get_account(session, account_id)
    seal = seal_for(account, retention)
    content, bytes_max = looked.through(), FILE_BYTES_MAX
    if seal is not None:
        bytes_max += FILE_BYTES_MAX // _SEALED_SHARE
        cipher = Cipher(key) if seal is Seal.BATCH else account_cipher(services.vault, account)
        content = seal_file(cipher, file_id, content)
    stored = files.put(file_id, content, bytes_max=bytes_max)
    try:
        with services.store.transaction(Commit.UPLOAD) as tx:
            now = services.store.now(tx)
            row = InputFile(
                id=file_id,
                account_id=account_id,
                filename=_UNSEEMLY.sub("", filename)[:FILENAME_CHARS_MAX] or "input.jsonl",
                bytes=looked.bytes,
                sha256=stored.sha256,
                format=looked.format,
                seal=seal,
                created_at=now,
                expires_at=None if kept_for is None else now + kept_for,
            )
            tx.add(row)
            if seal is Seal.BATCH:
                make_text_key(tx, services.vault, key, account_id=account_id, file_id=file_id)
            tx.flush()
            check_quotas(tx, services.store, account_id, default_limits(services.settings))
    except BaseException:
        _forget(services, files, file_id)
        raise
    return row


def _forget(services: Services, files: Files, file_id: str) -> None:
    """Delete what no row names. A commit that seemed to fail may have been made after all."""
    with suppress(UnavailableError):
        with services.store.read() as session:
            is_known = session.get(InputFile, file_id) is not None
        if not is_known:
            files.delete(file_id)


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


class _Look:
    """What an upload is, found from how it begins and what it is called.

    Attributes:
        format: jsonl, csv or parquet; known once the chunks have gone through.
        bytes: how many went through.
    """

    def __init__(self, chunks: Iterable[bytes], filename: str) -> None:
        self._chunks = chunks
        self._says_csv = filename.lower().endswith(".csv")
        self.format = "jsonl"
        self.bytes = 0

    def through(self) -> Iterator[bytes]:
        """The chunks, as long as they are what they began as.

        Raises:
            InvalidRequestError: they are not.
        """
        decoder, has_begun = codecs.getincrementaldecoder("utf-8")(), False
        for chunk in self._chunks:
            self.bytes += len(chunk)
            if not has_begun and chunk.strip():
                has_begun = True
                self.format = self._format_of(chunk)
            if self.format != "parquet":
                _check_text(decoder, chunk)
            yield chunk
        if decoder.getstate()[0]:
            raise _refused("ends in the middle of a character")
        if not has_begun:
            raise _refused("is empty")

    def _format_of(self, chunk: bytes) -> str:
        if chunk.startswith(_PARQUET):
            return "parquet"
        if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise _refused("begins with a byte order mark of UTF-16; send UTF-8")
        if self._says_csv:
            return "csv"
        if chunk.startswith(codecs.BOM_UTF8):
            raise _refused("begins with a byte order mark; send UTF-8 without one")
        if not chunk.lstrip().startswith(b"{"):
            raise _refused(
                "is not JSONL: its first line is no JSON object (name a CSV file something.csv)"
            )
        return "jsonl"


def _check_text(decoder: codecs.IncrementalDecoder, chunk: bytes) -> None:
    try:
        decoder.decode(chunk)
    except UnicodeDecodeError:
        raise _refused("is not UTF-8") from None


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"file: it {why}", param="file")
