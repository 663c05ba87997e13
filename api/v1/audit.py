"""The audit log: what was done with the account that matters for its security."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.account_views import AuditPage, AuditView
from api.answers import answer, answers
from api.deps import Admin, WithServices
from api.v1.queries import AuditQuery
from app.accounts.audit import actions_of

router = APIRouter(prefix="/v1/audit", tags=["account"])


@router.get("", **answers(AuditPage))
def audit(
    principal: Admin, services: WithServices, query: Annotated[AuditQuery, Query()]
) -> Response:
    """Who did what, on which id, and when; latest first."""
    with services.store.read() as session:
        found = actions_of(session, principal.account_id, after=query.after, limit=query.limit + 1)
    shown = [AuditView.of(entry) for entry in found[: query.limit]]
    return answer(AuditPage(shown, shown[-1].id if len(found) > query.limit else None))
