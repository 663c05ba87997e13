"""What a backup is: a tar of a manifest, the store's content, and the files, each a member.

It needs no tool of the database's: an SQLite store is its own online copy, a PostgreSQL store one
COPY per table, all of one moment.
"""

import gzip
import io
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from app.domain.errors import SetupError
from app.files import CHUNK_BYTES

FORMAT = 1
MANIFEST = "manifest.json"
SQLITE_FILE = "store.db"
_GZIP_LEVEL = 3


class Manifest(msgspec.Struct, frozen=True):
    """What a backup says of itself. The keys that open it are not in it; `kids` names them."""

    store: str
    revision: str
    version: str
    made_at: datetime
    kids: tuple[str, ...]
    tables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    format: int = FORMAT


class Writer:
    """Puts members into an archive, in bounded memory."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add_manifest(self, manifest: Manifest) -> None:
        """The first member."""
        self.add(MANIFEST, [msgspec.json.encode(manifest)])

    def add(self, name: str, chunks: Iterable[bytes]) -> None:
        """A member of these bytes; their number is only known once they were all seen."""
        with tempfile.TemporaryFile() as spool:
            for chunk in chunks:
                spool.write(chunk)
            self.add_file(name, spool)

    def add_file(self, name: str, file: IO[bytes]) -> None:
        """A member of all that is in an open file."""
        member = tarfile.TarInfo(name)
        member.size = file.seek(0, io.SEEK_END)
        member.mode = 0o600
        file.seek(0)
        self._tar.addfile(member, file)


@contextmanager
def writing(file: IO[bytes]) -> Iterator[Writer]:
    """An archive into an open file."""
    with (
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_GZIP_LEVEL) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        yield Writer(tar)


class Reader:
    """Takes members out of an archive, in the order in which they are there."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.manifest = self._read_manifest()

    def _read_manifest(self) -> Manifest:
        member = self._tar.next()
        if member is None or member.name != MANIFEST:
            raise SetupError("this is no backup of Overnight's")
        text = b"".join(self._chunks(member))
        if msgspec.json.decode(text, type=dict).get("format") != FORMAT:
            raise SetupError("this backup was made by another version, whose format is not known")
        return msgspec.json.decode(text, type=Manifest)

    def members(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Every member after the manifest, with its bytes; each is read before the next."""
        while (member := self._tar.next()) is not None:
            yield member.name, self._chunks(member)

    def _chunks(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        content = self._tar.extractfile(member)
        if content is None:
            raise SetupError(f"{member.name[:80]} in this backup is no file")
        while chunk := content.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """An archive to read.

    Raises:
        SetupError: it is none, or it is damaged.
    """
    try:
        with tarfile.open(path, mode="r|gz") as tar:
            yield Reader(tar)
    except FileNotFoundError:
        raise SetupError(f"there is no {path}") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error, msgspec.MsgspecError) as error:
        raise SetupError(f"{path} cannot be read as a backup ({type(error).__name__})") from error
