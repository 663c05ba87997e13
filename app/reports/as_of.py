"""How the jobs of an open batch were at one moment, for an export that takes longer than one.

What is streamed must fit together, though the batch goes on meanwhile. A transaction held as long
as the slowest client takes would do that, and slow down every claim and keep the store from
cleaning up after itself (SQLite's log would grow without end). But what is closed never changes.
So one statement reads how every job is, a byte for each; after that a page is read whenever it is
wanted: the lines of jobs that were closed then are as they were, and of one that was not, the
line says no more than that.
"""

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.ids import batch_id_of, job_range
from app.domain.states import JobState
from app.models import Batch, Job
from app.reports.lines import JobRow

#: No two states begin with the same letter; a test says so when one does.
LETTERS = {ord(state.value[0]): state.value for state in JobState}
_ROWS_AT_ONCE = 20_000


class AsOf:
    """The jobs of one batch as they were; what is not of it is closed, and as it is."""

    def __init__(self, batch_id: str, states: bytes) -> None:
        self._batch_id = batch_id
        self._states = states

    @classmethod
    def now(cls, session: Session, batch: Batch) -> "AsOf":
        """As they are now; of a closed batch there is nothing to remember."""
        states = bytearray()
        if batch.closed_at is None:
            rows = session.connection().execute(
                select(sa.func.substr(Job.state, 1, 1))
                .where(col(Job.id).between(*job_range(batch.id)))
                .order_by(col(Job.id)),
                execution_options={"yield_per": _ROWS_AT_ONCE},
            )
            for part in rows.partitions():
                states += "".join(row[0] for row in part).encode()
        return cls(batch.id, bytes(states))

    def row(self, job: JobRow) -> JobRow:
        """A job as it was."""
        if not self._states or batch_id_of(job.id) != self._batch_id:
            return job
        was = LETTERS[self._states[job.position]]
        return job if was == job.state else job._replace(state=was, reason=None, message=None)
