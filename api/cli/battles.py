"""Reading anybody's battles from a file: CSV, JSONL or Parquet, with columns a, b and winner."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from api.cli.failure import ExitCode, Failure
from app.stats.battles import Battle

#: What a column may be called instead.
OTHER_NAMES = {"model_a": "a", "model_b": "b", "prompt_id": "prompt", "question_id": "prompt"}
#: What `winner` may say, and what `a` gets then.
SHARES = {"a": 1.0, "model_a": 1.0, "b": 0.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5}
_ROWS_AT_A_TIME = 10_000


def battles_in(path: Path) -> Iterator[Battle]:
    """The battles of a file, in its order.

    Raises:
        Failure: the file cannot be read, or a row is no battle; the message names the row.
    """
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    readers[".parquet"] = _parquet_rows
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise _wrong(f"{path}: give a file that ends in {', '.join(readers)}")
    try:
        for where, row in reader(path):
            yield _battle(f"{path}, {where}", row)
    except OSError as error:
        raise _wrong(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise _wrong(f"{path} cannot be read: it is not UTF-8") from None


Row = Mapping[str, Any]


def _csv_rows(path: Path) -> Iterator[tuple[str, Row]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines, strict=True)
        try:
            header = next(rows, [])
            for row in rows:
                if len(row) == len(header):
                    yield f"line {rows.line_num}", dict(zip(header, row, strict=True))
                elif row:
                    raise _wrong(
                        f"{path}, line {rows.line_num}: it has {len(row)} cells, and the "
                        f"header {len(header)}"
                    )
        except csv.Error as error:
            raise _wrong(f"{path}, line {rows.line_num}: it is no CSV ({error})") from None


def _json_rows(path: Path) -> Iterator[tuple[str, Row]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise _wrong(f"{path}, line {number}: it is no JSON ({error})") from None
            if not isinstance(row, dict):
                raise _wrong(f"{path}, line {number}: it is no JSON object")
            yield f"line {number}", row


def _parquet_rows(path: Path) -> Iterator[tuple[str, Row]]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - heavy, and only needed here
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise _wrong(
            f"{path}: Parquet takes the extra `parquet`: pip install overnight[parquet]"
        ) from None
    try:
        file = parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(_ROWS_AT_A_TIME):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except pa.ArrowException as error:
        raise _wrong(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from None


def _battle(where: str, row: Row) -> Battle:
    named = {OTHER_NAMES.get(name, name): value for name, value in row.items()}
    first, second, winner = (_cell(where, named, name) for name in ("a", "b", "winner"))
    if first == second:
        raise _wrong(f"{where}: {first!r} meets itself")
    prompt = named.get("prompt")
    share = _share(where, first, second, winner)
    return Battle(first, second, share, None if prompt in (None, "") else str(prompt))


def _cell(where: str, row: Row, name: str) -> str:
    value = row.get(name)
    if value is None or not str(value).strip():
        problem = "is empty" if name in row else "is missing; a battle has a, b and winner"
        raise _wrong(f"{where}: {name} {problem}")
    return str(value).strip()


def _share(where: str, first: str, second: str, winner: str) -> float:
    found = {first: 1.0, second: 0.0}.get(winner)
    word = SHARES.get(winner.lower())
    if found is not None and word is not None and found != word:
        raise _wrong(
            f"{where}: winner {winner!r} is the name of one and the place of the other; "
            "rename the contestants"
        )
    share = word if found is None else found
    if share is None:
        raise _wrong(f"{where}: winner is {winner!r}; it may be a, b, tie, or one of the two names")
    return share


def _wrong(problem: str) -> Failure:
    return Failure(problem, ExitCode.USAGE)
