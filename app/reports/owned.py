"""Finding what is asked for: another account's is as unknown as what does not exist."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import TableValuedAlias, cast, func, literal
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session, col, select

from app.domain.errors import NotFoundError
from app.domain.plan import Plan
from app.models import Batch, BatchSpec, Job

#: Of an unknown id, no more than this is said back.
_ID_CHARS = 64


def own_batch(session: Session, account_id: str, batch_id: str) -> Batch:
    """The account's batch.

    Raises:
        NotFoundError: there is none of that id, or it is another account's.
    """
    batch = session.exec(
        select(Batch)
        .where(Batch.id == batch_id, Batch.account_id == account_id)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if batch is None:
        raise NotFoundError(f"there is no batch {batch_id[:_ID_CHARS]!r}")
    return batch


def own_job(session: Session, account_id: str, job_id: str) -> Job:
    """The account's job.

    Raises:
        NotFoundError: there is none of that id, or it is another account's.
    """
    job = session.exec(
        select(Job)
        .where(Job.id == job_id, Job.account_id == account_id)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if job is None:
        raise NotFoundError(f"there is no job {job_id[:_ID_CHARS]!r}")
    return job


def plan_of(session: Session, batch_id: str) -> Plan:
    """What a batch asks of every job."""
    statement = select(BatchSpec.plan).where(col(BatchSpec.batch_id) == batch_id)
    return msgspec.json.decode(session.exec(statement).one(), type=Plan)


def these(session: Session, values: Sequence[str]) -> TableValuedAlias:
    """Values as a table with a column `value`, to join with.

    PostgreSQL believes that it has a hundred rows and looks each up through an index; for a
    long `IN` it would read whole tables, and again for every page.
    """
    given = literal(msgspec.json.encode(values).decode())
    if session.connection().dialect.name == "sqlite":
        return func.json_each(given).table_valued("value", name="wanted")
    return func.jsonb_array_elements_text(cast(given, JSONB)).table_valued("value", name="wanted")
