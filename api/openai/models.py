"""The models that can be called now, as OpenAI's clients list them."""

from typing import Literal

import msgspec
from fastapi import APIRouter, Response

from api.answers import answer
from api.deps import Reader, WithServices
from api.openai.shapes import told
from app.domain.errors import NotFoundError
from app.pipeline.offers import offers
from app.pipeline.services import Services

router = APIRouter(prefix="/openai/v1/models", tags=["openai"])


class ModelObject(msgspec.Struct, frozen=True):
    """`openai.types.Model`. Nobody tells when a model was made."""

    id: str
    owned_by: str
    created: int = 0
    object: Literal["model"] = "model"


class ModelList(msgspec.Struct, frozen=True):
    """Every model there is, on one page."""

    data: list[ModelObject]
    object: Literal["list"] = "list"


@router.get("", **told(ModelList))
def openai_models(principal: Reader, services: WithServices) -> Response:
    """List the models that can be called now."""
    return answer(ModelList(_models(services, principal.account_id)))


@router.get("/{model:path}", **told(ModelObject))
def openai_model(principal: Reader, services: WithServices, model: str) -> Response:
    """One of them."""
    for one in _models(services, principal.account_id):
        if one.id == model:
            return answer(one)
    raise NotFoundError(f"there is no model {model[:80]!r} that can be called now")


def _models(services: Services, account_id: str) -> list[ModelObject]:
    found = offers(services, account_id)
    return [ModelObject(one.model, one.provider) for one in found.data]
