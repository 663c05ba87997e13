"""upload: an input file is stored whole, then known; submit reads its lines."""

import codecs
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

from app.domain.errors import InvalidRequestError, NotFoundError, UnavailableError
from app.domain.ids import Prefix, new_id
from app.files import Files
from app.models import InputFile
from app.pipeline.lines import RawLine, jsonl_lines
from app.pipeline.services import Services

FILE_BYTES_MAX = 200 * 1024 * 1024
FILENAME_CHARS_MAX = 255
_PARQUET = b"PAR1"
_UNSEEMLY = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def upload(
    services: Services, account_id: str, filename: str, chunks: Iterable[bytes]
) -> InputFile:
    """Keep an input file. What its lines say is checked when a batch is submitted with it.

    Raises:
        InvalidRequestError: it is no JSONL in UTF-8.
        TooLargeError: it is over the limit.
        UnavailableError: the storage or the store is full or away.
    """
    file_id, files = new_id(Prefix.FILE), Files(services.settings.files_base_url)
    stored = files.put(file_id, _looked_at(chunks), bytes_max=FILE_BYTES_MAX)
    try:
        with services.store.transaction() as tx:
            row = InputFile(
                id=file_id,
                account_id=account_id,
                filename=_UNSEEMLY.sub("", filename)[:FILENAME_CHARS_MAX] or "input.jsonl",
                bytes=stored.bytes,
                sha256=stored.sha256,
                created_at=services.store.now(tx),
            )
            tx.add(row)
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
    if row is None or row.account_id != account_id:
        raise NotFoundError(f"there is no file {file_id[:64]!r}")
    return row


def stored_lines(services: Services, account_id: str, file_id: str) -> Iterator[RawLine]:
    """The lines of the account's file, for submit.

    Raises:
        InvalidRequestError: the account has no such file.
    """
    try:
        own_file(services, account_id, file_id)
    except NotFoundError as error:
        param = "input_file_id"
        raise InvalidRequestError(f"{param}: {error.message}", param=param) from None
    return jsonl_lines(Files(services.settings.files_base_url).open(file_id))


def _looked_at(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, as long as they are text whose first line looks like JSON.

    Raises:
        InvalidRequestError: they are not.
    """
    decoder, has_begun = codecs.getincrementaldecoder("utf-8")(), False
    for chunk in chunks:
        if not has_begun and chunk.strip():
            has_begun = True
            _check_beginning(chunk)
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            raise _refused("is not UTF-8") from None
        yield chunk
    if decoder.getstate()[0]:
        raise _refused("ends in the middle of a character")
    if not has_begun:
        raise _refused("is empty")


def _check_beginning(chunk: bytes) -> None:
    if chunk.startswith(_PARQUET):
        raise _refused("is Parquet, which is not supported yet; send JSONL")
    if chunk.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _refused("begins with a byte order mark; send UTF-8 without one")
    if not chunk.lstrip().startswith(b"{"):
        raise _refused("is not JSONL: its first line is no JSON object (CSV is not supported yet)")


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"file: it {why}", param="file")
