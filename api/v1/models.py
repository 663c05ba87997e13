"""Which models can be called now."""

from fastapi import APIRouter, Response

from api.answers import answer, answers
from api.deps import Reader, WithServices
from app.pipeline.offers import Offers, offers

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", **answers(Offers))
def models(principal: Reader, services: WithServices) -> Response:
    """What can be called now, at what listed price and with whose key; and why not the rest."""
    return answer(offers(services, principal.account_id))
