"""Read a response's body without trusting it: a cap on decoded bytes, and no surprise encodings."""

import zlib
from collections.abc import Mapping

from app.domain.errors import MalformedCompletionError

RESPONSE_BYTES_MAX = 32 * 1024 * 1024
LENGTH_DIGITS_MAX = 19
#: zlib's window sizes, with which it reads each encoding's own header.
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class CappedBody:
    """Collects the chunks of one body, decoded, up to a number of bytes.

    We ask for no encoding, but a server may send gzip all the same, and a small gzip can
    unpack to gigabytes: so it is never unpacked further than the cap.
    """

    def __init__(
        self, headers: Mapping[str, str], bytes_max: int, status_code: int | None = None
    ) -> None:
        self._bytes_max = self._left = bytes_max
        self._status_code = status_code
        self._chunks: list[bytes] = []
        self._unpacker = self._unpacker_for(headers.get("content-encoding", ""))
        length = headers.get("content-length", "")
        # Python refuses to read very long numbers; the client has refused them before.
        if length.isdecimal() and len(length) <= LENGTH_DIGITS_MAX and int(length) > bytes_max:
            raise self._too_large()

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk.

        Raises:
            MalformedCompletionError: the body is over the cap, or not in its encoding.
        """
        if self._unpacker is not None:
            try:
                chunk = self._unpacker.decompress(chunk, self._left + 1)
            except zlib.error:
                raise self._not_decodable() from None
        self._left -= len(chunk)
        if self._left < 0:
            raise self._too_large()
        self._chunks.append(chunk)

    def finish(self) -> bytes:
        """The whole body.

        Raises:
            MalformedCompletionError: its encoding breaks off, or goes on after its end.
        """
        unpacker = self._unpacker
        # An empty body needs no encoding.
        if unpacker and self._chunks and (not unpacker.eof or unpacker.unused_data):
            raise self._not_decodable()
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def _unpacker_for(self, encoding: str) -> "zlib._Decompress | None":
        name = encoding.strip().lower()
        if name in ("", "identity"):
            return None
        if name not in _WINDOW_BITS:
            raise self._not_decodable()
        return zlib.decompressobj(_WINDOW_BITS[name])

    def _too_large(self) -> MalformedCompletionError:
        return MalformedCompletionError(
            f"the answer is larger than {self._bytes_max} bytes",
            reason="too_large",
            status_code=self._status_code,
        )

    def _not_decodable(self) -> MalformedCompletionError:
        return MalformedCompletionError(
            "the answer is not in the encoding it names, or in one that nobody asked for",
            reason="content_encoding",
            status_code=self._status_code,
        )
