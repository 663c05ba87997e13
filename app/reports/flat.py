"""Results as tables, a row per completion: CSV for spreadsheets, Parquet without loss.

A job without any completion has one row, with the fields of a completion empty.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from typing_extensions import override

from app.domain.errors import InvalidRequestError
from app.reports.views import CompletionView, ResultLine

#: A spreadsheet takes a cell that begins so for a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Column(NamedTuple):
    name: str
    kind: str  # text or int or float, as Parquet keeps it
    value: Callable[[ResultLine, CompletionView | None, dict[str, float]], Any]


def _of_job(name: str) -> _Column:
    return _Column(name, "text", lambda line, _one, _scores: getattr(line, name))


def _of_call(name: str, kind: str = "text") -> _Column:
    return _Column(name, kind, lambda _line, one, _scores: getattr(one, name, None))


def _of_usage(name: str) -> _Column:
    return _Column(
        name,
        "int",
        lambda _line, one, _scores: None if one is None else getattr(one.usage, name, None),
    )


def _error(line: ResultLine, one: CompletionView | None, part: str) -> str | None:
    error = line.error if one is None else one.error
    return getattr(error, part, None)


COLUMNS: tuple[_Column, ...] = (
    _of_job("custom_id"),
    _of_job("job_id"),
    _of_job("mode"),
    _Column("job_state", "text", lambda line, _one, _scores: line.state),
    *map(_of_call, ("call_id", "label", "provider", "model", "model_returned", "role", "state")),
    _of_call("text"),
    _of_call("finish_reason"),
    _Column("score", "float", lambda _line, one, scores: scores.get(getattr(one, "label", ""))),
    *map(_of_usage, ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens")),
    _of_call("cost_nanos", "int"),
    _of_call("billed"),
    _of_call("latency_ms", "int"),
    _of_call("attempts", "int"),
    _Column("error_reason", "text", lambda line, one, _scores: _error(line, one, "reason")),
    _Column("error_message", "text", lambda line, one, _scores: _error(line, one, "message")),
)
Encode = Callable[[Sequence[ResultLine]], bytes]


class _Score(msgspec.Struct):
    label: str
    score: float


class _Verdict(msgspec.Struct):
    scores: list[_Score]


def flat_rows(lines: Iterable[ResultLine]) -> Iterator[tuple[Any, ...]]:
    """The rows of some results, as `COLUMNS` has them."""
    for line in lines:
        scores: dict[str, float] = {}
        if line.verdict is not None:
            verdict = msgspec.json.decode(line.verdict, type=_Verdict)
            scores = {one.label: one.score for one in verdict.scores}
        for one in line.completions or (None,):
            yield tuple(column.value(line, one, scores) for column in COLUMNS)


def csv_encoder() -> Encode:
    """An encoder of pieces of one CSV file, the first with the header.

    Every cell is quoted, and text that a spreadsheet would take for a formula has an apostrophe
    put before it: this is not a lossless export.
    """
    is_first = True

    def encode(lines: Sequence[ResultLine]) -> bytes:
        nonlocal is_first
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL)
        if is_first:
            writer.writerow([column.name for column in COLUMNS])
            is_first = False
        writer.writerows([safe_cell(value) for value in row] for row in flat_rows(lines))
        return out.getvalue().encode()

    return encode


def safe_cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


class ParquetEncoder:
    """Writes pieces of one Parquet file, a row group for each.

    Raises:
        InvalidRequestError: Parquet is not installed here.
    """

    def __init__(self) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra: large, and not everybody's
            from pyarrow import parquet  # noqa: PLC0415 - as above
        except ImportError:
            raise InvalidRequestError(
                "format: Parquet needs the extra `parquet` where the API runs "
                "(pip install 'overnight[parquet]'); or ask for csv or jsonl",
                param="format",
            ) from None
        kinds = {"text": pa.string(), "int": pa.int64(), "float": pa.float64()}
        self._pa: Any = pa
        self._schema = pa.schema([(column.name, kinds[column.kind]) for column in COLUMNS])
        self._out = _Drain()
        self._writer = parquet.ParquetWriter(self._out, self._schema, compression="zstd")

    def encode(self, lines: Sequence[ResultLine]) -> bytes:
        """The next piece of the file."""
        cells = zip(*flat_rows(lines), strict=True)
        arrays = [
            self._pa.array(values, type=field.type)
            for values, field in zip(cells, self._schema, strict=True)
        ]
        self._writer.write_table(self._pa.table(arrays, schema=self._schema))
        return self._out.drain()

    def end(self) -> bytes:
        """The end of the file, without which it is none."""
        self._writer.close()
        return self._out.drain()


class _Drain(io.RawIOBase):
    """A file that hands on what was written, and remembers only where it is."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    @override
    def writable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._written

    @override
    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._written += len(piece)
        return len(piece)

    def drain(self) -> bytes:
        found = b"".join(self._pieces)
        self._pieces.clear()
        return found
