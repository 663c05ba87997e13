"""Files that are sealed from their first byte, a chunk at a time, in bounded memory.

Each chunk is bound to its file and its place in it, and the last one says that it is the last: a
chunk that was moved, left out, added or cut off does not open.
"""

from collections.abc import Iterable, Iterator

from app.domain.errors import SealError
from app.vault.cipher import Cipher

_LENGTH_BYTES = 4
#: What a stored chunk may have at most: more is damage, and is not read into memory.
_CHUNK_BYTES_MAX = 16 * 1024 * 1024


class FileSealer:
    """Seals a file's chunks, each once it is known whether it is the last."""

    def __init__(self, cipher: Cipher, file_id: str) -> None:
        self._cipher = cipher
        self._file_id = file_id
        self._number = 0
        self._held: bytes | None = None

    def seal(self, chunk: bytes) -> bytes:
        """The chunk before this one, sealed; nothing before the first."""
        held, self._held = self._held, chunk
        return b"" if held is None else self._sealed(held, last=False)

    def end(self) -> bytes:
        """The last chunk, sealed; of no chunks at all, an empty one."""
        return self._sealed(self._held or b"", last=True)

    def _sealed(self, chunk: bytes, *, last: bool) -> bytes:
        sealed = self._cipher.seal(_where(self._file_id, self._number, last=last), chunk)
        self._number += 1
        return len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed


def seal_file(cipher: Cipher, file_id: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks of a file, sealed."""
    sealer = FileSealer(cipher, file_id)
    yield from filter(None, map(sealer.seal, chunks))
    yield sealer.end()


def open_file(cipher: Cipher, file_id: str, stored: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks that were sealed.

    Raises:
        SealError: the file was damaged, or is another's.
    """
    number, held = 0, None
    for sealed in _frames(file_id, stored):
        if held is not None:
            yield _opened(cipher, file_id, (number, False), held)
            number += 1
        held = sealed
    yield _opened(cipher, file_id, (number, True), held or b"")


def _opened(cipher: Cipher, file_id: str, place: tuple[int, bool], sealed: bytes) -> bytes:
    number, last = place
    chunk = cipher.open(_where(file_id, number, last=last), sealed)
    if chunk is None:
        raise _damaged(file_id)
    return chunk


def _frames(file_id: str, stored: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in stored:
        rest += piece
        while len(rest) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(rest[:_LENGTH_BYTES], "big")
            if end > _CHUNK_BYTES_MAX:
                raise _damaged(file_id)
            if len(rest) < end:
                break
            yield rest[_LENGTH_BYTES:end]
            rest = rest[end:]
    if rest:
        raise _damaged(file_id)


def _where(file_id: str, number: int, *, last: bool) -> bytes:
    return f"file|{file_id}|{number}|{int(last)}".encode()


def _damaged(file_id: str) -> SealError:
    return SealError(f"what is sealed in {file_id} does not open there")
