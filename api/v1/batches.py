"""Batches: submitted, listed, looked at and steered."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.answers import answer, answers
from api.body import Body, body_of
from api.deps import BatchId, IdempotencyKey, Reader, Submitter, WithServices
from api.v1.queries import BatchesQuery
from api.v1.submission import SUBMIT_BYTES_MAX, read_submission
from api.views import BatchPage
from app.accounts.api_keys import Principal
from app.pipeline import control
from app.pipeline.estimate import estimate
from app.pipeline.estimated import Estimate
from app.pipeline.retry import retry
from app.pipeline.services import Services
from app.pipeline.stored_files import stored_lines
from app.pipeline.submit import Submission, Submitted, submit
from app.reports.progress import Narrowed, batch_view, list_batches
from app.reports.views import BatchView

router = APIRouter(prefix="/v1/batches", tags=["batches"])


@router.post("", **answers(BatchView, 201, also=200, body="BatchSubmission"))
def submit_batch(
    principal: Submitter,
    services: WithServices,
    idempotency_key: IdempotencyKey,
    body: Annotated[Body, Depends(body_of(SUBMIT_BYTES_MAX))],
) -> Response:
    """Submit a batch: accepted whole and durably, or not at all."""
    submission = _submission(principal, services, body, idempotency_key)
    return _submitted(services, principal.account_id, submit(services, submission))


@router.post("/estimate", **answers(Estimate, body="BatchSubmission"))
def estimate_batch(
    principal: Submitter,
    services: WithServices,
    body: Annotated[Body, Depends(body_of(SUBMIT_BYTES_MAX))],
) -> Response:
    """What a submission would come to: calls, tokens, cost, hours, problems. Nothing is stored."""
    return answer(estimate(services, _submission(principal, services, body)))


@router.get("", **answers(BatchPage))
def batches(
    principal: Reader, services: WithServices, query: Annotated[BatchesQuery, Query()]
) -> Response:
    """List batches, newest first; of those, the ones with a name, in a state, with metadata."""
    with services.store.read() as session:
        narrowed = Narrowed(query.name, query.state, query.metadata)
        page = list_batches(session, principal.account_id, query.after, query.limit, narrowed)
    return answer(BatchPage(*page))


@router.get("/{batch_id}", **answers(BatchView))
def batch(principal: Reader, services: WithServices, batch_id: BatchId) -> Response:
    """One batch as it is now: state, counts, cost."""
    return _shown(services, principal.account_id, batch_id)


@router.post("/{batch_id}/cancel", **answers(BatchView))
def cancel_batch(principal: Submitter, services: WithServices, batch_id: BatchId) -> Response:
    """Stop what has not started."""
    control.cancel(services, principal.account_id, batch_id)
    return _shown(services, principal.account_id, batch_id)


@router.post("/{batch_id}/pause", **answers(BatchView))
def pause_batch(principal: Submitter, services: WithServices, batch_id: BatchId) -> Response:
    """Hold what has not started."""
    control.pause(services, principal.account_id, batch_id)
    return _shown(services, principal.account_id, batch_id)


@router.post("/{batch_id}/resume", **answers(BatchView))
def resume_batch(principal: Submitter, services: WithServices, batch_id: BatchId) -> Response:
    """Go on with a paused batch."""
    control.resume(services, principal.account_id, batch_id)
    return _shown(services, principal.account_id, batch_id)


@router.post("/{batch_id}/retry", **answers(BatchView, 201, also=200))
def retry_batch(
    principal: Submitter,
    services: WithServices,
    batch_id: BatchId,
    idempotency_key: IdempotencyKey,
) -> Response:
    """Make a new batch of the failed and missing jobs of a closed one."""
    made = retry(services, principal.account_id, batch_id, idempotency_key)
    return _submitted(services, principal.account_id, made)


def _submission(
    principal: Principal, services: Services, body: Body, idempotency_key: str | None = None
) -> Submission:
    parsed = read_submission(body.data)
    lines = parsed.lines
    if lines is None:
        lines = stored_lines(
            services,
            principal.account_id,
            parsed.body.input_file_id or "",
            templated=parsed.body.template is not None,
        )
    return Submission(
        principal.account_id,
        parsed.body,
        lines,
        idempotency_key=idempotency_key,
        body_sha256=body.sha256,
    )


def _submitted(services: Services, account_id: str, made: Submitted) -> Response:
    return _shown(services, account_id, made.batch_id, status=201 if made.created else 200)


def _shown(services: Services, account_id: str, batch_id: str, *, status: int = 200) -> Response:
    with services.store.read() as session:
        view = batch_view(session, account_id, batch_id)
    return answer(view, status)
