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


def seal_file(cipher: Cipher, file_id: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks of a file, sealed."""
    number, held = 0, None
    for chunk in chunks:
        if held is not None:
            yield _sealed(cipher, _where(file_id, number, last=False), held)
            number += 1
        held = chunk
    yield _sealed(cipher, _where(file_id, number, last=True), held or b"")


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


def _sealed(cipher: Cipher, where: bytes, chunk: bytes) -> bytes:
    sealed = cipher.seal(where, chunk)
    return len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed


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
