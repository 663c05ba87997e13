"""Privacy: how an account's text is kept, and results that are picked up once."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response

from api.answers import answer, answers
from api.body import SMALL_BYTES_MAX, Body, body_of, decode
from api.deps import Admin, BatchId, Reader, Submitter, WithServices
from app.accounts.privacy import Privacy, privacy_of
from app.domain.states import Retention
from app.pipeline.privacy import change_privacy
from app.pipeline.retention import acknowledge

router = APIRouter(tags=["privacy"])


class PrivacyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of the setting: what is left out is as it is at first."""

    retention: Retention = Retention.KEEP
    seal: bool = False
    retention_days: int | None = None


@router.get("/v1/settings/privacy", **answers(Privacy))
def privacy(principal: Reader, services: WithServices) -> Response:
    """How the text of this account's batches is kept."""
    with services.store.read() as session:
        return answer(privacy_of(session, principal.account_id))


@router.put("/v1/settings/privacy", **answers(Privacy, body="PrivacyBody"))
def put_privacy(
    principal: Admin,
    services: WithServices,
    body: Annotated[Body, Depends(body_of(SMALL_BYTES_MAX))],
) -> Response:
    """Set whether text is kept, whether it is sealed, and for how many days."""
    given = decode(body.data, PrivacyBody)
    wanted = Privacy(given.retention, given.seal, given.retention_days)
    change_privacy(services, principal.account_id, wanted, actor=principal.api_key_id)
    return answer(wanted)


@router.post("/v1/batches/{batch_id}/results/ack", **answers(None, 204))
def acknowledge_results(
    principal: Submitter, services: WithServices, batch_id: BatchId
) -> Response:
    """Say that you have the results of a batch that retains nothing: its key is destroyed."""
    acknowledge(services, principal.account_id, batch_id, actor=principal.api_key_id)
    return Response(status_code=204)
