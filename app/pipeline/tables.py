"""CSV and Parquet as input: a row is a line, a column a field of it or a variable.

Without a template the columns are `custom_id`, `prompt` or `messages` (as JSON), and
`reference`. With one, every column but `custom_id` and `reference` is a variable.
"""

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

import msgspec
from typing_extensions import override

from app.domain.errors import InvalidRequestError
from app.pipeline.lines import LINE_BYTES_MAX, RawLine

_FIELDS = frozenset({"custom_id", "prompt", "messages", "reference"})
_KEPT_WITH_TEMPLATE = frozenset({"custom_id", "reference"})
_ROWS = 1024
_SPOOL_BYTES = 8 * 1024 * 1024
#: A cell is never longer than a line; the limit is the whole module's.
csv.field_size_limit(LINE_BYTES_MAX)


class _Chunks(io.RawIOBase):
    """Chunks of bytes as a stream that can be read."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def csv_lines(chunks: Iterable[bytes], *, templated: bool) -> Iterator[RawLine]:
    """The rows of a CSV file in UTF-8, whose first row names the columns.

    Raises:
        InvalidRequestError: it is no such file; names the row, counted from the header as 1.
    """
    text = io.TextIOWrapper(
        io.BufferedReader(_Chunks(chunks)),
        encoding="utf-8-sig",
        newline="",
    )
    rows = csv.reader(text, strict=True)
    number = 1
    try:
        columns = _columns(next(rows, []), templated=templated)
        for number, row in enumerate(rows, 2):
            if not row:
                continue
            if len(row) != len(columns):
                raise _refused(
                    f"row {number}", f"has {len(row)} cells, and the header {len(columns)}"
                )
            cells = dict(zip(columns, row, strict=True))
            yield _line(cells, f"row {number}", templated=templated)
    except csv.Error as error:
        raise _refused(f"row {number + 1}", f"is no CSV ({error})") from None
    except UnicodeDecodeError:
        raise _refused(f"row {number + 1}", "is not UTF-8") from None


def parquet_lines(chunks: Iterable[bytes], *, templated: bool) -> Iterator[RawLine]:
    """The rows of a Parquet file.

    Raises:
        InvalidRequestError: it is none, or Parquet is not installed here.
    """
    arrow = _arrow()
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
        for chunk in chunks:
            spool.write(chunk)
        spool.seek(0)
        try:
            yield from _parquet_rows(arrow, spool, templated=templated)
        except (arrow.ArrowException, OSError):
            raise _refused("file", "is no Parquet that can be read") from None


def _parquet_rows(arrow: Any, spool: IO[bytes], *, templated: bool) -> Iterator[RawLine]:
    from pyarrow import parquet  # noqa: PLC0415 - an extra, which has been looked for

    file = parquet.ParquetFile(arrow.PythonFile(spool, mode="r"))
    columns = _columns(file.schema_arrow.names, templated=templated)
    number = 0
    for rows in file.iter_batches(batch_size=_ROWS):
        for cells in rows.rename_columns(columns).to_pylist():
            number += 1
            yield _line(cells, f"row {number}", templated=templated)


def _arrow() -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra: large, and not everybody's
    except ImportError:
        raise InvalidRequestError(
            "file: reading Parquet needs the extra `parquet` (pip install 'overnight[parquet]'); "
            "or send JSONL or CSV",
            param="file",
        ) from None
    return pa


def _columns(names: Sequence[str], *, templated: bool) -> list[str]:
    columns = [name.strip() for name in names]
    if not columns:
        raise _refused("header", "is missing: the first row names the columns")
    for column in columns:
        if columns.count(column) > 1:
            raise _refused("header", f"names the column {column[:64]!r} twice")
        if not column:
            raise _refused("header", "has a column without a name")
        if not templated and column not in _FIELDS:
            raise _refused(
                "header",
                f"the column {column[:64]!r} is none of {', '.join(sorted(_FIELDS))}; give the "
                "batch a template to use it as a variable",
            )
    return columns


def _line(cells: Mapping[str, Any], where: str, *, templated: bool) -> RawLine:
    """A row as a line of JSON; an empty cell of a field says nothing."""
    own = _KEPT_WITH_TEMPLATE if templated else _FIELDS
    line = {name: value for name, value in cells.items() if name in own and value not in {None, ""}}
    if templated:
        line["vars"] = {name: value for name, value in cells.items() if name not in own}
    elif isinstance(messages := line.get("messages"), str):
        line["messages"] = _messages(messages, where)
    if "custom_id" in line:
        line["custom_id"] = str(line["custom_id"])
    return RawLine(where, msgspec.json.encode(line, enc_hook=str))


def _messages(text: str, where: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise _refused(f"{where}.messages", "is no JSON") from None


def _refused(where: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"{where}: {why}", param=where)
