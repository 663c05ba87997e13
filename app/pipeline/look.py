"""A look at an input file as it comes in: what it is, and whether it is whole."""

import codecs

from app.domain.errors import InvalidRequestError

#: How a Parquet file begins.
_PARQUET = b"PAR1"


class Look:
    """What an input file is, found from how it begins and what it is called.

    Attributes:
        format: jsonl, csv or parquet; known once every chunk was looked at.
        bytes: how many they have.
    """

    def __init__(self, filename: str) -> None:
        self._says_csv = filename.lower().endswith(".csv")
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._has_begun = False
        self.format = "jsonl"
        self.bytes = 0

    def at(self, chunk: bytes) -> None:
        """Look at the next chunk.

        Raises:
            InvalidRequestError: it is not what the file began as.
        """
        self.bytes += len(chunk)
        if not self._has_begun and chunk.strip():
            self._has_begun = True
            self.format = self._format_of(chunk)
        if self.format != "parquet":
            self._check_text(chunk)

    def end(self) -> None:
        """There is no more.

        Raises:
            InvalidRequestError: the file ends too soon, or is empty.
        """
        if self._decoder.getstate()[0]:
            raise _refused("ends in the middle of a character")
        if not self._has_begun:
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

    def _check_text(self, chunk: bytes) -> None:
        try:
            self._decoder.decode(chunk)
        except UnicodeDecodeError:
            raise _refused("is not UTF-8") from None


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"file: it {why}", param="file")
