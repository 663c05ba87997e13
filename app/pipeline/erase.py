"""erase: the text of a closed batch is deleted, a window of its jobs per transaction.

Done twice it does nothing; cut short, whoever comes next begins again and finds the rest.
"""

from collections import Counter

import msgspec
import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.db import Commit, Tx
from app.domain.ids import job_id, job_range
from app.domain.states import Seal
from app.files import Files
from app.models import Batch, BatchSpec, InputFile, Job, OpenAIBatch
from app.pipeline.services import Services

WINDOW = 500
_JOBS = "BETWEEN :first AND :last"
_CALLS = f"IN (SELECT call.id FROM call WHERE call.job_id {_JOBS})"  # noqa: S608 - our own words
#: What is deleted, and how it is counted; each answers a kind for every row.
_DELETES = (
    f"DELETE FROM stored_text WHERE owner_id {_CALLS} RETURNING kind",  # noqa: S608
    f"DELETE FROM stored_text WHERE owner_id {_JOBS} RETURNING kind",  # noqa: S608
    f"DELETE FROM verdict WHERE job_id {_JOBS} RETURNING 'verdict'",  # noqa: S608
)
#: What may quote a text, or tell who knows one that it is the same.
_BLANKS = (
    f"UPDATE call SET message = NULL, cache_key = NULL WHERE job_id {_JOBS}",  # noqa: S608
    f"UPDATE attempt SET message = NULL WHERE call_id {_CALLS} AND message IS NOT NULL",  # noqa: S608
    f"UPDATE job SET message = NULL WHERE id {_JOBS} AND message IS NOT NULL",  # noqa: S608
)
#: What the client called its models is shown with results alone; what they used stays.
_UNNAME = f"UPDATE usage SET label = '' WHERE call_id {_CALLS}"  # noqa: S608
#: What else a job has, each before what it is of.
_ROWS = (
    _UNNAME,
    f"DELETE FROM completion WHERE call_id {_CALLS}",  # noqa: S608
    f"DELETE FROM attempt WHERE call_id {_CALLS}",  # noqa: S608
    f"DELETE FROM call WHERE job_id {_JOBS}",  # noqa: S608
    f"DELETE FROM job WHERE id {_JOBS}",  # noqa: S608
)


def erase_texts(services: Services, batch_id: str) -> Counter[str]:
    """Delete a closed batch's texts, and the files of them; counts by kind.

    Those are what was written of them, and the input if that retained nothing.
    """
    store, counts = services.store, Counter[str]()
    with store.read() as session:
        batch = session.get_one(Batch, batch_id)
    for first in range(0, batch.jobs_total, WINDOW):
        with store.transaction(Commit.ERASE) as tx:
            counts += _erase_window(tx, batch_id, first)
    with store.read() as session:
        found = _own_files(session, batch)
    for file_id in found:
        Files(services.settings.files_base_url).delete(file_id)
        counts["file"] += 1
    with store.transaction(Commit.ERASED) as tx:
        _blank_settings(tx, batch_id)
        tx.get_one(Batch, batch_id).erased_at = store.now(tx)
    return counts


def _erase_window(tx: Tx, batch_id: str, first: int) -> Counter[str]:
    ids = {"first": job_id(batch_id, first), "last": job_id(batch_id, first + WINDOW - 1)}
    counts = Counter(row[0] for text in _DELETES for row in tx.run(sa.text(text), ids))
    for text in _BLANKS:
        tx.run(sa.text(text), ids)
    return counts


def delete_jobs(tx: Tx, batch_id: str) -> Counter[str] | None:
    """Delete some jobs of a batch whose row is gone, with all that is theirs; None at the end."""
    first, last = job_range(batch_id)
    found = tx.exec(
        select(Job.id)
        .where(col(Job.id).between(first, last))
        .order_by(col(Job.id))
        .limit(WINDOW)
        .with_for_update()
    ).all()
    if not found:
        return None
    ids = {"first": found[0], "last": found[-1]}
    counts = Counter(row[0] for text in _DELETES for row in tx.run(sa.text(text), ids))
    for text in _ROWS:
        tx.run(sa.text(text), ids)
    return counts + Counter(jobs=len(found))


def _own_files(session: Session, batch: Batch) -> list[str]:
    through = session.get(OpenAIBatch, batch.id)
    written = [] if through is None else [through.output_file_id, through.error_file_id]
    is_input = (col(InputFile.id) == batch.input_file_id) & (col(InputFile.seal) == Seal.BATCH)
    which = is_input | col(InputFile.id).in_(written)
    return list(session.exec(select(InputFile.id).where(which)))


def _blank_settings(tx: Tx, batch_id: str) -> None:
    tx.run(
        sa.update(OpenAIBatch)
        .where(col(OpenAIBatch.batch_id) == batch_id, col(OpenAIBatch.errors).is_not(None))
        .values(errors="[]")
    )
    spec = tx.get_one(BatchSpec, batch_id)
    body = msgspec.json.decode(spec.body)
    if body.pop("template", None) is not None:
        spec.body = msgspec.json.encode(body).decode()
