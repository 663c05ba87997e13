"""The output and error files of a batch: written once, under names that were decided before."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from typing import IO, Any

import msgspec

from app.db import Tx
from app.files import CHUNK_BYTES, Files, Stored
from app.models import Batch, InputFile, OpenAIBatch
from app.pipeline.services import Services
from app.reports.openai_output import output_pages

_BYTES_MAX = 1 << 42
#: What of the error lines is kept in memory; the rest goes to a temporary file.
_SPOOL_BYTES = 8 * 1024 * 1024


@dataclass(slots=True)
class Outputs:
    """What was written for a batch: each of its files, by its id, and what they come to."""

    files: dict[str, tuple[str, Stored]] = field(default_factory=dict)
    completed: int = 0
    failed: int = 0
    tokens: Counter[str] = field(default_factory=Counter)

    @property
    def usage(self) -> dict[str, Any]:
        """The tokens, in the fields of `openai.types.BatchUsage`."""
        tokens = self.tokens
        return {
            "input_tokens": tokens["input_tokens"],
            "input_tokens_details": {
                "cached_tokens": tokens["cached_tokens"],
                "cache_write_tokens": tokens["cache_write_tokens"],
            },
            "output_tokens": tokens["output_tokens"],
            "output_tokens_details": {"reasoning_tokens": tokens["reasoning_tokens"]},
            "total_tokens": tokens["total_tokens"],
        }


def write_outputs(services: Services, batch_id: str) -> Outputs | None:
    """Write the files of a batch none of whose jobs changes any more; None where it has none.

    Safe to do twice, even at once: the same bytes under the same names. Nobody sees a file
    before `register_outputs`.

    Raises:
        UnavailableError: the storage is full or away.
    """
    with services.store.read() as session:
        row = session.get(OpenAIBatch, batch_id)
    if row is None or row.errors is not None:
        return None
    files, made = Files(services.settings.files_base_url), Outputs()
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as errors:
        lines = _output(services, row, made, errors)
        _put(files, made, row.output_file_id, f"{batch_id}_output.jsonl", lines)
        errors.seek(0)
        chunks = iter(lambda: errors.read(CHUNK_BYTES), b"")
        _put(files, made, row.error_file_id, f"{batch_id}_error.jsonl", chunks)
    return made


def _output(
    services: Services, row: OpenAIBatch, made: Outputs, errors: IO[bytes]
) -> Iterator[bytes]:
    """The lines of the output file; those of the other are put aside on the way."""
    for page in output_pages(services.store, row.batch_id, row.endpoint):
        made.completed += page.completed
        made.failed += page.failed
        for name, count in page.usage.items():
            made.tokens.update(count if isinstance(count, dict) else {name: count})
        errors.write(page.errors)
        if page.output:
            yield page.output


def _put(files: Files, made: Outputs, file_id: str, name: str, chunks: Iterator[bytes]) -> None:
    """Write a file, unless it would be empty."""
    first = next(chunks, None)
    if first is not None:
        stored = files.put(file_id, chain([first], chunks), bytes_max=_BYTES_MAX)
        made.files[file_id] = (name, stored)


def register_outputs(tx: Tx, batch: Batch, outputs: Outputs) -> None:
    """Make the files known, in the transaction that closes the batch."""
    row = tx.get_one(OpenAIBatch, batch.id)
    assert batch.closed_at is not None  # noqa: S101 - the caller has closed it
    kept = None if row.output_kept_s is None else timedelta(seconds=row.output_kept_s)
    for file_id, (name, stored) in outputs.files.items():
        tx.add(
            InputFile(
                id=file_id,
                account_id=batch.account_id,
                filename=name,
                bytes=stored.bytes,
                sha256=stored.sha256,
                purpose="batch_output",
                created_at=batch.closed_at,
                expires_at=None if kept is None else batch.closed_at + kept,
            )
        )
    row.completed, row.failed = outputs.completed, outputs.failed
    row.usage = msgspec.json.encode(outputs.usage).decode()
