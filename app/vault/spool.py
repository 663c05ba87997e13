"""A temporary file whose bytes on the disk are sealed, for what must not be there in plain."""

import tempfile
from collections.abc import Iterator

from app.vault.cipher import Cipher, new_key

_BLOCK_BYTES = 256 * 1024
_LENGTH_BYTES = 4


class SealedSpool:
    """Written once, then read from the beginning, as often as one likes. Its key is in memory."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its owner
        self._cipher = Cipher(new_key())
        self._block: list[bytes] = []
        self._block_bytes = 0
        self._rest = b""

    def write(self, data: bytes) -> int:
        """Append bytes."""
        self._block.append(bytes(data))
        self._block_bytes += len(data)
        if self._block_bytes >= _BLOCK_BYTES:
            self._flush()
        return len(data)

    def seek(self, offset: int) -> int:
        """Go to the beginning, the one place there is."""
        if offset != 0:
            raise ValueError("a sealed spool is read from its beginning")
        self._flush()
        self._rest = b""
        return self._file.seek(0)

    def read(self, size: int) -> bytes:
        """So many bytes; fewer at the end alone."""
        blocks, there = [self._rest], len(self._rest)
        while there < size and (block := self._next_block()):
            blocks.append(block)
            there += len(block)
        read = b"".join(blocks)
        self._rest = read[size:]
        return read[:size]

    def __iter__(self) -> Iterator[bytes]:
        """The lines from here on, each with its line feed."""
        rest = b""
        while block := self.read(_BLOCK_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            yield from (line + b"\n" for line in lines)
        if rest:
            yield rest

    def close(self) -> None:
        """Drop the file."""
        self._file.close()

    def _flush(self) -> None:
        if self._block:
            sealed = self._cipher.seal(b"spool", b"".join(self._block))
            self._file.write(len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed)
            self._block, self._block_bytes = [], 0

    def _next_block(self) -> bytes:
        length = int.from_bytes(self._file.read(_LENGTH_BYTES), "big")
        return self._cipher.open(b"spool", self._file.read(length)) or b""
