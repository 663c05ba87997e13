"""Files: input and output files at an fsspec URL, read and written in bounded memory."""

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import fsspec
import structlog
from fsspec.implementations.local import LocalFileSystem

from app.domain.clock import utc_now
from app.domain.errors import NotFoundError, TooLargeError, UnavailableError

log = structlog.get_logger(__name__)

CHUNK_BYTES = 1024 * 1024
#: The end of the name of what is still being written.
_PART = ".part"


@dataclass(frozen=True, slots=True)
class Stored:
    """What was written."""

    bytes: int
    sha256: str


class Writer:
    """What is written to one file, up to so many bytes."""

    def __init__(self, file: IO[bytes], bytes_max: int) -> None:
        self._file = file
        self._bytes_max = bytes_max
        self._bytes = 0
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises:
            TooLargeError: there are too many.
            UnavailableError: the storage is full or away.
        """
        self._bytes += len(chunk)
        if self._bytes > self._bytes_max:
            raise TooLargeError(f"a file has at most {self._bytes_max:,} bytes", param="file")
        self._digest.update(chunk)
        with _translated():
            self._file.write(chunk)

    def stored(self) -> Stored:
        """What was written so far."""
        return Stored(self._bytes, self._digest.hexdigest())


class Files:
    """One folder of files, each known by its id.

    Args:
        base_url: the folder: `file:///var/lib/overnight/files`, `s3://bucket/files`, …
    """

    def __init__(self, base_url: str) -> None:
        self._fs, self._root = fsspec.url_to_fs(base_url)

    def put(self, file_id: str, chunks: Iterable[bytes], *, bytes_max: int) -> Stored:
        """Write a file, durably, whole or not at all.

        What the chunks raise passes through, and leaves nothing behind.

        Raises:
            TooLargeError: there are more than `bytes_max` bytes.
            UnavailableError: the storage is full or away.
        """
        with self.writing(file_id, bytes_max=bytes_max) as writer:
            for chunk in chunks:
                writer.write(chunk)
        return writer.stored()

    @contextmanager
    def writing(self, file_id: str, *, bytes_max: int) -> Iterator["Writer"]:
        """The same, a chunk at a time; the file is there when the block has ended.

        Raises:
            UnavailableError: the storage is full or away.
        """
        path = self._path(file_id)
        # A name of its own, so that two who write the same file are not in each other's way.
        part = f"{path}.{secrets.token_hex(8)}{_PART}"
        with _translated():
            self._make_folder()
            try:
                with self._fs.open(part, "wb") as file:
                    yield Writer(file, bytes_max)
                    self._sync(file)
                self._fs.mv(part, path)
                self._sync_folder()
            except BaseException:
                with suppress(OSError):
                    self._fs.rm_file(part)
                raise

    def open(self, file_id: str) -> Iterator[bytes]:
        """The file's bytes, a chunk at a time.

        Raises:
            NotFoundError: it is not there (any more).
            UnavailableError: the storage is away.
        """
        try:
            with _translated(), self._fs.open(self._path(file_id), "rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except FileNotFoundError:
            raise NotFoundError("the content of this file is no longer there") from None

    def delete(self, file_id: str) -> None:
        """Delete the file; one that is not there is no error.

        Raises:
            UnavailableError: the storage is away.
        """
        with _translated(), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(file_id))

    def sweep_parts(self, older_than: timedelta) -> int:
        """Delete what was begun so long ago and never finished; answers how many.

        Whoever writes a file removes what is left of it when that fails, unless its process dies.
        By the storage's clock, where it has one: what has no time of its own is left alone.

        Raises:
            UnavailableError: the storage is away.
        """
        with _translated(), suppress(FileNotFoundError):
            names = self._fs.ls(self._root, detail=False, refresh=True)
            parts = [name for name in names if str(name).endswith(_PART)]
            old = [name for name in parts if self._is_older(name, older_than)]
            for name in old:
                with suppress(FileNotFoundError):
                    self._fs.rm_file(name)
            return len(old)
        return 0

    def _is_older(self, name: str, than: timedelta) -> bool:
        try:
            changed: datetime = self._fs.modified(name)
        except (FileNotFoundError, NotImplementedError):
            return False
        return utc_now() - changed > than

    def _path(self, file_id: str) -> str:
        return f"{self._root}/{file_id}"

    def _sync(self, file: Any) -> None:
        """Local files only: other storage is durable when it has taken the last byte."""
        if self._is_local:
            file.flush()
            os.fsync(file.fileno())

    def _make_folder(self) -> None:
        if self._is_local:
            Path(self._root).mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            self._fs.makedirs(self._root, exist_ok=True)

    def _sync_folder(self) -> None:
        if self._is_local:
            folder = os.open(self._root, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    @property
    def _is_local(self) -> bool:
        return isinstance(self._fs, LocalFileSystem)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        log.warning("files_unavailable", error=type(error).__name__, errno=error.errno)
        raise UnavailableError("the file storage cannot be reached, or is full") from None
