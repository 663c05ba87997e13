"""Webhooks: how to know that they are ours."""

from fastapi import APIRouter, Response

from api.answers import answer, answers
from api.deps import Admin, WithServices
from api.views import WebhookSecretView
from app.pipeline.accounts import webhook_secret_of

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


@router.get("/secret", **answers(WebhookSecretView))
def secret(principal: Admin, services: WithServices) -> Response:
    """The secret that signs what has no secret of its own."""
    with services.store.read() as session:
        found = webhook_secret_of(session, services.vault, principal.account_id)
    return answer(WebhookSecretView(found.reveal()))
