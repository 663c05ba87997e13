"""The one answer that somebody waits for, as soon as it is there."""

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from app.domain.ids import job_id
from app.domain.states import JOB_CLOSED
from app.models import Job
from app.reports.lines import JobRow, Lines
from app.reports.openai_answers import Body, Failure, answer_in, body_in, failure_in
from app.reports.openai_output import status_codes
from app.reports.owned import plan_of


@dataclass(frozen=True, slots=True)
class Answered:
    """A job has an answer: the body of its endpoint."""

    body: Body


def the_answer(session: Session, batch_id: str, endpoint: str) -> Answered | Failure | None:
    """What came of a batch of one; None as long as nothing has."""
    job: Any = session.get(Job, job_id(batch_id, 0), populate_existing=True)
    if job is None or job.state not in JOB_CLOSED:
        return None
    row = JobRow(job.id, job.position, job.custom_id, job.state, job.reason, job.message, job.plan)
    (line,) = Lines(plan_of(session, batch_id)).of(session, [row])
    answer = answer_in(line)
    if answer is None:
        return failure_in(line, status_codes(session, [job.id]).get(job.id))
    return Answered(body_in(line, answer, endpoint, int(job.closed_at.timestamp())))
