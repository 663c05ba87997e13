"""Results in job order: by the page, or streamed whole without holding the store.

A stream is of one moment, see `as_of`; a page is of its own. Where results are deleted meanwhile,
a stream breaks off, so that its client's library says that it is not whole.

Joined, a retry is read together with what it retries: the jobs of the oldest batch in their
order, each as the newest batch that ran it has it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import msgspec
from sqlmodel import Session, col, select

from app.db import Store
from app.domain.errors import GoneError
from app.domain.ids import job_range
from app.domain.states import JOB_CLOSED
from app.models import Batch, Job
from app.reports.as_of import AsOf
from app.reports.flat import Encode, ParquetEncoder, csv_encoder
from app.reports.lines import JobRow, Lines
from app.reports.owned import own_batch, plan_of
from app.reports.views import ResultLine
from app.vault.texts import require_texts

#: A stream reads so many jobs at a time, and fewer where their answers are long.
_JOBS_MAX = 500
_FIRST_JOBS = 50
_PAGE_BYTES = 4 * 1024 * 1024
_CLOSED_JOBS = sorted(JOB_CLOSED)
_COLUMNS = (*(Job.id, Job.position, Job.custom_id, Job.state, Job.reason, Job.message, Job.plan),)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which results are wanted.

    Attributes:
        only_closed: leave out jobs that are not closed yet.
        joined: read a retry together with the batches it retries.
    """

    only_closed: bool = False
    joined: bool = False


ALL = Selection()


def result_page(
    session: Session,
    account_id: str,
    batch_id: str,
    after_position: int = -1,
    limit: int = 100,
    selection: Selection = ALL,
) -> tuple[list[ResultLine], int | None]:
    """A page of result lines, and the position to read on after; None at the end.

    Raises:
        NotFoundError: the account has no such batch.
    """  # fmt: skip
    reader = _Reader.open(session, account_id, batch_id, selection)
    return reader.page(session, after_position, limit)


def stream_results(
    store: Store,
    account_id: str,
    batch_id: str,
    selection: Selection = ALL,
    form: Literal["jsonl", "csv", "parquet"] = "jsonl",
) -> Iterator[bytes]:
    """Every result as JSONL, CSV or Parquet, in pieces of whole lines or rows.

    Each piece is read on its own and let go of before it is handed out, so that a slow client
    holds neither a connection nor a snapshot; and all are of the moment at which this is called.
    A job that was not closed then is listed without completions.

    Raises:
        NotFoundError: the account has no such batch; raised at once, before any piece.
        InvalidRequestError: Parquet is not installed here; raised at once, too.
    """
    with store.read() as session:
        reader = _Reader.open(session, account_id, batch_id, selection, is_stream=True)
    if form == "parquet":
        parquet = ParquetEncoder()
        return chain(_pieces(store, reader, parquet.encode), _last(parquet))
    encode = csv_encoder() if form == "csv" else msgspec.json.Encoder().encode_lines
    # A table has its header though it has no row.
    return chain([encode([])], _pieces(store, reader, encode))


def _last(parquet: ParquetEncoder) -> Iterator[bytes]:
    yield parquet.end()


def _pieces(store: Store, reader: "_Reader", encode: Encode) -> Iterator[bytes]:
    after: int | None = -1
    jobs = _FIRST_JOBS
    while after is not None:
        with store.read() as session:
            lines, after = reader.page(session, after, jobs)
        if lines:
            piece = encode(lines)
            jobs = _jobs_for(len(lines), max(1, len(piece)))
            yield piece


def _jobs_for(lines: int, size: int) -> int:
    """How many jobs the next piece may have, if their lines are as long as these."""
    return max(1, min(_JOBS_MAX, lines * _PAGE_BYTES // size))


class _Reader:
    """Reads pages of a batch, or of a chain of retries: `batches` are newest first."""

    def __init__(
        self,
        lines: Lines,
        batches: Sequence[str],
        there: set[str],
        selection: Selection,
        as_of: AsOf | None,
    ) -> None:
        self._lines = lines
        self._batches, self._there = batches, there
        self._newer, self._oldest = batches[:-1], batches[-1]
        self._only_closed = selection.only_closed
        self._as_of = as_of

    @classmethod
    def open(
        cls,
        session: Session,
        account_id: str,
        batch_id: str,
        selection: Selection,
        *,
        is_stream: bool = False,
    ) -> "_Reader":
        """A reader of the account's batch; for a stream, of how it is now.

        Raises:
            NotFoundError: there is none.
        """
        batch = own_batch(session, account_id, batch_id)
        require_texts(batch)
        chain = _chain(session, batch) if selection.joined else [batch.id]
        # Of a chain of retries only the newest can be open.
        as_of = AsOf.now(session, batch) if is_stream else None
        lines, there = Lines(plan_of(session, batch.id)), _with_texts(session, chain)
        return cls(lines, chain, there, selection, as_of)

    def page(self, session: Session, after: int, limit: int) -> tuple[list[ResultLine], int | None]:
        """Lines of up to `limit` jobs after a position, and where to go on.

        Raises:
            GoneError: some of it was deleted since this reader was opened.
        """
        jobs = self._jobs(session, after, limit + 1)
        more = jobs[limit - 1].position if len(jobs) > limit else None
        lines = self._lines_of(session, self._latest(session, jobs[:limit]))
        # Afterwards: a batch's row goes first. Or what is read meanwhile would look like all of it.
        if _with_texts(session, self._batches) != self._there:
            raise GoneError("results were deleted while they were read")
        return lines, more

    def _lines_of(self, session: Session, jobs: Sequence[JobRow]) -> list[ResultLine]:
        if self._as_of is None:
            return self._lines.of(session, self._wanted(jobs))
        jobs = self._wanted([self._as_of.row(job) for job in jobs])
        closed = [job for job in jobs if job.state in JOB_CLOSED]
        lines = iter(self._lines.of(session, closed))
        is_closed = set(closed)
        return [next(lines) if job in is_closed else self._lines.open(job) for job in jobs]

    def _wanted(self, jobs: Sequence[JobRow]) -> list[JobRow]:
        return [job for job in jobs if not self._only_closed or job.state in JOB_CLOSED]

    def _jobs(self, session: Session, after: int, limit: int) -> list[JobRow]:
        statement = select(*_COLUMNS).where(  # type: ignore[call-overload]
            col(Job.id).between(*job_range(self._oldest, after + 1))
        )
        if self._only_closed:
            statement = statement.where(col(Job.state).in_(_CLOSED_JOBS))
        rows = session.execute(statement.order_by(col(Job.id)).limit(limit))
        return [JobRow(*row) for row in rows]

    def _latest(self, session: Session, jobs: Sequence[JobRow]) -> list[JobRow]:
        """The same jobs, each as the newest batch has it that ran it."""
        latest = list(jobs)
        # The jobs that one batch has run, by their positions there: which of `latest` they are.
        places = {job.position: place for place, job in enumerate(jobs)}
        for batch_id in reversed(self._newer):
            if not places:
                break
            rows = session.execute(
                select(Job.retry_of, *_COLUMNS)  # type: ignore[call-overload]
                .where(Job.batch_id == batch_id)
                .where(col(Job.retry_of).between(min(places), max(places)))
            )
            again = {}
            for retry_of, *row in rows:
                if retry_of in places:
                    job = JobRow(*row)
                    again[job.position] = place = places[retry_of]
                    latest[place] = job
            places = again
        return latest


def _chain(session: Session, batch: Batch) -> list[str]:
    """A batch and those it retries, newest first, as far as they are still there."""
    chain = [batch.id]
    older: str | None = batch.retry_of
    while older is not None and older not in chain:
        row = session.exec(
            select(Batch.id, Batch.retry_of).where(
                Batch.id == older, Batch.account_id == batch.account_id
            )
        ).one_or_none()
        if row is None:
            break
        chain.append(row[0])
        older = row[1]
    return chain


def _with_texts(session: Session, batch_ids: Sequence[str]) -> set[str]:
    """Which of the batches are there, with what was asked and answered."""
    statement = select(Batch.id).where(col(Batch.id).in_(batch_ids), col(Batch.gone_at).is_(None))
    return set(session.exec(statement).all())
