"""upload: an input file is stored whole, then known; submit reads its lines."""

import re
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from datetime import timedelta

from app.accounts.accounts import get_account
from app.accounts.limits import check_quotas
from app.db import Commit
from app.domain.errors import RejectedError, UnavailableError
from app.domain.ids import Prefix, new_id
from app.domain.states import Seal
from app.files import Files, Writer
from app.models import InputFile
from app.pipeline.accounts import default_limits
from app.pipeline.keeping import seal_for
from app.pipeline.look import Look
from app.pipeline.services import Services
from app.vault.cipher import Cipher, new_key
from app.vault.sealed_files import FileSealer
from app.vault.text_keys import make_text_key
from app.vault.texts import account_cipher

FILE_BYTES_MAX = 512 * 1024 * 1024
FILENAME_CHARS_MAX = 255
#: What seals add to a file is less than this part of it.
_SEALED_SHARE = 64
_UNSEEMLY = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class Upload:
    """An input file that is being stored; what its lines say is checked by whoever submits them.

    With `retention` none, of its own or by the account's setting, it is sealed from its first
    byte with a key of its own, which the batch that is made of it takes over.

    Nothing is touched before the first byte, and nothing is left of what is not finished.

    Args:
        services: where to.
        account_id: whose it is.
        filename: what it is called, which is no more than a name.
        retention: keep or none, where it is not the account's setting.
    """

    def __init__(
        self, services: Services, account_id: str, filename: str, retention: str | None = None
    ) -> None:
        self._services, self._account_id = services, account_id
        self._filename, self._retention = filename, retention
        self._id = new_id(Prefix.FILE)
        self._files = Files(services.settings.files_base_url)
        self._key = new_key()
        self._seal: Seal | None = None
        self._look = Look(filename)
        self._exits = ExitStack()
        self._writer: Writer | None = None
        self._sealer: FileSealer | None = None
        self._error: RejectedError | None = None

    def write(self, chunk: bytes) -> int:
        """Append bytes. What is wrong with them is told at the end: who sends will send all."""
        if self._error is None:
            try:
                self._write(chunk)
            except RejectedError as error:
                self._error = error
                self.close()
        return len(chunk)

    def _write(self, chunk: bytes) -> None:
        if self._writer is None:
            self._writer = self._begin()
        self._look.at(chunk)
        self._writer.write(chunk if self._sealer is None else self._sealer.seal(chunk))

    def _begin(self) -> Writer:
        with self._services.store.read() as session:
            account = get_account(session, self._account_id)
        self._seal, bytes_max = seal_for(account, self._retention), FILE_BYTES_MAX
        if self._seal is not None:
            bytes_max += FILE_BYTES_MAX // _SEALED_SHARE
            is_own = self._seal is Seal.BATCH
            cipher = Cipher(self._key) if is_own else account_cipher(self._services.vault, account)
            self._sealer = FileSealer(cipher, self._id)
        return self._exits.enter_context(self._files.writing(self._id, bytes_max=bytes_max))

    def finish(self, kept_for: timedelta | None = None) -> InputFile:
        """Make the file known, durably.

        Args:
            kept_for: how long it is kept; None until it is deleted.

        Raises:
            InvalidRequestError: it is no JSONL or CSV in UTF-8, and no Parquet; or it is to be
                kept, and the account retains nothing.
            TooLargeError: it is over the limit.
            QuotaError: the account would keep more bytes than it may.
            UnavailableError: the storage or the store is full or away.
        """
        if self._error is not None:
            raise self._error
        with self._exits:
            self._look.end()
            if self._writer is None:
                raise RuntimeError("an empty file is refused")
            if self._sealer is not None:
                self._writer.write(self._sealer.end())
        try:
            return self._keep(self._writer.stored().sha256, kept_for)
        except BaseException:
            _forget(self._services, self._files, self._id)
            raise

    def _keep(self, sha256: str, kept_for: timedelta | None) -> InputFile:
        services, account_id = self._services, self._account_id
        with services.store.transaction(Commit.UPLOAD) as tx:
            now = services.store.now(tx)
            row = InputFile(
                id=self._id,
                account_id=account_id,
                filename=_UNSEEMLY.sub("", self._filename)[:FILENAME_CHARS_MAX] or "input.jsonl",
                bytes=self._look.bytes,
                sha256=sha256,
                format=self._look.format,
                seal=self._seal,
                created_at=now,
                expires_at=None if kept_for is None else now + kept_for,
            )
            tx.add(row)
            if self._seal is Seal.BATCH:
                make_text_key(
                    tx, services.vault, self._key, account_id=account_id, file_id=self._id
                )
            tx.flush()
            check_quotas(tx, services.store, account_id, default_limits(services.settings))
        return row

    def seek(self, _offset: int) -> int:
        """Nothing: what is being stored is not read again. A form's parser asks for it."""
        return 0

    def close(self) -> None:
        """Drop what was not finished."""
        with suppress(_DroppedError), self._exits:
            raise _DroppedError


class _DroppedError(Exception):
    """A file is not finished."""


def upload(
    services: Services,
    account_id: str,
    filename: str,
    chunks: Iterable[bytes],
    *,
    retention: str | None = None,
) -> InputFile:
    """Store an input file of which all bytes are at hand; raises what `Upload.finish` does."""
    coming = Upload(services, account_id, filename, retention)
    with closing(coming):
        for chunk in chunks:
            coming.write(chunk)
        return coming.finish()


def _forget(services: Services, files: Files, file_id: str) -> None:
    """Delete what no row names. A commit that seemed to fail may have been made after all."""
    with suppress(UnavailableError):
        with services.store.read() as session:
            is_known = session.get(InputFile, file_id) is not None
        if not is_known:
            files.delete(file_id)
