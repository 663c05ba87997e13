"""Read a response's body without trusting it: a cap on decoded bytes, and no surprise encodings."""

import zlib
from collections.abc import Mapping

from app.domain.errors import MalformedCompletionError

RESPONSE_BYTES_MAX = 32 * 1024 * 1024
#: zlib's window sizes, with which it reads each encoding's own header.
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class CappedBody:
    """Collects the chunks of one body, decoded, up to a number of bytes.

    We ask for no encoding, but a server may send gzip all the same, and a small gzip can
    unpack to gigabytes: so it is never unpacked further than the cap.
    """

    def __init__(self, headers: Mapping[str, str], bytes_max: int) -> None:
        self._left = bytes_max
        self._chunks: list[bytes] = []
        self._unpacker = _unpacker_for(headers.get("content-encoding", ""))
        length = headers.get("content-length", "")
        if length.isdecimal() and len(length) < 20 and int(length) > bytes_max:  # noqa: PLR2004 - Python refuses to read very long numbers
            raise _too_large(bytes_max)
        self._bytes_max = bytes_max

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk.

        Raises:
            MalformedCompletionError: the body is over the cap, or not in its encoding.
        """
        if self._unpacker is not None:
            try:
                chunk = self._unpacker.decompress(chunk, self._left + 1)
            except zlib.error:
                raise _not_decodable() from None
        self._left -= len(chunk)
        if self._left < 0:
            raise _too_large(self._bytes_max)
        self._chunks.append(chunk)

    def finish(self) -> bytes:
        """The whole body.

        Raises:
            MalformedCompletionError: its encoding breaks off, or goes on after its end.
        """
        unpacker = self._unpacker
        # An empty body needs no encoding.
        if unpacker and self._chunks and (not unpacker.eof or unpacker.unused_data):
            raise _not_decodable()
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)


def _unpacker_for(encoding: str) -> "zlib._Decompress | None":
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name not in _WINDOW_BITS:
        raise MalformedCompletionError(
            "the answer is in an encoding we did not ask for", reason="content_encoding"
        )
    return zlib.decompressobj(_WINDOW_BITS[name])


def _too_large(bytes_max: int) -> MalformedCompletionError:
    return MalformedCompletionError(
        f"the answer is larger than {bytes_max} bytes", reason="too_large"
    )


def _not_decodable() -> MalformedCompletionError:
    return MalformedCompletionError(
        "the answer is not in the encoding it names", reason="content_encoding"
    )
