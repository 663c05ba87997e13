"""The output and error files of a batch: written once, under names that were decided before."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from typing import Any

import msgspec

from app.db import Tx
from app.files import CHUNK_BYTES, Files
from app.models import Batch, InputFile, OpenAIBatch
from app.pipeline.services import Services
from app.reports.openai_output import output_pages
from app.vault.cipher import Cipher
from app.vault.sealed_files import seal_file
from app.vault.spool import SealedSpool
from app.vault.texts import cipher_of_outputs

_BYTES_MAX = 1 << 42


@dataclass(frozen=True, slots=True)
class Output:
    """One file: what it is called, its bytes as they are read, and the hash of what is stored."""

    name: str
    size: int
    sha256: str


@dataclass(slots=True)
class Outputs:
    """What was written for a batch: each of its files, by its id, and what they come to."""

    files: dict[str, Output] = field(default_factory=dict)
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

    Safe to do twice, even at once: the same lines under the same names. Nobody sees a file
    before `register_outputs`. Where the batch's texts are sealed, so are its files.

    Raises:
        UnavailableError: the storage is full or away.
    """
    with services.store.read() as session:
        row = session.get(OpenAIBatch, batch_id)
        if row is None or row.errors is not None:
            return None
        cipher = cipher_of_outputs(session, services.vault, session.get_one(Batch, batch_id))
    files, made = Files(services.settings.files_base_url), Outputs()
    with closing(SealedSpool()) as errors:
        lines = _output(services, row, made, errors)
        output = _Written(f"{batch_id}_output.jsonl", lines)
        output.put(files, made, row.output_file_id, cipher)
        errors.seek(0)
        lines = iter(lambda: errors.read(CHUNK_BYTES), b"")
        _Written(f"{batch_id}_error.jsonl", lines).put(files, made, row.error_file_id, cipher)
    return made


def _output(
    services: Services, row: OpenAIBatch, made: Outputs, errors: SealedSpool
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


@dataclass(slots=True)
class _Written:
    """A file as it is written, whose bytes are counted before they are sealed."""

    name: str
    lines: Iterator[bytes]
    size: int = 0

    def put(self, files: Files, made: Outputs, file_id: str, cipher: Cipher | None) -> None:
        """Write it, unless it would be empty."""
        first = next(self.lines, None)
        if first is None:
            return
        content = self._counted(chain([first], self.lines))
        if cipher is not None:
            content = seal_file(cipher, file_id, content)
        stored = files.put(file_id, content, bytes_max=_BYTES_MAX)
        made.files[file_id] = Output(self.name, self.size, stored.sha256)

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.size += len(chunk)
            yield chunk


def register_outputs(tx: Tx, batch: Batch, outputs: Outputs) -> None:
    """Make the files known, in the transaction that closes the batch."""
    row = tx.get_one(OpenAIBatch, batch.id)
    assert batch.closed_at is not None  # noqa: S101 - the caller has closed it
    kept = None if row.output_kept_s is None else timedelta(seconds=row.output_kept_s)
    for file_id, output in outputs.files.items():
        tx.add(
            InputFile(
                id=file_id,
                account_id=batch.account_id,
                filename=output.name,
                bytes=output.size,
                sha256=output.sha256,
                purpose="batch_output",
                seal=batch.seal,
                batch_id=batch.id,
                created_at=batch.closed_at,
                expires_at=None if kept is None else batch.closed_at + kept,
            )
        )
    row.completed, row.failed = outputs.completed, outputs.failed
    row.usage = msgspec.json.encode(outputs.usage).decode()
