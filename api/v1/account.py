"""The account as a whole: its content purged, or itself deleted."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Response

from api.answers import answer, answers
from api.deps import Admin, Reader, WithServices, checked_id
from app.domain.ids import Prefix
from app.models import Purge
from app.pipeline.purge import begin_purge, own_purge

router = APIRouter(prefix="/v1/account", tags=["account"])


class PurgeView(msgspec.Struct, frozen=True):
    """A purge. Its `counts` are of what was deleted so far, by kind; a receipt once finished."""

    id: str
    created_at: datetime
    finished_at: datetime | None
    deletes_account: bool
    counts: dict[str, int]
    object: Literal["purge"] = "purge"

    @classmethod
    def of(cls, row: Purge) -> "PurgeView":
        """The view of a purge."""
        counts = msgspec.json.decode(row.counts, type=dict[str, int])
        return cls(row.id, row.created_at, row.finished_at, row.deletes_account, counts)


async def _purge_id(purge_id: Annotated[str, Path()]) -> str:
    return checked_id(Prefix.PURGE, "purge", purge_id)


@router.post("/purge", **answers(PurgeView, 202))
def purge_account(principal: Admin, services: WithServices) -> Response:
    """Delete all that this account brought and was answered; usage and credits stay.

    Open batches are cancelled. Look at the purge to see when it is finished, and what it deleted.
    """
    begun = begin_purge(services, principal.account_id, actor=principal.api_key_id)
    return answer(PurgeView.of(begun), 202)


@router.get("/purges/{purge_id}", **answers(PurgeView))
def purge(
    principal: Reader, services: WithServices, purge_id: Annotated[str, Depends(_purge_id)]
) -> Response:
    """How far a purge is, and what it deleted."""
    with services.store.read() as session:
        return answer(PurgeView.of(own_purge(session, principal.account_id, purge_id)))


@router.delete("", **answers(PurgeView, 202))
def delete_account(principal: Admin, services: WithServices) -> Response:
    """Purge this account and delete it. Its API keys are refused from now on."""
    begun = begin_purge(
        services, principal.account_id, actor=principal.api_key_id, deletes_account=True
    )
    return answer(PurgeView.of(begun), 202)
