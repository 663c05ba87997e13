"""The lines of a batch's output and error files, in the order of its input.

A line's id, time and words are the store's, so that writing a file twice writes the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlmodel import Session, col, select

from app.db import Store
from app.domain.ids import job_range
from app.domain.states import JobState
from app.models import Attempt, Call, Job
from app.reports.lines import JobRow, Lines
from app.reports.openai_answers import Failure, answer_in, body_in, failure_in, tokens_in
from app.reports.owned import plan_of, these
from app.reports.views import ResultLine

#: A page has so many jobs, and fewer where their lines are long.
_JOBS_MAX, _FIRST_JOBS = 500, 50
_PAGE_BYTES = 4 * 1024 * 1024
_ERRORS_FROM = 400
_COLUMNS = (
    *(Job.id, Job.position, Job.custom_id, Job.state, Job.reason, Job.message, Job.plan),
    Job.closed_at,
)


@dataclass(frozen=True, slots=True)
class Page:
    """Lines of both files, and what they come to.

    Attributes:
        output: lines of the output file.
        errors: lines of the error file.
        completed: how many lines the first are.
        failed: how many the second.
        usage: the tokens of both.
    """

    output: bytes
    errors: bytes
    completed: int
    failed: int
    usage: Mapping[str, Any]


def output_pages(store: Store, batch_id: str, endpoint: str) -> Iterator[Page]:
    """Both files of a batch whose jobs are closed, by the page: each is read on its own."""
    with store.read() as session:
        lines = Lines(plan_of(session, batch_id))
    after, jobs = 0, _FIRST_JOBS
    while True:
        with store.read() as session:
            rows = _rows(session, batch_id, after, jobs)
            if not rows:
                return
            page = _page(session, lines, rows, endpoint)
        after = rows[-1][1] + 1
        size = max(1, len(page.output) + len(page.errors))
        jobs = max(1, min(_JOBS_MAX, len(rows) * _PAGE_BYTES // size))
        yield page


def _rows(session: Session, batch_id: str, first: int, limit: int) -> Sequence[Any]:
    statement = select(*_COLUMNS).where(  # type: ignore[call-overload]
        col(Job.id).between(*job_range(batch_id, first))
    )
    return session.execute(statement.order_by(col(Job.id)).limit(limit)).all()


def _page(session: Session, lines: Lines, rows: Sequence[Any], endpoint: str) -> Page:
    read = lines.of(session, [JobRow(*row[:-1]) for row in rows])
    statuses = status_codes(session, [one.job_id for one in read if one.state == JobState.FAILED])
    output, errors = list[bytes](), list[bytes]()
    for line, row in zip(read, rows, strict=True):
        moment: datetime | None = row[-1]
        created = int(moment.timestamp()) if moment is not None else 0
        answer = answer_in(line)
        if answer is None:
            errors.append(_error_line(line, failure_in(line, statuses.get(line.job_id))))
        else:
            body = body_in(line, answer, endpoint, created)
            output.append(_line(line, answer.call_id, 200, body))
    return Page(b"".join(output), b"".join(errors), len(output), len(errors), tokens_in(read))


def status_codes(session: Session, job_ids: Sequence[str]) -> dict[str, int]:
    """The status of the last answer that was an error, of each job that was answered with one."""
    wanted = these(session, job_ids)
    rows = session.execute(
        select(Call.job_id, Attempt.status_code)
        .select_from(wanted)
        .join(Call, col(Call.job_id) == wanted.c.value)
        .join(Attempt, (col(Attempt.call_id) == Call.id) & (col(Attempt.epoch) == Call.epoch))
        .where(col(Attempt.status_code) >= _ERRORS_FROM)
        .order_by(col(Call.id))
    )
    return {row[0]: row[1] for row in rows}


def error_body(failure: Failure) -> Mapping[str, Any]:
    """What a provider's refusal looks like in OpenAI's shape."""
    fault = (
        "server_error" if (failure.status_code or 0) >= _SERVER_ERRORS else "invalid_request_error"
    )
    return {
        "error": {
            "message": failure.message,
            "type": fault,
            "param": None,
            "code": failure.reason,
        }
    }


_SERVER_ERRORS = 500


def _error_line(line: ResultLine, failure: Failure) -> bytes:
    if failure.status_code is not None:
        call_id = line.completions[-1].call_id if line.completions else line.job_id
        return _line(line, call_id, failure.status_code, error_body(failure))
    error = {"code": failure.reason, "message": failure.message}
    return _encoded({**_who(line), "response": None, "error": error})


def _line(line: ResultLine, request_id: str, status: int, body: Mapping[str, Any]) -> bytes:
    response = {"status_code": status, "request_id": request_id, "body": body}
    return _encoded({**_who(line), "response": response, "error": None})


def _who(line: ResultLine) -> Mapping[str, str]:
    id_ = f"batch_req_{line.job_id.partition('_')[2]}"
    return {"id": id_, "custom_id": line.custom_id}


def _encoded(line: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(line) + b"\n"
