"""One job: its calls, attempts, completions and verdict."""

from fastapi import APIRouter, Response

from api.answers import answer, answers
from api.deps import JobId, Reader, WithServices
from app.reports.jobs import job_view
from app.reports.views import JobView

router = APIRouter(prefix="/v1/jobs", tags=["results"])


@router.get("/{job_id}", **answers(JobView))
def job(principal: Reader, services: WithServices, job_id: JobId) -> Response:
    """One job, and all that was tried for it."""
    with services.store.read() as session:
        view = job_view(session, principal.account_id, job_id)
    return answer(view)
