"""Why contestants' calls brought no answer, counted by cause."""

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.states import CallState, Role
from app.models import Call
from app.reports.report_views import FailureView
from app.reports.tallies import calls_of

_BAD = sorted({CallState.FAILED, CallState.REFUSED})


def failures(session: Session, batch_id: str) -> list[FailureView]:
    """How many calls of each contestant failed or were refused, by cause, the most first."""
    rows = session.connection().execute(failures_statement(batch_id))
    found = [
        FailureView(label=label, state=state, reason=reason or state, calls=count)
        for label, state, reason, count in rows
    ]
    return sorted(found, key=lambda one: (-one.calls, one.label, one.reason))


def failures_statement(batch_id: str) -> sa.Executable:
    """Candidate calls that failed or were refused, by label and cause."""
    by = (col(Call.label), col(Call.state), col(Call.reason))
    return (
        sa.select(*by, sa.func.count())
        .where(calls_of(batch_id), col(Call.role) == Role.CANDIDATE)
        .where(col(Call.state).in_(_BAD))
        .group_by(*by)
    )
